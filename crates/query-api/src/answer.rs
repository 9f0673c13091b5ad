//! Bodies of answers: the envelope, query results, lists.

use std::io::Write as _;
use std::sync::Arc;

use model::{NativeHistogram, TimestampMs};
use promql::{Annotations, RangeSeries, Sample, SampleValue, Severity, Value};
use serde::Serialize;
use storage::LeftOut;

use crate::error::ApiError;
use crate::histogram::write_histogram;
use crate::json;
use crate::statistics::Stats;

/// What is said about an answer beside its data.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Remarks {
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}

impl Remarks {
    /// Those of the evaluation, with places in `query`.
    pub(crate) fn of(annotations: &Annotations, query: &str) -> Self {
        Self { warnings: annotations.texts(Severity::Warning, query), infos: annotations.texts(Severity::Info, query) }
    }

    /// Adds that a limit cut the answer, if it did.
    pub(crate) fn truncated(mut self, truncated: bool) -> Self {
        if truncated {
            self.warnings.push("results truncated due to limit".to_owned());
        }
        self
    }

    /// Adds that the value of the parameter `stats` will not be taken for ever, if it is none of those that will.
    pub(crate) fn for_stats(mut self, value: &str) -> Self {
        if !matches!(value, "" | "true" | "all") {
            self.warnings.push(format!(
                "value {value:?} for parameter \"stats\" is deprecated and will be rejected in the next major release, \
                 use \"true\" or \"all\""
            ));
        }
        self
    }

    /// Adds what the storage had to leave out.
    pub(crate) fn left_out(mut self, left_out: &LeftOut) -> Self {
        match left_out.damaged_chunks() {
            0 => {}
            1 => self.warnings.push("a damaged chunk of stored samples was left out of the answer".to_owned()),
            chunks => {
                self.warnings.push(format!("{chunks} damaged chunks of stored samples were left out of the answer"));
            }
        }
        self
    }

    /// Writes the first of each kind, and how many there are more.
    fn write(&self, out: &mut Vec<u8>) {
        for (key, kind, texts) in [("warnings", "warning", &self.warnings), ("infos", "info", &self.infos)] {
            if texts.is_empty() {
                continue;
            }
            let _infallible = write!(out, ",\"{key}\":");
            let shown = texts.iter().take(REMARKS_SHOWN).cloned();
            let rest = texts.len().saturating_sub(REMARKS_SHOWN);
            let more = (rest > 0).then(|| format!("{rest} more {kind} annotations omitted"));
            let shown: Vec<String> = shown.chain(more).collect();
            json::write_texts(out, shown.iter().map(String::as_str));
        }
    }
}

/// A success whose data are written by `data`.
pub(crate) fn success(remarks: &Remarks, data: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::from(SUCCESS);
    data(&mut out);
    remarks.write(&mut out);
    out.push(b'}');
    out
}

/// A success whose data are a list in pieces, with commas between them: what is to be in front of them and behind.
pub(crate) fn list_ends(remarks: &Remarks) -> (Vec<u8>, Vec<u8>) {
    let mut tail = vec![b']'];
    remarks.write(&mut tail);
    tail.push(b'}');
    ([SUCCESS, b"["].concat(), tail)
}

/// The result of a query, `stats` behind it.
///
/// # Errors
/// When it takes more than `bytes_max`.
pub(crate) fn query_result(
    value: &Value,
    remarks: &Remarks,
    stats: Option<&Stats>,
    bytes_max: usize,
) -> Result<Vec<u8>, ApiError> {
    let mut written = Ok(());
    let body = success(remarks, |out| {
        written = write_value(out, value, bytes_max);
        end_result(out, stats);
    });
    written.map(|()| body)
}

/// What stands in front of the series of a matrix.
pub(crate) fn matrix_head() -> Vec<u8> {
    let mut out = Vec::from(SUCCESS);
    begin_result(&mut out, "matrix");
    out.push(b'[');
    out
}

/// What stands behind the series of a matrix.
pub(crate) fn matrix_tail(remarks: &Remarks, stats: Option<&Stats>) -> Vec<u8> {
    let mut out = vec![b']'];
    end_result(&mut out, stats);
    remarks.write(&mut out);
    out.push(b'}');
    out
}

fn begin_result(out: &mut Vec<u8>, kind: &str) {
    let _infallible = write!(out, "{{\"resultType\":\"{kind}\",\"result\":");
}

fn end_result(out: &mut Vec<u8>, stats: Option<&Stats>) {
    if let Some(stats) = stats {
        out.extend_from_slice(b",\"stats\":");
        stats.write(out);
    }
    out.push(b'}');
}

/// A success whose data are a list of texts, `truncated` when a limit cut it.
pub(crate) fn texts(texts: &[String], truncated: bool) -> Vec<u8> {
    success(&Remarks::default().truncated(truncated), |out| json::write_texts(out, texts.iter().map(String::as_str)))
}

/// A success whose data are a text.
pub(crate) fn text(text: &str) -> Vec<u8> {
    success(&Remarks::default(), |out| json::write_text(out, text))
}

/// A success whose data are a value, keys in the order of the value's own.
pub(crate) fn data(value: &impl Serialize) -> Vec<u8> {
    success(&Remarks::default(), |out| {
        serde_json::to_writer(out, value).expect("answers are plain data with string keys");
    })
}

/// `{"status":"error",…}`.
pub(crate) fn error(error_type: &str, text: &str) -> Vec<u8> {
    let mut out = Vec::from(&b"{\"status\":\"error\",\"errorType\":"[..]);
    json::write_text(&mut out, error_type);
    out.extend_from_slice(b",\"error\":");
    json::write_text(&mut out, text);
    out.push(b'}');
    out
}

