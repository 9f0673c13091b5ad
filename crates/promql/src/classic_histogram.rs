//! Quantiles of classic histograms: one series per bucket, its upper bound in the label `le`.

use hashbrown::HashMap;
use model::Labels;

use crate::EvalError;
use crate::aggregate::warn_about_quantile;
use crate::column::{Cell, Column, Run, is_absent};
use crate::evaluate::{evaluate_scalar, evaluate_vector};
use crate::grid::Grid;
use crate::label_set::LabelGuard;
use crate::plan::HistogramQuantile;
use crate::row::{Context, Row, Sink, hold_column};

impl HistogramQuantile {
    pub(crate) fn evaluate(self, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
        let quantiles = evaluate_scalar(self.quantile, grid, context)?;
        for q in &quantiles {
            warn_about_quantile(context, self.quantile_position, *q);
        }
        let position = self.input_position;
        let mut histograms = Histograms::default();
        evaluate_vector(*self.input, grid, context, &mut |context, row| {
            if row.column.has_histograms() {
                return Err(EvalError::NotYetSupported("histogram_quantile of native histograms".into()));
            }
            let Some(bound) = bound_of(&row.labels) else {
                let label = row.labels.get("le").unwrap_or("");
                let of_metric = match row.labels.metric_name() {
                    "" => String::new(),
                    name => format!(" for metric name {name:?}"),
                };
                context.annotations.warn(
                    position,
                    format!("bucket label \"le\" is missing or has a malformed value of {label:?}{of_metric}"),
                );
                return Ok(());
            };
            let Some(run) = Run::of(row.column) else { return Ok(()) };
            context.budget.hold(run.len())?;
            histograms.samples += run.len();
            histograms.add(&row.labels, bound, run);
            Ok(())
        })?;

        let mut column = hold_column(context, grid)?;
        let mut guard = LabelGuard::default();
        let mut buckets = Vec::new();
        for (labels, mut series) in histograms.list {
            context.check_interrupt()?;
            series.sort_by(|left, right| left.0.total_cmp(&right.0));
            column.clear();
            let forced = quantile_at_each_step(&series, &quantiles, &mut buckets, &mut column);
            let name = labels.metric_name();
            if forced {
                let of_metric = match context.delayed_name_removal && !name.is_empty() {
                    true => format!(" for metric name {name:?}"),
                    false => String::new(),
                };
                context.annotations.inform(position, format!("{FORCED_MONOTONICITY}{of_metric}"));
            }
            if !column.any_present() {
                continue;
            }
            let labels = context.computed_labels(&labels);
            guard.once_a_step(&labels, &column)?;
            sink(context, Row { labels, drop_name: true, column: &mut column })?;
        }
        context.budget.release(histograms.samples + 2 * grid.steps);
        Ok(())
    }
}

/// Buckets by histogram: all labels but `le`, in order of arrival.
#[derive(Default)]
struct Histograms {
    list: Vec<(Labels, Vec<(f64, Run)>)>,
    by_labels: HashMap<Labels, usize>,
    samples: usize,
}

impl Histograms {
    fn add(&mut self, labels: &Labels, bound: f64, run: Run) {
        let key = labels.retain(|name, _| name != "le");
        let list = &mut self.list;
        let index = *self.by_labels.entry(key).or_insert_with_key(|key| {
            list.push((key.clone(), Vec::new()));
            list.len() - 1
        });
        self.list[index].1.push((bound, run));
    }
}

fn bound_of(labels: &Labels) -> Option<f64> {
    labels.get("le")?.parse().ok()
}

/// A bucket at one step.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Bucket {
    upper: f64,
    /// Observations up to the bound: cumulative.
    count: f64,
}

/// Says whether some counts fell from one bucket to the next and had to be mended.
fn quantile_at_each_step(
    series: &[(f64, Run)],
    quantiles: &[f64],
    buckets: &mut Vec<Bucket>,
    column: &mut Column,
) -> bool {
    let mut forced = false;
    for (step, q) in quantiles.iter().enumerate() {
        buckets.clear();
        for (upper, run) in series {
            let count = run.float(step);
            if is_absent(count) {
                continue;
            }
            match buckets.last_mut() {
                // Two spellings of one bound are one bucket.
                Some(last) if last.upper == *upper => last.count += count,
                _ => buckets.push(Bucket { upper: *upper, count }),
            }
        }
        if !buckets.is_empty() {
            let (value, mended) = bucket_quantile(*q, buckets);
            forced |= mended;
            column.set(step, Cell::Float(value));
        }
    }
    forced
}

