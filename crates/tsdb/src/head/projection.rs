//! The labels of a series that somebody looks at: all, or those of a few names.
//!
//! Series that come one after the other often agree in these few, and then share one label set.

use std::sync::Arc;

use model::{Labels, LabelsBuilder};

use super::Index;

/// See the module's text. Holders have a generation from before, so that pairs stay what they are.
#[derive(Default)]
pub(super) struct Projection {
    /// Sorted; `None` for all labels.
    names: Option<Arc<[String]>>,
    /// Those of the names that series have.
    wanted: Vec<Wanted>,
    /// The last label set, and the pairs that it has.
    last: Option<(Vec<u32>, Labels)>,
    pairs: Vec<u32>,
}

/// A name of the projection.
struct Wanted {
    name: u32,
    /// Where the last series had it among its labels: series of one kind have it at one place.
    place: usize,
}

impl Projection {
    pub(super) fn of(names: &Arc<[String]>) -> Self {
        Self { names: Some(Arc::clone(names)), ..Self::default() }
    }

    /// To be called whenever the index has been locked.
    pub(super) fn begin(&mut self, index: &Index) {
        if let Some(names) = &self.names {
            let known = names.iter().filter_map(|name| index.name_id(name));
            self.wanted.clear();
            self.wanted.extend(known.map(|name| Wanted { name, place: 0 }));
        }
    }

    /// The labels of the series in this slot.
    pub(super) fn labels(&mut self, index: &Index, slot: u32, builder: &mut LabelsBuilder) -> Labels {
        if self.names.is_none() {
            return index.labels(slot, builder);
        }
        let Self { wanted, pairs, .. } = self;
        let all = index.pairs_of(slot);
        pairs.clear();
        pairs.extend(wanted.iter_mut().filter_map(|wanted| wanted.pair(index, all)));
        match &self.last {
            Some((pairs, labels)) if *pairs == self.pairs => labels.clone(),
            _ => {
                let labels = index.labels_of(&self.pairs, builder);
                self.last = Some((self.pairs.clone(), labels.clone()));
                labels
            }
        }
    }

    /// Puts series together that agree in the first name, the rest as they lie in memory.
    pub(super) fn group(&mut self, index: &Index, slots: &mut [u32]) {
        self.begin(index);
        let Some(first) = self.wanted.first_mut() else { return };
        let key = |slot: &u32| {
            let pair = first.pair(index, index.pairs_of(*slot));
            u64::from(pair.unwrap_or(u32::MAX)) << 32 | u64::from(*slot)
        };
        let mut keys: Vec<u64> = slots.iter().map(key).collect();
        keys.sort_unstable();
        slots.iter_mut().zip(keys).for_each(|(slot, key)| *slot = key as u32);
    }
}

impl Wanted {
    /// The pair of this name among those of a series.
    fn pair(&mut self, index: &Index, all: &[u32]) -> Option<u32> {
        let is_it = |pair: u32| index.name_of(pair) == self.name;
        if let Some(pair) = all.get(self.place).copied().filter(|pair| is_it(*pair)) {
            return Some(pair);
        }
        self.place = all.iter().position(|pair| is_it(*pair))?;
        Some(all[self.place])
    }
}
