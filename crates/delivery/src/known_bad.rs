//! Series that the target does not take: found once with many requests or much patience, known from then on.
//!
//! A series that is bad is mostly bad in every request that follows. Knowing it saves the search; nothing is refused for
//! being known.

use std::collections::HashSet;

/// Hashes of series. Bounded; a series is forgotten once the target takes a request with it.
#[derive(Default)]
pub(crate) struct KnownSeries(HashSet<u32>);

impl KnownSeries {
    pub(crate) fn add(&mut self, series: u32) {
        if self.0.len() < SERIES_MAX {
            self.0.insert(series);
        }
    }

    pub(crate) fn holds(&self, series: u32) -> bool {
        self.0.contains(&series)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any of these hashes is known.
    pub(crate) fn holds_any(&self, series: &[u32]) -> bool {
        !self.is_empty() && series.iter().any(|hash| self.0.contains(hash))
    }

    /// The target took these.
    pub(crate) fn forget(&mut self, series: &[u32]) {
        if !self.is_empty() {
            for hash in series {
                self.0.remove(hash);
            }
        }
    }
}

/// Series by what becomes of them.
#[derive(Default)]
pub(crate) struct KnownBad {
    /// Refused (400 and its like).
    pub(crate) refused: KnownSeries,
    /// Answered 500.
    pub(crate) poison: KnownSeries,
}

impl KnownBad {
    pub(crate) fn is_empty(&self) -> bool {
        self.refused.is_empty() && self.poison.is_empty()
    }

    /// The target took these.
    pub(crate) fn forget(&mut self, series: &[u32]) {
        self.refused.forget(series);
        self.poison.forget(series);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// How many are known at most.
const SERIES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_forgotten() {
        let mut known = KnownSeries::default();
        [5, 9].into_iter().for_each(|series| known.add(series));
        assert!(known.holds(9) && known.holds_any(&[5, 1]) && !known.holds_any(&[4, 1]));
        known.forget(&[7, 1, 5]);
        assert!(!known.holds(5) && known.holds(9));
        (0..5000).for_each(|series| known.add(series));
        assert_eq!(known.0.len(), SERIES_MAX);
    }
}