/// The quantile, interpolated inside its bucket, and whether counts had to be mended. Buckets are sorted by bound.
///
/// The lowest bucket starts at 0 when its bound is positive; the highest one, which must be infinite, is represented by
/// its lower end.
fn bucket_quantile(q: f64, buckets: &mut [Bucket]) -> (f64, bool) {
    match () {
        () if q.is_nan() => return (f64::NAN, false),
        () if q < 0.0 => return (f64::NEG_INFINITY, false),
        () if q > 1.0 => return (f64::INFINITY, false),
        () => {}
    }
    if buckets.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return (f64::NAN, false);
    }
    let forced = make_monotonic(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return (f64::NAN, false);
    }
    let mut rank = q * observations;
    // A rank that is NaN is above all buckets.
    let below = |bucket: &Bucket| bucket.count < rank || rank.is_nan();
    let index = buckets[..last].partition_point(below);
    if index == last {
        return (buckets[last - 1].upper, forced);
    }
    let Bucket { upper, mut count } = buckets[index];
    if index == 0 && upper <= 0.0 {
        return (upper, forced);
    }
    let mut start = 0.0;
    if index > 0 {
        let below = buckets[index - 1];
        start = below.upper;
        count -= below.count;
        rank -= below.count;
    }
    (start + (upper - start) * (rank / count), forced)
}

/// Counts must not fall from bucket to bucket. Falls as small as rounding makes are mended silently.
fn make_monotonic(buckets: &mut [Bucket]) -> bool {
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let difference = (bucket.count - before).abs();
        if difference != 0.0 && difference / bucket.count <= ROUNDING {
            bucket.count = before;
        } else {
            before = bucket.count;
        }
    }
    let mut forced = false;
    let mut greatest = buckets[0].count;
    for bucket in &mut buckets[1..] {
        if bucket.count > greatest {
            greatest = bucket.count;
        } else if bucket.count < greatest {
            bucket.count = greatest;
            forced = true;
        }
    }
    forced
}

/// Relative difference of neighbouring counts that is taken for a rounding error.
const ROUNDING: f64 = 1e-12;
const FORCED_MONOTONICITY: &str = "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_buckets() {
        let usual = [(0.1, 10.0), (1.0, 20.0), (f64::INFINITY, 20.0)];
        type Case<'a> = (f64, &'a [(f64, f64)], f64);
        let cases: [Case<'_>; 8] = [
            (0.25, &usual, 0.05),
            (0.75, &usual, 0.55),
            (1.0, &usual, 1.0),
            (-1.0, &usual, f64::NEG_INFINITY),
            (2.0, &usual, f64::INFINITY),
            (0.9, &[(1.0, 5.0), (f64::INFINITY, 10.0)], 1.0),
            (0.1, &[(-1.0, 5.0), (f64::INFINITY, 10.0)], -1.0),
            (0.5, &[(1.0, 10.0), (2.0, 5.0), (f64::INFINITY, 10.0)], 0.5),
        ];
        for (q, buckets, expected) in cases {
            let mut buckets: Vec<_> =
                buckets.iter().map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect();
            let (value, _) = bucket_quantile(q, &mut buckets);
            assert!((value - expected).abs() < 1e-12 || value == expected, "{q}: {value}, not {expected}");
        }
        let no_infinite_bucket = &mut [Bucket { upper: 1.0, count: 1.0 }, Bucket { upper: 2.0, count: 1.0 }];
        assert!(bucket_quantile(0.5, no_infinite_bucket).0.is_nan());
    }

    #[test]
    fn falls_are_mended_and_told_unless_they_are_rounding() {
        let bucket = |upper, count| Bucket { upper, count };
        let mut buckets = [bucket(1.0, 5.0), bucket(2.0, 4.0), bucket(f64::INFINITY, 6.0)];
        assert!(make_monotonic(&mut buckets));
        assert_eq!(buckets[1].count, 5.0);
        let mut buckets = [bucket(1.0, 5.0), bucket(2.0, 5.0 - 1e-13), bucket(f64::INFINITY, 6.0)];
        assert!(!make_monotonic(&mut buckets));
    }
}
