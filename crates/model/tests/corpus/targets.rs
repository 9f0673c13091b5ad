//! What the fuzz targets `matcher_regex` and `host_name` do with their input. Also compiled by `fuzz/`.

use model::{EndpointDomain, GoRegex, MatchOp, Matcher, OwnHost};

/// Regular expressions of matchers, the pattern in the first line, a value in the rest: a matcher's shortcuts agree with the
/// automaton. Tells whether the pattern is taken.
pub(crate) fn matcher_regex(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let (pattern, value) = text.split_once('\n').unwrap_or((text, ""));
    let matcher = Matcher::new(MatchOp::Regex, "name", pattern);
    // A matcher that needs no automaton may be too large for one.
    let (matcher, regex) = match (matcher, GoRegex::new(pattern)) {
        (Ok(matcher), Ok(regex)) => (matcher, regex),
        (Ok(matcher), Err(_)) => {
            assert!(!matcher.has_automaton());
            return true;
        }
        (Err(_), Err(_)) => return false,
        (Err(error), Ok(_)) => panic!("only the matcher is refused: {error}"),
    };
    let is_match = regex.is_match(value);
    assert_eq!(matcher.matches(value), is_match);
    assert!(!is_match || value.starts_with(matcher.prefix().unwrap_or("")));
    assert!(matcher.set_matches().is_none_or(|set| set.iter().any(|other| other == value) == is_match));
    assert_eq!(regex.expand(value, "$1${name}$$").is_some(), is_match);
    true
}

/// The `Host` header of a request that anybody may send.
pub(crate) fn host_name(input: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(input) else { return false };
    let domain = EndpointDomain::new("example.org").expect("it is a domain");
    let Some(own) = domain.parse(host) else { return false };
    assert!(host.len() <= 259, "a longer one is no host");
    let made = match &own {
        OwnHost::Ingestion { host_label } => domain.ingestion_host(host_label, "local"),
        OwnHost::Query { handle } => domain.query_host(handle, "local"),
    };
    assert_eq!(domain.parse(&made), Some(own), "names are read as they are made");
    true
}
