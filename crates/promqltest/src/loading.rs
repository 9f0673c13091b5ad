//! Puts the series of a `load` into the database, all of them or none.

use model::TimestampMs;

use crate::custom_buckets::with_custom_buckets;
use crate::database::{Database, StoreError, Transaction};
use crate::script::{Load, LoadedSeries};
use crate::series::Value;

/// Stores what the command says.
///
/// # Errors
/// What cannot be stored, and why.
pub(crate) fn load(database: &mut Database, load: &Load) -> Result<(), String> {
    let converted = match load.with_custom_buckets {
        true => with_custom_buckets(&load.series)?,
        false => Vec::new(),
    };
    let mut transaction = database.begin();
    for series in load.series.iter().chain(&converted) {
        append(&mut transaction, series, load.step_ms)?;
    }
    transaction.commit().map_err(|error| error.to_string())?;
    for series in load.series.iter().filter(|series| !series.start_offsets.is_empty()) {
        database.starts.extend(&series.labels, starts(series, load.step_ms));
    }
    Ok(())
}

fn append(transaction: &mut Transaction<'_>, loaded: &LoadedSeries, step_ms: i64) -> Result<(), String> {
    let labels = &loaded.labels;
    let series = transaction.series(labels).map_err(|error| error.to_string())?;
    for (index, value) in loaded.values.iter().enumerate() {
        let Some(value) = value else { continue };
        let at = time(index, step_ms).ok_or_else(|| format!("{labels}: position {index} leaves the range of times"))?;
        let appended = match value {
            Value::Float(value) => transaction.append(series, at, *value),
            Value::Histogram { histogram, .. } => {
                histogram.validate().map_err(|error| format!("{labels}: {error}"))?;
                transaction.append_histogram(series, at, histogram.clone())
            }
        };
        appended.map_err(|error| StoreError::Sample { labels: labels.clone(), error }.to_string())?;
    }
    Ok(())
}

/// Times of samples with the times they count since.
fn starts(series: &LoadedSeries, step_ms: i64) -> impl Iterator<Item = (TimestampMs, TimestampMs)> + '_ {
    let offsets = series.start_offsets.iter().enumerate();
    offsets.filter_map(move |(index, offset)| {
        let at = time(index, step_ms)?;
        Some((at, TimestampMs(at.0.saturating_add((*offset)?))))
    })
}

/// The time of a position.
pub(crate) fn time(index: usize, step_ms: i64) -> Option<TimestampMs> {
    i64::try_from(index).ok()?.checked_mul(step_ms).map(TimestampMs)
}
