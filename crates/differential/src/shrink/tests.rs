use model::TimestampMs;

use super::*;

const RANGE: EvalTime = EvalTime::Range { start: TimestampMs(0), end: TimestampMs(60_000), step_ms: 10_000 };

/// Shrinks as long as the text holds all of `needed`.
#[track_caller]
fn check(query: &str, needed: &[&str], expected: &str) {
    let holds = |text: &str, _| needed.iter().all(|part| text.contains(part)).then_some(None);
    let (smallest, time) = shrink(query, RANGE, Options::all(), holds);
    assert_eq!(smallest, expected);
    assert_eq!(time, EvalTime::Instant(TimestampMs(0)));
}

#[test]
fn what_does_not_matter_goes() {
    check("sum by (a, b) (rate(x[5m] offset 1m)) / (y + 1)", &["rate("], "rate(x[5m])");
    check("1 + -(abs(x @ 5))", &["@"], "x @ 5.000");
    check("a * on (b) group_left (c) fill_right (0) d", &["*"], "a * on (b) group_left () d");
    check(
        "max_over_time(abs(x{y=\"1\",z=\"2\"})[5m:10s] offset 5m)",
        &["max_over", "y="],
        "max_over_time(x{y=\"1\"}[5m])",
    );
    check("time() + scalar(x)", &["time"], "time()");
}

#[test]
fn a_query_that_cannot_be_smaller_stays() {
    check("x", &["x"], "x");
    let (query, time) = shrink("no query (", RANGE, Options::all(), |_, _| None);
    assert_eq!((query.as_str(), time), ("no query (", RANGE));
}

#[test]
fn a_range_becomes_the_time_of_the_difference() {
    let differs = |text: &str, time| {
        let at = TimestampMs(30_000);
        let met = matches!(time, EvalTime::Range { .. }) || time == EvalTime::Instant(at);
        (met && text.contains('x')).then_some(Some(at.0))
    };
    let expected = ("x".to_owned(), EvalTime::Instant(TimestampMs(30_000)));
    assert_eq!(shrink("abs(x) + 1", RANGE, Options::all(), differs), expected);
}
