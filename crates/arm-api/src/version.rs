//! `api-version`.
//!
//! Any date is taken and answered in the newest shape: older shapes lack fields, none has others.

use crate::error::ArmError;
use crate::query::Query;

/// Checks that the version is there and well-formed.
pub(crate) fn check(query: &Query, known: &[&str]) -> Result<(), ArmError> {
    let Some(version) = query.filled("api-version") else {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(ArmError::bad_request("MissingApiVersionParameter", message));
    };
    if is_well_formed(version) {
        return Ok(());
    }
    let shown: String = version.chars().take(SHOWN_CHARS_MAX).collect();
    let message = format!("The api-version '{shown}' is invalid. The supported versions are '{}'.", known.join(","));
    Err(ArmError::bad_request("InvalidApiVersionParameter", message))
}

/// `YYYY-MM-DD`, perhaps with `-preview` or another word of letters behind it.
fn is_well_formed(version: &str) -> bool {
    let Some((date, rest)) = version.split_at_checked(10) else { return false };
    let suffix = rest.is_empty()
        || rest.strip_prefix('-').is_some_and(|word| {
            (1..=SUFFIX_BYTES_MAX).contains(&word.len())
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        });
    suffix && date.parse::<jiff::civil::Date>().is_ok()
}

const SUFFIX_BYTES_MAX: usize = 20;
const SHOWN_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (raw, code) in [
            ("api-version=2025-10-03", None),
            ("Api-Version=2021-06-01-preview", None),
            ("api-version=2018-09-01-preview", None),
            ("", Some("MissingApiVersionParameter")),
            ("api-version=", Some("MissingApiVersionParameter")),
            ("api-version=latest", Some("InvalidApiVersionParameter")),
            ("api-version=2025-13-03", Some("InvalidApiVersionParameter")),
            ("api-version=2025-02-30", Some("InvalidApiVersionParameter")),
            ("api-version=2025-10-03-", Some("InvalidApiVersionParameter")),
            ("api-version=2025-10-03x", Some("InvalidApiVersionParameter")),
            ("api-version=2025-10-0%C3%A9", Some("InvalidApiVersionParameter")),
        ] {
            let found = check(&Query::parse(Some(raw)), &["2025-10-03"]).err();
            assert_eq!(found.map(|error| error.code.into_owned()).as_deref(), code, "{raw}");
        }
    }
}
