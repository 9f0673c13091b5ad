//! Paths of the query API.

use percent_encoding::percent_decode_str;

/// What is asked, of which workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Route<'p> {
    /// An `accountId` or a handle, as it was written.
    pub(crate) workspace: &'p str,
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
    /// Nothing that is served.
    Unknown,
}

impl<'p> Route<'p> {
    /// `/workspaces/{workspace}/api/v1/{endpoint}`; `None` for every path that is not below `/workspaces/`.
    pub(crate) fn parse(path: &'p str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/');
        if !segments.next()?.eq_ignore_ascii_case("workspaces") {
            return None;
        }
        let workspace = segments.next()?;
        let rest: Vec<&str> = segments.collect();
        let endpoint = match rest.as_slice() {
            ["api", "v1", "query"] => Endpoint::Query,
            ["api", "v1", "query_range"] => Endpoint::QueryRange,
            ["api", "v1", "series"] => Endpoint::Series,
            ["api", "v1", "labels"] => Endpoint::Labels,
            ["api", "v1", "label", name, "values"] => Endpoint::LabelValues(unescape(name)),
            _ => Endpoint::Unknown,
        };
        Some(Self { workspace, endpoint })
    }
}

impl Endpoint {
    /// Its name in metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::QueryRange => "query_range",
            Self::Series => "series",
            Self::Labels => "labels",
            Self::LabelValues(_) => "label_values",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a POST with a form is understood besides GET.
    pub(crate) const fn takes_post(&self) -> bool {
        !matches!(self, Self::LabelValues(_))
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
            ("/workspaces/a/api/v1/query/", Some(("a", Endpoint::Unknown))),
            ("/workspaces/a", Some(("a", Endpoint::Unknown))),
            ("/metrics", None),
            ("/workspaces", None),
        ] {
            let found = Route::parse(path).map(|route| (route.workspace, route.endpoint));
            assert_eq!(found, expected, "{path}");
        }
    }
}
