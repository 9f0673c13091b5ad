//! Series of several parts as one: by labels ([`SeriesMerge`]), and their samples by time ([`samples`]).
//!
//! What a query shows and what compaction keeps is decided here, once: parts are listed in the order in which they took
//! their samples, and of several samples at one time the first one counts.
//!
//! Not here: which parts there are (`querier`, `compaction`), and what becomes of the samples.

mod decode;
mod samples;

use std::cmp::Ordering;

use storage::QueryError;

pub(crate) use decode::decode;
use decode::decode_onto;
pub(crate) use samples::{Witness, samples};

use crate::part::{Chunk, PartSeries, SeriesSource};

/// Series of several sources, in order of labels, each once: its chunks are those of all sources that have it, in the
/// sources' order. Holds one series of each source.
pub(crate) struct SeriesMerge<C = Chunk> {
    members: Vec<Member<C>>,
    /// Members that have the series which comes next.
    least: Vec<usize>,
}

struct Member<C> {
    source: Box<dyn SeriesSource<C>>,
    /// Its next series; `None` once it has ended.
    next: Option<PartSeries<C>>,
}

impl<C> SeriesMerge<C> {
    /// A merge of `sources`, the first of which counts where their samples differ.
    ///
    /// # Errors
    /// When the first series of a source cannot be read.
    pub(crate) fn new(sources: Vec<Box<dyn SeriesSource<C>>>) -> Result<Self, QueryError> {
        let mut members = Vec::with_capacity(sources.len());
        for mut source in sources {
            let next = source.next()?;
            if next.is_some() {
                members.push(Member { source, next });
            }
        }
        Ok(Self { members, least: Vec::new() })
    }

    /// Finds the members that have the least labels. One pass: in most merges most parts have most series, and then each
    /// comparison ends at the first look.
    fn find_least(&mut self) {
        self.least.clear();
        for (index, member) in self.members.iter().enumerate() {
            let Some(series) = &member.next else { continue };
            let order = match self.least.first().and_then(|least| self.members[*least].next.as_ref()) {
                Some(least) if series.labels == least.labels => Ordering::Equal,
                Some(least) => series.labels.cmp(&least.labels),
                None => Ordering::Less,
            };
            if order == Ordering::Less {
                self.least.clear();
            }
            if order != Ordering::Greater {
                self.least.push(index);
            }
        }
    }
}

impl<C: Send> SeriesSource<C> for SeriesMerge<C> {
    fn next(&mut self) -> Result<Option<PartSeries<C>>, QueryError> {
        self.find_least();
        let mut merged: Option<PartSeries<C>> = None;
        for index in &self.least {
            let member = &mut self.members[*index];
            let following = member.source.next()?;
            debug_assert!(
                following
                    .as_ref()
                    .is_none_or(|following| member.next.as_ref().is_some_and(|s| s.labels < following.labels)),
                "sources are in order of labels"
            );
            let Some(series) = std::mem::replace(&mut member.next, following) else { continue };
            match &mut merged {
                None => merged = Some(series),
                Some(merged) => merged.chunks.extend(series.chunks),
            }
        }
        Ok(merged)
    }

    fn remaining(&self) -> Option<usize> {
        // In most merges most parts have most series.
        let of_member =
            |member: &Member<C>| usize::from(member.next.is_some()) + member.source.remaining().unwrap_or(0);
        self.members.iter().map(of_member).max()
    }
}

#[cfg(test)]
mod tests;
