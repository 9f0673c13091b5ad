//! Paths of the query API.

use http::Method;
use percent_encoding::percent_decode_str;

/// What is asked, of which workspaces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Route {
    /// An `accountId` or a handle, or several with commas between.
    pub(crate) workspaces: String,
    pub(crate) endpoint: Endpoint,
}

/// An endpoint of the API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Endpoint {
    Query,
    QueryRange,
    Series,
    Labels,
    /// Values of the label of this name.
    LabelValues(String),
    DeleteSeries,
    CleanTombstones,
    Snapshot,
    /// Nothing that is served.
    Unknown,
}

impl Route {
    /// `/workspaces/{workspaces}/api/v1/{endpoint}`; `None` for every path that is not below `/workspaces/`.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/');
        if !segments.next()?.eq_ignore_ascii_case("workspaces") {
            return None;
        }
        // Some clients escape commas.
        let workspaces = percent_decode_str(segments.next()?).decode_utf8_lossy().into_owned();
        Some(Self { workspaces, endpoint: Endpoint::parse(segments) })
    }

    /// `/api/v1/{endpoint}` of a workspace's own host.
    pub(crate) fn below_host(handle: String, path: &str) -> Self {
        Self { workspaces: handle, endpoint: Endpoint::parse(path.strip_prefix('/').unwrap_or(path).split('/')) }
    }

    /// Whether a path is one of a workspace's own host, or an attempt at one.
    pub(crate) fn is_below_host(path: &str) -> bool {
        path.starts_with("/api/")
    }
}

impl Endpoint {
    fn parse<'p>(segments: impl Iterator<Item = &'p str>) -> Self {
        let segments: Vec<&str> = segments.take(SEGMENTS_MAX).collect();
        match segments.as_slice() {
            ["api", "v1", "query"] => Self::Query,
            ["api", "v1", "query_range"] => Self::QueryRange,
            ["api", "v1", "series"] => Self::Series,
            ["api", "v1", "labels"] => Self::Labels,
            ["api", "v1", "label", name, "values"] => Self::LabelValues(unescape(name)),
            ["api", "v1", "admin", "tsdb", "delete_series"] => Self::DeleteSeries,
            ["api", "v1", "admin", "tsdb", "clean_tombstones"] => Self::CleanTombstones,
            ["api", "v1", "admin", "tsdb", "snapshot"] => Self::Snapshot,
            _ => Self::Unknown,
        }
    }

    /// Its name in metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::QueryRange => "query_range",
            Self::Series => "series",
            Self::Labels => "labels",
            Self::LabelValues(_) => "label_values",
            Self::DeleteSeries => "delete_series",
            Self::CleanTombstones => "clean_tombstones",
            Self::Snapshot => "snapshot",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it changes or copies what is stored.
    pub(crate) const fn is_administration(&self) -> bool {
        matches!(self, Self::DeleteSeries | Self::CleanTombstones | Self::Snapshot)
    }

    /// Whether a form with this method is understood.
    pub(crate) fn takes_form(&self, method: &Method) -> bool {
        match *method {
            Method::POST => !matches!(self, Self::LabelValues(_)),
            Method::PUT => self.is_administration(),
            _ => false,
        }
    }
}

/// A label's name in a path: percent-encoded, and `U__` in front when Prometheus escaped characters outside
/// `[a-zA-Z0-9_:]` (`_HEX_` for a character, `__` for an underscore).
fn unescape(segment: &str) -> String {
    let name = percent_decode_str(segment).decode_utf8_lossy().into_owned();
    match name.strip_prefix("U__").and_then(unescape_values) {
        Some(plain) => plain,
        None => name,
    }
}

fn unescape_values(escaped: &str) -> Option<String> {
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(start) = rest.find('_') {
        out.push_str(&rest[..start]);
        let (code, after) = rest[start + 1..].split_once('_')?;
        match code {
            "" => out.push('_'),
            code => out.push(u32::from_str_radix(code, 16).ok().and_then(char::from_u32)?),
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// One more than any endpoint has.
const SEGMENTS_MAX: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, expected) in [
            ("/workspaces/default/api/v1/query", Some(("default", Endpoint::Query))),
            ("/Workspaces/a/api/v1/query_range", Some(("a", Endpoint::QueryRange))),
            ("/workspaces/a/api/v1/series", Some(("a", Endpoint::Series))),
            ("/workspaces/a/api/v1/labels", Some(("a", Endpoint::Labels))),
            ("/workspaces/a/api/v1/label/job/values", Some(("a", Endpoint::LabelValues("job".into())))),
            ("/workspaces/a/api/v1/label/k%C3%A4se/values", Some(("a", Endpoint::LabelValues("käse".into())))),
            ("/workspaces/a/api/v1/label/U__a_2e_b__c/values", Some(("a", Endpoint::LabelValues("a.b_c".into())))),
            ("/workspaces/a/api/v1/label/U__a_zz_/values", Some(("a", Endpoint::LabelValues("U__a_zz_".into())))),
            ("/workspaces/a/api/v1/admin/tsdb/delete_series", Some(("a", Endpoint::DeleteSeries))),
            ("/workspaces/a/api/v1/admin/tsdb/clean_tombstones", Some(("a", Endpoint::CleanTombstones))),
            ("/workspaces/a/api/v1/admin/tsdb/snapshot", Some(("a", Endpoint::Snapshot))),
            ("/workspaces/a/api/v1/admin/tsdb", Some(("a", Endpoint::Unknown))),
            ("/workspaces/a/api/v1/query/", Some(("a", Endpoint::Unknown))),
            ("/workspaces/a", Some(("a", Endpoint::Unknown))),
            ("/workspaces/a,b%2CC/api/v1/query", Some(("a,b,C", Endpoint::Query))),
            ("/workspaces/a/api/v1/query/x/y/z", Some(("a", Endpoint::Unknown))),
            ("/metrics", None),
            ("/workspaces", None),
        ] {
            let found = Route::parse(path).map(|route| (route.workspaces, route.endpoint));
            assert_eq!(found, expected.map(|(name, endpoint)| (name.to_owned(), endpoint)), "{path}");
        }
        for (path, expected) in [
            ("/api/v1/query", Endpoint::Query),
            ("/api/v1/label/job/values", Endpoint::LabelValues("job".into())),
            ("/api/v1", Endpoint::Unknown),
            ("/api/v2/query", Endpoint::Unknown),
        ] {
            assert!(Route::is_below_host(path) && !Route::is_below_host(&path[1..]));
            let found = Route::below_host("a".to_owned(), path);
            assert_eq!((found.workspaces.as_str(), found.endpoint), ("a", expected), "{path}");
        }
    }
}
