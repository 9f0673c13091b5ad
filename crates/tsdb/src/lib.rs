//! The database of one workspace: samples in Prometheus' own formats, on one disk, by one process.
//!
//! How a batch becomes durable, file by file: [`appender`] collects it; [`committer`], on one of the [`engine`]'s threads, takes
//! all batches that wait, decides sample by sample what is taken ([`admission`]), appends one run of records to the write-ahead log
//! ([`log`]; late samples have one of their own), then changes the [`head`] and the out-of-order samples ([`ooo`]), then
//! answers. Rounds of [`maintenance`] move full chunks to files ([`head_chunks`]), write what is old to blocks and merge those
//! ([`compaction`]), remove what is too old, let go of dead series. How a sample is found again: [`querier`] asks every
//! [`part`], the head and the blocks ([`block`]), puts series of equal labels together ([`merge`]), and hands them out one by one.
//!
//! Invariants:
//! - Log before memory, answer after both. What was answered is found after the process dies.
//! - Only who holds the writer changes the head, so what is decided on cannot change meanwhile.
//! - Readers hold a lock for the copy of one open chunk at most.
//! - What could not be appended to a log has not happened, and the next write may succeed. After a failed sync nothing more is
//!   written until the next start. Reads go on.
//! - A block can be read before its samples leave the head, and the log.
//!
//! Never here: HTTP, tokens, other workspaces, PromQL.

mod administration;
mod admission;
mod appender;
mod batch;
mod block;
mod committer;
mod compaction;
mod db;
mod deletion;
mod engine;
mod head;
mod head_chunks;
mod key_cache;
mod log;
mod maintenance;
mod merge;
pub mod offline;
mod ooo;
mod part;
mod querier;
mod readiness;
mod settings;
mod shared;
mod snapshot;
mod stats;
mod ticket;

pub use block::SelectionCacheStats;
pub use compaction::{BlockChunk, BlockWriter, ChunkCutter, FROM_OUT_OF_ORDER, Origin, WriteBlockError};
pub use db::{Db, OpenError};
pub use deletion::Deleted;
pub use engine::{Engine, EngineSettings};
pub use log::{Damage, Recovery};
pub use settings::{Settings, WalSync};
pub use stats::{Rejected, Stats};
