use super::*;

fn regex(pattern: &str) -> Matcher {
    Matcher::new(MatchOp::Regex, "a", pattern).unwrap()
}

#[test]
fn conditions() {
    for (op, value, meeting, failing) in [
        (MatchOp::Equal, "x", &["x"][..], &["", "xx"][..]),
        (MatchOp::NotEqual, "x", &["", "xx"], &["x"]),
        (MatchOp::Regex, "x|", &["x", ""], &["xx"]),
        (MatchOp::NotRegex, "x.*", &["", "y"], &["x", "xy"]),
    ] {
        let matcher = Matcher::new(op, "a", value).unwrap();
        assert!(meeting.iter().all(|value| matcher.matches(value)), "{matcher}");
        assert!(failing.iter().all(|value| !matcher.matches(value)), "{matcher}");
        assert_eq!(matcher.matches_empty(), matcher.matches(""));
    }
}

#[test]
fn what_needs_no_automaton() {
    for (pattern, set) in [
        ("a", Some(&["a"][..])),
        ("b|a|b", Some(&["a", "b"])),
        ("^(?:foo|ba(r|z))$", Some(&["bar", "baz", "foo"])),
        ("a[12]?", Some(&["a", "a1", "a2"])),
        ("a|", Some(&["", "a"])),
        (r"10\.0\.0\.1", Some(&["10.0.0.1"])),
        ("(?i)1", Some(&["1"])),
        (".*", None),
        ("a.*", None),
        ("a.+b|.*c.*", None),
    ] {
        let matcher = regex(pattern);
        let found: Option<Vec<&str>> = matcher.set_matches().map(|set| set.iter().map(String::as_str).collect());
        assert_eq!(found.as_deref(), set, "{pattern}");
        assert!(!matcher.has_automaton(), "{pattern}");
    }
    for pattern in ["(?i)a", "a.b", "a.*b.*c", r"\d+", "a|b*", ".+.+"] {
        assert!(regex(pattern).has_automaton(), "{pattern}");
    }
    assert_eq!(Matcher::equal("a", "b").set_matches(), None);
}

#[test]
fn beginnings() {
    for (pattern, prefix) in [
        ("foo.*", Some("foo")),
        ("^foo[0-9]+", Some("foo")),
        ("foobar|foobaz.*", Some("fooba")),
        ("(foo|fox)+", Some("fo")),
        ("äb|äc|ä.", Some("ä")),
        ("äb|öb", None),
        ("foo?", Some("fo")),
        ("(?i)foo", None),
        ("1(?i)foo", Some("1")),
        ("a|", None),
        (".*foo", None),
    ] {
        assert_eq!(regex(pattern).prefix(), prefix, "{pattern}");
    }
    assert_eq!(Matcher::equal("a", "b").prefix(), None);
}

#[test]
fn conditions_that_all_values_meet() {
    for (op, pattern, is_all) in [
        (MatchOp::Regex, ".*", true),
        (MatchOp::Regex, "^(.*)$", true),
        (MatchOp::Regex, "a|.*", true),
        (MatchOp::Regex, ".*.*", true),
        (MatchOp::Regex, ".+", false),
        (MatchOp::Regex, "", false),
        (MatchOp::Regex, "a|b", false),
        (MatchOp::NotRegex, ".*", false),
        (MatchOp::NotEqual, "a", false),
    ] {
        assert_eq!(Matcher::new(op, "a", pattern).unwrap().matches_all(), is_all, "{pattern}");
    }
}
