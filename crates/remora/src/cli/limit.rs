//! `remora limit` and `remora usage`.

use clap::{ArgGroup, Args, Subcommand};

use super::service::ServiceOptions;

/// Manage what workspaces may take, and see what rules may.
///
/// A workspace's limits can be raised: up to two millions without more, up to twenty when half of what is asked for is in use.
/// Those of rules are the service's settings; more rules let more in.
#[derive(Args, Debug)]
pub(crate) struct Limit {
    #[command(flatten)]
    pub(crate) service: ServiceOptions,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the limits of all workspaces and rules.
    List,
    /// Show the limits of one workspace or rule.
    Show {
        /// A workspace (name, accountId, ARM id) or rule (name, immutable id, ARM id).
        resource: String,
    },
    Update(Update),
}

/// Set the limits of a workspace.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("limits").required(true).multiple(true).args(["active_series", "events_per_minute"]))]
pub(crate) struct Update {
    /// The workspace: name, accountId or ARM id.
    pub(crate) workspace: String,
    /// Series seen within twelve hours
    #[arg(long, value_name = "COUNT", value_parser = parse_count)]
    pub(crate) active_series: Option<u64>,
    /// Samples taken in a minute
    #[arg(long, value_name = "COUNT", value_parser = parse_count)]
    pub(crate) events_per_minute: Option<u64>,
}

/// Show live use against limits, of all workspaces and rules or of those named.
#[derive(Args, Debug)]
pub(crate) struct Usage {
    #[command(flatten)]
    pub(crate) service: ServiceOptions,
    /// Workspaces (name, accountId, ARM id) and rules (name, immutable id, ARM id) [default: all].
    pub(crate) resources: Vec<String>,
    /// Show it again every so many seconds, until interrupted
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) watch: Option<u64>,
}

/// Reads a count as people write it: `2000000`, `2_000_000`, `2M`, `500k`.
fn parse_count(text: &str) -> Result<u64, String> {
    let digits: String = text.chars().filter(|character| *character != '_').collect();
    let (digits, factor) = match digits.char_indices().last() {
        Some((at, 'k' | 'K')) => (&digits[..at], 1_000),
        Some((at, 'm' | 'M')) => (&digits[..at], 1_000_000),
        _ => (digits.as_str(), 1),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(factor))
        .filter(|count| *count > 0)
        .ok_or_else(|| "write a whole number above zero, such as 2000000, 2_000_000, 500k or 2M".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_as_people_write_them() {
        for (text, count) in
            [("1", 1), ("2_000_000", 2_000_000), ("2M", 2_000_000), ("500k", 500_000), ("1_0K", 10_000)]
        {
            assert_eq!(parse_count(text), Ok(count), "{text}");
        }
        for text in ["", "0", "-1", "k", "1.5M", "M2", "20000000000000000000", "99999999999999999M", "2 M"] {
            assert!(parse_count(text).is_err(), "{text:?}");
        }
    }
}
