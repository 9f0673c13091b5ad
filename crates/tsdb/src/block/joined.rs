//! Series of several blocks, put together by labels, and kept for who asks again.
//!
//! Blocks do not change, and dashboards ask the same of the same blocks all the time. Which series of which block meet a
//! selector's matchers, and which of them are one series, takes reading all their labels: most of what a short query costs.
//! So it is worked out once for all of a block's times ([`Joined`]) and kept within bounds ([`JoinCache`]). What lies in the
//! range asked for, and what was deleted, is looked at each time.
//!
//! Selections of very many series are not kept: they are put together as they are walked over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{Labels, MatchOp, Matcher};
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};
use storage::{QueryError, TimeRange};
use tsdb_format::block::index::{BlockSeriesRef, SeriesReader};

use super::loaded::Loaded;
use super::select::{self, Selection, meets_rest};
use super::series::{BlockSeries, BlockWalk};
use super::{Block, TimestampMs};
use crate::merge::SeriesMerge;
use crate::part::{Chunk, PartSeries, SeriesSource, Want};

/// The series of all of `blocks` that meet the matchers, as [`Part::select`](crate::part::Part::select) has those of one; the
/// first block's samples count most.
///
/// # Errors
/// When a block cannot be reached. What is damaged is left out.
pub(crate) fn select_joined(
    blocks: &[Arc<Block>],
    matchers: &[Matcher],
    range: TimeRange,
    want: Want,
    cache: &JoinCache,
) -> Result<Box<dyn SeriesSource>, QueryError> {
    let (mut found, mut walks) = (Vec::with_capacity(blocks.len()), Vec::with_capacity(blocks.len()));
    for block in blocks {
        if let Some(loaded) = block.usable()? {
            walks.push(BlockWalk::new(&loaded, block.deletions(), range, want));
            found.push((block, loaded));
        }
    }
    if found.is_empty() {
        return Ok(Box::new(None::<BlockSeries>));
    }
    let key = key(found.iter().map(|(_, loaded)| loaded.number), matchers);
    if let Some(joined) = cache.get(&key) {
        return Ok(Box::new(JoinedSeries { joined, walks, next: 0 }));
    }
    let mut selections = Vec::with_capacity(found.len());
    for (block, _) in &found {
        let nothing = || Selection { series: Vec::new(), rest: Vec::new() };
        selections.push(block.reading(nothing(), |loaded| select::matching(loaded, matchers))?);
    }
    if selections.iter().any(|selection| selection.series.len() > KEPT_SERIES_MAX) {
        let sources = walks.into_iter().zip(selections);
        let sources = sources.map(|(walk, selection)| Box::new(BlockSeries::new(walk, selection)) as _);
        return Ok(Box::new(SeriesMerge::new(sources.collect())?));
    }
    let sources = found.into_iter().zip(selections).enumerate().map(|(number, ((_, loaded), selection))| {
        let (block, reader) = (number as u32, SeriesReader::default());
        Box::new(Placed { block, loaded, series: selection.series.into_iter(), rest: selection.rest, reader }) as _
    });
    let joined = Arc::new(Joined::read(SeriesMerge::new(sources.collect())?)?);
    cache.insert(key, &joined);
    Ok(Box::new(JoinedSeries { joined, walks, next: 0 }))
}

/// What tells selections apart: the blocks as they are opened, and the matchers.
fn key(blocks: impl Iterator<Item = u64>, matchers: &[Matcher]) -> Box<[u8]> {
    let mut key = Vec::with_capacity(256);
    for matcher in matchers {
        key.push(match matcher.op() {
            MatchOp::Equal => b'=',
            MatchOp::NotEqual => b'!',
            MatchOp::Regex => b'~',
            MatchOp::NotRegex => b'^',
        });
        for text in [matcher.name(), matcher.value()] {
            key.extend((text.len() as u64).to_le_bytes());
            key.extend(text.as_bytes());
        }
    }
    key.push(b'.');
    blocks.for_each(|block| key.extend(block.to_le_bytes()));
    key.into()
}

