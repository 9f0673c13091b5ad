//! The head as a part of its database: in-order and out-of-order samples of a series together.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{LabelsBuilder, Matcher};
use roaring::RoaringBitmap;
use storage::{QueryError, SelectHints, TimeRange};

use super::projection::Projection;
use super::{Chunk as MemChunk, Generation, matching};
use crate::committer::Shared;
use crate::ooo::OooView;
use crate::part::{Chunk, Part, PartSeries, SeriesSource, Want};

/// See the module's text.
#[derive(Clone)]
pub(crate) struct HeadPart {
    shared: Arc<Shared>,
    /// From before slots are looked up, and before the list of blocks is taken.
    _generation: Arc<Generation>,
    /// `None` for samples in order alone.
    ooo: Option<OooView>,
}

impl HeadPart {
    /// What is in memory from now on. Must be made before the list of blocks is looked at: samples move from here to
    /// there.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let part = Self::in_order(shared);
        Self { ooo: Some(shared.ooo.view()), ..part }
    }

    /// The same without samples out of order.
    pub(crate) fn in_order(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), _generation: shared.head.generation(), ooo: None }
    }

    /// Samples out of order, if there are some in `range`.
    fn late(&self, range: TimeRange) -> Option<&OooView> {
        self.ooo.as_ref().filter(|ooo| ooo.overlaps(range))
    }

    /// Slots of the series that meet all matchers.
    fn matching(&self, matchers: &[Matcher]) -> RoaringBitmap {
        let by_prefix = |matcher: &&Matcher| matcher.prefix().is_some() && matcher.set_matches().is_none();
        matchers.iter().filter(by_prefix).for_each(|matcher| self.order(matcher.name()));
        matching(&mut self.shared.head.index.read(), matchers)
    }

    /// The same; `None` for all series.
    fn narrowed(&self, matchers: &[Matcher]) -> Option<RoaringBitmap> {
        (!matchers.is_empty()).then(|| self.matching(matchers))
    }

    /// The series that meet all matchers and have something in the range, with the labels of the projection.
    fn series(&self, matchers: &[Matcher], range: TimeRange, want: Want, projection: Projection) -> HeadSeries {
        let mut slots: Vec<u32> = self.matching(matchers).into_iter().collect();
        self.shared.head.index.read().sort_by_labels(&mut slots);
        self.walk(slots, range, want, projection)
    }

    fn walk(&self, slots: Vec<u32>, range: TimeRange, want: Want, projection: Projection) -> HeadSeries {
        let (slots, late) = (slots.into_iter(), self.late(range).cloned());
        let (builder, copied) = (LabelsBuilder::default(), VecDeque::new());
        HeadSeries { part: self.clone(), slots, range, want, late, projection, builder, copied, at_once: 1 }
    }

    /// Sees to it that most values of a name are in order, if there are many. Sorts without a lock.
    fn order(&self, name: &str) {
        let index = &self.shared.head.index;
        let unsorted = index.read().unsorted(name);
        if let Some(unsorted) = unsorted {
            let sorted = unsorted.sort();
            index.write().set_order(sorted);
        }
    }
}

impl Part for HeadPart {
    fn overlaps(&self, range: TimeRange) -> bool {
        self.shared.head.overlaps(range) || self.late(range).is_some()
    }

    fn select(&self, matchers: &[Matcher], range: TimeRange, want: Want) -> Result<Box<dyn SeriesSource>, QueryError> {
        Ok(Box::new(self.series(matchers, range, want, Projection::default())))
    }

    fn select_only(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        want: Want,
        hints: &SelectHints,
    ) -> Result<Box<dyn SeriesSource>, QueryError> {
        let mut projection = hints.labels.as_ref().map_or_else(Projection::default, Projection::of);
        if !hints.any_order {
            return Ok(Box::new(self.series(matchers, range, want, projection)));
        }
        let mut slots: Vec<u32> = self.matching(matchers).into_iter().collect();
        projection.group(&self.shared.head.index.read(), &mut slots);
        Ok(Box::new(self.walk(slots, range, want, projection)))
    }

    fn may_have_label(&self, name: &str) -> bool {
        self.shared.head.index.read().name_id(name).is_some()
    }

    fn label_names(&self, matchers: &[Matcher], _range: TimeRange) -> Result<Vec<String>, QueryError> {
        let slots = self.narrowed(matchers);
        Ok(self.shared.head.index.read().names_of(slots.as_ref()))
    }

    fn label_values(&self, name: &str, matchers: &[Matcher], _range: TimeRange) -> Result<Vec<String>, QueryError> {
        let slots = self.narrowed(matchers);
        if slots.is_none() {
            self.order(name);
        }
        Ok(self.shared.head.index.read().values_of(name, slots.as_ref()))
    }
}

/// Series of a selection, copied out of the head some at a time.
struct HeadSeries {
    part: HeadPart,
    slots: std::vec::IntoIter<u32>,
    range: TimeRange,
    want: Want,
    /// Out-of-order samples, if there were some of the range when the series were selected.
    late: Option<OooView>,
    projection: Projection,
    builder: LabelsBuilder,
    /// What comes next.
    copied: VecDeque<PartSeries>,
    at_once: usize,
}

impl SeriesSource for HeadSeries {
    fn next(&mut self) -> Result<Option<PartSeries>, QueryError> {
        while self.copied.is_empty() && self.slots.len() > 0 {
            self.copy_some();
        }
        Ok(self.copied.pop_front())
    }

    fn remaining(&self) -> Option<usize> {
        Some(self.copied.len() + self.slots.len())
    }
}

impl HeadSeries {
    /// Copies the next series, those of them that have something in the range: their chunks first, then all labels under one
    /// lock. One series at first, since some want no more.
    fn copy_some(&mut self) {
        let Self { part, slots, range, want, late, projection, builder, copied, at_once } = self;
        let head = &part.shared.head;
        let mut looked_at: Vec<(u32, bool, Vec<Chunk>)> = Vec::with_capacity(*at_once);
        head.read_each(slots.by_ref().take(*at_once), |slot, series| {
            let chunks: Vec<Chunk> = match want {
                Want::Labels => Vec::new(),
                Want::Samples => series.chunks(*range).into_iter().map(Chunk::from).collect(),
                Want::Newest => series.newest_chunk(*range).into_iter().map(Chunk::from).collect(),
            };
            let is_found = !chunks.is_empty() || *want == Want::Labels && series.has_chunks(*range);
            looked_at.push((slot, is_found, chunks));
        });
        if let Some(late) = late {
            for (slot, is_found, chunks) in &mut looked_at {
                match want {
                    Want::Labels => *is_found |= late.has_chunks(*slot, *range),
                    Want::Samples | Want::Newest => {
                        late.chunks(*slot, *range, chunks);
                        *is_found |= !chunks.is_empty();
                    }
                }
            }
        }
        let index = head.index.read();
        projection.begin(&index);
        let found = looked_at.into_iter().filter(|(_, is_found, _)| *is_found);
        let labelled = |(slot, _, chunks)| PartSeries { labels: projection.labels(&index, slot, builder), chunks };
        copied.extend(found.map(labelled));
        *at_once = (*at_once * 2).min(COPIED_AT_ONCE);
    }
}

/// Few enough that their chunks stay small beside the answer, and a writer of the index does not wait long.
const COPIED_AT_ONCE: usize = 64;

impl From<MemChunk> for Chunk {
    fn from(chunk: MemChunk) -> Self {
        let MemChunk { start, end, data } = chunk;
        Self { start, end, data, deleted: None }
    }
}