/// How every success begins.
const SUCCESS: &[u8] = b"{\"status\":\"success\",\"data\":";

/// Warnings, and infos, that an answer shows; of more it says how many.
const REMARKS_SHOWN: usize = 10;

/// Writes `{"resultType":…,"result":…` without the brace at the end.
fn write_value(out: &mut Vec<u8>, value: &Value, bytes_max: usize) -> Result<(), ApiError> {
    let kind = match value {
        Value::Scalar(_) => "scalar",
        Value::String { .. } => "string",
        Value::Vector(_) => "vector",
        Value::Matrix(_) => "matrix",
    };
    begin_result(out, kind);
    match value {
        Value::Scalar(point) => {
            // Scalars and strings are written by other code in Prometheus: no exponents, times as short as they can be.
            write_short_time(out, point.timestamp);
            out.push(b'"');
            json::write_plain_float(out, point.value);
            out.extend_from_slice(b"\"]");
            Ok(())
        }
        Value::String { timestamp, text } => {
            write_short_time(out, *timestamp);
            json::write_text(out, text);
            out.push(b']');
            Ok(())
        }
        Value::Vector(samples) => write_bounded(out, samples, bytes_max, write_sample),
        Value::Matrix(series) => write_bounded(out, series, bytes_max, write_series),
    }
}

fn write_short_time(out: &mut Vec<u8>, at: TimestampMs) {
    out.push(b'[');
    json::write_float(out, at.0 as f64 / 1000.0);
    out.push(b',');
}

fn write_bounded<T>(
    out: &mut Vec<u8>,
    items: &[T],
    bytes_max: usize,
    write: impl Fn(&mut Vec<u8>, &T),
) -> Result<(), ApiError> {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
        if out.len() > bytes_max {
            return Err(ApiError::AnswerTooLarge { bytes_max });
        }
    }
    out.push(b']');
    Ok(())
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

/// Writes one series of a matrix.
pub(crate) fn write_series(out: &mut Vec<u8>, series: &RangeSeries) {
    out.extend_from_slice(b"{\"metric\":");
    json::write_labels(out, &series.labels);
    if !series.floats.is_empty() {
        out.extend_from_slice(b",\"values\":");
        json::write_list(out, &series.floats, |out, point| json::write_point(out, point.timestamp, point.value));
    }
    if !series.histograms.is_empty() {
        out.extend_from_slice(b",\"histograms\":");
        json::write_list(out, &series.histograms, |out, point| {
            write_histogram_point(out, point.timestamp, &point.histogram);
        });
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

#[cfg(test)]
mod tests {
    use promql::FloatPoint;

    use model::Labels;

    use super::*;

    fn text(value: Value) -> String {
        String::from_utf8(query_result(&value, &Remarks::default(), None, 1 << 20).unwrap()).unwrap()
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
            text(Value::String { timestamp: TimestampMs(120), text: "a\"b<".into() }),
            r#"{"status":"success","data":{"resultType":"string","result":[0.12,"a\"b\u003c"]}}"#
        );
        let large = FloatPoint { timestamp: TimestampMs(1_500), value: 1e21 };
        assert_eq!(
            text(Value::Scalar(large)),
            r#"{"status":"success","data":{"resultType":"scalar","result":[1.5,"1000000000000000000000"]}}"#
        );
        assert_eq!(text(Value::Vector(vec![])), r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#);
    }

    #[test]
    fn lists_and_errors() {
        let string = |bytes| String::from_utf8(bytes).unwrap();
        assert_eq!(string(texts(&["a".into()], false)), r#"{"status":"success","data":["a"]}"#);
        assert_eq!(
            string(texts(&[], true)),
            r#"{"status":"success","data":[],"warnings":["results truncated due to limit"]}"#
        );
        let labels = Labels::from_pairs([("a", "b")]).unwrap();
        assert_eq!(string(crate::label_sets::of_list(&[labels], false)), r#"{"status":"success","data":[{"a":"b"}]}"#);
        assert_eq!(
            string(error("bad_data", "no \"x\"")),
            r#"{"status":"error","errorType":"bad_data","error":"no \"x\""}"#
        );
    }

    #[test]
    fn remarks_are_bounded_and_tell_of_damage() {
        let left_out = LeftOut::default();
        left_out.damaged_chunk();
        let remarks = Remarks { warnings: vec![], infos: (0..12).map(|index| index.to_string()).collect() };
        let body = success(&remarks.truncated(true).left_out(&left_out), |out| out.push(b'1'));
        let expected = concat!(
            r#"{"status":"success","data":1,"warnings":["results truncated due to limit","#,
            r#""a damaged chunk of stored samples was left out of the answer"],"#,
            r#""infos":["0","1","2","3","4","5","6","7","8","9","2 more info annotations omitted"]}"#
        );
        assert_eq!(String::from_utf8(body).unwrap(), expected);
        left_out.damaged_chunk();
        assert!(Remarks::default().left_out(&left_out).warnings[0].starts_with("2 damaged chunks"));
    }

    #[test]
    fn an_answer_that_is_too_large_is_an_error() {
        let sample = Sample { labels: Labels::empty(), timestamp: TimestampMs(0), value: SampleValue::Float(1.0) };
        let value = Value::Vector(vec![sample; 100]);
        let error = query_result(&value, &Remarks::default(), None, 1000).unwrap_err();
        assert!(matches!(error, ApiError::AnswerTooLarge { bytes_max: 1000 }), "{error}");
    }
}
