use proptest::prelude::*;

use super::*;

fn parse(line: &str) -> Result<Line, &'static str> {
    OpenMetrics::default().parse(line.as_bytes()).map_err(|error| error.what)
}

#[track_caller]
fn check(line: &str, series: &str, value: f64, at: Option<i64>) {
    let Ok(Line::Sample { labels, at: found, value: number }) = parse(line) else {
        panic!("{line}: {:?}", parse(line))
    };
    assert_eq!((labels.to_string().as_str(), found), (series, at.map(TimestampMs)), "{line}");
    assert!(number == value || number.is_nan() && value.is_nan(), "{line}: {number}");
}

#[test]
fn samples() {
    check("up 1", "up", 1.0, None);
    check("up{} 1 0", "up", 1.0, Some(0));
    check("a:b_total{job=\"x\",i=\"\"} +1.5e3 1609954636.5", "a:b_total{job=\"x\"}", 1500.0, Some(1_609_954_636_500));
    check("a{b=\"c\",} 1 -1.25", "a{b=\"c\"}", 1.0, Some(-1250));
    check(r#"a{b="\\\"\n,}{= "} .5"#, r#"a{b="\\\"\n,}{= "}"#, 0.5, None);
    check("a{b=\"é\"} -Inf 1e9", "a{b=\"é\"}", f64::NEG_INFINITY, Some(1_000_000_000_000));
    check("a +infinity", "a", f64::INFINITY, None);
    check("a nAn", "a", f64::NAN, None);
    check("a_bucket{le=\"+Inf\"} 17 1 # {trace_id=\"x\"} 0.5 1.5", "a_bucket{le=\"+Inf\"}", 17.0, Some(1000));
    check("a_total 17 # {} 0.5", "a_total", 17.0, None);
    check("{\"my.metric\",\"a.b\"=\"c\",d=\"e\"} 1", "my.metric{a.b=\"c\", d=\"e\"}", 1.0, None);
}

#[test]
fn a_nan_is_no_staleness_marker() {
    let Ok(Line::Sample { value, .. }) = parse("a NaN") else { panic!() };
    assert_ne!(value.to_bits(), model::stale_nan().to_bits());
}

#[test]
fn what_is_no_line() {
    for line in [
        "",
        " ",
        "a",
        "a ",
        " a 1",
        "a  1",
        "a 1 ",
        "a\t1",
        "a 1 2 3",
        "a 1  2",
        "1a 1",
        "a-b 1",
        "a{b} 1",
        "a{b=c} 1",
        "a{b=\"c\" 1",
        "a{b=\"c\"}1",
        "a{b=\"c\\t\"} 1",
        "a{b=\"c} 1",
        "a{,} 1",
        "a{b=\"c\",,} 1",
        "a{b=\"c\"d=\"e\"} 1",
        "a{b=\"c\",b=\"d\"} 1",
        "a{1b=\"c\"} 1",
        "a{b:c=\"d\"} 1",
        "{} 1",
        "{a=\"b\"} 1",
        "a{\"b\"} 1",
        "{\"a\",\"b\"} 1",
        "{\"\"} 1",
        "a{\"\"=\"b\"} 1",
        "a 0x1p4",
        "a 1_000",
        "a one",
        "a --1",
        "a 1 NaN",
        "a 1 1e300",
        "a 1 now",
        "a 1 # {} ",
        "a 1 #{} 1",
        "a 1 # {} 1 x",
        "a 1 # {} 1 1 1",
        "a 1 # {a=\"b\",a=\"c\"} 1",
        "a 1 # 1",
        "# comment",
        "#",
        "#EOF",
        "# EOF ",
        "#  EOF",
        "# TYPE a",
        "# TYPE a nothing",
        "# TYPE 1a counter",
        "# HELP",
        "# UNIT ",
        "a 1\r",
        "a{b=\"c\u{0}\"",
        "a 1 # {\"x\"} 1",
    ] {
        assert!(parse(line).is_err(), "{line:?}: {:?}", parse(line));
    }
    assert!(OpenMetrics::default().parse(b"a{b=\"\xff\"} 1").is_err());
    assert_eq!(parse(&format!("a{{b=\"{}\"}} 1", "x".repeat(LINE_BYTES_MAX))), Err("the line is too long"));
}

#[test]
fn what_describes_a_family() {
    for line in [
        "# TYPE a counter",
        "# TYPE a:b unknown",
        "# HELP a",
        "# HELP a ",
        "# HELP a \\n \\ x  y",
        "# UNIT a seconds",
        "# UNIT a ",
        "# TYPE \"a.b\" gauge",
    ] {
        assert_eq!(parse(line), Ok(Line::Metadata), "{line}");
    }
}

#[test]
fn the_end_is_the_end() {
    let mut text = OpenMetrics::default();
    text.parse(b"a 1").unwrap();
    let cut = text.finish().unwrap_err();
    assert_eq!((cut.line, cut.to_string().contains("# EOF")), (2, true));
    assert_eq!(text.parse(b"# EOF"), Ok(Line::End));
    assert_eq!(text.finish(), Ok(()));
    let error = text.parse(b"a 1").unwrap_err();
    assert_eq!(error.to_string(), "line 3: there is something after # EOF");
}

proptest! {
    #[test]
    fn nothing_panics(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = OpenMetrics::default().parse(&line);
    }

    #[test]
    fn what_is_written_is_read(name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,10}", value in "\\PC{0,20}", number in any::<f64>(), ms in -4_000_000_000_000_i64..4_000_000_000_000) {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let line = format!("{name}{{l=\"{escaped}\"}} {number} {}.{:03}", ms / 1000, ms.abs() % 1000);
        let line = if ms < 0 && ms > -1000 { line.replace(" 0.", " -0.") } else { line };
        let Ok(Line::Sample { labels, at, value: found }) = parse(&line) else { panic!("{line}: {:?}", parse(&line)) };
        prop_assert_eq!((labels.metric_name(), labels.get("l").unwrap_or("")), (name.as_str(), value.as_str()));
        prop_assert_eq!(at, Some(TimestampMs(ms)));
        prop_assert!(found == number || found.is_nan() && number.is_nan());
    }
}
