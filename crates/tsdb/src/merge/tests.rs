use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use model::{Counts, Labels, NativeHistogram, ResetHint, Span, TimestampMs};
use parking_lot::Mutex;
use proptest::prelude::*;
use storage::{Batch, QueryError, SampleIterator as _, TimeRange};
use tsdb_format::chunk::{ChunkEncoding, HistogramChunk, Repacked, XorChunk};

use super::*;
use crate::part::{Chunk, ChunkBytes, ChunkData, ChunkStore};
use crate::stats::Counter;

type Samples = Vec<(i64, f64)>;

fn time_range(start: i64, end: i64) -> TimeRange {
    TimeRange { start: TimestampMs(start), end: TimestampMs(end) }
}

fn float_chunk(samples: &[(i64, f64)]) -> Chunk {
    let mut chunk = XorChunk::new(TimestampMs(samples[0].0), samples[0].1);
    samples[1..].iter().for_each(|(at, value)| chunk.push(TimestampMs(*at), *value));
    Chunk {
        start: TimestampMs(samples[0].0),
        end: TimestampMs(samples[samples.len() - 1].0),
        data: ChunkData::Memory(ChunkEncoding::Xor, chunk.data().into()),
        deleted: None,
    }
}

fn histogram(count: u64, reset_hint: ResetHint) -> Arc<NativeHistogram> {
    Arc::new(NativeHistogram {
        sum: count as f64,
        reset_hint,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        counts: Counts::Integer { count, zero_count: 0, positive: vec![count as i64], negative: vec![] },
        ..NativeHistogram::stale()
    })
}

fn histogram_chunk(samples: &[(i64, u64)], after_reset: bool) -> Chunk {
    let unknown = |count: u64| histogram(count, ResetHint::Unknown);
    let mut chunk = HistogramChunk::new(TimestampMs(samples[0].0), unknown(samples[0].1), after_reset);
    samples[1..].iter().for_each(|(at, count)| chunk.push(TimestampMs(*at), unknown(*count)).unwrap());
    Chunk {
        data: ChunkData::Memory(chunk.encoding(), chunk.data().into()),
        ..float_chunk(&[(samples[0].0, 0.0), (samples[samples.len() - 1].0, 0.0)])
    }
}

/// Everything in the batches, checked for what the seam promises of them.
fn read<W: Witness>(chunks: Vec<Chunk>, range: TimeRange, witness: W) -> Result<Vec<(i64, String)>, QueryError> {
    let mut walk = samples(chunks, range, witness);
    let (mut batch, mut found) = (Batch::default(), Vec::new());
    while walk.next_batch(&mut batch)? {
        assert!(!batch.is_empty() && (batch.floats.is_empty() || batch.histograms.is_empty()));
        assert_eq!(batch.len(), batch.floats.len() + batch.histograms.len());
        let floats = batch.floats.iter().map(|value| value.to_string());
        let histograms =
            batch.histograms.iter().map(|histogram| format!("h{} {:?}", histogram.sum, histogram.reset_hint));
        found.extend(batch.timestamps.iter().map(|at| at.0).zip(floats.chain(histograms)));
    }
    assert!(batch.is_empty() && !walk.next_batch(&mut batch)?);
    assert!(found.is_sorted_by(|left, right| left.0 < right.0), "{found:?}");
    Ok(found)
}

fn floats(chunks: Vec<Chunk>, range: TimeRange) -> (Samples, u64) {
    let conflicts = Counter::default();
    let found = read(chunks, range, &conflicts).unwrap();
    (found.into_iter().map(|(at, value)| (at, value.parse().unwrap())).collect(), conflicts.get())
}

fn samples_of_chunk() -> impl Strategy<Value = Samples> {
    let values = prop_oneof![Just(0.0), Just(1.0), Just(2.5)];
    // Close together, so that chunks overlap, touch, and hold the same times.
    prop::collection::btree_map(0i64..400, values, 1..60).prop_map(|samples| samples.into_iter().collect())
}

