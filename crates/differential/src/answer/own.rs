//! From what our engine answers.

use model::{CUSTOM_BUCKETS_SCHEMA, Counts, Kinded, Labels, NativeHistogram, Span};
use promql::{EvalError, QueryResult, SampleValue, Severity};

use super::{Answer, Bucket, Histogram, Point, PointValue, Series, Value};

impl Answer {
    /// What the engine found for `query`.
    pub fn from_result(result: &QueryResult, query: &str) -> Self {
        let texts = |severity| {
            let mut texts = result.annotations.texts(severity, query);
            texts.sort();
            texts
        };
        Self::Value { value: value(&result.value), warnings: texts(Severity::Warning), infos: texts(Severity::Info) }
    }

    /// Why it found nothing, in the words of the query API.
    pub fn from_error(error: &EvalError) -> Self {
        let kind = match error.kind() {
            model::ErrorKind::Invalid => "bad_data",
            model::ErrorKind::Timeout => "timeout",
            model::ErrorKind::Canceled => "canceled",
            _ => "execution",
        };
        // A query that cannot be evaluated whatever the data is refused like one that does not parse.
        let text = match error {
            EvalError::InvalidQuery(_) => format!("invalid parameter \"query\": {error}"),
            _ => error.to_string(),
        };
        Self::Error { kind: kind.to_owned(), text }
    }
}

fn value(value: &promql::Value) -> Value {
    match value {
        promql::Value::Scalar(point) => Value::Scalar(float(point.timestamp.0, point.value)),
        promql::Value::String { timestamp, text } => Value::Text(timestamp.0, text.clone()),
        promql::Value::Vector(samples) => {
            let series = samples.iter().map(|sample| {
                let value = match &sample.value {
                    SampleValue::Float(value) => PointValue::Float(*value),
                    SampleValue::Histogram(histogram) => PointValue::Histogram(shown(histogram)),
                };
                series(&sample.labels, vec![Point { at: sample.timestamp.0, value }])
            });
            Value::Vector(series.collect())
        }
        promql::Value::Matrix(all) => {
            let series = all.iter().map(|one| {
                let floats = one.floats.iter().map(|point| float(point.timestamp.0, point.value));
                let histograms = one.histograms.iter().map(|point| Point {
                    at: point.timestamp.0,
                    value: PointValue::Histogram(shown(&point.histogram)),
                });
                let mut points: Vec<Point> = floats.chain(histograms).collect();
                points.sort_by_key(|point| point.at);
                series(&one.labels, points)
            });
            Value::Matrix(series.collect())
        }
    }
}

fn float(at: i64, value: f64) -> Point {
    Point { at, value: PointValue::Float(value) }
}

fn series(labels: &Labels, points: Vec<Point>) -> Series {
    Series { labels: labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), points }
}

/// Computed here anew, so that what the query API makes of a histogram is not compared with itself.
fn shown(histogram: &NativeHistogram) -> Histogram {
    let custom = histogram.schema == CUSTOM_BUCKETS_SCHEMA;
    let (count, zero_count, positive, negative) = match &histogram.counts {
        Counts::Integer { count, zero_count, positive, negative } => {
            (*count as f64, *zero_count as f64, running(positive), running(negative))
        }
        Counts::Float { count, zero_count, positive, negative } => {
            (*count, *zero_count, positive.clone(), negative.clone())
        }
    };
    let bounds = |index: i32| match custom {
        true => {
            let at = |index: i32| usize::try_from(index).ok().and_then(|index| histogram.custom_values.get(index));
            let lower = at(index - 1).copied().unwrap_or(f64::NEG_INFINITY);
            (lower, at(index).copied().unwrap_or(f64::INFINITY))
        }
        false => (exponential(index - 1, histogram.schema), exponential(index, histogram.schema)),
    };
    let mut buckets = Vec::new();
    // A bucket into which the zero bucket reaches starts where that ends.
    let threshold = histogram.zero_threshold;
    let bounds = |index: i32| match bounds(index) {
        (lower, upper) if 0.0 < lower && lower < threshold => (threshold, upper),
        bounds => bounds,
    };
    for (index, count) in indexed(&histogram.negative_spans, &negative).into_iter().rev() {
        let (lower, upper) = bounds(index);
        buckets.push(Bucket { bounds: 1, lower: -upper, upper: -lower, count });
    }
    // Differences may have a negative one, which is not shown.
    if zero_count > 0.0 {
        buckets.push(Bucket { bounds: 3, lower: -threshold, upper: threshold, count: zero_count });
    }
    for (index, count) in indexed(&histogram.positive_spans, &positive) {
        let (lower, upper) = bounds(index);
        let bounds = if custom && lower == f64::NEG_INFINITY { 3 } else { 0 };
        buckets.push(Bucket { bounds, lower, upper, count });
    }
    buckets.retain(|bucket| bucket.count != 0.0);
    Histogram { count, sum: histogram.sum, buckets }
}

fn running(deltas: &[i64]) -> Vec<f64> {
    let running = deltas.iter().scan(0i64, |count, delta| {
        *count += delta;
        Some(*count as f64)
    });
    running.collect()
}

fn indexed(spans: &[Span], counts: &[f64]) -> Vec<(i32, f64)> {
    let mut counts = counts.iter();
    let (mut next, mut found) = (0, Vec::new());
    for span in spans {
        next += span.offset;
        for _ in 0..span.length {
            found.extend(counts.next().map(|count| (next, *count)));
            next += 1;
        }
    }
    found
}

fn exponential(index: i32, schema: i32) -> f64 {
    (f64::from(index) * f64::from(-schema).exp2()).exp2()
}
