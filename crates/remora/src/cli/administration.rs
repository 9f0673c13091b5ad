//! `remora audit` and `remora backup`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::service::ServiceOptions;

/// Show who changed what, when and from where; the newest first.
#[derive(Args, Debug)]
pub(crate) struct Audit {
    #[command(flatten)]
    pub(crate) service: ServiceOptions,
    /// How far back: seconds, or with a unit such as 30m, 12h, 7d
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = parse_span)]
    pub(crate) since: Duration,
    /// Only changes of this resource (ARM id) and what lies below it
    #[arg(long, value_name = "ID")]
    pub(crate) resource: Option<String>,
    /// How many lines at most
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) count: u32,
}

/// Copies of catalogue and workspaces together, made while the service runs.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    #[command(flatten)]
    pub(crate) service: ServiceOptions,
    #[command(subcommand)]
    pub(crate) verb: BackupVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupVerb {
    /// Make a backup, in the service's backup directory, and wait until it is complete.
    Create {
        /// Its name: the directory's.
        name: String,
    },
    /// List the backups in the service's backup directory.
    List,
    /// Make a data directory of a backup, where no service runs on it (--data-dir names it: new or empty).
    Restore {
        /// The backup: a directory.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
    },
}

/// Reads a span: `90`, `90s`, `30m`, `12h`, `7d`.
fn parse_span(text: &str) -> Result<Duration, String> {
    let (digits, seconds) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        Some((at, 'd')) => (&text[..at], 86_400),
        _ => (text, 1),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(seconds))
        .filter(|seconds| *seconds <= SPAN_SECONDS_MAX)
        .map(Duration::from_secs)
        .ok_or_else(|| "write seconds, or a whole number with s, m, h or d, such as 12h".to_owned())
}

/// A hundred years: longer than any log.
const SPAN_SECONDS_MAX: u64 = 100 * 365 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_as_people_write_them() {
        for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(parse_span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "h", "-1h", "1.5h", "1w", "99999999999999999999", "99999999d"] {
            assert!(parse_span(text).is_err(), "{text:?}");
        }
    }
}