proptest! {
    #[test]
    fn overlapping_chunks_are_as_a_map_in_which_the_first_stays(
        chunks in prop::collection::vec((samples_of_chunk(), 0i64..900), 0..9),
        deleted in prop::collection::btree_set((0i64..60, 1i64..5), 0..5),
        (start, length) in (-5i64..1400, 0i64..1400),
    ) {
        let range = time_range(start, start + length);
        // Apart from each other, and sorted.
        let deleted: Vec<TimeRange> = deleted.iter().map(|(at, length)| time_range(at * 20, at * 20 + length)).collect();
        let mut expected: BTreeMap<i64, f64> = BTreeMap::new();
        let mut conflicts = 0;
        let mut packed = Vec::new();
        for (index, (samples, offset)) in chunks.iter().enumerate() {
            let samples: Samples = samples.iter().map(|(at, value)| (at + offset, *value)).collect();
            let deleted = if index % 2 == 0 { &deleted[..] } else { &[] };
            for (at, value) in &samples {
                let at_time = TimestampMs(*at);
                if range.contains(at_time) && !deleted.iter().any(|range| range.contains(at_time)) {
                    conflicts += u64::from(*expected.entry(*at).or_insert(*value) != *value);
                }
            }
            packed.push(Chunk { deleted: (!deleted.is_empty()).then(|| deleted.into()), ..float_chunk(&samples) });
        }
        prop_assert_eq!(floats(packed, range), (expected.into_iter().collect(), conflicts));
    }
}

#[test]
fn floats_of_chunks_one_after_the_other_come_together() {
    let chunk = |start: i64, count: i64| {
        float_chunk(&(0..count).map(|index| (start + index, index as f64)).collect::<Vec<_>>())
    };
    let deleted = |chunk: Chunk, start, end| Chunk { deleted: Some([time_range(start, end)].into()), ..chunk };
    let twenty = || (0..20).map(|number| chunk(number * 1000, 120)).collect::<Vec<_>>();
    let (three, all) = ([chunk(0, 3), chunk(10, 3), chunk(20, 3)], TimeRange::ALL);
    for (chunks, range, batches) in [
        (three.to_vec(), all, &[9][..]),
        (three.to_vec(), time_range(1, 21), &[5, 2]),
        (vec![chunk(0, 3), deleted(chunk(10, 3), 11, 11), chunk(20, 3)], all, &[3, 5]),
        (vec![chunk(0, 3), chunk(10, 3), chunk(12, 3)], all, &[3, 5]),
        (vec![chunk(0, 3), histogram_chunk(&[(10, 5)], false), chunk(20, 3)], all, &[3, 1, 3]),
        // A day at a minute is one batch; there is a bound.
        (twenty(), all, &[17 * 120, 3 * 120]),
    ] {
        let conflicts = Counter::default();
        let (mut walk, mut batch, mut counts) = (samples(chunks, range, &conflicts), Batch::default(), Vec::new());
        while walk.next_batch(&mut batch).unwrap() {
            counts.push(batch.len());
        }
        assert_eq!(counts, batches);
    }
}

#[test]
fn kinds_do_not_mix_and_a_float_against_a_histogram_is_a_conflict() {
    let conflicts = Counter::default();
    let chunks = vec![float_chunk(&[(10, 1.0), (30, 3.0)]), histogram_chunk(&[(20, 5), (30, 6), (40, 7)], false)];
    let found = read(chunks, TimeRange::ALL, &conflicts).unwrap();
    let found: Vec<(i64, &str)> = found.iter().map(|(at, value)| (*at, value.as_str())).collect();
    assert_eq!(found, [(10, "1"), (20, "h5 Unknown"), (30, "3"), (40, "h7 Unknown")]);
    assert_eq!(conflicts.get(), 1);
}

