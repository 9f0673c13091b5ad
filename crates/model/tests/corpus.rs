//! The fuzz corpus, replayed with the properties of its target.

use std::path::Path;

use model::{GoRegex, MatchOp, Matcher};

#[test]
fn matcher_regex() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/matcher_regex");
    let mut replayed = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let (pattern, value) = text.split_once('\n').unwrap_or((&text, ""));
        let matcher = Matcher::new(MatchOp::Regex, "name", pattern);
        let regex = GoRegex::new(pattern);
        assert_eq!(matcher.is_ok(), regex.is_ok(), "{pattern}");
        if let (Ok(matcher), Ok(regex)) = (matcher, regex) {
            let is_match = regex.is_match(value);
            assert_eq!(matcher.matches(value), is_match, "{pattern}");
            assert!(!is_match || value.starts_with(matcher.prefix().unwrap_or("")), "{pattern}");
            assert!(matcher.set_matches().is_none_or(|set| set.iter().any(|other| other == value) == is_match));
            assert_eq!(regex.expand(value, "$1${name}$$").is_some(), is_match);
        }
        replayed += 1;
    }
    assert!(replayed >= 15, "the corpus is not where it was: {replayed} texts");
}
