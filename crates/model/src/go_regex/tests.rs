mod cases;

use super::*;
use crate::{MatchOp, Matcher};
use cases::{INVALID, VALID};
use proptest::prelude::*;

#[test]
fn patterns_mean_what_they_mean_to_go() {
    for (pattern, matching, other) in VALID {
        let regex = GoRegex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        let matcher = Matcher::new(MatchOp::Regex, "a", pattern).unwrap();
        for (text, is_match) in matching.iter().map(|text| (text, true)).chain(other.iter().map(|text| (text, false))) {
            assert_eq!(regex.is_match(text), is_match, "{pattern} on {text:?}");
            assert_eq!(matcher.matches(text), is_match, "{pattern} on {text:?}, by its shortcut");
        }
    }
}

#[test]
fn errors_are_worded_as_go_words_them() {
    for (pattern, expected) in INVALID {
        assert_eq!(GoRegex::new(pattern).unwrap_err().to_string(), *expected, "{pattern}");
        assert!(Matcher::new(MatchOp::NotRegex, "a", pattern).is_err());
    }
}

#[test]
fn templates_are_filled_in() {
    for (pattern, text, template, expected) in [
        ("(a)(b)?", "a", "$1-$2-$3", Some("a--")),
        ("(?P<x>.*)-(?<y>.*)", "left-right", "${y}$x", Some("rightleft")),
        ("(?P<n>a)|(?P<n>b)", "b", "<$n>", Some("<b>")),
        ("(a)", "a", "$1x", Some("")),
        ("(a)", "a", "${1}x", Some("ax")),
        ("(a)", "a", "$$1 $ ${ ${-} $01", Some("$1 $ ${ ${-} ")),
        ("(.*):.*", "host:9090", "$1", Some("host")),
        ("a", "b", "$0", None),
    ] {
        let regex = GoRegex::new(pattern).unwrap();
        assert_eq!(regex.expand(text, template).as_deref(), expected, "{pattern} {template}");
    }
}

#[test]
fn size_and_depth_are_bounded() {
    let message = |pattern: &str| GoRegex::new(pattern).unwrap_err().message;
    let nested = |depth: usize| "(".repeat(depth) + "a|bc+" + &")".repeat(depth);
    assert!(message(&nested(100_000)).starts_with("expression nests too deeply: `"));
    assert_eq!(message(&"a".repeat(PATTERN_BYTES_MAX + 1)), format!("expression too large: `{}...`", "a".repeat(32)));
    assert_eq!(message(r"\pL{1000}"), r"expression too large: `\pL{1000}`");
    let run = move || {
        assert!(GoRegex::new(&nested(parse::NESTING_MAX)).unwrap().is_match("bcc"));
        assert!(Matcher::new(MatchOp::Regex, "a", &nested(parse::NESTING_MAX)).unwrap().matches("a"));
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn sets_are_bounded() {
    // Branches that are written out may be many, and a matcher on them needs no automaton.
    let names: Vec<String> = (0..5000).map(|number| format!("pod-{number:04}")).collect();
    let matcher = Matcher::new(MatchOp::Regex, "pod", &names.join("|")).unwrap();
    assert_eq!(matcher.set_matches(), Some(&names[..]));
    // Products are not made.
    let matcher = Matcher::new(MatchOp::Regex, "a", "[a-z][a-z]").unwrap();
    assert!(matcher.set_matches().is_none() && matcher.has_automaton());
    let long = "x".repeat(100_000);
    let matcher = Matcher::new(MatchOp::Regex, "a", &format!("{long}(a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p)")).unwrap();
    assert!(matcher.set_matches().is_none());
}

/// Pieces of patterns that shortcuts are about, and some that break them.
fn pattern() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("a"), 2 => Just("bc"), 2 => Just(".*"), 1 => Just(".+"), 2 => Just("|"), 1 => Just("[ab]"), 1 => Just("a?"),
        1 => Just("(b|)"), 1 => Just("^"), 1 => Just("$"), 1 => Just("(a.*|b)"), 1 => Just("b{2}"), 1 => Just("(?i:a)"),
        1 => Just(r"\b"), 1 => Just("."), 1 => Just("é"),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn shortcuts_agree_with_the_automaton(pattern in pattern(), texts in prop::collection::vec("[abcAé\n]{0,5}", 16)) {
        let matcher = Matcher::new(MatchOp::Regex, "a", &pattern).unwrap();
        let regex = GoRegex::new(&pattern).unwrap();
        for text in &texts {
            let is_match = regex.is_match(text);
            prop_assert_eq!(matcher.matches(text), is_match, "{} on {:?}", pattern, text);
            prop_assert!(!is_match || text.starts_with(matcher.prefix().unwrap_or("")));
            if let Some(set) = matcher.set_matches() {
                prop_assert_eq!(set.contains(text), is_match);
            }
        }
        for text in matcher.set_matches().unwrap_or_default() {
            prop_assert!(regex.is_match(text), "{} does not match {:?}", pattern, text);
        }
    }

    #[test]
    fn nothing_panics(pattern in "[a-c(){}\\[\\]|*+?.^$\\\\:<>PQEpxdwibims0-9,&é-]{0,24}", text in "\\PC{0,6}") {
        if let Ok(regex) = GoRegex::new(&pattern) {
            let _ = regex.expand(&text, "$1${0}");
        }
    }
}
