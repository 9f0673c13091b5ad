//! Native histograms with custom buckets, made of the series of classic histograms.
//!
//! The bounds are the numbers in `le`, and the counts are cumulative there. A base series is what is left of one without the
//! suffix of its name and without `le`.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{CUSTOM_BUCKETS_SCHEMA, Counts, Labels, METRIC_NAME, NativeHistogram, ResetHint, Span};

use crate::script::LoadedSeries;
use crate::series::{Position, Value};

/// A part of a classic histogram.
#[derive(Clone, Copy)]
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

/// A classic histogram at one position.
#[derive(Clone, Default)]
struct Classic {
    /// Bounds and cumulative counts, by bound.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// The native histograms of all base series.
///
/// # Errors
/// Classic histograms that are none: negative or not cumulative counts, a count that is not that of the last bucket.
pub(crate) fn with_custom_buckets(series: &[LoadedSeries]) -> Result<Vec<LoadedSeries>, String> {
    let mut bases: BTreeMap<Labels, BTreeMap<usize, Classic>> = BTreeMap::new();
    for loaded in series {
        let Some((part, base)) = part_and_base(&loaded.labels)? else { continue };
        let positions = bases.entry(base).or_default();
        for (index, value) in loaded.values.iter().enumerate() {
            if let Some(Value::Float(value)) = value {
                positions.entry(index).or_default().set(part, *value);
            }
        }
    }
    let converted = bases.into_iter().map(|(labels, positions)| {
        let length = positions.last_key_value().map_or(0, |(index, _)| index + 1);
        let mut values: Vec<Position> = vec![None; length];
        for (index, classic) in positions {
            let histogram = classic.convert().map_err(|what| format!("{labels}, position {index}: {what}"))?;
            values[index] = Some(Value::Histogram { histogram: Arc::new(histogram), hint_written: false });
        }
        Ok(LoadedSeries { labels, values, start_offsets: Vec::new() })
    });
    converted.collect()
}

/// What a series is of a classic histogram, and the labels of that.
fn part_and_base(labels: &Labels) -> Result<Option<(Part, Labels)>, String> {
    let name = labels.metric_name();
    let (part, base) = if let Some(base) = name.strip_suffix("_bucket") {
        let bound = labels.get("le").ok_or_else(|| format!("{labels} has no label `le`"))?;
        match bound.parse::<f64>() {
            Ok(bound) if !bound.is_nan() => (Part::Bucket(bound), base),
            _ => return Ok(None),
        }
    } else if let Some(base) = name.strip_suffix("_count") {
        (Part::Count, base)
    } else if let Some(base) = name.strip_suffix("_sum") {
        (Part::Sum, base)
    } else {
        return Ok(None);
    };
    let mut builder = labels.to_builder();
    builder.set(METRIC_NAME, base);
    builder.remove("le");
    let base = builder.build().expect("labels of a series without one are labels of a series");
    Ok(Some((part, base)))
}

impl Classic {
    fn set(&mut self, part: Part, value: f64) {
        match part {
            Part::Count => self.count = Some(value),
            Part::Sum => self.sum = value,
            Part::Bucket(bound) => {
                let place = self.buckets.partition_point(|(other, _)| *other < bound);
                // `0.5` and `5e-1` are one bound: the first wins.
                if self.buckets.get(place).is_none_or(|(other, _)| *other != bound) {
                    self.buckets.insert(place, (bound, value));
                }
            }
        }
    }

    fn convert(self) -> Result<NativeHistogram, String> {
        let Self { mut buckets, count, sum } = self;
        let count = match (count, buckets.last()) {
            (Some(count), _) => count,
            (None, Some((_, highest))) => *highest,
            (None, None) => return Err("count must be provided when no buckets are present".into()),
        };
        if count < 0.0 {
            return Err(format!("count must be non-negative: count={count}"));
        }
        if let Some((bound, count)) = buckets.iter().find(|(_, count)| *count < 0.0) {
            return Err(format!("bucket count must be non-negative: le={bound}, count={count}"));
        }
        if let Some(pair) = buckets.windows(2).find(|pair| pair[1].1 < pair[0].1) {
            return Err(format!("count is not cumulative: {} < {}", pair[1].1, pair[0].1));
        }
        if buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            buckets.push((f64::INFINITY, count));
        }
        let highest = buckets.last().map_or(count, |(_, count)| *count);
        if count != highest {
            return Err(format!("count mismatch: count={count} != le=+Inf count={highest}"));
        }
        let mut below = 0.0;
        let mut counts = Vec::with_capacity(buckets.len());
        for (_, cumulative) in &buckets {
            counts.push(cumulative - below);
            below = *cumulative;
        }
        let (spans, counts) = compacted(&counts);
        let histogram = NativeHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            zero_threshold: 0.0,
            sum,
            reset_hint: ResetHint::Unknown,
            positive_spans: spans,
            negative_spans: Vec::new(),
            custom_values: buckets.iter().map(|(bound, _)| *bound).filter(|bound| *bound != f64::INFINITY).collect(),
            counts: Counts::Float { count, zero_count: 0.0, positive: counts, negative: Vec::new() },
        };
        Ok(histogram)
    }
}

/// The buckets that are not empty, and where they are.
fn compacted(counts: &[f64]) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut gap = 0;
    let mut extends = false;
    for count in counts {
        match (*count == 0.0, extends, spans.last_mut()) {
            (true, ..) => (gap, extends) = (gap + 1, false),
            (false, true, Some(span)) => span.length += 1,
            (false, ..) => {
                spans.push(Span { offset: gap, length: 1 });
                (gap, extends) = (0, true);
            }
        }
    }
    (spans, counts.iter().copied().filter(|count| *count != 0.0).collect())
}
