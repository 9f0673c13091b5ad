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
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Endpoint {
    Query,
    QueryRange,
    Series,
    Labels,
    /// Values of the label of this name; the error is a name that is no text.
    LabelValues(Result<String, String>),
    Metadata,
    QueryExemplars,
    FormatQuery,
    ParseQuery,
    Federate,
    RemoteRead,
    /// What is known of the installation and the workspace.
    Status(Status),
    /// What a workspace has no notion of.
    Absent(Absent),
    DeleteSeries,
    CleanTombstones,
    Snapshot,
    /// Nothing that is served.
    Unknown,
}

/// A page of status.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Status {
    BuildInfo,
    RuntimeInfo,
    Flags,
    Config,
    Tsdb,
    Features,
}

/// What only a Prometheus that scrapes and alerts has: answered as one does that has none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Absent {
    Targets,
    TargetMetadata,
    ScrapePools,
    Rules,
    Alerts,
    Alertmanagers,
    Notifications,
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
        path.starts_with("/api/") || path == "/federate"
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
            ["api", "v1", "metadata"] => Self::Metadata,
            ["api", "v1", "query_exemplars"] => Self::QueryExemplars,
            ["api", "v1", "format_query"] => Self::FormatQuery,
            ["api", "v1", "parse_query"] => Self::ParseQuery,
            ["api", "v1", "read"] => Self::RemoteRead,
            ["federate"] => Self::Federate,
            ["api", "v1", "status", "buildinfo"] => Self::Status(Status::BuildInfo),
            ["api", "v1", "status", "runtimeinfo"] => Self::Status(Status::RuntimeInfo),
            ["api", "v1", "status", "flags"] => Self::Status(Status::Flags),
            ["api", "v1", "status", "config"] => Self::Status(Status::Config),
            ["api", "v1", "status", "tsdb"] => Self::Status(Status::Tsdb),
            ["api", "v1", "features"] => Self::Status(Status::Features),
            ["api", "v1", "targets"] => Self::Absent(Absent::Targets),
            ["api", "v1", "targets", "metadata"] => Self::Absent(Absent::TargetMetadata),
            ["api", "v1", "scrape_pools"] => Self::Absent(Absent::ScrapePools),
            ["api", "v1", "rules"] => Self::Absent(Absent::Rules),
            ["api", "v1", "alerts"] => Self::Absent(Absent::Alerts),
            ["api", "v1", "alertmanagers"] => Self::Absent(Absent::Alertmanagers),
            ["api", "v1", "notifications"] => Self::Absent(Absent::Notifications),
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
            Self::Metadata => "metadata",
            Self::QueryExemplars => "query_exemplars",
            Self::FormatQuery => "format_query",
            Self::ParseQuery => "parse_query",
            Self::Federate => "federate",
            Self::RemoteRead => "read",
            Self::Status(_) => "status",
            Self::Absent(_) => "absent",
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

    /// Methods that it is asked with, as the header `Allow` lists them.
    pub(crate) const fn methods(&self) -> &'static str {
        match self {
            Self::Query
            | Self::QueryRange
            | Self::Series
            | Self::Labels
            | Self::QueryExemplars
            | Self::FormatQuery
            | Self::ParseQuery => "GET, POST",
            Self::RemoteRead => "POST",
            Self::DeleteSeries | Self::CleanTombstones | Self::Snapshot => "POST, PUT",
            Self::LabelValues(_)
            | Self::Metadata
            | Self::Federate
            | Self::Status(_)
            | Self::Absent(_)
            | Self::Unknown => "GET",
        }
    }

    /// Whether it is asked with this method.
    pub(crate) fn takes(&self, method: &Method) -> bool {
        self.methods().split(", ").any(|known| known == method.as_str())
    }
}

/// A label's name in a path: percent-encoded, and `U__` in front when Prometheus escaped characters outside
/// `[a-zA-Z0-9_:]` (`_HEX_` for a character, `__` for an underscore).
fn unescape(segment: &str) -> Result<String, String> {
    let decoded = percent_decode_str(segment);
    let name = decoded.clone().decode_utf8().map_err(|_| decoded.decode_utf8_lossy().into_owned())?;
    Ok(name.strip_prefix("U__").and_then(unescape_values).unwrap_or_else(|| name.into_owned()))
}

fn unescape_values(escaped: &str) -> Option<String> {
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(start) = rest.find('_') {
        out.push_str(&rest[..start]);
        let (code, after) = rest[start + 1..].split_once('_')?;
        if code.is_empty() {
            out.push('_');
        } else {
            let is_code = code.len() <= CODE_DIGITS_MAX && code.bytes().all(|byte| byte.is_ascii_hexdigit());
            let code = u32::from_str_radix(code, 16).ok().filter(|_| is_code);
            out.push(code.and_then(char::from_u32)?);
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// Hexadecimal digits that Prometheus reads of one character.
const CODE_DIGITS_MAX: usize = 5;

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
            ("/workspaces/a/api/v1/label/job/values", Some(("a", Endpoint::LabelValues(Ok("job".into()))))),
            ("/workspaces/a/api/v1/label/k%C3%A4se/values", Some(("a", Endpoint::LabelValues(Ok("käse".into()))))),
            ("/workspaces/a/api/v1/label/%FFx/values", Some(("a", Endpoint::LabelValues(Err("\u{fffd}x".into()))))),
            ("/workspaces/a/api/v1/status/tsdb", Some(("a", Endpoint::Status(Status::Tsdb)))),
            ("/workspaces/a/api/v1/status", Some(("a", Endpoint::Unknown))),
            ("/workspaces/a/api/v1/targets/metadata", Some(("a", Endpoint::Absent(Absent::TargetMetadata)))),
            ("/workspaces/a/api/v1/read", Some(("a", Endpoint::RemoteRead))),
            ("/workspaces/a/federate", Some(("a", Endpoint::Federate))),
            ("/workspaces/a/api/v1/federate", Some(("a", Endpoint::Unknown))),
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
            ("/api/v1/label/job/values", Endpoint::LabelValues(Ok("job".into()))),
            ("/federate", Endpoint::Federate),
            ("/api/v1", Endpoint::Unknown),
            ("/api/v2/query", Endpoint::Unknown),
        ] {
            assert!(Route::is_below_host(path) && !Route::is_below_host(&path[1..]));
            let found = Route::below_host("a".to_owned(), path);
            assert_eq!((found.workspaces.as_str(), found.endpoint), ("a", expected), "{path}");
        }
    }

    #[test]
    fn escaped_names() {
        for (escaped, name) in [
            ("job", "job"),
            ("U__a_2e_b__c", "a.b_c"),
            ("U__a_2E_b", "a.b"),
            ("U___1F600_", "😀"),
            ("U__a_zz_", "U__a_zz_"),
            ("U__a_+41_", "U__a_+41_"),
            ("U__a_D800_", "U__a_D800_"),
            ("U__a_01F600_", "U__a_01F600_"),
            ("U__a_2e", "U__a_2e"),
            ("U__", ""),
        ] {
            assert_eq!(unescape(escaped).as_deref(), Ok(name), "{escaped}");
        }
    }

    #[test]
    fn methods() {
        for (endpoint, taken, refused) in [
            (Endpoint::Query, "POST", "PUT"),
            (Endpoint::LabelValues(Ok("a".into())), "GET", "POST"),
            (Endpoint::RemoteRead, "POST", "GET"),
            (Endpoint::Snapshot, "PUT", "GET"),
        ] {
            assert!(endpoint.takes(&taken.parse().unwrap()) && !endpoint.takes(&refused.parse().unwrap()));
        }
    }
}
