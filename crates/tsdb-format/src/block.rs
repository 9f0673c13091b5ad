//! Blocks: immutable directories that hold the samples of a range of time.
//!
//! A block is `meta.json` ([`meta`]), an index of its series ([`index`]), files of chunks ([`segment`]) and deletions
//! ([`tombstones`]). Here are their bytes; opening, naming and removing files is the engine's.

pub mod index;
pub mod meta;
pub mod segment;
pub mod tombstones;
mod ulid;

pub use ulid::{NotUlid, Ulid};

/// Bytes of a block that are not what they should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("corrupt {part} at byte {offset}: {what}")]
pub struct CorruptBlock {
    /// Which part of the block: `index`, `chunk segment`, `tombstones`, `meta.json`.
    pub part: &'static str,
    /// Where, in bytes from the start of its file.
    pub offset: u64,
    /// What is wrong.
    pub what: &'static str,
}

/// A chunk as the index names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChunkMeta {
    /// Time of its first sample.
    pub min_time: model::TimestampMs,
    /// Time of its last sample.
    pub max_time: model::TimestampMs,
    /// Where it is: see [`segment::ChunkRef`].
    pub reference: segment::ChunkRef,
}