/// Selections of blocks, those that were asked for lately.
pub(crate) struct JoinCache {
    cache: Cache<Box<[u8]>, Arc<Joined>, Bytes>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl JoinCache {
    /// One that takes so many bytes at most.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max as u64;
        let options = OptionsBuilder::new()
            .estimated_items_capacity(ENTRIES_EXPECTED)
            .weight_capacity(bytes_max)
            // An entry has to fit into a shard.
            .shards(1)
            .build()
            .expect("both capacities are given");
        let cache = Cache::with_options(options, Bytes, Default::default(), Default::default());
        Self { cache, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    fn get(&self, key: &[u8]) -> Option<Arc<Joined>> {
        let found = self.cache.get(key);
        let count = if found.is_some() { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    fn insert(&self, key: Box<[u8]>, joined: &Arc<Joined>) {
        self.cache.insert(key, Arc::clone(joined));
    }

    pub(crate) fn stats(&self) -> SelectionCacheStats {
        SelectionCacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bytes: self.cache.weight(),
        }
    }
}

/// How often selections of blocks were found ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SelectionCacheStats {
    /// Selections that were found.
    pub hits: u64,
    /// Selections that were not; the largest are never kept.
    pub misses: u64,
    /// Memory that the kept ones take.
    pub bytes: u64,
}

/// Memory of an entry.
#[derive(Clone)]
struct Bytes;

impl Weighter<Box<[u8]>, Arc<Joined>> for Bytes {
    fn weight(&self, key: &Box<[u8]>, joined: &Arc<Joined>) -> u64 {
        (ENTRY_BYTES + key.len() + joined.bytes) as u64
    }
}

/// Series that meet some matchers, in order of labels, and where blocks have them.
struct Joined {
    labels: Box<[Labels]>,
    /// Of each series, where its places end.
    ends: Box<[u32]>,
    places: Box<[Place]>,
    bytes: usize,
}

/// A series of one of the blocks.
#[derive(Clone, Copy)]
struct Place {
    /// Which of the blocks.
    block: u32,
    series: BlockSeriesRef,
}

impl Joined {
    fn read(mut merge: SeriesMerge<Place>) -> Result<Self, QueryError> {
        let (mut labels, mut ends, mut places) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(series) = merge.next()? {
            labels.push(series.labels);
            places.extend(series.chunks);
            ends.push(places.len() as u32);
        }
        let texts: usize = labels.iter().map(|labels| LABELS_BYTES + labels.as_packed().len()).sum();
        let bytes = texts + labels.len() * size_of::<(Labels, u32)>() + places.len() * size_of::<Place>();
        Ok(Self { labels: labels.into(), ends: ends.into(), places: places.into(), bytes })
    }
}

/// Series of one block's selection, with their places.
struct Placed {
    block: u32,
    loaded: Arc<Loaded>,
    series: std::vec::IntoIter<BlockSeriesRef>,
    rest: Vec<Matcher>,
    reader: SeriesReader,
}

impl SeriesSource<Place> for Placed {
    fn next(&mut self) -> Result<Option<PartSeries<Place>>, QueryError> {
        let Self { block, loaded, series, rest, reader } = self;
        let index = &loaded.index;
        for series in series {
            let mut look = || {
                reader.read(index, series, TimestampMs::MAX, TimestampMs::MIN)?;
                if meets_rest(reader, index, rest)? { reader.labels(index).map(Some) } else { Ok(None) }
            };
            match look() {
                Ok(None) => {}
                Ok(Some(labels)) => {
                    return Ok(Some(PartSeries { labels, chunks: vec![Place { block: *block, series }] }));
                }
                Err(error) => loaded.tell_series(series, &error),
            }
        }
        Ok(None)
    }
}

/// Series of a kept selection, with their chunks in a range.
struct JoinedSeries {
    joined: Arc<Joined>,
    /// The blocks, as places number them.
    walks: Vec<BlockWalk>,
    next: usize,
}

impl SeriesSource for JoinedSeries {
    fn next(&mut self) -> Result<Option<PartSeries>, QueryError> {
        let Self { joined, walks, next } = self;
        while let Some(labels) = joined.labels.get(*next) {
            let start = next.checked_sub(1).map_or(0, |before| joined.ends[before] as usize);
            let places = &joined.places[start..joined.ends[*next] as usize];
            *next += 1;
            let mut chunks: Vec<Chunk> = Vec::new();
            let mut is_found = false;
            for place in places {
                is_found |= walks[place.block as usize].add_chunks(place.series, &mut chunks);
            }
            if is_found {
                return Ok(Some(PartSeries { labels: labels.clone(), chunks }));
            }
        }
        Ok(None)
    }

    fn remaining(&self) -> Option<usize> {
        Some(self.joined.labels.len() - self.next)
    }
}

/// Larger selections are not kept, so that one query does not push out those of a whole dashboard: with 15 labels these take
/// 8 MB.
const KEPT_SERIES_MAX: usize = if cfg!(test) { 3 } else { 16 << 10 };
const ENTRIES_EXPECTED: usize = 512;
/// About what an entry takes beside what it holds.
const ENTRY_BYTES: usize = 200;
/// What a label set takes beside its text: counts, and what the allocator rounds up.
const LABELS_BYTES: usize = 24;
