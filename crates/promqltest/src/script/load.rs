//! `load STEP` and `load_with_nhcb STEP`: series and, on lines with `@st`, when their samples started.

use std::collections::HashMap;

use model::Labels;

use super::{Lines, ScriptError};
use crate::series::{POSITIONS_MAX, Position, duration_ms, parse_series, parse_start_offsets};

/// The most positions of all series of one load.
const LOAD_POSITIONS_MAX: usize = 10 * POSITIONS_MAX;

/// Series to be stored.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Distance of the samples, the first of which is at 0.
    pub(crate) step_ms: i64,
    /// Classic histograms are stored as native ones, too.
    pub(crate) with_custom_buckets: bool,
    /// Label sets once.
    pub(crate) series: Vec<LoadedSeries>,
}

/// A series to be stored.
#[derive(Clone, Debug)]
pub(crate) struct LoadedSeries {
    pub(crate) labels: Labels,
    pub(crate) values: Vec<Position>,
    /// From each sample's time to the time it started, milliseconds; empty, or as long as `values`.
    pub(crate) start_offsets: Vec<Option<i64>>,
}

/// Offsets that wait for their series.
struct Pending {
    line: usize,
    labels: Labels,
    offsets: Vec<Option<i64>>,
}

pub(super) fn parse(text: &str, line: usize, lines: &mut Lines<'_>) -> Result<Load, ScriptError> {
    let error = |line, what: String| ScriptError { line, what };
    let (word, step) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let with_custom_buckets = match word {
        "load" => false,
        "load_with_nhcb" => true,
        _ => return Err(error(line, format!("no command: {word:?}; load[_with_nhcb] STEP"))),
    };
    let step_ms = duration_ms(step.trim()).map_err(|what| error(line, format!("the step: {what}")))?;
    let mut load = Load { step_ms, with_custom_buckets, series: Vec::new() };
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut pending: Option<Pending> = None;
    let mut positions = 0;
    while let Some((line, text)) = lines.take_of_block() {
        if let Some((metric, offsets)) = start_line(text) {
            if let Some(pending) = pending {
                return Err(error(pending.line, "no series follows the @st line".into()));
            }
            let (labels, _) = parse_series(metric).map_err(|what| error(line, what))?;
            let offsets = parse_start_offsets(offsets).map_err(|what| error(line, what))?;
            pending = Some(Pending { line, labels, offsets });
            continue;
        }
        let (labels, values) = parse_series(text).map_err(|what| error(line, what))?;
        positions += values.len();
        if positions > LOAD_POSITIONS_MAX {
            return Err(error(line, format!("one load has at most {LOAD_POSITIONS_MAX} positions")));
        }
        let start_offsets = match pending.take() {
            None => Vec::new(),
            Some(Pending { line, labels: other, .. }) if other != labels => {
                return Err(error(line, format!("the @st line is of {other}, the series after it of {labels}")));
            }
            Some(Pending { line, offsets, .. }) if offsets.len() != values.len() => {
                let (have, need) = (offsets.len(), values.len());
                return Err(error(line, format!("the @st line has {have} items, its series {need}")));
            }
            Some(Pending { offsets, .. }) => offsets,
        };
        // The last line of a series wins.
        let place = *places.entry(labels.clone()).or_insert(load.series.len());
        let series = LoadedSeries { labels, values, start_offsets };
        match load.series.get_mut(place) {
            Some(before) => *before = series,
            None => load.series.push(series),
        }
    }
    match pending {
        Some(pending) => Err(error(pending.line, "no series follows the @st line".into())),
        None => Ok(load),
    }
}

/// Metric and offsets of a line that says when samples started: its first word ends in `@st`.
fn start_line(text: &str) -> Option<(&str, &str)> {
    let (first, offsets) = text.split_once([' ', '\t'])?;
    Some((first.strip_suffix("@st")?, offsets))
}
