//! Federation: the newest sample of each selected series, as a page that another Prometheus scrapes.
//!
//! Every series is of an unknown type: what is stored does not say. Native histograms go out as protobuf alone, those with
//! listed bounds as classic histograms everywhere.

mod format;
mod protobuf;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{ACCEPT, HeaderValue};
use model::{CUSTOM_BUCKETS_SCHEMA, Labels, Matcher, NativeHistogram, ResetHint, TimestampMs, is_stale_nan};
use storage::{Batch, Queryable, SampleIterator, SelectHints, TimeRange};

use self::format::Format;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::slots::Job;

/// How a federation is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Federation {
    format: Format,
}

/// The newest sample of a series.
struct Newest {
    labels: Labels,
    at: TimestampMs,
    value: Value,
}

enum Value {
    Float(f64),
    Histogram(Arc<NativeHistogram>),
}

/// What the samples of one family have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Unknown,
    Histogram,
    GaugeHistogram,
}

impl Federation {
    /// In the format that the client prefers.
    pub(crate) fn negotiate(headers: &HeaderMap) -> Self {
        let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
        Self { format: Format::negotiate(accepted) }
    }

    /// The page.
    ///
    /// # Errors
    /// Data that cannot be read, time that is over, and pages larger than `bytes_max`.
    pub(crate) fn run(
        self,
        selectors: &[Vec<Matcher>],
        view: &Arc<dyn Queryable>,
        now: TimestampMs,
        lookback_ms: i64,
        bytes_max: usize,
        job: &Job,
    ) -> Result<Reply, ApiError> {
        let range = TimeRange { start: now.plus(-lookback_ms), end: now };
        let querier = view.querier(range);
        let mut series: BTreeMap<Labels, Newest> = BTreeMap::new();
        for matchers in selectors {
            let mut set = job.wait(querier.select(matchers, SelectHints::samples(range)))??;
            while let Some(mut one) = set.next()? {
                job.check()?;
                if series.contains_key(&one.labels) || one.labels.metric_name().is_empty() {
                    continue;
                }
                if let Some((at, value)) = newest(&mut *one.samples, range)? {
                    series.insert(one.labels.clone(), Newest { labels: one.labels, at, value });
                }
            }
        }
        let mut all: Vec<Newest> = series.into_values().filter(|one| self.format.can_say(one)).collect();
        // Stable: series of one name stay in order of labels.
        all.sort_by(|left, right| left.labels.metric_name().cmp(right.labels.metric_name()));
        let mut out = Vec::new();
        for family in all.chunk_by(|left, right| left.is_of_family(right)) {
            self.format.write_family(&mut out, family);
            if out.len() > bytes_max {
                return Err(ApiError::AnswerTooLarge { bytes_max });
            }
        }
        self.format.end(&mut out);
        let content_type = HeaderValue::from_static(self.format.content_type());
        Ok(Reply::Bytes(content_type, out))
    }
}

/// The last sample in the range, unless it is a staleness marker.
fn newest(samples: &mut dyn SampleIterator, range: TimeRange) -> Result<Option<(TimestampMs, Value)>, ApiError> {
    let mut batch = Batch::default();
    let mut last = None;
    while samples.next_batch(&mut batch)? {
        let inside = batch.timestamps.partition_point(|at| *at <= range.end);
        let Some(index) = inside.checked_sub(1) else { break };
        let value = match batch.histograms.get(index) {
            Some(histogram) => Value::Histogram(Arc::clone(histogram)),
            None => Value::Float(batch.floats[index]),
        };
        last = Some((batch.timestamps[index], value));
    }
    Ok(last.filter(|(at, value)| *at >= range.start && !value.is_stale()))
}

impl Value {
    fn is_stale(&self) -> bool {
        match self {
            Self::Float(value) => is_stale_nan(*value),
            Self::Histogram(histogram) => histogram.is_stale(),
        }
    }
}

impl Newest {
    fn name(&self) -> &str {
        self.labels.metric_name()
    }

    fn kind(&self) -> Kind {
        match &self.value {
            Value::Float(_) => Kind::Unknown,
            Value::Histogram(histogram) if histogram.reset_hint == ResetHint::Gauge => Kind::GaugeHistogram,
            Value::Histogram(_) => Kind::Histogram,
        }
    }

    /// Whether both belong to one family. A name may have several, one for each kind: receivers put up with that.
    fn is_of_family(&self, other: &Self) -> bool {
        self.name() == other.name() && self.kind() == other.kind()
    }

    /// Whether it is a native histogram with exponential buckets.
    fn is_exponential(&self) -> bool {
        matches!(&self.value, Value::Histogram(histogram) if histogram.schema != CUSTOM_BUCKETS_SCHEMA)
    }

    /// Labels but the name. One without an instance says so, lest the receiver takes its target for it.
    fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.labels.iter().filter(|(name, _)| *name != model::METRIC_NAME);
        let without = self.labels.get(INSTANCE).is_none();
        own.chain(without.then_some((INSTANCE, "")))
    }
}

/// A histogram with listed bounds, as a classic one: bounds with the observations up to each, without the infinite one.
fn classic(histogram: &NativeHistogram) -> (f64, Vec<(f64, f64)>) {
    let (count, counts) = crate::histogram::absolute_counts(histogram);
    let mut by_index: BTreeMap<i32, f64> = BTreeMap::new();
    for (index, count) in counts {
        *by_index.entry(index).or_default() += count;
    }
    let mut so_far = 0.0;
    let buckets = histogram.custom_values.iter().zip(0i32..).map(|(bound, index)| {
        so_far += by_index.get(&index).copied().unwrap_or(0.0);
        (*bound, so_far)
    });
    (count, buckets.collect())
}

const INSTANCE: &str = "instance";
