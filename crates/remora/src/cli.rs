//! The command line.

pub(crate) mod administration;
pub(crate) mod endpoint;
pub(crate) mod limit;
pub(crate) mod principal;
pub(crate) mod role;
pub(crate) mod rule;
pub(crate) mod service;
pub(crate) mod tsdb;
pub(crate) mod workspace;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::duration;
use crate::propagation::Span;
use crate::settings::WalSync;

/// Prometheus remote write, authenticated end to end.
#[derive(Debug, Parser)]
#[command(
    name = "remora",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(Up),
    Serve(Serve),
    /// Run the sidecar alone, set by environment variables (`remora-sidecar --help` explains each).
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Sidecar {
        /// Given on to the sidecar.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    #[command(flatten)]
    Manage(Box<Manage>),
    Token(Token),
    Doctor(Doctor),
    Tsdb(tsdb::Tsdb),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// What is done to a running service.
#[derive(Debug, Subcommand)]
pub(crate) enum Manage {
    Workspace(workspace::Workspace),
    Endpoint(endpoint::Endpoint),
    Rule(rule::Rule),
    Role(role::Role),
    Limit(limit::Limit),
    Usage(limit::Usage),
    Principal(principal::Principal),
    Identity(principal::Identity),
    Audit(administration::Audit),
    Backup(administration::Backup),
}

impl Manage {
    /// Which service, as whom, and how.
    pub(crate) fn service(&self) -> &service::ServiceOptions {
        match self {
            Self::Workspace(noun) => &noun.service,
            Self::Endpoint(noun) => &noun.service,
            Self::Rule(noun) => &noun.service,
            Self::Role(noun) => &noun.service,
            Self::Limit(noun) => &noun.service,
            Self::Usage(arguments) => &arguments.service,
            Self::Principal(noun) => &noun.service,
            Self::Identity(noun) => &noun.service,
            Self::Audit(arguments) => &arguments.service,
            Self::Backup(noun) => &noun.service,
        }
    }
}

/// Run everything on this machine: service, local authority with IMDS, one sidecar, one workspace.
///
/// The first start makes a directory (tenant) with principals and their secrets, a certificate authority, and a workspace
/// `default` with its data collection endpoint, rule and role assignments; later starts find them again. What runs where is
/// printed, and written to `up.json` in the data directory once everything answers.
#[derive(Args, Debug)]
pub(crate) struct Up {
    /// Where data, keys and secrets are kept [default: $XDG_DATA_HOME/remora, for root /var/lib/remora]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address of the service: data collection endpoint and query API. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7090")]
    pub(crate) service_address: SocketAddr,
    /// Address of the local authority, with IMDS. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7091")]
    pub(crate) authority_address: SocketAddr,
    /// Address of the sidecar, which Prometheus writes to. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    pub(crate) sidecar_address: SocketAddr,
    /// When the write-ahead log is forced to the disk; a killed process loses nothing either way.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) wal_sync: WalSync,
    /// What new workspaces do with what they cannot take: say so (strict), or drop it and count it (azure).
    #[arg(long, value_enum, default_value_t)]
    pub(crate) profile: Profile,
    /// How long role changes take to act on workspaces of profile azure, such as 10m..30m [default: at once]
    #[arg(long, value_name = "MIN..MAX", value_parser = parse_propagation, default_value = "0s..0s", hide_default_value = true)]
    pub(crate) role_propagation: Span,
    /// What is logged: a level, or levels by module such as `warn,ingest=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info", env = "REMORA_LOG")]
    pub(crate) log: String,
}

/// How strictly a workspace treats what it is sent.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Profile {
    #[default]
    Strict,
    Azure,
}

impl From<Profile> for catalog::Profile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Strict => Self::Strict,
            Profile::Azure => Self::Azure,
        }
    }
}

fn parse_propagation(text: &str) -> Result<Span, String> {
    let (min, max) = text.split_once("..").ok_or("write MIN..MAX, such as 10m..30m")?;
    let span = |text| duration::parse(text).ok_or_else(|| format!("{text:?} is no span of time; {}", duration::FORM));
    let (min, max) = (span(min)?, span(max)?);
    if min <= max { Ok(Span { min, max }) } else { Err("the second span is shorter than the first".to_owned()) }
}

/// Run the service alone, from a settings file: for production.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// The settings file (YAML): listener, TLS, issuers, workspaces, rules, role assignments. See docs/settings.md.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Check the settings and end: exit code 0 when they can be used, 2 when not.
    #[arg(long)]
    pub(crate) check: bool,
    /// What is logged: a level, or levels by module such as `warn,ingest=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info", env = "REMORA_LOG")]
    pub(crate) log: String,
}

/// Print a token for a resource.
///
/// Of a running `remora up`, else of the credential that the environment names (`remora sidecar --help` explains the
/// variables). The token goes to standard output and nothing else does.
#[derive(Args, Debug)]
pub(crate) struct Token {
    /// What the token is for, such as https://prometheus.monitor.azure.com
    #[arg(long, value_name = "URI")]
    pub(crate) resource: String,
    /// Data directory of the `remora up` whose managed identity is used [default: as for `remora up`, if one runs there]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// Check every link from the settings to the samples read back, and say what to mend first.
///
/// With the settings of a sidecar (`remora sidecar --help` explains them); without any, those of the running `remora up`.
/// Exit codes: 0 all is well, 1 a link is broken, 2 the settings are wrong, 3 there are warnings alone.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) asked: sidecar::Examination,
    /// The sidecar's settings file (YAML) [default: REMORA_CONFIG, else none]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data directory of the `remora up` to examine [default: as for `remora up`, if one runs there]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_log_is_synced_as_it_is_said() {
        let parsed = |arguments: &[&str]| match Cli::try_parse_from(["remora", "up"].iter().chain(arguments)) {
            Ok(Cli { command: Command::Up(up) }) => Some(up.wal_sync),
            _ => None,
        };
        assert_eq!(parsed(&[]), Some(WalSync::Interval));
        assert_eq!(parsed(&["--wal-sync=interval"]), Some(WalSync::Interval));
        assert_eq!(parsed(&["--wal-sync", "every-commit"]), Some(WalSync::EveryCommit));
        assert_eq!(parsed(&["--wal-sync=never"]), None);
    }

    #[test]
    fn propagation_is_two_spans() {
        assert_eq!(parse_propagation("10m..30m").map(|span| span.max.as_secs()), Ok(1800));
        for text in ["10m", "30m..10m", "x..10m", "..", "10m..."] {
            assert!(parse_propagation(text).is_err(), "{text}");
        }
    }
}
