//! Blocks: writing them, merging them, removing them.
//!
//! [`BlockWriter`] turns series in order into a block; everything that makes blocks uses it.

mod block_writer;
mod chunk_cutter;
mod from_parts;
mod head_blocks;
mod merge_blocks;
mod plan;
mod ranges;
mod retention;
mod series_packer;
mod series_spool;
mod synced_file;
mod texts;
mod ulid;

pub use block_writer::{BlockChunk, BlockWriter, FROM_OUT_OF_ORDER, Origin, WriteBlockError};
pub use chunk_cutter::ChunkCutter;
pub(crate) use from_parts::{CompactionError, Extent};
pub(crate) use head_blocks::HeadProgress;
pub(crate) use merge_blocks::FailedMerges;
pub(crate) use ranges::BlockRanges;
pub(crate) use retention::{Kept, expired};
pub(crate) use series_packer::SeriesPacker;
pub(crate) use synced_file::replace_file;
pub(crate) use ulid::UlidSource;

#[cfg(test)]
mod tests;
