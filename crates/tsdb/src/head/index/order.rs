//! Series in order of their labels, values of a name in their own.

use std::ops::Range;

use super::Index;

impl Index {
    /// Sorts slots by the labels of their series, as Prometheus orders label sets.
    ///
    /// Comparing two series looks at texts all over memory, and most labels of most series are the same. So series are put in
    /// piles by their first pairs, which are numbers; only the piles are sorted by text; then each pile by the next pairs.
    pub(crate) fn sort_by_labels(&self, slots: &mut [u32]) {
        let mut keys: Vec<u64> = Vec::new();
        let mut piles: Vec<Pile<'_>> = Vec::new();
        // Ranges of `slots` whose series agree in their pairs before a place.
        let mut open = vec![(0..slots.len(), 0)];
        while let Some((range, mut place)) = open.pop() {
            let slots = &mut slots[range.clone()];
            if slots.len() < PILES_MIN {
                slots.sort_unstable_by(|left, right| self.compare(*left, *right));
                continue;
            }
            let Some(first) = slots.first().map(|slot| self.lists.get(*slot)) else { continue };
            // How long do all agree?
            let agree = |length: usize, slot: &u32| {
                let other = self.lists.get(*slot).get(place..).unwrap_or_default();
                first[place..].iter().zip(other).take(length).take_while(|(left, right)| left == right).count()
            };
            place += slots.iter().fold(first.len() - place, agree);
            keys.clear();
            keys.extend(slots.iter().map(|slot| {
                // Without another pair: before all that have one.
                let pair = self.lists.get(*slot).get(place).map_or(0, |pair| u64::from(*pair) + 1);
                pair << 32 | u64::from(*slot)
            }));
            keys.sort_unstable();
            let mut start = 0;
            for pile in keys.chunk_by(|left, right| left >> 32 == right >> 32) {
                let text = (pile[0] >> 32).checked_sub(1).map(|pair| self.pair_text(pair as u32));
                piles.push((text, start..start + pile.len()));
                start += pile.len();
            }
            piles.sort_unstable_by(|left, right| left.0.cmp(&right.0));
            start = 0;
            for (text, pile) in piles.drain(..) {
                let end = start + pile.len();
                slots[start..end].iter_mut().zip(&keys[pile]).for_each(|(slot, key)| *slot = *key as u32);
                if end - start > 1 && text.is_some() {
                    open.push((range.start + start..range.start + end, place + 1));
                }
                start = end;
            }
        }
    }
}

/// The label that series have, if they have one more, and where they stand in a list.
type Pile<'i> = (Option<(&'i str, &'i str)>, Range<usize>);

/// Fewer series are compared one with the other.
const PILES_MIN: usize = 16;
