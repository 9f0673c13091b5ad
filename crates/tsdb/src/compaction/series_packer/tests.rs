use std::collections::BTreeMap;
use std::slice::from_ref;
use std::sync::Arc;

use model::TimestampMs;
use proptest::prelude::*;
use tsdb_format::chunk::{Repacked, XorChunk};

use super::*;
use crate::merge::decode;
use crate::part::{ChunkData, ChunkStore};
use crate::stats::Counter;

fn chunk(samples: &[(i64, f64)]) -> Chunk {
    let mut chunk = XorChunk::new(TimestampMs(samples[0].0), samples[0].1);
    samples[1..].iter().for_each(|(at, value)| chunk.push(TimestampMs(*at), *value));
    let data = ChunkData::Memory(ChunkEncoding::Xor, chunk.data().into());
    Chunk { start: chunk.start(), end: chunk.newest().0, data, deleted: None }
}

/// Samples at `start`, one every `step`, whose values are those times.
fn regular(start: i64, step: i64, samples: i64) -> Chunk {
    chunk(&(0..samples).map(|index| (start + index * step, (start + index * step) as f64)).collect::<Vec<_>>())
}

fn range(start: i64, end: i64) -> TimeRange {
    TimeRange { start: TimestampMs(start), end: TimestampMs(end) }
}

const ALL: TimeRange = TimeRange::ALL;

/// What is stored: of each chunk the number of samples, and its data.
fn pack(chunks: &[Chunk], range: TimeRange) -> (Vec<usize>, Vec<Vec<u8>>, u64) {
    let conflicts = Counter::default();
    let stored = SeriesPacker::default().pack(chunks, range, &conflicts, |chunks| {
        let in_order = chunks.windows(2).all(|pair| pair[0].end < pair[1].start);
        assert!(in_order && chunks.iter().all(|chunk| chunk.start <= chunk.end));
        chunks.iter().map(|chunk| chunk.data.to_vec()).collect::<Vec<_>>()
    });
    let stored = stored.unwrap();
    let counts = stored.iter().map(|data| sample_count(data).unwrap().into()).collect();
    (counts, stored, conflicts.get())
}

#[test]
fn what_can_be_copied_is_copied() {
    let chunks = [regular(0, 10, 120), regular(1200, 10, 120), regular(5000, 10, 100)];
    let (counts, stored, _) = pack(&chunks, ALL);
    assert_eq!(counts, [120, 120, 100]);
    for (chunk, stored) in chunks.iter().zip(stored) {
        let ChunkData::Memory(_, data) = &chunk.data else { unreachable!() };
        assert_eq!(**data, *stored);
    }
    // The same one from two blocks.
    assert_eq!(pack(&[chunks[0].clone(), chunks[0].clone()], ALL).0, [120]);
}

/// Reads a chunk of an encoding that is never written.
struct Foreign(Repacked);

impl ChunkStore for Foreign {
    fn read(&self, _: u64) -> Result<(ChunkEncoding, ChunkBytes<'static>), QueryError> {
        Ok((ChunkEncoding::Xor, ChunkBytes::Repacked(self.0.clone())))
    }
}

#[test]
fn foreign_encodings_become_plain_ones_without_start_times() {
    let samples: Vec<(i64, f64)> = (0..150).map(|index| (index * 10, index as f64)).collect();
    let plain = chunk(&samples);
    let ChunkData::Memory(_, data) = &plain.data else { unreachable!() };
    let repacked = Repacked { data: data.to_vec(), start_times: vec![TimestampMs(1); samples.len()] };
    let foreign =
        Chunk { data: ChunkData::Stored { store: Arc::new(Foreign(repacked)), reference: 0 }, ..plain.clone() };
    // Whole: the data that it was made of. In part: packed again.
    let (counts, stored, _) = pack(from_ref(&foreign), ALL);
    assert_eq!((counts, &*stored[0]), (vec![150], &**data));
    let (counts, stored, conflicts) = pack(&[foreign, chunk(&[(5, 0.5)])], range(0, 995));
    assert_eq!((counts, conflicts), (vec![101], 0));
    let half: Vec<(i64, f64)> = [(0, 0.0), (5, 0.5)].into_iter().chain(samples[1..100].iter().copied()).collect();
    let ChunkData::Memory(_, expected) = &chunk(&half).data else { unreachable!() };
    assert_eq!(*stored[0], **expected);
}

