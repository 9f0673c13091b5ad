//! A stream of chunks: `prometheus.ChunkedReadResponse` in frames.
//!
//! ```text
//! ┌────────────────┬───────────────────────┬─────────┐
//! │ length uvarint │ CRC-32C 4 bytes, big  │ message │
//! └────────────────┴───────────────────────┴─────────┘
//! ```
//! A message holds chunks of one series; a series may go on in the next. Chunks hold the samples of the range alone, packed
//! anew, so that they look the same whatever the storage keeps.

use model::{Labels, TimestampMs};
use storage::{Batch, Queryable, SelectHints, TimeRange};
use tsdb_format::chunk::{ChunkEncoding, HistogramChunk, Misfit, XorChunk};

use super::ReadRequest;
use crate::error::ApiError;
use crate::slots::Job;
use crate::wire::{field_bytes, put_bytes, put_integer, put_varint};

/// Gives frame after frame to `send`, which may wait for the client.
///
/// # Errors
/// Those of `send`, data that cannot be read, time that is over.
pub(super) fn stream(
    read: &ReadRequest,
    view: &dyn Queryable,
    job: &Job,
    send: &mut dyn FnMut(Vec<u8>) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    for (index, query) in read.queries.iter().enumerate() {
        let querier = view.querier(query.range);
        let mut series = job.wait(querier.select(&query.matchers, SelectHints::samples(query.range)))??;
        let mut batch = Batch::default();
        while let Some(mut one) = series.next()? {
            let mut message = Message::new(&one.labels, index as u64);
            let mut packer = Packer::default();
            while one.samples.next_batch(&mut batch)? {
                job.check()?;
                packer.push(&batch, query.range, &mut |chunk| message.push(&chunk, send))?;
            }
            packer.finish(&mut |chunk| message.push(&chunk, send))?;
            message.flush(send)?;
        }
    }
    Ok(())
}

/// A chunk's place in the message.
struct Packed<'c> {
    start: TimestampMs,
    end: TimestampMs,
    encoding: ChunkEncoding,
    data: &'c [u8],
}

type Sink<'s> = &'s mut dyn FnMut(Packed<'_>) -> Result<(), ApiError>;

/// Packs the samples of one series into chunks.
#[derive(Default)]
struct Packer {
    open: Option<Open>,
}

enum Open {
    Floats(XorChunk),
    Histograms(HistogramChunk),
}

impl Packer {
    fn push(&mut self, batch: &Batch, range: TimeRange, sink: Sink<'_>) -> Result<(), ApiError> {
        for (index, at) in batch.timestamps.iter().enumerate() {
            if !range.contains(*at) {
                continue;
            }
            let misfit = match (&mut self.open, batch.histograms.get(index)) {
                (Some(Open::Floats(chunk)), None) if chunk.len() < CHUNK_SAMPLES => {
                    chunk.push(*at, batch.floats[index]);
                    continue;
                }
                (Some(Open::Histograms(chunk)), Some(histogram)) if chunk.len() < CHUNK_SAMPLES => {
                    match chunk.push(*at, histogram.clone()) {
                        Ok(()) => continue,
                        Err(misfit) => Some(misfit),
                    }
                }
                _ => None,
            };
            self.finish(sink)?;
            self.open = Some(match batch.histograms.get(index) {
                None => Open::Floats(XorChunk::new(*at, batch.floats[index])),
                Some(histogram) => {
                    let after_reset = misfit == Some(Misfit::Reset);
                    Open::Histograms(HistogramChunk::new(*at, histogram.clone(), after_reset))
                }
            });
        }
        Ok(())
    }

    /// Hands the open chunk on.
    fn finish(&mut self, sink: Sink<'_>) -> Result<(), ApiError> {
        match self.open.take() {
            None => Ok(()),
            Some(Open::Floats(chunk)) => {
                let (start, end) = (chunk.start(), chunk.newest().0);
                sink(Packed { start, end, encoding: ChunkEncoding::Xor, data: chunk.data() })
            }
            Some(Open::Histograms(chunk)) => {
                let (start, end) = (chunk.start(), chunk.newest().0);
                sink(Packed { start, end, encoding: chunk.encoding(), data: chunk.data() })
            }
        }
    }
}

/// The message that is being filled.
struct Message {
    labels: Vec<u8>,
    chunks: Vec<u8>,
    query: u64,
    /// Bytes of chunks that a frame takes, but for what the last of them is too long.
    bytes_max: usize,
}

impl Message {
    fn new(labels: &Labels, query: u64) -> Self {
        let mut encoded = Vec::new();
        let mut sizes = 0;
        for (name, value) in labels {
            let mut pair = Vec::new();
            put_bytes(&mut pair, 1, name.as_bytes());
            put_bytes(&mut pair, 2, value.as_bytes());
            sizes += pair.len();
            put_bytes(&mut encoded, 1, &pair);
        }
        Self { labels: encoded, chunks: Vec::new(), query, bytes_max: FRAME_BYTES.saturating_sub(sizes) }
    }

    fn push(
        &mut self,
        chunk: &Packed<'_>,
        send: &mut dyn FnMut(Vec<u8>) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let mut message = Vec::with_capacity(chunk.data.len() + 32);
        for (number, value) in [(1, chunk.start.0 as u64), (2, chunk.end.0 as u64), (3, chunk.encoding as u64)] {
            if value != 0 {
                put_integer(&mut message, number, value);
            }
        }
        put_bytes(&mut message, 4, chunk.data);
        // A frame is full when its chunks are as long as allowed, and only then: it may be one chunk too long.
        if self.chunks.len() >= self.bytes_max {
            self.flush(send)?;
        }
        put_bytes(&mut self.chunks, 2, &message);
        Ok(())
    }

    /// Sends what there is.
    fn flush(&mut self, send: &mut dyn FnMut(Vec<u8>) -> Result<(), ApiError>) -> Result<(), ApiError> {
        if self.chunks.is_empty() {
            return Ok(());
        }
        let series = self.labels.len() + self.chunks.len();
        let mut message = Vec::with_capacity(field_bytes(series) + 11);
        put_varint(&mut message, 1 << 3 | 2);
        put_varint(&mut message, series as u64);
        message.extend_from_slice(&self.labels);
        message.append(&mut self.chunks);
        if self.query != 0 {
            put_integer(&mut message, 2, self.query);
        }
        send(frame(&message))
    }
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(message.len() + 14);
    put_varint(&mut frame, message.len() as u64);
    frame.extend_from_slice(&crc32c::crc32c(message).to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

/// Samples of a chunk, as in Prometheus' head.
const CHUNK_SAMPLES: u16 = 120;
/// Bytes of chunks and labels in a frame, as Prometheus has it by default.
const FRAME_BYTES: usize = 1 << 20;
