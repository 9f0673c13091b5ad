//! Exemplars: a ring of the newest ones, over all series.

use std::collections::VecDeque;

use hashbrown::HashMap;
use model::{Exemplar, TimestampMs};
use storage::TimeRange;

/// What is to be done with an exemplar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Add,
    /// It is there already.
    Known,
    /// The series has a newer one, of this time.
    OutOfOrder {
        newest: TimestampMs,
    },
}

/// Invariant: a series' list holds the numbers of its entries in the ring, rising; entry *n* is at `n - first`.
pub(crate) struct ExemplarRing {
    entries: VecDeque<(u32, Exemplar)>,
    /// The number of the oldest entry.
    first: u64,
    by_series: HashMap<u32, VecDeque<u64>>,
    limit: usize,
}

impl ExemplarRing {
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), first: 0, by_series: HashMap::new(), limit }
    }

    /// Judges an exemplar for a series that has, newest first, those of `waiting` and those stored.
    pub(crate) fn judge<'a>(
        &'a self,
        slot: u32,
        exemplar: &Exemplar,
        waiting: impl Iterator<Item = &'a Exemplar>,
    ) -> Verdict {
        let numbers = self.by_series.get(&slot).into_iter().flatten().rev();
        let stored = numbers.map(|number| &self.entries[(number - self.first) as usize].1);
        let mut newest = None;
        for other in waiting.chain(stored) {
            let newest = *newest.get_or_insert(other.timestamp);
            if other.timestamp < exemplar.timestamp {
                return if newest > exemplar.timestamp { Verdict::OutOfOrder { newest } } else { Verdict::Add };
            }
            if same(other, exemplar) {
                return Verdict::Known;
            }
        }
        match newest {
            Some(newest) if newest > exemplar.timestamp => Verdict::OutOfOrder { newest },
            _ => Verdict::Add,
        }
    }

    /// Whether the series has exemplars here.
    pub(crate) fn has_series(&self, slot: u32) -> bool {
        self.by_series.contains_key(&slot)
    }

    pub(crate) fn add(&mut self, slot: u32, exemplar: Exemplar) {
        if self.limit == 0 {
            return;
        }
        if self.entries.len() == self.limit {
            self.forget_oldest();
        }
        let number = self.first + self.entries.len() as u64;
        self.entries.push_back((slot, exemplar));
        self.by_series.entry(slot).or_default().push_back(number);
    }

    /// All exemplars with their series' slots, oldest first.
    pub(crate) fn all(&self) -> Vec<(u32, Exemplar)> {
        self.entries.iter().cloned().collect()
    }

    /// The exemplars of a series in `range`, oldest first.
    pub(crate) fn of(&self, slot: u32, range: TimeRange) -> Vec<Exemplar> {
        let numbers = self.by_series.get(&slot).into_iter().flatten();
        let exemplars = numbers.map(|number| &self.entries[(number - self.first) as usize].1);
        exemplars.filter(|exemplar| range.contains(exemplar.timestamp)).cloned().collect()
    }

    fn forget_oldest(&mut self) {
        let (slot, _) = self.entries.pop_front().expect("the ring is full");
        self.first += 1;
        let numbers = self.by_series.get_mut(&slot).expect("every entry is in its series' list");
        numbers.pop_front();
        if numbers.is_empty() {
            self.by_series.remove(&slot);
        }
    }
}

fn same(left: &Exemplar, right: &Exemplar) -> bool {
    left.timestamp == right.timestamp && left.value.to_bits() == right.value.to_bits() && left.labels == right.labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exemplar(at: i64, value: f64) -> Exemplar {
        Exemplar { labels: model::Labels::empty(), timestamp: TimestampMs(at), value }
    }

    fn judge(ring: &ExemplarRing, slot: u32, exemplar: &Exemplar) -> Verdict {
        ring.judge(slot, exemplar, std::iter::empty())
    }

    #[test]
    fn what_is_taken() {
        let mut ring = ExemplarRing::new(10);
        ring.add(1, exemplar(10, 1.0));
        ring.add(1, exemplar(20, 2.0));
        ring.add(1, exemplar(20, 3.0));
        let newest = TimestampMs(20);
        let table = [
            (exemplar(30, 0.0), Verdict::Add),
            (exemplar(20, 4.0), Verdict::Add),
            (exemplar(20, 2.0), Verdict::Known),
            (exemplar(10, 1.0), Verdict::Known),
            (exemplar(10, 2.0), Verdict::OutOfOrder { newest }),
            (exemplar(5, 2.0), Verdict::OutOfOrder { newest }),
        ];
        for (exemplar, verdict) in table {
            assert_eq!(judge(&ring, 1, &exemplar), verdict, "{exemplar:?}");
        }
        assert_eq!(judge(&ring, 2, &exemplar(5, 2.0)), Verdict::Add, "another series");
        let waiting = [exemplar(40, 1.0)];
        let verdict = ring.judge(1, &exemplar(30, 1.0), waiting.iter());
        assert_eq!(verdict, Verdict::OutOfOrder { newest: TimestampMs(40) });
    }

    #[test]
    fn the_oldest_make_room() {
        let mut ring = ExemplarRing::new(3);
        for at in 0..5 {
            ring.add(u32::from(at % 2 == 0), exemplar(at, 0.0));
        }
        let times =
            |slot| ring.of(slot, TimeRange::ALL).iter().map(|exemplar| exemplar.timestamp.0).collect::<Vec<_>>();
        assert_eq!((times(0), times(1)), (vec![3], vec![2, 4]));
        let mut none = ExemplarRing::new(0);
        none.add(1, exemplar(1, 1.0));
        assert!(none.of(1, TimeRange::ALL).is_empty());
    }
}
