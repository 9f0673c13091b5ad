//! Pages as text: Prometheus' own format, and OpenMetrics.

use std::io::Write as _;

use model::TimestampMs;

use super::{Kind, Newest, Value, classic};
use crate::json::{write_general_float, write_time};

/// In which of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    pub(super) open_metrics: bool,
    /// Names may have any characters, and stand in quotes then.
    pub(super) utf8: bool,
}

pub(super) fn write_family(out: &mut Vec<u8>, family: &[Newest], dialect: Dialect) {
    let Some(first) = family.first() else { return };
    let kind = match (first.kind(), dialect.open_metrics) {
        (Kind::Unknown, false) => "untyped",
        (Kind::Unknown, true) => "unknown",
        (Kind::Histogram, _) => "histogram",
        (Kind::GaugeHistogram, false) => "histogram",
        (Kind::GaugeHistogram, true) => "gaugehistogram",
    };
    out.extend_from_slice(b"# TYPE ");
    dialect.write_name(out, first.name());
    let _infallible = writeln!(out, " {kind}");
    for newest in family {
        match &newest.value {
            Value::Float(value) => dialect.write_sample(out, newest, "", None, *value),
            Value::Histogram(histogram) => {
                let (count, buckets) = classic(histogram);
                for (bound, so_far) in buckets {
                    dialect.write_sample(out, newest, "_bucket", Some(bound), so_far);
                }
                dialect.write_sample(out, newest, "_bucket", Some(f64::INFINITY), count);
                dialect.write_sample(out, newest, "_sum", None, histogram.sum);
                dialect.write_sample(out, newest, "_count", None, count);
            }
        }
    }
}

impl Dialect {
    fn write_sample(self, out: &mut Vec<u8>, newest: &Newest, suffix: &str, bound: Option<f64>, value: f64) {
        let name = format!("{}{suffix}", newest.name());
        let quoted = self.utf8 && !is_plain(&name, true);
        if quoted {
            out.push(b'{');
            write_quoted(out, &name);
        } else {
            write_plain(out, &name, true);
            out.push(b'{');
        }
        let mut first = !quoted;
        let separate = |out: &mut Vec<u8>, first: &mut bool| {
            if !std::mem::take(first) {
                out.push(b',');
            }
        };
        for (name, value) in newest.labels() {
            separate(out, &mut first);
            self.write_label_name(out, name);
            out.push(b'=');
            write_quoted(out, value);
        }
        if let Some(bound) = bound {
            separate(out, &mut first);
            out.extend_from_slice(b"le=\"");
            self.write_float(out, bound);
            out.push(b'"');
        }
        out.extend_from_slice(b"} ");
        self.write_float(out, value);
        out.push(b' ');
        self.write_timestamp(out, newest.at);
        out.push(b'\n');
    }

    fn write_name(self, out: &mut Vec<u8>, name: &str) {
        if self.utf8 && !is_plain(name, true) { write_quoted(out, name) } else { write_plain(out, name, true) }
    }

    fn write_label_name(self, out: &mut Vec<u8>, name: &str) {
        if self.utf8 && !is_plain(name, false) { write_quoted(out, name) } else { write_plain(out, name, false) }
    }

    fn write_float(self, out: &mut Vec<u8>, value: f64) {
        let begin = out.len();
        write_general_float(out, value);
        // OpenMetrics tells floats from integers by their point.
        if self.open_metrics && value.is_finite() && !out[begin..].iter().any(|byte| matches!(byte, b'.' | b'e')) {
            out.extend_from_slice(b".0");
        }
    }

    fn write_timestamp(self, out: &mut Vec<u8>, at: TimestampMs) {
        if self.open_metrics {
            write_time(out, at);
        } else {
            out.extend_from_slice(itoa::Buffer::new().format(at.0).as_bytes());
        }
    }
}

/// Whether a name can stand as it is; colons are for metrics.
fn is_plain(name: &str, colons: bool) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || (colons && byte == b':');
    let mut bytes = name.bytes();
    bytes.next().is_some_and(is_letter) && bytes.all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

/// A name with underscores for characters that it must not have.
fn write_plain(out: &mut Vec<u8>, name: &str, colons: bool) {
    for (index, c) in name.chars().enumerate() {
        let fits = c.is_ascii_alphabetic() || c == '_' || (colons && c == ':') || (index > 0 && c.is_ascii_digit());
        out.push(if fits { c as u8 } else { b'_' });
    }
}

fn write_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\n' => out.extend_from_slice(b"\\n"),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{CUSTOM_BUCKETS_SCHEMA, Counts, Labels, NativeHistogram, Span};

    use super::*;

    fn newest(labels: &[(&str, &str)], value: Value) -> Newest {
        Newest { labels: Labels::from_pairs(labels.iter().copied()).unwrap(), at: TimestampMs(1_500), value }
    }

    #[track_caller]
    fn check(family: &[Newest], open_metrics: bool, utf8: bool, expected: &str) {
        let mut out = Vec::new();
        write_family(&mut out, family, Dialect { open_metrics, utf8 });
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn samples() {
        let labels = [("__name__", "up"), ("instance", "a:1"), ("text", "q\" b\\ n\n")];
        let up = [newest(&labels, Value::Float(1_234_567.0)), newest(&[("__name__", "up")], Value::Float(f64::NAN))];
        let series = r#"up{instance="a:1",text="q\" b\\ n\n"}"#;
        check(
            &up,
            false,
            false,
            &format!("# TYPE up untyped\n{series} 1.234567e+06 1500\nup{{instance=\"\"}} NaN 1500\n"),
        );
        check(&up[1..], true, false, "# TYPE up unknown\nup{instance=\"\"} NaN 1.500\n");
        let dotted = [newest(&[("__name__", "a.b"), ("x-y", "é")], Value::Float(1.0))];
        check(&dotted, false, true, "# TYPE \"a.b\" untyped\n{\"a.b\",\"x-y\"=\"é\",instance=\"\"} 1 1500\n");
        check(&dotted, true, false, "# TYPE a_b unknown\na_b{x_y=\"é\",instance=\"\"} 1.0 1.500\n");
    }

    #[test]
    fn listed_bounds_are_a_classic_histogram() {
        let histogram = NativeHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            sum: 12.5,
            positive_spans: vec![Span { offset: 0, length: 1 }, Span { offset: 1, length: 2 }],
            custom_values: vec![1.0, 2.0, 5.0],
            counts: Counts::Integer { count: 6, zero_count: 0, positive: vec![1, 1, 1], negative: vec![] },
            ..NativeHistogram::stale()
        };
        let family = [newest(&[("__name__", "h"), ("instance", "i")], Value::Histogram(Arc::new(histogram)))];
        check(
            &family,
            false,
            false,
            concat!(
                "# TYPE h histogram\n",
                "h_bucket{instance=\"i\",le=\"1\"} 1 1500\n",
                "h_bucket{instance=\"i\",le=\"2\"} 1 1500\n",
                "h_bucket{instance=\"i\",le=\"5\"} 3 1500\n",
                "h_bucket{instance=\"i\",le=\"+Inf\"} 6 1500\n",
                "h_sum{instance=\"i\"} 12.5 1500\n",
                "h_count{instance=\"i\"} 6 1500\n"
            ),
        );
    }
}
