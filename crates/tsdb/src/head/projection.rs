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
    /// The numbers of those names that series have.
    ids: Vec<u32>,
    /// The last label set, and the pairs that it has.
    last: Option<(Vec<u32>, Labels)>,
    pairs: Vec<u32>,
}

impl Projection {
    pub(super) fn of(names: Arc<[String]>) -> Self {
        Self { names: Some(names), ..Self::default() }
    }

    /// To be called whenever the index has been locked.
    pub(super) fn begin(&mut self, index: &Index) {
        if let Some(names) = &self.names {
            self.ids.clear();
            self.ids.extend(names.iter().filter_map(|name| index.name_id(name)));
        }
    }

    /// The labels of the series in this slot.
    pub(super) fn labels(&mut self, index: &Index, slot: u32, builder: &mut LabelsBuilder) -> Labels {
        if self.names.is_none() {
            return index.labels(slot, builder);
        }
        self.pairs.clear();
        self.pairs.extend(index.pairs_of(slot).iter().filter(|pair| self.ids.contains(&index.name_of(**pair))));
        match &self.last {
            Some((pairs, labels)) if *pairs == self.pairs => labels.clone(),
            _ => {
                let labels = index.labels_of(&self.pairs, builder);
                self.last = Some((self.pairs.clone(), labels.clone()));
                labels
            }
        }
    }
}
