//! Taking samples out of a series in memory.

use model::TimestampMs;
use storage::{QueryError, TimeRange};
use tsdb_format::chunk::{ChunkEncoding, CorruptChunk, HistogramDecoder, XorDecoder};

use super::{Chunk, MemSeries, Value};

impl MemSeries {
    /// Takes the samples in `range` out; returns how many there were. Chunks that have some are packed again without them, so
    /// that an older sample may be the newest afterwards.
    ///
    /// # Errors
    /// A chunk that is to be packed again cannot be read. Nothing has changed then.
    pub(crate) fn delete(&mut self, range: TimeRange, chunk_range_ms: i64) -> Result<u64, QueryError> {
        let overlaps = |start, end| start <= range.end && range.start <= end;
        let mut deleted = 0;
        let mut full = Vec::with_capacity(self.full.len());
        for chunk in &self.full {
            if overlaps(chunk.start, chunk.end) {
                let mut packed = chunk.without(range, chunk_range_ms, &mut deleted)?;
                packed.seal();
                full.append(&mut packed.full);
            } else {
                full.push(chunk.clone());
            }
        }
        if self.open_range().is_some_and(|(start, end)| overlaps(start, end))
            && let Some(open) = self.copy_open()
        {
            let mut packed = open.without(range, chunk_range_ms, &mut deleted)?;
            full.append(&mut packed.full);
            self.open = packed.open;
        }
        full.shrink_to_fit();
        self.full = full;
        Ok(deleted)
    }
}

impl Chunk {
    /// Its samples, in order of time.
    pub(crate) fn samples(&self) -> Result<Vec<(TimestampMs, Value)>, QueryError> {
        let (encoding, data) = self.data.load()?;
        unpack(encoding, &data).map_err(|error| QueryError::Corrupt(error.to_string().into()))
    }

    /// A series of its samples outside of `range`; counts the others.
    fn without(&self, range: TimeRange, chunk_range_ms: i64, deleted: &mut u64) -> Result<MemSeries, QueryError> {
        let mut rest = MemSeries::default();
        for (at, value) in self.samples()? {
            if range.contains(at) {
                *deleted += 1;
            } else {
                rest.append(at, value, chunk_range_ms);
            }
        }
        Ok(rest)
    }
}

fn unpack(encoding: ChunkEncoding, data: &[u8]) -> Result<Vec<(TimestampMs, Value)>, CorruptChunk> {
    match encoding {
        ChunkEncoding::Xor => {
            let (mut timestamps, mut values) = (Vec::new(), Vec::new());
            XorDecoder::new(data)?.read(&mut timestamps, &mut values, usize::MAX)?;
            Ok(timestamps.into_iter().zip(values.into_iter().map(Value::Float)).collect())
        }
        encoding => HistogramDecoder::new(encoding, data)
            .map(|sample| sample.map(|(at, histogram)| (at, Value::Histogram(histogram))))
            .collect(),
    }
}
