//! Where a block's bytes are: the seam between reading a block and the disk, or an object store, that holds it.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use storage::BoxFuture;

/// A file of a block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum BlockPart {
    /// `meta.json`
    Meta,
    /// `index`
    Index,
    /// `tombstones`
    Tombstones,
    /// `chunks/NNNNNN`, counted from 0 as references to chunks do: 0 is `000001`.
    Chunks(u32),
}

/// The bytes of one block. Blocks never change, but for `tombstones`, which are replaced as a whole.
///
/// What was read stays valid when the block is gone; a source itself is asked only while its block is in use.
pub(crate) trait BlockSource: Send + Sync + 'static {
    /// What the block is called in messages: its directory, or its key.
    fn name(&self) -> &str;

    /// Length of a part in bytes.
    ///
    /// # Errors
    /// `NotFound` when the block has no such part; otherwise as the store reports them.
    fn len(&self, part: BlockPart) -> io::Result<u64>;

    /// How many chunk files there are.
    ///
    /// # Errors
    /// As the store reports them.
    fn segments(&self) -> io::Result<u32>;

    /// Bytes of a part. Ranges of a mapped part cost nothing. May block; see [`prefetch`](Self::prefetch).
    ///
    /// # Errors
    /// `NotFound` when the block has no such part, `UnexpectedEof` when the range ends beyond it; otherwise as the store
    /// reports them.
    fn read(&self, part: BlockPart, range: Range<u64>) -> io::Result<Bytes>;

    /// The whole part when reading it costs nothing: a file mapped into memory.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    fn mapped(&self, part: BlockPart) -> io::Result<Option<Bytes>> {
        let _ = part;
        Ok(None)
    }

    /// Whether reading waits for a network, so that [`prefetch`](Self::prefetch) is worth finding out what will be read.
    fn is_remote(&self) -> bool {
        false
    }

    /// Brings ranges of a part near, so that reading them soon does not wait for a network. Sorted, apart from each other.
    /// A hint: what it could not bring is read, and fails, later.
    fn prefetch<'a>(&'a self, part: BlockPart, ranges: &'a [Range<u64>]) -> BoxFuture<'a, ()> {
        let _ = (part, ranges);
        Box::pin(std::future::ready(()))
    }

    /// Lets go of handles and mappings that can be had again: the block has not been used for a while.
    fn release(&self) {}
}

impl BlockPart {
    /// The file's path inside its block.
    pub(crate) fn path(self) -> String {
        match self {
            Self::Meta => "meta.json".into(),
            Self::Index => "index".into(),
            Self::Tombstones => "tombstones".into(),
            Self::Chunks(number) => format!("chunks/{:06}", u64::from(number) + 1),
        }
    }
}
