//! When a matrix is the one expected: the same series, and in each the same samples at the same times.

use model::TimestampMs;
use promql::{RangeSeries, SampleValue};

use super::{all_found, is_sorted, place_of, same};
use crate::case::{ExpectedSeries, Spacing};
use crate::loading::time;
use crate::series::Value;

pub(super) fn matrix(wanted: &[ExpectedSeries], spacing: Spacing, found: &[RangeSeries]) -> Result<(), String> {
    is_sorted(found)?;
    for (position, series) in found.iter().enumerate() {
        let place = place_of(wanted, &series.labels)
            .ok_or_else(|| format!("an unexpected series: {} {}", series.labels, shown(series)))?;
        one(&wanted[place], spacing, series)?;
        if found[..position].iter().any(|before| before.labels == series.labels) {
            return Err(format!("{} stands twice in the result", series.labels));
        }
    }
    all_found(wanted, |labels| found.iter().any(|series| series.labels == *labels))
}

fn one(wanted: &ExpectedSeries, spacing: Spacing, found: &RangeSeries) -> Result<(), String> {
    let labels = &found.labels;
    let (mut floats, mut histograms) = (found.floats.iter(), found.histograms.iter());
    for (index, value) in wanted.values.iter().enumerate() {
        let at = time(index, spacing.step_ms).map(|after| TimestampMs(spacing.start.0.saturating_add(after.0)));
        let Some(at) = at.filter(|at| *at <= spacing.end) else {
            return Err(format!("{} values are expected for {labels}, more than there are times", wanted.values.len()));
        };
        let Some(value) = value else { continue };
        let point = match value {
            Value::Float(_) => floats.next().map(|point| (point.timestamp, SampleValue::Float(point.value))),
            Value::Histogram { .. } => {
                histograms.next().map(|point| (point.timestamp, SampleValue::Histogram(point.histogram.clone())))
            }
        };
        if !point.as_ref().is_some_and(|(time, found)| *time == at && same(value, found)) {
            return Err(format!("{labels} {point:?} where {value:?} at {at} is expected; found {}", shown(found)));
        }
    }
    match floats.len() + histograms.len() {
        0 => Ok(()),
        more => Err(format!("{more} samples more than expected for {labels}: {}", shown(found))),
    }
}

fn shown(series: &RangeSeries) -> String {
    let floats = series.floats.iter().map(|point| format!("{}@{}", point.value, point.timestamp));
    let histograms = series.histograms.iter().map(|point| format!("{:?}@{}", point.histogram, point.timestamp));
    floats.chain(histograms).collect::<Vec<_>>().join(" ")
}
