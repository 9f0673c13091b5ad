use super::*;

fn sample(pairs: &[(&str, &str)], value: f64) -> Line {
    Line::Sample(Labels::from_pairs(pairs.iter().copied()).unwrap(), value)
}

#[test]
fn reads_both_formats() {
    let text = concat!(
        "# HELP requests Requests by code.\\nAll of them.\n",
        "# TYPE requests counter\n",
        "# UNIT delay seconds\n",
        "# a remark\n",
        "\n",
        "requests_total{code=\"200\",path=\"/a\\\"b\\\\c\\n\"} 12 # {trace_id=\"x\"} 1 1.5\n",
        "delay 0.25 1732360000000\n",
        "empty{} +Inf\n",
        "nan{a=\"1\",} NaN\n",
        "# EOF\n",
    );
    let lines = parse(text).unwrap();
    let help = Metadata { help: "Requests by code.\nAll of them.".into(), ..Metadata::default() };
    assert_eq!(lines[0], Line::Metadata("requests".into(), help));
    let counter = Metadata { metric_type: MetricType::Counter, ..Metadata::default() };
    assert_eq!(lines[1], Line::Metadata("requests".into(), counter));
    assert_eq!(lines[2], Line::Metadata("delay".into(), Metadata { unit: "seconds".into(), ..Metadata::default() }));
    assert_eq!(lines[3], sample(&[("__name__", "requests_total"), ("code", "200"), ("path", "/a\"b\\c\n")], 12.0));
    assert_eq!(lines[4], sample(&[("__name__", "delay")], 0.25));
    assert_eq!(lines[5], sample(&[("__name__", "empty")], f64::INFINITY));
    assert!(matches!(&lines[6], Line::Sample(labels, value) if labels.get("a") == Some("1") && value.is_nan()));
    assert_eq!(lines.len(), 7);
}

#[test]
fn says_which_line_is_wrong_and_why() {
    for (text, expected) in [
        ("a 1\nb", "line 2: a value must follow the name"),
        ("a x", "line 1: \"x\" is not a number"),
        ("a{b=1} 1", "line 1: the value of label \"b\" is not quoted"),
        ("a{b=\"1} 1", "line 1: the value of label \"b\" has no end"),
        ("a{b=\"1\",b=\"2\"} 1", "line 1: label name \"b\" appears twice"),
        ("{b=\"1\"} 1", "line 1: the metric's name is missing"),
        ("a{b=\"1\"}", "line 1: the value is missing"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), expected);
    }
}
