//! What the fuzz target `matcher_regex` does with its input. Also compiled by `fuzz/`.

use model::{GoRegex, MatchOp, Matcher};

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
