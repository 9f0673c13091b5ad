//! Chunks → their samples, without those outside a range and those deleted.

use model::{NativeHistogram, TimestampMs};
use std::sync::Arc;
use storage::{Batch, QueryError, TimeRange};
use tsdb_format::chunk::{ChunkEncoding, CorruptChunk, HistogramDecoder, XorDecoder};

use crate::part::{Chunk, ChunkData};

/// Replaces `batch` by the samples of a chunk that are in `range` and not deleted; there may be none.
///
/// # Errors
/// When the chunk cannot be read, or does not hold what it is said to; then `batch` is empty: a chunk counts whole or not at
/// all.
pub(crate) fn decode(chunk: &Chunk, range: TimeRange, batch: &mut Batch) -> Result<(), QueryError> {
    batch.clear();
    let (encoding, bytes) = chunk.data.load()?;
    batch.start_timestamps.extend_from_slice(bytes.start_timestamps());
    decode_all(encoding, &bytes, batch).and_then(|()| check(chunk, &batch.timestamps)).map_err(|corrupt| {
        batch.clear();
        damaged(chunk, &corrupt)
    })?;
    if is_clipped(chunk, range) {
        clip(batch, range);
    }
    if let Some(deleted) = &chunk.deleted {
        take_out(batch, deleted);
    }
    Ok(())
}

/// Adds the samples of a chunk to those of a batch of floats, if it is one of floats that is taken as it is: all of it in the range, nothing
/// deleted, no start timestamps. Says whether it is.
///
/// # Errors
/// As for [`decode`]; then the batch is as it was.
pub(crate) fn decode_onto(chunk: &Chunk, range: TimeRange, batch: &mut Batch) -> Result<bool, QueryError> {
    if is_clipped(chunk, range) || chunk.deleted.is_some() || !batch.start_timestamps.is_empty() {
        return Ok(false);
    }
    let (encoding, bytes) = chunk.data.load()?;
    if encoding != ChunkEncoding::Xor || !bytes.start_timestamps().is_empty() {
        return Ok(false);
    }
    let before = batch.timestamps.len();
    let decoded = decode_all(encoding, &bytes, batch);
    decoded.and_then(|()| check(chunk, &batch.timestamps[before..])).map_err(|corrupt| {
        batch.timestamps.truncate(before);
        batch.floats.truncate(before);
        damaged(chunk, &corrupt)
    })?;
    Ok(true)
}

fn is_clipped(chunk: &Chunk, range: TimeRange) -> bool {
    chunk.start < range.start || range.end < chunk.end
}

fn check(chunk: &Chunk, timestamps: &[TimestampMs]) -> Result<(), CorruptChunk> {
    match &chunk.data {
        ChunkData::Memory(..) | ChunkData::Sample(..) => Ok(()),
        ChunkData::Stored { .. } => check_times(chunk, timestamps),
    }
}

fn damaged(chunk: &Chunk, corrupt: &CorruptChunk) -> QueryError {
    let error = QueryError::Corrupt(format!("chunk of {} to {}: {corrupt}", chunk.start, chunk.end).into());
    if let ChunkData::Stored { store, reference } = &chunk.data {
        store.damaged(*reference, &error);
    }
    error
}

fn decode_all(encoding: ChunkEncoding, data: &[u8], batch: &mut Batch) -> Result<(), CorruptChunk> {
    match encoding {
        ChunkEncoding::Xor => {
            XorDecoder::new(data)?.read(&mut batch.timestamps, &mut batch.floats, usize::MAX)?;
        }
        ChunkEncoding::Histogram | ChunkEncoding::FloatHistogram => {
            for sample in HistogramDecoder::new(encoding, data) {
                let (at, histogram) = sample?;
                batch.timestamps.push(at);
                batch.histograms.push(histogram);
            }
        }
    }
    Ok(())
}

/// What comes from files may have been written by anybody: merging relies on rising times between those of the index.
fn check_times(chunk: &Chunk, timestamps: &[TimestampMs]) -> Result<(), CorruptChunk> {
    let wrong = |what| Err(CorruptChunk { what, bit: 0, sample: 0 });
    // All pairs, without a way out in the middle: so the compiler compares several at once.
    if !timestamps.iter().zip(timestamps.iter().skip(1)).fold(true, |rises, (left, right)| rises & (left < right)) {
        return wrong("times do not rise");
    }
    match (timestamps.first(), timestamps.last()) {
        (Some(first), Some(last)) if *first < chunk.start || chunk.end < *last => {
            wrong("times are outside those that the index names")
        }
        _ => Ok(()),
    }
}

fn clip(batch: &mut Batch, range: TimeRange) {
    let first = batch.timestamps.partition_point(|at| *at < range.start);
    let last = batch.timestamps.partition_point(|at| *at <= range.end).max(first);
    fn keep<T>(values: &mut Vec<T>, first: usize, last: usize) {
        values.truncate(last);
        values.drain(..first.min(values.len()));
    }
    keep::<TimestampMs>(&mut batch.timestamps, first, last);
    keep::<f64>(&mut batch.floats, first, last);
    keep::<Arc<NativeHistogram>>(&mut batch.histograms, first, last);
    keep::<TimestampMs>(&mut batch.start_timestamps, first, last);
}

/// Takes samples in sorted ranges out.
fn take_out(batch: &mut Batch, deleted: &[TimeRange]) {
    let is_deleted = |at: TimestampMs| {
        let after = deleted.partition_point(|range| range.end < at);
        deleted.get(after).is_some_and(|range| range.start <= at)
    };
    let kept: Vec<bool> = batch.timestamps.iter().map(|at| !is_deleted(*at)).collect();
    if kept.iter().all(|kept| *kept) {
        return;
    }
    fn keep<T>(values: &mut Vec<T>, kept: &[bool]) {
        let mut kept = kept.iter();
        values.retain(|_| *kept.next().expect("as many as there are samples"));
    }
    keep(&mut batch.timestamps, &kept);
    keep(&mut batch.floats, &kept);
    keep(&mut batch.histograms, &kept);
    keep(&mut batch.start_timestamps, &kept);
}
