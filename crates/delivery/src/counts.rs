//! Arithmetic on counts.

use spool::Counts;

/// `left` without `right`, each kind at least 0.
pub(crate) fn less(left: Counts, right: Counts) -> Counts {
    Counts {
        samples: left.samples.saturating_sub(right.samples),
        histograms: left.histograms.saturating_sub(right.histograms),
        exemplars: left.exemplars.saturating_sub(right.exemplars),
    }
}

/// All kinds together.
pub(crate) fn total(counts: Counts) -> u64 {
    counts.samples + counts.histograms + counts.exemplars
}

pub(crate) fn is_none(counts: Counts) -> bool {
    counts == Counts::default()
}
