//! Blocks: writing them, merging them, removing them.
//!
//! [`BlockWriter`] turns series in order into a block; everything that makes blocks uses it.

mod block_writer;
mod chunk_cutter;
mod plan;
mod ranges;
mod series_packer;
mod series_spool;
mod synced_file;
mod texts;
mod ulid;

pub(crate) use block_writer::CREATION_SUFFIX;
pub use block_writer::{BlockChunk, BlockWriter, FROM_OUT_OF_ORDER, Origin, WriteBlockError};
pub use chunk_cutter::ChunkCutter;
pub(crate) use ranges::BlockRanges;
pub(crate) use ulid::UlidSource;
