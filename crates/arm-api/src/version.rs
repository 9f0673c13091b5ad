//! `api-version`.
//!
//! Any date that can be one of Azure's is taken and answered in the newest shape: older shapes lack fields, none has others.
//! Lists of known versions are never complete, so that a client newer than this program goes on working; what lies before
//! the first version or more than a year ahead is a mistake, and is said to be one.

use environment::UnixTime;
use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

use crate::error::ArmError;
use crate::query::Query;

/// Checks that the version is there, well-formed and of a time in which there are versions.
pub(crate) fn check(query: &Query, known: &[&str], now: UnixTime) -> Result<(), ArmError> {
    let Some(version) = query.filled("api-version") else {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(ArmError::bad_request("MissingApiVersionParameter", message));
    };
    if known.contains(&version) || date_of(version).is_some_and(|date| is_possible(date, now)) {
        return Ok(());
    }
    let shown: String = version.chars().take(SHOWN_CHARS_MAX).collect();
    let message = format!("The api-version '{shown}' is invalid. The supported versions are '{}'.", known.join(","));
    Err(ArmError::bad_request("InvalidApiVersionParameter", message))
}

/// `YYYY-MM-DD`, perhaps with `-preview` or another word of letters behind it.
fn date_of(version: &str) -> Option<Date> {
    let (date, rest) = version.split_at_checked(10)?;
    let suffix = rest.is_empty()
        || rest.strip_prefix('-').is_some_and(|word| {
            (1..=SUFFIX_BYTES_MAX).contains(&word.len())
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        });
    date.parse().ok().filter(|_| suffix)
}

fn is_possible(version: Date, now: UnixTime) -> bool {
    let latest = Timestamp::from_second(now.as_secs().saturating_add(AHEAD_SECS)).unwrap_or(Timestamp::MAX);
    (FIRST..=latest.to_zoned(TimeZone::UTC).date()).contains(&version)
}

/// Before it there was no such API.
const FIRST: Date = date(2013, 1, 1);
/// Clients may know versions that are about to come.
const AHEAD_SECS: i64 = 365 * 24 * 3600;
const SUFFIX_BYTES_MAX: usize = 20;
const SHOWN_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let now = UnixTime::from_secs(1_779_100_000);
        for (raw, code) in [
            ("api-version=2025-10-03", None),
            ("Api-Version=2021-06-01-preview", None),
            ("api-version=2018-09-01-preview", None),
            ("api-version=2026-05-01", None),
            ("api-version=2027-05-18", None),
            ("api-version=2027-05-19", Some("InvalidApiVersionParameter")),
            ("api-version=2012-12-31", Some("InvalidApiVersionParameter")),
            ("api-version=9999-12-31", Some("InvalidApiVersionParameter")),
            ("", Some("MissingApiVersionParameter")),
            ("api-version=", Some("MissingApiVersionParameter")),
            ("api-version=latest", Some("InvalidApiVersionParameter")),
            ("api-version=2025-13-03", Some("InvalidApiVersionParameter")),
            ("api-version=2025-02-30", Some("InvalidApiVersionParameter")),
            ("api-version=2025-10-03-", Some("InvalidApiVersionParameter")),
            ("api-version=2025-10-03x", Some("InvalidApiVersionParameter")),
            ("api-version=2025-10-0%C3%A9", Some("InvalidApiVersionParameter")),
        ] {
            let found = check(&Query::parse(Some(raw)), &["2025-10-03"], now).err();
            assert_eq!(found.map(|error| error.code.into_owned()).as_deref(), code, "{raw}");
        }
    }
}
