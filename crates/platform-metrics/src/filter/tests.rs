use super::*;
use crate::definitions::{EVENTS_DROPPED, REQUESTS};

fn admits(filter: &Filter, reason: &str) -> bool {
    filter.admits(|label| match label {
        "reason" => reason,
        "stamp_color" => "local",
        _ => "",
    })
}

#[test]
fn admits_what_it_names() {
    for (text, admitted, split) in [
        ("", "OldData Duplicate", ""),
        ("  ", "OldData Duplicate", ""),
        ("Reason eq '*'", "OldData Duplicate", "Reason"),
        ("reason EQ 'olddata'", "OldData", "Reason"),
        ("Reason eq 'OldData' or Reason eq 'Duplicate'", "OldData Duplicate", "Reason"),
        ("(Reason eq 'OldData' or Reason eq 'x')", "OldData", "Reason"),
        ("Reason ne 'OldData'", "Duplicate", "Reason"),
        ("Reason ne 'OldData' and Reason ne 'Duplicate'", "", "Reason"),
        ("Reason eq '*' and Reason ne 'OldData'", "Duplicate", "Reason"),
        ("Reason eq 'OldData' and Reason eq 'Duplicate'", "", "Reason"),
        ("Reason eq '*' and StampColor eq '*'", "OldData Duplicate", "Reason StampColor"),
        ("StampColor eq 'local' and (Reason eq 'OldData')", "OldData", "StampColor Reason"),
        ("StampColor eq 'red'", "", "StampColor"),
        ("'Reason' eq 'Old''Data'", "", "Reason"),
        ("Reason eq ''", "", "Reason"),
    ] {
        let filter = Filter::parse(text, EVENTS_DROPPED).unwrap_or_else(|error| panic!("{text}: {error}"));
        let names: Vec<&str> = ["OldData", "Duplicate"].into_iter().filter(|reason| admits(&filter, reason)).collect();
        assert_eq!(names.join(" "), admitted, "{text}");
        let dimensions: Vec<&str> = filter.split().map(|dimension| dimension.name).collect();
        assert_eq!(dimensions.join(" "), split, "{text}");
    }
}

#[test]
fn says_what_is_wrong() {
    for (text, error) in [
        ("Reason", "broken at byte 6: expected `eq` or `ne`"),
        ("Reason eq", "broken at byte 7: expected `eq` or `ne`"),
        ("Reason eq OldData", "broken at byte 10: expected a value in single quotes"),
        ("Reason eq 'OldData", "broken at byte 11: expected a closing quote"),
        ("Reason eq 'a' Reason eq 'b'", "broken at byte 14: expected `and`, `or` or the end"),
        ("(Reason eq 'a'", "broken at byte 14: expected `)`"),
        ("= 'a'", "broken at byte 0: expected the name of a dimension"),
        ("Color eq 'a'", "has no dimension \"Color\"; it has: StampColor, Reason"),
        ("Reason eq 'a' or StampColor eq 'b'", "by `or` what is not `eq` of one dimension"),
        ("Reason ne 'a' or Reason ne 'b'", "by `or` what is not `eq` of one dimension"),
        ("Reason eq 'ä' oder", "expected `and`, `or` or the end"),
    ] {
        let found = Filter::parse(text, EVENTS_DROPPED).unwrap_err().to_string();
        assert!(found.contains(error), "{text}: {found}");
    }
    assert_eq!(Filter::parse(&"x".repeat(FILTER_BYTES_MAX + 1), REQUESTS), Err(FilterError::TooLong));
}
