//! What the fuzz targets `chunk_xor`, `chunk_foreign`, `chunk_histogram`, `head_chunks`, `wal_record`, `wal_segment`, `block_index` and
//! `block_segment` do with their input. Also compiled by `fuzz/`.
//!
//! Each tells whether the input is taken as a whole; beyond that, it asserts what must hold for any input.

use std::sync::Arc;

use model::{LabelsBuilder, TimestampMs};
use tsdb_format::block::ChunkMeta;
use tsdb_format::block::index::{Index, SeriesReader};
use tsdb_format::block::segment::{self, SegmentWriter};
use tsdb_format::chunk::{
    ChunkEncoding, CorruptChunk, HistogramChunk, HistogramDecoder, Misfit, XorChunk, XorDecoder, plain,
    same_observations, sample_count,
};
use tsdb_format::head_chunk::{self, Next};
use tsdb_format::wal::frame::{CorruptLog, FrameReader, FrameWriter, SegmentError};
use tsdb_format::wal::record::{CorruptRecord, LabelPairs, Record, SampleEncoder};

/// The data of a XOR chunk.
pub(crate) fn chunk_xor(data: &[u8]) -> bool {
    let Ok(samples) = read_floats(data, usize::MAX) else { return false };
    assert!(samples.len() <= data.len() * 8, "a sample takes a bit at least");
    assert_eq!(read_floats(data, 7).expect("it was taken at once"), samples, "batches do not change what is read");
    if let Some(((at, bits), rest)) = samples.split_first() {
        let mut chunk = XorChunk::new(TimestampMs(*at), f64::from_bits(*bits));
        rest.iter().for_each(|(at, bits)| chunk.push(TimestampMs(*at), f64::from_bits(*bits)));
        assert_eq!(read_floats(chunk.data(), usize::MAX).expect("written by us"), samples);
        assert_eq!(chunk.start(), TimestampMs(*at));
    }
    true
}

fn read_floats(data: &[u8], limit: usize) -> Result<Vec<(i64, u64)>, CorruptChunk> {
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    let mut decoder = XorDecoder::new(data)?;
    while decoder.read(&mut timestamps, &mut values, limit)? > 0 {}
    Ok(timestamps.iter().zip(&values).map(|(at, value)| (at.0, value.to_bits())).collect())
}

/// An encoding byte, then data of a chunk in an encoding that is read and never written.
pub(crate) fn chunk_foreign(input: &[u8]) -> bool {
    let Some((encoding, data)) = input.split_first() else { return false };
    let Ok((encoding, Some(repacked))) = plain(*encoding, data) else { return false };
    let plain_data = repacked.data;
    let samples = match encoding {
        ChunkEncoding::Xor => read_floats(&plain_data, usize::MAX).expect("written by us").len(),
        encoding => HistogramDecoder::new(encoding, &plain_data)
            .inspect(|sample| assert!(sample.is_ok(), "written by us"))
            .count(),
    };
    assert_eq!(samples, usize::from(sample_count(&plain_data).expect("written by us")));
    assert!(samples <= data.len() * 8, "a sample takes a bit at least");
    assert!(repacked.start_times.is_empty() || repacked.start_times.len() == samples);
    true
}

/// An odd or even byte (fractional or whole counts), then the data of a histogram chunk.
pub(crate) fn chunk_histogram(input: &[u8]) -> bool {
    let Some((kind, data)) = input.split_first() else { return false };
    let encoding = if kind % 2 == 1 { ChunkEncoding::FloatHistogram } else { ChunkEncoding::Histogram };
    let Ok(samples) = HistogramDecoder::new(encoding, data).collect::<Result<Vec<_>, _>>() else { return false };
    let mut chunks: Vec<HistogramChunk> = Vec::new();
    for (at, histogram) in &samples {
        // A chunk may hold what nobody can store; only the storable is written again.
        if !histogram.is_stale() && histogram.validate().is_err() {
            return true;
        }
        match chunks.last_mut().map(|chunk| chunk.push(*at, Arc::clone(histogram))) {
            Some(Ok(())) => {}
            misfit => {
                let after_reset = misfit == Some(Err(Misfit::Reset));
                chunks.push(HistogramChunk::new(*at, Arc::clone(histogram), after_reset));
            }
        }
    }
    let again = chunks.iter().flat_map(|chunk| HistogramDecoder::new(chunk.encoding(), chunk.data()));
    let again: Vec<_> = again.map(|sample| sample.expect("written by us")).collect();
    assert_eq!(again.len(), samples.len());
    for ((at, histogram), (again_at, again)) in samples.iter().zip(&again) {
        assert_eq!(at, again_at);
        assert!(same_observations(histogram, again), "{histogram:?} became {again:?}");
    }
    true
}

/// A record of the log, decompressed.
pub(crate) fn wal_record(record: &[u8]) -> bool {
    matches!(read_record(record), Ok(true))
}

