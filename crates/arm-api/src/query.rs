//! The query of a request.

use url::form_urlencoded;

/// Parameters, decoded once; names compare without regard to case.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads what stands behind the `?`.
    pub(crate) fn parse(raw: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(raw.unwrap_or("").as_bytes()).take(PAIRS_MAX);
        Self { pairs: pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect() }
    }

    /// The first parameter of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first parameter of this name, unless it is empty.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// All of it again, with `name` set to `value`.
    pub(crate) fn with(&self, name: &str, value: &str) -> String {
        let others = self.pairs.iter().filter(|(known, _)| !known.eq_ignore_ascii_case(name));
        let pairs = others.map(|(name, value)| (name.as_str(), value.as_str())).chain([(name, value)]);
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }
}

/// How many parameters are looked at.
const PAIRS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let query = Query::parse(Some("API-Version=2024-11-01&$filter=&$filter=x&a=b%20c+d%2Fe&$top=5"));
        assert_eq!(query.get("api-version"), Some("2024-11-01"));
        assert_eq!(query.get("$filter"), Some(""), "the first one counts");
        assert_eq!(query.filled("$filter"), None);
        assert_eq!(query.get("a"), Some("b c d/e"));
        assert_eq!(query.get("b"), None);
        assert_eq!(
            query.with("$TOP", "é 1"),
            "API-Version=2024-11-01&%24filter=&%24filter=x&a=b+c+d%2Fe&%24TOP=%C3%A9+1"
        );
        assert_eq!(Query::parse(None), Query::default());
    }
}