#[test]
fn hints_about_resets_hold_only_where_nothing_comes_between() {
    let first = histogram_chunk(&[(10, 5), (20, 6)], false);
    let second = histogram_chunk(&[(30, 1), (40, 2), (50, 3)], true);
    let late = histogram_chunk(&[(25, 7)], false);
    let later = histogram_chunk(&[(45, 2)], false);
    for (chunks, expected) in [
        (vec![first.clone(), second.clone()], "5 Unknown 6 NotReset 1 Unknown 2 NotReset 3 NotReset"),
        (vec![first.clone(), second.clone(), late], "5 Unknown 6 NotReset 7 Unknown 1 Unknown 2 NotReset 3 NotReset"),
        (vec![first, second, later], "5 Unknown 6 NotReset 1 Unknown 2 NotReset 2 Unknown 3 Unknown"),
    ] {
        let found = read(chunks, TimeRange::ALL, &Counter::default()).unwrap();
        let found: Vec<&str> = found.iter().map(|(_, value)| &value[1..]).collect();
        assert_eq!(found.join(" "), expected);
    }
}

/// Chunks by number; what is not there is damaged.
struct Stored(BTreeMap<u64, (ChunkEncoding, Vec<u8>)>);

impl ChunkStore for Stored {
    fn read(&self, reference: u64) -> Result<(ChunkEncoding, ChunkBytes<'static>), QueryError> {
        let chunk = self.0.get(&reference).ok_or_else(|| QueryError::Corrupt("gone".into()))?;
        Ok((chunk.0, ChunkBytes::Read(Bytes::from(chunk.1.clone()))))
    }
}

/// A chunk with start timestamps.
struct Started(Repacked);

impl ChunkStore for Started {
    fn read(&self, _: u64) -> Result<(ChunkEncoding, ChunkBytes<'static>), QueryError> {
        Ok((ChunkEncoding::Xor, ChunkBytes::Repacked(self.0.clone())))
    }
}

#[test]
fn start_timestamps_are_cut_deleted_and_merged_with_their_samples() {
    let times = [(10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0), (50, 5.0)];
    let ChunkData::Memory(_, data) = float_chunk(&times).data else { unreachable!() };
    let start_times = [1, 2, 3, 4, 5].map(TimestampMs).to_vec();
    let store = Arc::new(Started(Repacked { data: data.to_vec(), start_times }));
    let started = Chunk {
        data: ChunkData::Stored { store, reference: 0 },
        deleted: Some(Arc::new([time_range(30, 30)])),
        ..float_chunk(&times)
    };
    let chunks = vec![started, float_chunk(&[(35, 3.5), (60, 6.0)])];
    let conflicts = Counter::default();
    let (mut samples, mut batch) = (samples(chunks, time_range(20, 60), &conflicts), Batch::default());
    let mut found = Vec::new();
    while samples.next_batch(&mut batch).unwrap() {
        let start = |index: usize| batch.start_timestamps.get(index).map_or(0, |start| start.0);
        found.extend(batch.timestamps.iter().enumerate().map(|(index, at)| (at.0, start(index))));
    }
    assert_eq!(found, [(20, 2), (35, 0), (40, 4), (50, 5), (60, 0)]);
}

/// Lets what is unreadable pass, and keeps what was said about it.
#[derive(Default)]
struct Lenient(Mutex<RefCell<Vec<String>>>);

impl Witness for &Lenient {
    fn conflict(&self) {
        panic!("no conflicts here");
    }

    fn unreadable(&self, error: QueryError) -> Result<(), QueryError> {
        self.0.lock().borrow_mut().push(error.to_string());
        Ok(())
    }
}

