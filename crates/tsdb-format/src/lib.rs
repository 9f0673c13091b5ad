//! Prometheus' storage formats as bytes: chunks of samples, blocks with their index, records of the write-ahead
//! log, and the log's pages.
//!
//! Bytes in, values out, and back. Not here: files, locks, time ranges, which chunk a sample belongs to. Nothing in
//! this crate panics on bytes from outside: what does not check out is an error that says where.
//!
//! Layouts are Prometheus' own (`tsdb/chunkenc`, `tsdb/record`, `tsdb/wlog`), so that its tools read what we write.

mod bits;
pub mod block;
mod bytes;
pub mod chunk;
pub mod head_chunk;
pub mod wal;
