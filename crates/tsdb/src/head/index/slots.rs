//! A set of slots: the postings of one label pair.
//!
//! Most pairs belong to few series and are plain lists. Those of many are bitmaps, cut in stretches of 65,536 slots that
//! are lists or bits themselves, whichever is less: two bytes a slot at most, and an eighth of a byte where all series have
//! the pair. So a slot that is used again finds its place in the middle without moving much.

use roaring::RoaringBitmap;

pub(in crate::head) enum Slots {
    One(u32),
    /// At most [`FEW`], rising.
    Few(Vec<u32>),
    Many(Box<RoaringBitmap>),
}

impl Slots {
    pub(super) const NONE: Self = Self::Few(Vec::new());

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Few(slots) if slots.is_empty())
    }

    pub(in crate::head) fn len(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Few(slots) => slots.len() as u64,
            Self::Many(slots) => slots.len(),
        }
    }

    /// Adds a slot that is not in it.
    pub(super) fn insert(&mut self, slot: u32) {
        match self {
            Self::One(first) => *self = Self::Few(vec![slot.min(*first), slot.max(*first)]),
            Self::Few(slots) if slots.is_empty() => *self = Self::One(slot),
            Self::Few(slots) if slots.len() < FEW => {
                let place = match slots.last() {
                    Some(last) if *last > slot => slots.partition_point(|other| *other < slot),
                    _ => slots.len(),
                };
                // Fifteen of these per series: growing by a quarter wastes an eighth on average, doubling a third.
                if slots.len() == slots.capacity() {
                    slots.reserve_exact(slots.len() / 4 + 2);
                }
                slots.insert(place, slot);
            }
            Self::Few(slots) => {
                let mut many = RoaringBitmap::from_sorted_iter(slots.iter().copied()).expect("the list rises");
                many.insert(slot);
                *self = Self::Many(Box::new(many));
            }
            // Not `try_push`: it looks for the highest of a stretch of bits each time.
            Self::Many(slots) => {
                slots.insert(slot);
            }
        }
    }

    /// Takes out all slots of `gone`; whether none are left.
    pub(super) fn remove(&mut self, gone: &RoaringBitmap) -> bool {
        match self {
            Self::One(slot) => {
                if gone.contains(*slot) {
                    *self = Self::NONE;
                }
            }
            Self::Few(slots) => {
                slots.retain(|slot| !gone.contains(*slot));
                match slots[..] {
                    [] => *self = Self::NONE,
                    [slot] => *self = Self::One(slot),
                    _ if slots.len() < slots.capacity() / 2 => slots.shrink_to_fit(),
                    _ => {}
                }
            }
            Self::Many(slots) => {
                **slots -= gone;
                // Half of what made it many, so that a pair at the border does not go to and fro.
                if slots.len() <= FEW as u64 / 2 {
                    *self = Self::Few(slots.iter().collect());
                }
            }
        }
        self.is_empty()
    }

    /// Keeps those of `set` that are in here, too.
    pub(in crate::head) fn intersect(&self, set: &mut RoaringBitmap) {
        match self {
            Self::One(slot) => *set = std::iter::once(*slot).filter(|slot| set.contains(*slot)).collect(),
            Self::Few(slots) => {
                let common = slots.iter().copied().filter(|slot| set.contains(*slot));
                *set = RoaringBitmap::from_sorted_iter(common).expect("the list rises");
            }
            Self::Many(slots) => *set &= &**slots,
        }
    }

    pub(in crate::head) fn to_set(&self) -> RoaringBitmap {
        match self {
            Self::One(slot) => std::iter::once(*slot).collect(),
            Self::Few(slots) => RoaringBitmap::from_sorted_iter(slots.iter().copied()).expect("the list rises"),
            Self::Many(slots) => (**slots).clone(),
        }
    }
}

/// The union of many sets. Slots of short lists are collected and sorted in, a bitmap cannot take them one by one quickly.
#[derive(Default)]
pub(in crate::head) struct Union {
    set: RoaringBitmap,
    short: Vec<u32>,
}

impl Union {
    pub(in crate::head) fn add(&mut self, slots: &Slots) {
        match slots {
            Slots::One(slot) => self.short.push(*slot),
            Slots::Few(slots) => self.short.extend_from_slice(slots),
            Slots::Many(slots) => self.set |= &**slots,
        }
    }

    pub(in crate::head) fn finish(mut self) -> RoaringBitmap {
        self.short.sort_unstable();
        self.short.dedup();
        let short = RoaringBitmap::from_sorted_iter(self.short.iter().copied()).expect("it was sorted");
        self.set | short
    }
}

/// Up to so many slots a list is smaller than a bitmap, and quick enough.
const FEW: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Inserts (or removes) slots; clustered, so that lists become many and few again.
    fn steps() -> impl Strategy<Value = Vec<(bool, BTreeSet<u32>)>> {
        let slots = prop_oneof![
            prop::collection::btree_set(0u32..300, 0..100),
            prop::collection::btree_set(65_000u32..66_000, 0..100),
            prop::collection::btree_set(any::<u32>(), 0..5),
        ];
        prop::collection::vec((prop::bool::weighted(0.6), slots), 1..12)
    }

    proptest! {
        #[test]
        fn it_is_a_set(first in any::<u32>(), steps in steps(), other in prop::collection::btree_set(0u32..300, 0..200)) {
            let (mut slots, mut model) = (Slots::One(first), BTreeSet::from([first]));
            for (is_insert, some) in steps {
                if is_insert {
                    some.iter().filter(|slot| model.insert(**slot)).for_each(|slot| slots.insert(*slot));
                } else {
                    let gone: RoaringBitmap = some.iter().copied().collect();
                    model.retain(|slot| !some.contains(slot));
                    prop_assert_eq!(slots.remove(&gone), model.is_empty());
                }
                prop_assert_eq!(slots.len(), model.len() as u64);
                prop_assert_eq!(slots.is_empty(), model.is_empty());
                prop_assert!(slots.to_set().iter().eq(model.iter().copied()));
                let mut common: RoaringBitmap = other.iter().copied().collect();
                slots.intersect(&mut common);
                prop_assert!(common.iter().eq(model.intersection(&other).copied()));
                let mut union = Union::default();
                union.add(&slots);
                other.iter().for_each(|slot| union.add(&Slots::One(*slot)));
                union.add(&slots);
                prop_assert!(union.finish().iter().eq(model.union(&other).copied()));
            }
        }
    }
}