#[test]
fn a_damaged_chunk_is_left_out_whole_or_ends_the_walk() {
    let bytes = |samples: &[(i64, f64)]| match float_chunk(samples).data {
        ChunkData::Memory(encoding, data) => (encoding, data.to_vec()),
        ChunkData::Sample(..) | ChunkData::Stored { .. } => unreachable!(),
    };
    let good = bytes(&[(10, 1.0), (20, 2.0)]);
    let mut cut = good.clone();
    cut.1.pop();
    let store = Arc::new(Stored(BTreeMap::from([
        (1, good),
        (2, cut),
        (3, bytes(&[(10, 1.0), (10, 2.0)])),
        (4, bytes(&[(9, 1.0), (20, 2.0)])),
        (5, bytes(&[(10, 1.0), (21, 2.0)])),
    ])));
    let stored = |reference| Chunk {
        data: ChunkData::Stored { store: Arc::clone(&store) as Arc<dyn ChunkStore>, reference },
        ..float_chunk(&[(10, 0.0), (20, 0.0)])
    };
    let before = float_chunk(&[(1, 1.0)]);
    let beside = float_chunk(&[(15, 1.5)]);
    for (reference, said) in [
        (1, None),
        (2, Some("stored data are damaged: chunk of 10 to 20: corrupt chunk: the data end inside a sample")),
        (3, Some("stored data are damaged: chunk of 10 to 20: corrupt chunk: times do not rise")),
        (
            4,
            Some(
                "stored data are damaged: chunk of 10 to 20: corrupt chunk: times are outside those that the index names",
            ),
        ),
        (
            5,
            Some(
                "stored data are damaged: chunk of 10 to 20: corrupt chunk: times are outside those that the index names",
            ),
        ),
        (6, Some("stored data are damaged: gone")),
    ] {
        // Alone, and with one that overlaps it.
        for others in [vec![before.clone()], vec![before.clone(), beside.clone()]] {
            let mut chunks = others.clone();
            chunks.push(stored(reference));
            let lenient = Lenient::default();
            let found = read(chunks.clone(), TimeRange::ALL, &lenient).unwrap().len();
            let told = lenient.0.into_inner().into_inner();
            assert_eq!(found, others.len() + if said.is_none() { 2 } else { 0 }, "chunk {reference}");
            assert_eq!(told.len(), usize::from(said.is_some()), "chunk {reference}");
            assert!(said.is_none_or(|said| told[0].starts_with(said)), "{told:?}");
            let strict = read(chunks, TimeRange::ALL, &Counter::default());
            assert_eq!(strict.is_err(), said.is_some(), "chunk {reference}");
        }
    }
}

struct Listed(std::vec::IntoIter<PartSeries>);

impl SeriesSource for Listed {
    fn next(&mut self) -> Result<Option<PartSeries>, QueryError> {
        Ok(self.0.next())
    }
}

proptest! {
    #[test]
    fn series_come_in_order_with_the_chunks_of_all_sources_in_theirs(
        sources in prop::collection::vec(prop::collection::btree_set(0usize..12, 0..8), 0..6),
    ) {
        let labels = |number: usize| {
            Labels::from_pairs([("__name__", "x".repeat(number / 4 + 1)), ("a", "y".repeat(number % 4))]).unwrap()
        };
        let mut expected: BTreeMap<Labels, Vec<i64>> = BTreeMap::new();
        let mut lists: Vec<Box<dyn SeriesSource>> = Vec::new();
        for (source, numbers) in sources.iter().enumerate() {
            let mut list: Vec<PartSeries> = Vec::new();
            for number in numbers {
                expected.entry(labels(*number)).or_default().push(source as i64);
                list.push(PartSeries { labels: labels(*number), chunks: vec![float_chunk(&[(source as i64, 0.0)])] });
            }
            list.sort_by(|left, right| left.labels.cmp(&right.labels));
            lists.push(Box::new(Listed(list.into_iter())));
        }
        let mut merge = SeriesMerge::new(lists).unwrap();
        let mut found = Vec::new();
        while let Some(series) = merge.next().unwrap() {
            found.push((series.labels, series.chunks.iter().map(|chunk| chunk.start.0).collect::<Vec<_>>()));
        }
        prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }
}
