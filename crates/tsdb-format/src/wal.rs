//! The write-ahead log as bytes.
//!
//! A log is a run of *segments* (files named by number). A segment is a run of *pages* of 32 KiB. A *record* lies in one
//! segment and is framed as one *fragment* per page it touches, each with a checksum ([`frame`]). What a record says is
//! in [`record`]. Not here: files, numbers of segments, which series a reference stands for.

pub mod frame;
pub mod record;
