//! A write request in the queue.

use std::sync::Arc;

use bytes::Bytes;
use environment::UnixTime;
use remote_write::Version;

use crate::Counts;

/// The place of an entry in the queue: counts up from 1 over the life of the directory, never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryId(pub u64);

/// A request to be kept.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// Of the message in `body`.
    pub version: Version,
    /// Compressed, as received.
    pub body: Bytes,
    /// What it holds.
    pub tally: Counts,
    /// A hash of each series' labels. Requests that share one must not overtake each other.
    pub series: Arc<[u32]>,
}

/// What became of a request that was to be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Appended {
    /// It is kept, as [`crate::Sync`] says.
    Kept(EntryId),
    /// It was received and has expired at once ([`crate::WhenFull::DropNewest`]).
    Dropped,
}

/// A kept request, read for sending.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place.
    pub id: EntryId,
    /// When it was received.
    pub received_at: UnixTime,
    /// Of the message in `body`.
    pub version: Version,
    /// Compressed, as received.
    pub body: Bytes,
    /// What it holds.
    pub tally: Counts,
    /// As in [`NewEntry::series`].
    pub series: Arc<[u32]>,
    /// Whether a process before this one may have sent it already.
    pub recovered: bool,
}
