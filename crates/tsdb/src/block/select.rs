//! Which series of a block meet a selector's matchers.
//!
//! An absent label has the empty value. So a matcher that the empty value meets cannot be answered from postings alone:
//! it takes away the series whose value does not meet it, and leaves those without the label.

use std::collections::BTreeSet;

use model::{MatchOp, Matcher};
use tsdb_format::block::CorruptBlock;
use tsdb_format::block::index::{BlockSeriesRef, Index};

use super::loaded::Loaded;
use bytes::Bytes;

/// Series in rising order, and what their labels still have to meet.
pub(super) struct Selection {
    pub(super) series: Vec<BlockSeriesRef>,
    /// Matchers that are cheaper to ask for each of these series than for each value of their label.
    pub(super) rest: Vec<Matcher>,
}

/// The series that meet all matchers.
pub(super) fn matching(loaded: &Loaded, matchers: &[Matcher]) -> Result<Selection, CorruptBlock> {
    let index = &loaded.index;
    let mut series: Option<Vec<BlockSeriesRef>> = None;
    let mut rest = Vec::new();
    for matcher in matchers {
        if matcher.op() == MatchOp::Equal && !matcher.value().is_empty() {
            let list: Vec<BlockSeriesRef> =
                index.postings(matcher.name(), matcher.value())?.map_or(Vec::new(), |list| list.iter().collect());
            series = Some(match series {
                None => list,
                Some(series) => series.into_iter().filter(|series| list.binary_search(series).is_ok()).collect(),
            });
        } else {
            rest.push(matcher.clone());
        }
    }
    let series = match series {
        Some(series) => series,
        None => index.all_postings()?.iter().collect(),
    };
    Ok(Selection { series, rest })
}

pub(super) fn label_names(loaded: &Loaded, matchers: &[Matcher]) -> Result<Vec<String>, CorruptBlock> {
    let index: &Index<Bytes> = &loaded.index;
    if matchers.is_empty() {
        return Ok(index.label_names().map(str::to_owned).collect());
    }
    let selection = matching(loaded, matchers)?;
    let mut names = BTreeSet::new();
    for series in selection.series {
        let labels = index.labels(series)?;
        if selection.rest.iter().all(|matcher| matcher.matches_labels(&labels)) {
            names.extend(labels.iter().map(|(name, _)| name.to_owned()));
        }
    }
    Ok(names.into_iter().collect())
}

pub(super) fn label_values(loaded: &Loaded, name: &str, matchers: &[Matcher]) -> Result<Vec<String>, CorruptBlock> {
    let index: &Index<Bytes> = &loaded.index;
    if matchers.is_empty() {
        return Ok(index.label_values(name).map(|(value, _)| value.to_owned()).collect());
    }
    let selection = matching(loaded, matchers)?;
    let mut values = BTreeSet::new();
    for series in selection.series {
        let labels = index.labels(series)?;
        if selection.rest.iter().all(|matcher| matcher.matches_labels(&labels)) {
            values.extend(labels.get(name).map(str::to_owned));
        }
    }
    Ok(values.into_iter().collect())
}
