//! Ingestion paths: `/dataCollectionRules/{immutableId}/streams/{stream}/api/v1/write`, in any case (contract §3.1).

/// What a path names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Route<'p> {
    /// Immutable id of the rule, as written.
    pub(crate) rule: &'p str,
    /// The stream, as written.
    pub(crate) stream: &'p str,
}

impl<'p> Route<'p> {
    pub(crate) fn parse(path: &'p str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let mut expect = |word: &str| segments.next().filter(|segment| segment.eq_ignore_ascii_case(word)).is_some();
        if !expect(RULES) {
            return None;
        }
        let rule = segments.next().filter(|rule| !rule.is_empty())?;
        let mut expect = |word: &str| segments.next().filter(|segment| segment.eq_ignore_ascii_case(word)).is_some();
        if !expect("streams") {
            return None;
        }
        let stream = segments.next().filter(|stream| !stream.is_empty())?;
        let end = ["api", "v1", "write"];
        let ends = end.iter().all(|word| segments.next().is_some_and(|segment| segment.eq_ignore_ascii_case(word)));
        (ends && segments.next().is_none()).then_some(Self { rule, stream })
    }
}

/// Whether a path is one of this endpoint, or an attempt at one.
pub(crate) fn serves(path: &str) -> bool {
    path.strip_prefix('/')
        .and_then(|rest| rest.split('/').next())
        .is_some_and(|first| first.eq_ignore_ascii_case(RULES))
}

/// The `api-version` of a query, as written.
pub(crate) fn api_version(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        name.eq_ignore_ascii_case("api-version").then_some(value)
    })
}

/// Whether it is a date, perhaps with a word behind it: `2023-04-24`, `2021-11-01-preview`.
pub(crate) fn is_api_version(text: &str) -> bool {
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = text.splitn(4, '-');
    let mut next = || parts.next().unwrap_or("");
    let date = digits(next(), 4) && digits(next(), 2) && digits(next(), 2);
    let suffix = parts.next();
    date && suffix.is_none_or(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

const RULES: &str = "dataCollectionRules";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let found = Some(Route { rule: "dcr-1", stream: "Microsoft-PrometheusMetrics" });
        for (path, expected) in [
            ("/dataCollectionRules/dcr-1/streams/Microsoft-PrometheusMetrics/api/v1/write", found),
            ("/DATACOLLECTIONRULES/dcr-1/Streams/Microsoft-PrometheusMetrics/API/V1/Write", found),
            ("/dataCollectionRules/dcr-1/streams/Microsoft-PrometheusMetrics/api/v1/write/", None),
            ("/dataCollectionRules/dcr-1/streams/Microsoft-PrometheusMetrics/api/v1", None),
            ("/dataCollectionRules//streams/s/api/v1/write", None),
            ("/dataCollectionRules/dcr-1/streams//api/v1/write", None),
            ("/api/v1/write", None),
            ("", None),
        ] {
            assert_eq!(Route::parse(path), expected, "{path}");
        }
        assert!(serves("/datacollectionrules") && serves("/dataCollectionRules/x"));
        assert!(!serves("/dataCollectionRulesX/x") && !serves("/workspaces/x"));
    }

    #[test]
    fn api_versions() {
        for (query, version, valid) in [
            ("api-version=2023-04-24", Some("2023-04-24"), true),
            ("a=b&API-Version=2021-11-01-preview", Some("2021-11-01-preview"), true),
            ("api-version=", Some(""), false),
            ("api-version=v1", Some("v1"), false),
            ("api-version=2023-4-24", Some("2023-4-24"), false),
            ("api-version=2023-04-24-", Some("2023-04-24-"), false),
            ("a=b", None, false),
        ] {
            assert_eq!(api_version(Some(query)), version, "{query}");
            assert_eq!(version.is_some_and(is_api_version), valid, "{query}");
        }
    }
}
