//! Series that the target answers 500 to whatever else it takes: found once with much patience, known from then on.

use std::collections::HashSet;

/// Hashes of series. Bounded; a series is forgotten once the target takes a request with it.
#[derive(Default)]
pub(crate) struct Poison(HashSet<u32>);

impl Poison {
    pub(crate) fn add(&mut self, series: impl IntoIterator<Item = u32>) {
        for hash in series {
            if self.0.len() < SERIES_MAX {
                self.0.insert(hash);
            }
        }
    }

    pub(crate) fn holds(&self, series: u32) -> bool {
        self.0.contains(&series)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any of these sorted hashes is known.
    pub(crate) fn holds_any(&self, sorted: &[u32]) -> bool {
        self.0.iter().any(|hash| sorted.binary_search(hash).is_ok())
    }

    /// The target took these; their hashes are sorted.
    pub(crate) fn forget(&mut self, sorted: &[u32]) {
        self.0.retain(|hash| sorted.binary_search(hash).is_err());
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// How many are known at most.
const SERIES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_forgotten() {
        let mut poison = Poison::default();
        poison.add([5, 9]);
        assert!(poison.holds(9) && poison.holds_any(&[1, 5]) && !poison.holds_any(&[1, 4]));
        poison.forget(&[1, 5, 7]);
        assert!(!poison.holds(5) && poison.holds(9));
        poison.add(0..5000);
        assert_eq!(poison.0.len(), SERIES_MAX);
    }
}
