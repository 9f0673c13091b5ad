use model::{Counts, ResetHint, Span, is_stale_nan};

use super::*;

#[derive(serde::Deserialize)]
struct Case {
    input: String,
    fail: bool,
    errors: Vec<String>,
}

#[test]
fn prometheus_cases() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/data/series-cases.json")).unwrap();
    assert_eq!(cases.len(), 48);
    for Case { input, fail, errors } in cases {
        let result = parse_series(&input);
        assert_eq!(result.is_err(), fail, "{input}: {result:?}");
        // Prometheus counts columns, and names tokens by their numbers.
        let worded = errors.first().filter(|error| !error.contains("<Item "));
        if let (Err(error), Some(expected)) = (result, worded) {
            assert!(expected.ends_with(&format!(": parse error: {error}")), "{input}: {error}, not {expected}");
        }
    }
}

fn floats(line: &str) -> Vec<Option<f64>> {
    let values = parse_series(line).unwrap_or_else(|error| panic!("{line}: {error}")).1;
    let float = |value: Value| match value {
        Value::Float(value) => value,
        Value::Histogram { .. } => panic!("{line}"),
    };
    values.into_iter().map(|value| value.map(float)).collect()
}

#[test]
fn metrics() {
    for (line, labels) in [
        ("up 1", "up"),
        ("up", "up"),
        (r#"up{job="a b", le = "+Inf",} 1"#, r#"up{job="a b", le="+Inf"}"#),
        (r#"{"a name", l="v"} 1"#, r#"a name{l="v"}"#),
        (r#"{__name__="x", 'a.b'="} c"} 1"#, r#"x{a.b="} c"}"#),
        (r#"sum{by="\u00e9\n"} 1"#, "sum{by=\"é\\n\"}"),
        ("expect{} 1", "expect"),
        (r#"x{empty=""} 1"#, "x"),
    ] {
        assert_eq!(parse_series(line).unwrap().0.to_string(), labels, "{line}");
    }
    for line in ["x{a} 1", "x{a=\"b} 1", "x{a!=\"b\"} 1", "x{a=\"1\", a=\"2\"} 1", "x{a=\"1\"}@st 1", "1 2"] {
        assert!(parse_series(line).is_err(), "{line}");
    }
}

#[test]
fn values() {
    assert_eq!(floats("x 1 _ 3 _x2 0x1"), [Some(1.0), None, Some(3.0), None, None, Some(0.0), Some(0.0)]);
    assert_eq!(floats("x 1+2x2 1e3-1e1x1"), [1.0, 3.0, 5.0, 1000.0, 990.0].map(Some));
    assert_eq!(floats("x 1-.5e-1x1 -1-1x1"), [1.0, 0.95, -1.0, -2.0].map(Some));
    assert_eq!(floats("x -Inf +inf 1m 0755 1_0"), [f64::NEG_INFINITY, f64::INFINITY, 60.0, 493.0, 10.0].map(Some));
    assert_eq!(floats("x 0.1+0.1x2")[2], Some(0.1 + 0.1 + 0.1));
    assert!(is_stale_nan(floats("x stale")[0].unwrap()) && floats("x stalex3").len() == 4);
    assert!(floats("x NaN")[0].is_some_and(|value| value.is_nan() && !is_stale_nan(value)));
    for line in [
        "x 0x1f",
        "x 1y2z",
        "x one",
        "x _y",
        "x _x-1",
        "x 1x",
        "x 1x1x1",
        "x 1x9999999",
        "x 1+1",
        "x 1--1x1",
        "x infinity",
    ] {
        assert!(parse_series(line).is_err(), "{line}");
    }
    let error = parse_series("x 1x999999 1").unwrap_err();
    assert_eq!(error, "a series has at most 1000000 positions");
}

#[track_caller]
fn histogram(value: &Position) -> (&NativeHistogram, bool) {
    match value {
        Some(Value::Histogram { histogram, hint_written }) => (histogram, *hint_written),
        other => panic!("{other:?}"),
    }
}

#[test]
fn histograms() {
    let line = "x {{schema:1 SUM:-2.5 count:6 z_bucket:1 buckets:[2 3] offset:-1 counter_reset_hint:gauge}}x1 {{}}";
    let values = parse_series(line).unwrap().1;
    assert_eq!(values.len(), 3);
    let (first, hint_written) = histogram(&values[1]);
    assert_eq!((first.schema, first.sum, first.reset_hint, hint_written), (1, -2.5, ResetHint::Gauge, true));
    assert_eq!(first.positive_spans, [Span { offset: -1, length: 2 }]);
    let counts = Counts::Float { count: 6.0, zero_count: 1.0, positive: vec![2.0, 3.0], negative: vec![] };
    assert_eq!(first.counts, counts);
    assert!(!histogram(&values[2]).1);
}

#[test]
fn histograms_grow() {
    let values =
        parse_series("x {{count:2 buckets:[2]}}-{{count:0.5 buckets:[0.5] counter_reset_hint:gauge}}x2").unwrap().1;
    let counts: Vec<(f64, bool)> = values
        .iter()
        .map(|value| match histogram(value) {
            (NativeHistogram { counts: Counts::Float { count, .. }, .. }, hint_written) => (*count, hint_written),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts, [(2.0, true), (1.5, true), (1.0, true)]);
}

#[test]
fn start_offsets() {
    for (text, offsets) in [
        ("-1m _ 30s", &[Some(-60_000), None, Some(30_000)][..]),
        ("_x2 -1mx1", &[None, None, Some(-60_000), Some(-60_000)]),
        ("-1m-30sx2", &[Some(-60_000), Some(-90_000), Some(-120_000)]),
        ("0s+59999msx1", &[Some(0), Some(59_999)]),
    ] {
        assert_eq!(parse_start_offsets(text).unwrap(), offsets, "{text}");
    }
    for text in ["1", "x", "_x0", "1m+1m", "1mx", "-1mx9999999", "1q"] {
        assert!(parse_start_offsets(text).is_err(), "{text}");
    }
}
