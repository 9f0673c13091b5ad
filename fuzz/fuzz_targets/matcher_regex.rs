//! Regular expressions of matchers, the pattern in the first line, a value in the rest: a matcher's shortcuts agree with the
//! automaton.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{GoRegex, MatchOp, Matcher};

fuzz_target!(|text: &str| {
    let (pattern, value) = text.split_once('\n').unwrap_or((text, ""));
    let matcher = Matcher::new(MatchOp::Regex, "name", pattern);
    let regex = GoRegex::new(pattern);
    assert_eq!(matcher.is_ok(), regex.is_ok());
    if let (Ok(matcher), Ok(regex)) = (matcher, regex) {
        let is_match = regex.is_match(value);
        assert_eq!(matcher.matches(value), is_match);
        assert!(!is_match || value.starts_with(matcher.prefix().unwrap_or("")));
        assert!(matcher.set_matches().is_none_or(|set| set.iter().any(|other| other == value) == is_match));
        assert_eq!(regex.expand(value, "$1${name}$$").is_some(), is_match);
    }
});
