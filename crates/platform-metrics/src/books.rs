//! What of every count is already in a sample.
//!
//! Counters of `quota` only grow. A minute's sample holds what a counter grew by since the last sample that is known to be
//! stored; only then is that booked. So a count that could not be written is in the next sample, and none is in two.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Booked counts of quotas by identity.
#[derive(Debug)]
pub(crate) struct Books<K, Q> {
    booked: HashMap<K, Book<Q>>,
}

#[derive(Debug)]
struct Book<Q> {
    /// Whose counts they are. A quota made anew after it was forgotten counts from zero.
    quota: Arc<Q>,
    counts: HashMap<u16, u64>,
    round: u64,
}

impl<K, Q> Default for Books<K, Q> {
    fn default() -> Self {
        Self { booked: HashMap::new() }
    }
}

impl<K: Eq + Hash + Clone, Q> Books<K, Q> {
    /// Opens the book of a quota for this round.
    pub(crate) fn open(&mut self, key: &K, quota: &Arc<Q>, round: u64) {
        let new = || Book { quota: Arc::clone(quota), counts: HashMap::new(), round };
        let book = self.booked.entry(key.clone()).or_insert_with(new);
        if !Arc::ptr_eq(&book.quota, quota) {
            *book = new();
        }
        book.round = round;
    }

    /// What a counter grew by since it was last booked, and whether it ever was.
    pub(crate) fn growth(&self, key: &K, counter: u16, total: u64) -> u64 {
        let booked = self.booked.get(key).and_then(|book| book.counts.get(&counter));
        total.saturating_sub(booked.copied().unwrap_or(0))
    }

    /// Books growth that is stored.
    pub(crate) fn book(&mut self, key: &K, counter: u16, growth: u64) {
        if let Some(book) = self.booked.get_mut(key) {
            *book.counts.entry(counter).or_default() += growth;
        }
    }

    /// Forgets quotas that were not opened in this round: their resources are gone.
    pub(crate) fn close_others(&mut self, round: u64) {
        self.booked.retain(|_, book| book.round == round);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_booked_once() {
        let (mut books, quota) = (Books::default(), Arc::new(()));
        books.open(&"a", &quota, 1);
        assert_eq!(books.growth(&"a", 7, 10), 10);
        assert_eq!(books.growth(&"a", 7, 12), 12);
        books.book(&"a", 7, 10);
        assert_eq!(books.growth(&"a", 7, 12), 2);
        assert_eq!(books.growth(&"a", 8, 1), 1);
    }

    #[test]
    fn a_quota_made_anew_counts_from_zero() {
        let (mut books, quota) = (Books::default(), Arc::new(()));
        books.open(&"a", &quota, 1);
        books.book(&"a", 7, 10);
        books.open(&"a", &Arc::new(()), 2);
        assert_eq!(books.growth(&"a", 7, 3), 3);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let (mut books, quota) = (Books::default(), Arc::new(()));
        books.open(&"a", &quota, 1);
        books.open(&"b", &quota, 1);
        books.open(&"b", &quota, 2);
        books.close_others(2);
        assert_eq!(books.booked.len(), 1);
    }
}