#[test]
fn small_neighbours_are_joined_where_that_makes_fewer() {
    let each = |count, samples| (0..count).map(|index| regular(index * 10_000, 10, samples)).collect::<Vec<_>>();
    for (chunks, expected) in [
        (each(3, 24), vec![72]),
        (each(9, 24), vec![108, 108]),
        (each(2, 90), vec![180]),
        (each(4, 90), vec![180, 180]),
        (each(5, 90), vec![150, 150, 150]),
        (each(3, 100), vec![100, 100, 100]),
        (each(1, 5), vec![5]),
        (vec![regular(0, 10, 120), regular(5_000, 10, 30)], vec![150]),
        (vec![regular(0, 10, 120), regular(5_000, 10, 61)], vec![120, 61]),
        (vec![regular(0, 10, 120), regular(5_000, 10, 120), regular(9_000, 10, 20)], vec![120, 140]),
        ([each(2, 30), vec![regular(50_000, 10, 120), regular(90_000, 10, 3)]].concat(), vec![92, 91]),
    ] {
        assert_eq!(pack(&chunks, ALL).0, expected);
    }
}

#[test]
fn chunks_are_cut_at_the_bounds_of_the_block_and_around_what_is_deleted() {
    let whole = regular(0, 10, 100);
    for (part, expected) in [(range(105, 205), vec![10]), (range(105, 109), vec![]), (range(991, 2000), vec![])] {
        assert_eq!(pack(from_ref(&whole), part).0, expected);
    }
    let deleted = Chunk { deleted: Some([range(0, 100), range(500, 599)].into()), ..whole };
    assert_eq!(pack(from_ref(&deleted), ALL).0, [100 - 11 - 10]);
    assert_eq!(pack(&[Chunk { deleted: Some([ALL].into()), ..deleted }], ALL).0, Vec::<usize>::new());
}

#[test]
fn of_two_values_the_first_one_stays_and_the_other_is_counted() {
    let first = chunk(&[(10, 1.0), (20, 1.0), (40, 1.0)]);
    let second = chunk(&[(5, 2.0), (20, 2.0), (30, 2.0), (40, 1.0)]);
    let (counts, stored, conflicts) = pack(&[first, second], ALL);
    assert_eq!((counts, conflicts), (vec![5], 1));
    let stored = chunk_of(&stored[0]);
    assert_eq!(stored, [(5, 2.0), (10, 1.0), (20, 1.0), (30, 2.0), (40, 1.0)]);
}

fn chunk_of(data: &[u8]) -> Vec<(i64, f64)> {
    let data = ChunkData::Memory(ChunkEncoding::Xor, data.into());
    let mut batch = Batch::default();
    let chunk = Chunk { start: TimestampMs::MIN, end: TimestampMs::MAX, data, deleted: None };
    decode(&chunk, ALL, &mut batch).unwrap();
    batch.timestamps.iter().map(|at| at.0).zip(batch.floats.iter().copied()).collect()
}

/// Samples of one chunk, and what of them is deleted.
type Samples = (BTreeMap<i64, f64>, Option<(i64, i64)>);

fn any_samples() -> impl Strategy<Value = Samples> {
    let samples = proptest::collection::btree_map(0..2000i64, (0..4u8).prop_map(f64::from), 1..60);
    (samples, proptest::option::of((0..2000i64, 0..500i64)))
}

#[test]
fn joined_chunks_stay_small() {
    // Values that take nearly nine bytes each.
    let random = |seed: i64| f64::from_bits((seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2);
    let chunk_at = |start: i64, samples: i64| {
        chunk(&(start..start + samples).map(|index| (index * 10, random(index))).collect::<Vec<_>>())
    };
    let (counts, stored, _) = pack(&[chunk_at(0, 100), chunk_at(100, 90), chunk_at(200, 20)], ALL);
    assert!(stored.iter().all(|data| data.len() <= JOINED.bytes), "{counts:?}");
    assert_eq!(counts, [105, 105]);
}

proptest! {
    #[test]
    fn every_sample_is_stored_once(
        all in proptest::collection::vec(any_samples(), 1..8),
        start in -10..1500i64,
        length in 0..2500i64,
    ) {
        let (mut expected, mut chunks) = (BTreeMap::new(), Vec::new());
        for (samples, deleted) in &all {
            let deleted = deleted.map(|(start, length)| range(start, start + length));
            let packed = chunk(&samples.iter().map(|(at, value)| (*at, *value)).collect::<Vec<_>>());
            chunks.push(Chunk { deleted: deleted.map(|range| Arc::from([range])), ..packed });
            for (at, value) in samples.range(start..=start + length) {
                if !deleted.is_some_and(|range| range.contains(TimestampMs(*at))) {
                    expected.entry(*at).or_insert(*value);
                }
            }
        }
        let (_, stored, _) = pack(&chunks, range(start, start + length));
        let found: Vec<(i64, f64)> = stored.iter().flat_map(|data| chunk_of(data)).collect();
        prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }
}
