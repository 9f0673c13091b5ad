//! `remora tsdb …`: stored samples, offline.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

/// Look at, check, copy and add to stored samples, without a service.
///
/// Works on the data directory of one database: blocks and logs in Prometheus' layout. Name the directory, or a workspace of
/// a data directory of `remora serve` or `remora up`. `list` and `verify` work beside a service that has it open, and so do
/// `dump`, `analyze` and `export` with --blocks-only; the others say so when they cannot.
#[derive(Args, Debug)]
pub(crate) struct Tsdb {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    List(List),
    Verify(Verify),
    Dump(Dump),
    Analyze(Analyze),
    Import(Import),
    Export(Export),
}

/// Which database.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("place").required(true).args(["directory", "workspace"])))]
pub(crate) struct Place {
    /// Its directory.
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// A workspace: its name or accountId (beside a running service the accountId)
    #[arg(long, value_name = "NAME")]
    pub(crate) workspace: Option<String>,
    /// Where the service that the workspace belongs to keeps its data [default: as for `remora up`]
    #[arg(long, value_name = "DIR", requires = "workspace")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// Which samples.
#[derive(Args, Debug)]
pub(crate) struct Selection {
    /// Series, such as 'up{job="api"}' [default: all]
    #[arg(long = "match", value_name = "SELECTOR")]
    pub(crate) matcher: Option<String>,
    /// The first time: milliseconds since 1970, or RFC 3339
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub(crate) min_time: Option<String>,
    /// The last time, likewise
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub(crate) max_time: Option<String>,
    /// Leave out samples that are in no block yet; works beside a service
    #[arg(long)]
    pub(crate) blocks_only: bool,
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// For scripts.
    Json,
}

/// List the blocks: times, samples, chunks, series, bytes, and what they were made of.
#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Print times as dates and bytes with units
    #[arg(long, short = 'r')]
    pub(crate) human_readable: bool,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// Check every checksum, order, time, count and sample of blocks and logs.
///
/// Says file and place of what is damaged. Exit codes: 0 all is well, 1 something is damaged.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) place: Place,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// Print samples.
#[derive(Args, Debug)]
pub(crate) struct Dump {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How: as promtool does (`{labels} value milliseconds`), or as OpenMetrics, which `import` reads
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: DumpFormat,
}

/// How samples are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum DumpFormat {
    #[default]
    Prometheus,
    Openmetrics,
}

/// Show which metrics, labels and values make the series many, and which come and go.
#[derive(Args, Debug)]
pub(crate) struct Analyze {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Entries of each list
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
    /// Look into all chunks, too: samples, bytes, how full they are
    #[arg(long)]
    pub(crate) extended: bool,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// Bring samples from elsewhere into a database that is not open.
///
/// Samples may come in any order and be of any age; what is stored already is never replaced. An import that is repeated, after
/// a crash or by mistake, changes nothing.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("source").required(true).args(["openmetrics", "prometheus"])))]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) place: Place,
    /// A file of OpenMetrics text; every sample needs a time. `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) openmetrics: Option<PathBuf>,
    /// A data directory of a Prometheus that does not run, or a snapshot of one
    #[arg(long, value_name = "DIR")]
    pub(crate) prometheus: Option<PathBuf>,
    /// Memory for samples, MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub(crate) memory: u64,
}

/// Write samples into new blocks elsewhere, which Prometheus opens.
#[derive(Args, Debug)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Where to; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
}
