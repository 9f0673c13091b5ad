//! Bodies of answers: the envelope, query results, lists.

use std::sync::Arc;

use model::{Labels, NativeHistogram, TimestampMs};
use promql::{QueryResult, RangeSeries, Sample, SampleValue, Severity, Value};

use crate::histogram::write_histogram;
use crate::json;

/// `{"status":"success","data":…}` with what was remarked on the query.
pub(crate) fn query_result(result: &QueryResult, query: &str) -> Vec<u8> {
    let mut out = begin_success();
    write_value(&mut out, &result.value);
    for (key, severity) in [("warnings", Severity::Warning), ("infos", Severity::Info)] {
        let texts = result.annotations.texts(severity, query);
        if !texts.is_empty() {
            out.extend_from_slice(format!(",\"{key}\":").as_bytes());
            json::write_strings(&mut out, texts.iter().map(String::as_str));
        }
    }
    out.push(b'}');
    out
}

/// A success whose data are a list of texts, `truncated` when a limit cut it.
pub(crate) fn strings(texts: &[String], truncated: bool) -> Vec<u8> {
    let mut out = begin_success();
    json::write_strings(&mut out, texts.iter().map(String::as_str));
    end_list(&mut out, truncated);
    out
}

/// A success whose data are a list of label sets, `truncated` when a limit cut it.
pub(crate) fn label_sets(sets: &[Labels], truncated: bool) -> Vec<u8> {
    let mut out = begin_success();
    write_list(&mut out, sets, json::write_labels);
    end_list(&mut out, truncated);
    out
}

/// A success whose data are a name.
pub(crate) fn name(name: &str) -> Vec<u8> {
    let mut out = begin_success();
    out.extend_from_slice(b"{\"name\":");
    json::write_string(&mut out, name);
    out.extend_from_slice(b"}}");
    out
}

/// `{"status":"error",…}`.
pub(crate) fn error(error_type: &str, text: &str) -> Vec<u8> {
    let mut out = Vec::from(&b"{\"status\":\"error\",\"errorType\":"[..]);
    json::write_string(&mut out, error_type);
    out.extend_from_slice(b",\"error\":");
    json::write_string(&mut out, text);
    out.push(b'}');
    out
}

fn begin_success() -> Vec<u8> {
    Vec::from(&b"{\"status\":\"success\",\"data\":"[..])
}

fn end_list(out: &mut Vec<u8>, truncated: bool) {
    if truncated {
        out.extend_from_slice(b",\"warnings\":[\"results truncated due to limit\"]");
    }
    out.push(b'}');
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    let kind = match value {
        Value::Scalar(_) => "scalar",
        Value::String { .. } => "string",
        Value::Vector(_) => "vector",
        Value::Matrix(_) => "matrix",
    };
    out.extend_from_slice(b"{\"resultType\":");
    json::write_string(out, kind);
    out.extend_from_slice(b",\"result\":");
    match value {
        Value::Scalar(point) => json::write_point(out, point.timestamp, point.value),
        Value::String { timestamp, text } => {
            out.push(b'[');
            json::write_time(out, *timestamp);
            out.push(b',');
            json::write_string(out, text);
            out.push(b']');
        }
        Value::Vector(samples) => write_list(out, samples, write_sample),
        Value::Matrix(series) => write_list(out, series, write_series),
    }
    out.push(b'}');
}

fn write_sample(out: &mut Vec<u8>, sample: &Sample) {
    out.extend_from_slice(b"{\"metric\":");
    json::write_labels(out, &sample.labels);
    match &sample.value {
        SampleValue::Float(value) => {
            out.extend_from_slice(b",\"value\":");
            json::write_point(out, sample.timestamp, *value);
        }
        SampleValue::Histogram(histogram) => {
            out.extend_from_slice(b",\"histogram\":");
            write_histogram_point(out, sample.timestamp, histogram);
        }
    }
    out.push(b'}');
}

fn write_series(out: &mut Vec<u8>, series: &RangeSeries) {
    out.extend_from_slice(b"{\"metric\":");
    json::write_labels(out, &series.labels);
    if !series.floats.is_empty() {
        out.extend_from_slice(b",\"values\":");
        write_list(out, &series.floats, |out, point| json::write_point(out, point.timestamp, point.value));
    }
    if !series.histograms.is_empty() {
        out.extend_from_slice(b",\"histograms\":");
        write_list(out, &series.histograms, |out, point| write_histogram_point(out, point.timestamp, &point.histogram));
    }
    out.push(b'}');
}

fn write_histogram_point(out: &mut Vec<u8>, at: TimestampMs, histogram: &Arc<NativeHistogram>) {
    out.push(b'[');
    json::write_time(out, at);
    out.push(b',');
    write_histogram(out, histogram);
    out.push(b']');
}

fn write_list<T>(out: &mut Vec<u8>, items: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use promql::{Annotations, FloatPoint};

    use super::*;

    fn text(value: Value) -> String {
        String::from_utf8(query_result(&QueryResult { value, annotations: Annotations::default() }, "")).unwrap()
    }

    #[test]
    fn results_as_prometheus_writes_them() {
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "node")]).unwrap();
        let at = TimestampMs(1_732_360_000_123);
        let sample = Sample { labels, timestamp: at, value: SampleValue::Float(1.0) };
        assert_eq!(
            text(Value::Vector(vec![sample])),
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"node"},"value":[1732360000.123,"1"]}]}}"#
        );
        let point = FloatPoint { timestamp: TimestampMs(15_000), value: f64::INFINITY };
        let series = RangeSeries { labels: Labels::empty(), floats: vec![point, point], histograms: vec![] };
        assert_eq!(
            text(Value::Matrix(vec![series])),
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[15,"+Inf"],[15,"+Inf"]]}]}}"#
        );
        assert_eq!(
            text(Value::Scalar(point)),
            r#"{"status":"success","data":{"resultType":"scalar","result":[15,"+Inf"]}}"#
        );
        assert_eq!(
            text(Value::String { timestamp: TimestampMs(0), text: "a\"b".into() }),
            r#"{"status":"success","data":{"resultType":"string","result":[0,"a\"b"]}}"#
        );
        assert_eq!(text(Value::Vector(vec![])), r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#);
    }

    #[test]
    fn lists_and_errors() {
        let texts = |bytes| String::from_utf8(bytes).unwrap();
        assert_eq!(texts(strings(&["a".into()], false)), r#"{"status":"success","data":["a"]}"#);
        assert_eq!(
            texts(strings(&[], true)),
            r#"{"status":"success","data":[],"warnings":["results truncated due to limit"]}"#
        );
        let labels = Labels::from_pairs([("a", "b")]).unwrap();
        assert_eq!(texts(label_sets(&[labels], false)), r#"{"status":"success","data":[{"a":"b"}]}"#);
        assert_eq!(
            texts(error("bad_data", "no \"x\"")),
            r#"{"status":"error","errorType":"bad_data","error":"no \"x\""}"#
        );
    }
}
