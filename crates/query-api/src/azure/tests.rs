use promql::{Sample, SampleValue};
use promql_syntax::{Options, parse_expr, parse_metric_selector};

use super::*;

#[track_caller]
fn check(query: &str, days: f64, step_ms: i64, expected: Result<(), AzureRule>) {
    let expr = parse_expr(query, Options::all()).unwrap();
    let end = TimestampMs((days * DAY_MS as f64) as i64);
    let time =
        if days == 0.0 { EvalTime::Instant(end) } else { EvalTime::Range { start: TimestampMs(0), end, step_ms } };
    assert_eq!(check_query(&expr, time), expected, "{query} over {days} days");
}

#[test]
fn queries() {
    let unnamed = |text: &str| Err(AzureRule::MetricName(text.to_owned()));
    for (query, days, step_ms, expected) in [
        // Health checks and constants select nothing.
        ("1+1", 0.0, 0, Ok(())),
        ("vector(1) + time()", 31.0, 60_000, Ok(())),
        ("up", 32.0, 60_000, Ok(())),
        ("up", 32.1, 60_000, Err(AzureRule::Range)),
        ("rate(up[1d])", 31.5, 60_000, Err(AzureRule::Range)),
        ("rate(up[32d])", 0.0, 0, Ok(())),
        ("rate(up[33d])", 0.0, 0, Err(AzureRule::Range)),
        ("max_over_time(rate(up[1d])[31d:1h])", 0.0, 0, Ok(())),
        ("1 + sum(-(max_over_time(rate(up[1d])[32d:1h])))", 0.0, 0, Err(AzureRule::Range)),
        ("up offset 60d", 0.0, 0, Ok(())),
        ("rate(up[step()])", 2.0, 60_000, Ok(())),
        ("up", 2.0, 59_999, Err(AzureRule::Step)),
        ("up", 1.9, 1_000, Ok(())),
        ("{__name__=\"up\"}", 0.0, 0, Ok(())),
        ("{__name__=~\"up|down\"}", 0.0, 0, Ok(())),
        ("{\"system.cpu\"}", 0.0, 0, Ok(())),
        ("{job=\"a\"}", 0.0, 0, unnamed("{job=\"a\"}")),
        ("topk(scalar({job=\"a\"}), up)", 0.0, 0, unnamed("{job=\"a\"}")),
        ("up / on() {__name__=~\"a.*\",__name__!=\"ab\"}", 0.0, 0, unnamed("{__name__=~\"a.*\",__name__!=\"ab\"}")),
    ] {
        check(query, days, step_ms, expected);
    }
}

#[test]
fn series_of_half_a_day_and_without_patterns() {
    let now = TimestampMs(10 * DAY_MS);
    let listing = |selector: &str, start, end| Listing {
        selectors: vec![parse_metric_selector(selector).unwrap()],
        range: TimeRange { start: TimestampMs(start), end: TimestampMs(end) },
        limit: 0,
    };
    let half = DAY_MS / 2;
    for (start, end, expected) in
        [(i64::MIN, i64::MAX, (now.0 - half, now.0)), (0, half + 5, (5, half + 5)), (100, half, (100, half))]
    {
        let mut narrowed = listing("up", start, end);
        narrow_series(&mut narrowed, now).unwrap();
        assert_eq!((narrowed.range.start.0, narrowed.range.end.0), expected);
    }
    let error = narrow_series(&mut listing("up{job!~\"a\"}", 0, 1), now).unwrap_err();
    assert_eq!(
        (error.kind(), error),
        (ErrorKind::Invalid, AzureRule::Pattern("{job!~\"a\",__name__=\"up\"}".to_owned()))
    );
}

#[test]
fn duplicates_but_for_case() {
    let vector = |values: &[&str]| {
        let sample = |value: &&str| Sample {
            labels: Labels::from_pairs([("job", *value)]).unwrap(),
            timestamp: TimestampMs(0),
            value: SampleValue::Float(1.0),
        };
        Value::Vector(values.iter().map(sample).collect())
    };
    assert_eq!(refuse_duplicates(&vector(&["a", "b"])), Ok(()));
    let error = refuse_duplicates(&vector(&["a", "b", "A"])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unprocessable);
}
