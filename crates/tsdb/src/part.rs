//! What a database is made of, seen by those who read all of it: the head, its out-of-order samples, each block.
//!
//! A query and a merge of blocks do the same: they ask every part for its series in order of labels, put those of equal
//! labels together, and look at samples of overlapping chunks only. So both use this seam and nothing else of a part.
//!
//! Where samples of one series stand at the same time in several chunks, the first chunk of the list counts: parts are
//! asked in the order in which they took their samples.

use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;
use model::{Labels, Matcher, TimestampMs};
use storage::{BoxFuture, QueryError, SelectHints, TimeRange};
use tsdb_format::chunk::{ChunkEncoding, Repacked, XorChunk};

/// A holder of samples. What a part has been asked for stays readable when the part is gone from the database.
pub(crate) trait Part: Send + Sync {
    /// Whether it may have samples in this range.
    fn overlaps(&self, range: TimeRange) -> bool;

    /// Brings near what a selection with these arguments is going to read, where that takes waiting for a network. A hint:
    /// what does not come is asked for, and fails, when it is read.
    fn prefetch<'a>(&'a self, matchers: &'a [Matcher], range: TimeRange, want: Want) -> BoxFuture<'a, ()> {
        let _ = (matchers, range, want);
        Box::pin(std::future::ready(()))
    }

    /// Its series that meet all matchers (none: all) and may have samples in `range`, in order of labels, each once.
    fn select(&self, matchers: &[Matcher], range: TimeRange, want: Want) -> Result<Box<dyn SeriesSource>, QueryError>;

    /// The same for who looks at no other part: as these hints allow it, labels may be missing, and the order may be another.
    fn select_only(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        want: Want,
        hints: &SelectHints,
    ) -> Result<Box<dyn SeriesSource>, QueryError> {
        let _ = hints;
        self.select(matchers, range, want)
    }

    /// Whether a series may have a label of this name.
    fn may_have_label(&self, name: &str) -> bool {
        let _ = name;
        true
    }

    /// Names of labels of the series that meet all matchers, sorted, each once.
    fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, QueryError>;

    /// Values of the label `name` of the series that meet all matchers, sorted, each once.
    fn label_values(&self, name: &str, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, QueryError>;
}

/// How much of each series is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Want {
    /// Labels and chunks.
    Samples,
    /// Labels, and at least the chunk that has the newest sample of the range, or one of that sample alone.
    Newest,
    /// Labels alone, of series that have chunks in the range; `chunks` stays empty.
    Labels,
}

/// Series of one part, in order of labels, with their chunks (or where those are to be found).
pub(crate) trait SeriesSource<C = Chunk>: Send {
    /// The next one.
    fn next(&mut self) -> Result<Option<PartSeries<C>>, QueryError>;

    /// About how many are left, where something is known of it.
    fn remaining(&self) -> Option<usize> {
        None
    }
}

/// One series as one part (or several merged) has it.
pub(crate) struct PartSeries<C = Chunk> {
    pub(crate) labels: Labels,
    /// Chunks that overlap the range asked for, whole. They may overlap each other; see the module's text.
    pub(crate) chunks: Vec<C>,
}

/// Samples that do not change any more. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Chunk {
    /// Time of the first sample.
    pub(crate) start: TimestampMs,
    /// Time of the last one.
    pub(crate) end: TimestampMs,
    pub(crate) data: ChunkData,
    /// Times that were deleted; `None` for none. Sorted, apart from each other.
    pub(crate) deleted: Option<Arc<[TimeRange]>>,
}

/// Where a chunk's bytes are.
#[derive(Clone)]
pub(crate) enum ChunkData {
    /// Here.
    Memory(ChunkEncoding, Arc<[u8]>),
    /// One float, which needs no bytes.
    Sample(TimestampMs, f64),
    /// In a file, from where they are read when they are looked at.
    Stored {
        store: Arc<dyn ChunkStore>,
        /// As the store numbers them.
        reference: u64,
    },
}

impl ChunkData {
    /// The encoding and data.
    ///
    /// # Errors
    /// As for [`ChunkStore::read`].
    pub(crate) fn load(&self) -> Result<(ChunkEncoding, ChunkBytes<'_>), QueryError> {
        match self {
            Self::Memory(encoding, data) => Ok((*encoding, ChunkBytes::Here(data))),
            Self::Sample(at, value) => {
                let packed = XorChunk::new(*at, *value);
                Ok((ChunkEncoding::Xor, ChunkBytes::Read(Bytes::copy_from_slice(packed.data()))))
            }
            Self::Stored { store, reference } => store.read(*reference),
        }
    }
}

/// A chunk's data where they lie.
pub(crate) enum ChunkBytes<'a> {
    /// In memory all the time.
    Here(&'a [u8]),
    /// Read, or mapped.
    Read(Bytes),
    /// Made of data in another encoding.
    Repacked(Repacked),
}

impl ChunkBytes<'_> {
    /// Start timestamps, one a sample; empty when they are not known.
    pub(crate) fn start_timestamps(&self) -> &[TimestampMs] {
        match self {
            Self::Here(_) | Self::Read(_) => &[],
            Self::Repacked(repacked) => &repacked.start_times,
        }
    }
}

impl Deref for ChunkBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Here(data) => data,
            Self::Read(data) => data,
            Self::Repacked(repacked) => &repacked.data,
        }
    }
}

/// Reads chunks of one block, or of the head's files.
pub(crate) trait ChunkStore: Send + Sync {
    /// The encoding and data of a chunk, its checksum verified when it is touched for the first time.
    ///
    /// # Errors
    /// When the bytes do not check out; the store has told of it and counted it.
    fn read(&self, reference: u64) -> Result<(ChunkEncoding, ChunkBytes<'static>), QueryError>;

    /// Is told that a chunk's checksum is right and yet its data are none that can be unpacked.
    fn damaged(&self, reference: u64, error: &QueryError) {
        tracing::warn!(reference, %error, "a chunk cannot be unpacked");
    }
}

impl Chunk {
    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        self.start <= range.end && range.start <= self.end
    }
}

/// Aligned ranges of time, as blocks have them: `start` belongs to it, `end` does not. Milliseconds.
pub(crate) fn aligned(at: TimestampMs, width_ms: i64) -> Range<i64> {
    let start = at.0.div_euclid(width_ms).saturating_mul(width_ms);
    start..start.saturating_add(width_ms)
}