fn read_record(record: &[u8]) -> Result<bool, CorruptRecord> {
    let mut builder = LabelsBuilder::default();
    match Record::decode(record)? {
        Record::Series(items) => {
            for item in items {
                let labels = item?.labels;
                let again = LabelPairs::of(labels.encoded());
                assert!(again.eq(labels.clone()));
                // Not every list of labels is a label set; the walk over it still ends.
                let _ = labels.to_labels(&mut builder);
            }
        }
        Record::Samples(items) => {
            let samples = items.collect::<Result<Vec<_>, _>>()?;
            let mut encoder = SampleEncoder::default();
            samples.iter().for_each(|sample| encoder.push(sample.series, sample.timestamp, sample.value));
            if let (Some(first), Ok(Record::Samples(again))) = (samples.first(), Record::decode(encoder.record())) {
                let again = again.collect::<Result<Vec<_>, _>>().expect("written by us");
                assert_eq!((again[0].series, again[0].timestamp), (first.series, first.timestamp));
                assert_eq!(again.len(), samples.len());
            }
        }
        Record::Histograms(items) => { items }.try_for_each(|item| item.map(drop))?,
        Record::Exemplars(items) => {
            for item in items {
                let _ = item?.labels.to_labels(&mut builder);
            }
        }
        Record::Metadata(items) => { items }.try_for_each(|item| item.map(drop))?,
        Record::Tombstones(items) => { items }.try_for_each(|item| item.map(drop))?,
        Record::Markers(items) => { items }.try_for_each(|item| item.map(drop))?,
        Record::Unknown(_) => return Ok(false),
    }
    Ok(true)
}

/// A segment of the log.
pub(crate) fn wal_segment(segment: &[u8]) -> bool {
    let (records, errors) = read_segment(segment);
    let (mut writer, mut again) = (FrameWriter::new(0), Vec::new());
    for record in &records {
        let before = again.len();
        writer.frame(record, &mut again);
        assert!(again.len() - before <= FrameWriter::framed_bytes_max(record.len()));
        let _ = read_record(record);
    }
    let (again, errors_again) = read_segment(&again);
    assert!(again == records && errors_again.is_empty(), "good records written again are all there");
    assert!(errors.iter().all(|error| error.offset <= segment.len() as u64));
    errors.is_empty()
}

fn read_segment(segment: &[u8]) -> (Vec<Vec<u8>>, Vec<CorruptLog>) {
    let (mut reader, mut records, mut errors) = (FrameReader::new(segment), Vec::new(), Vec::new());
    loop {
        match reader.next_record() {
            Ok(Some(record)) => records.push(record.to_vec()),
            Ok(None) => return (records, errors),
            Err(SegmentError::Corrupt(error)) => {
                assert!(errors.len() <= segment.len(), "every error is followed by progress");
                errors.push(error);
            }
            Err(SegmentError::Read(error)) => panic!("reading bytes in memory failed: {error}"),
        }
        assert!(reader.start() < reader.good() || records.is_empty());
    }
}

/// A file of head chunks, read from its first chunk to its last.
pub(crate) fn head_chunks(input: &[u8]) -> bool {
    if head_chunk::check_header(input).is_err() {
        return false;
    }
    let mut rest = &input[head_chunk::HEADER.len()..];
    while !rest.is_empty() {
        match head_chunk::next_chunk(rest) {
            Ok(Next::Chunk(chunk, bytes)) => {
                let mut again = Vec::new();
                head_chunk::put_chunk(&mut again, &chunk);
                assert_eq!(head_chunk::next_chunk(&again), Ok(Next::Chunk(chunk, again.len())));
                // A foreign writer may take more bytes for a length than are needed.
                assert!(again.len() <= bytes && again.len() <= chunk.data.len() + head_chunk::FRAME_BYTES_MAX);
                rest = &rest[bytes..];
            }
            Ok(Next::More(needed)) => {
                assert!(needed > rest.len() && needed <= head_chunk::DATA_BYTES_MAX + head_chunk::FRAME_BYTES_MAX);
                return false;
            }
            Err(_) => return false,
        }
    }
    true
}

/// An index, read from end to end: every label's list, every series.
pub(crate) fn block_index(input: &[u8]) -> bool {
    let Ok(index) = Index::open(input) else { return false };
    let Ok(all) = index.all_postings() else { return false };
    let mut whole = true;
    for name in index.label_names() {
        for (value, place) in index.label_values(name) {
            match (index.postings_at(place), index.postings(name, value)) {
                (Ok(listed), Ok(Some(found))) => assert_eq!(listed, found, "{name}={value}"),
                _ => whole = false,
            }
        }
    }
    let mut reader = SeriesReader::default();
    for series in all.iter() {
        match index.series(series) {
            Ok(found) => {
                assert_eq!(index.labels(series).as_ref(), Ok(&found.labels));
                let read = reader.read(&index, series, TimestampMs::MIN, TimestampMs::MAX);
                assert_eq!(read, Ok(&found.chunks[..]));
                assert_eq!(reader.labels(&index), Ok(found.labels));
                let times = |pair: &[ChunkMeta]| pair[0].max_time <= pair[1].min_time;
                assert!(found.chunks.windows(2).all(times), "chunks come in order of time");
            }
            Err(_) => {
                let read = reader.read(&index, series, TimestampMs::MIN, TimestampMs::MAX).is_ok();
                assert!(!read || reader.labels(&index).is_err());
                whole = false;
            }
        }
    }
    whole
}

/// A chunk file, read from its first chunk to its last.
pub(crate) fn block_segment(input: &[u8]) -> bool {
    if segment::check_header(input).is_err() {
        return false;
    }
    let mut offset = 8;
    while offset < input.len() {
        let Ok((encoding, data)) = segment::read_chunk(input, offset as u32) else { return false };
        let mut writer = SegmentWriter::new(segment::SEGMENT_BYTES_MAX);
        let written = writer.push(encoding, data);
        let bytes = writer.take_bytes();
        assert_eq!(segment::read_chunk(&bytes, written.offset()), Ok((encoding, data)));
        // A foreign writer may take more bytes for a length than are needed.
        let length = bytes.len() - 8;
        if input.get(offset..offset + length) != Some(&bytes[8..]) {
            return false;
        }
        offset += length;
    }
    true
}
