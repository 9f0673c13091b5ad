//! Moving full chunks out of memory.

use std::io;
use std::sync::Arc;

use tsdb_format::chunk::ChunkEncoding;
use tsdb_format::head_chunk::HeadChunk;

use super::HeadChunks;
use crate::head::Chunk;
use crate::part::ChunkData;
use crate::shared::Shared;

impl Shared {
    /// Moves full chunks of the head to files. Called under the lock of maintenance, so that slots keep their series.
    pub(crate) fn move_full_chunks(&self) -> io::Result<()> {
        let Some(head_chunks) = self.head_chunks.get().filter(|head_chunks| head_chunks.is_written()) else {
            return Ok(());
        };
        let mut batch = Vec::new();
        let mut bytes = 0;
        for page in 0..self.head.pages() {
            self.head.full_chunks_of(page, |slot, chunk| {
                bytes += chunk.data_bytes();
                batch.push((slot, chunk.clone()));
            });
            if bytes >= BATCH_BYTES {
                self.move_batch(head_chunks, &std::mem::take(&mut batch))?;
                bytes = 0;
            }
            if self.is_stopping() {
                break;
            }
        }
        self.move_batch(head_chunks, &batch)
    }

    fn move_batch(&self, head_chunks: &HeadChunks, batch: &[(u32, Chunk)]) -> io::Result<()> {
        // The log has the samples, and must not lose them while they are here.
        self.sync_logs();
        if batch.is_empty() || self.failure().is_some() {
            return Ok(());
        }
        let series = self
            .with_writer(|writer| batch.iter().map(|(slot, _)| writer.admission.reference(*slot)).collect::<Vec<_>>());
        let framed = batch.iter().zip(&series).filter_map(|((_, chunk), series)| {
            let (encoding, data) = in_memory(&chunk.data)?;
            let (start, end) = (chunk.start, chunk.end);
            Some(HeadChunk { series: *series, start, end, encoding: encoding as u8, out_of_order: false, data })
        });
        let (places, appended) = head_chunks.append(&framed.collect::<Vec<_>>());
        for ((slot, chunk), place) in batch.iter().zip(places) {
            let moved = self.head.replace_full_chunk(*slot, chunk, place);
            self.counters.sealed_chunk_bytes.sub(moved as u64);
        }
        appended
    }
}

fn in_memory(data: &ChunkData) -> Option<(ChunkEncoding, &Arc<[u8]>)> {
    match data {
        ChunkData::Memory(encoding, data) => Some((*encoding, data)),
        ChunkData::Sample(..) | ChunkData::Stored { .. } => None,
    }
}

/// Data that are copied, synced and moved together.
const BATCH_BYTES: usize = 4 << 20;
