//! Names and values that series have, in order.
//!
//! A name's pairs come as series do. Whoever wants many of them sorted sorts them once, outside the lock, and leaves the order
//! behind ([`Index::unsorted`], [`Index::set_order`]); values that came since are a short tail.

use roaring::RoaringBitmap;

use super::{Index, Name};

/// A copy of a name's values, to be sorted without a lock.
pub(crate) struct Unsorted {
    name: u32,
    pairs: Vec<u32>,
    texts: String,
    ends: Vec<usize>,
    thinned: u64,
}

impl Index {
    /// Names of labels, sorted; `None` for all series.
    pub(crate) fn names_of(&self, slots: Option<&RoaringBitmap>) -> Vec<String> {
        let mut names: Vec<String> = match slots {
            None => self.all_names().map(str::to_owned).collect(),
            Some(slots) => {
                let mut ids: Vec<u32> = Vec::new();
                for slot in slots {
                    ids.extend(self.pairs_of(slot).iter().map(|pair| self.name_of(*pair)));
                    // Few names, many series: keep the list short on the way.
                    if ids.len() > 4096 {
                        ids.sort_unstable();
                        ids.dedup();
                    }
                }
                ids.sort_unstable();
                ids.dedup();
                ids.iter().map(|id| self.name_text(*id).to_owned()).collect()
            }
        };
        names.sort_unstable();
        names
    }

    /// Values of the label `name`, sorted; `None` for all series.
    pub(crate) fn values_of(&self, name: &str, slots: Option<&RoaringBitmap>) -> Vec<String> {
        let Some(id) = self.name_id(name) else { return Vec::new() };
        let pairs = match slots {
            None => self.sorted_pairs(id),
            Some(slots) => {
                let pair_of = |slot| self.pairs_of(slot).iter().find(|pair| self.name_of(**pair) == id);
                let mut pairs: Vec<u32> = slots.iter().filter_map(pair_of).copied().collect();
                pairs.sort_unstable();
                pairs.dedup();
                pairs.sort_unstable_by(|left, right| self.value_of(*left).cmp(self.value_of(*right)));
                pairs
            }
        };
        // Pairs that the last series has left are still here for a moment.
        let has_series = |pair: &u32| !self.pair_at(*pair).postings.is_empty();
        pairs.into_iter().filter(has_series).map(|pair| self.value_of(pair).to_owned()).collect()
    }

    /// Number of values of a name.
    pub(crate) fn value_count(&self, name: &str) -> usize {
        self.name_id(name).map_or(0, |id| self.names[id as usize].pairs.len())
    }

    /// The pairs of a name.
    pub(crate) fn pairs_of_name(&self, name: &str) -> &[u32] {
        self.name_id(name).map_or(&[], |id| &self.names[id as usize].pairs)
    }

    /// The pairs of a name whose values may begin with `prefix`, in no order.
    pub(crate) fn pairs_with_prefix(&self, name: &str, prefix: &str) -> impl Iterator<Item = u32> + use<'_> {
        let (sorted, tail) = self.name_id(name).map_or((&[][..], &[][..]), |id| self.parts_of(id));
        let first = sorted.partition_point(|pair| self.value_of(*pair) < prefix);
        let length = sorted[first..].partition_point(|pair| self.value_of(*pair).starts_with(prefix));
        sorted[first..first + length].iter().chain(tail).copied()
    }

    /// The values of a name, if sorting them would save much: there are many, and a good part of them are in no order.
    pub(crate) fn unsorted(&self, name: &str) -> Option<Unsorted> {
        let id = self.name_id(name)?;
        let (sorted, tail) = self.parts_of(id);
        if tail.len() <= UNSORTED_MIN.max(sorted.len() / UNSORTED_SHARE) {
            return None;
        }
        Some(self.copy_of(id))
    }

    pub(super) fn copy_of(&self, name: u32) -> Unsorted {
        let pairs = self.names[name as usize].pairs.clone();
        let mut copy = Unsorted { name, texts: String::new(), ends: Vec::new(), thinned: self.thinned, pairs };
        for pair in &copy.pairs {
            copy.texts.push_str(self.value_of(*pair));
            copy.ends.push(copy.texts.len());
        }
        copy
    }

    /// Keeps the order of values, unless some have gone meanwhile.
    pub(crate) fn set_order(&mut self, sorted: Unsorted) {
        if self.thinned == sorted.thinned {
            self.names[sorted.name as usize].sorted = sorted.pairs;
        }
    }

    /// The pairs of a name in order of their values, as far as they were sorted, and the others.
    fn parts_of(&self, name: u32) -> (&[u32], &[u32]) {
        let Name { pairs, sorted, .. } = &self.names[name as usize];
        (sorted, &pairs[sorted.len()..])
    }

    /// The pairs of a name in order of their values.
    fn sorted_pairs(&self, name: u32) -> Vec<u32> {
        let (sorted, tail) = self.parts_of(name);
        let mut tail: Vec<(&str, u32)> = tail.iter().map(|pair| (self.value_of(*pair), *pair)).collect();
        tail.sort_unstable();
        let mut all = Vec::with_capacity(sorted.len() + tail.len());
        let mut rest = sorted;
        for (value, pair) in tail {
            let before = rest.partition_point(|other| self.value_of(*other) < value);
            all.extend_from_slice(&rest[..before]);
            all.push(pair);
            rest = &rest[before..];
        }
        all.extend_from_slice(rest);
        all
    }
}

impl Unsorted {
    pub(crate) fn sort(mut self) -> Self {
        let text = |index: usize| {
            let start = if index == 0 { 0 } else { self.ends[index - 1] };
            &self.texts[start..self.ends[index]]
        };
        let mut order: Vec<(&str, u32)> =
            self.pairs.iter().enumerate().map(|(index, pair)| (text(index), *pair)).collect();
        order.sort_unstable();
        self.pairs = order.into_iter().map(|(_, pair)| pair).collect();
        self
    }
}

/// So few values are looked at one by one.
const UNSORTED_MIN: usize = 256;
/// One part in so many may be in no order.
const UNSORTED_SHARE: usize = 8;
