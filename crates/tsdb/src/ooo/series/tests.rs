use std::collections::BTreeMap;

use model::{Counts, NativeHistogram, ResetHint, Span, stale_nan};
use proptest::prelude::*;

use super::*;
use crate::ooo::encode::Sample;
use crate::part::ChunkData;

const WIDTH: i64 = 1000;

fn histogram(count: u8) -> NativeHistogram {
    NativeHistogram {
        sum: f64::from(count),
        positive_spans: vec![Span { offset: 0, length: 1 }],
        counts: Counts::Integer { count: count.into(), zero_count: 0, positive: vec![count.into()], negative: vec![] },
        ..NativeHistogram::stale()
    }
}

fn value(number: u8) -> Value {
    match number {
        0..=99 => Value::Float(f64::from(number)),
        100 => Value::Float(stale_nan()),
        101 => Value::Histogram(Arc::new(NativeHistogram::stale())),
        _ => Value::Histogram(Arc::new(histogram(number))),
    }
}

fn unpack(chunk: &Chunk) -> Vec<Sample> {
    let ChunkData::Memory(encoding, data) = &chunk.data else { panic!("late samples are in memory") };
    Packed { start: chunk.start, end: chunk.end, encoding: *encoding, data: Arc::clone(data) }.decode()
}

/// All samples of the chunks, sorted; what the chunks say of themselves is true.
fn unpack_all(chunks: &[Chunk]) -> Vec<Sample> {
    let mut all = Vec::new();
    for chunk in chunks {
        let samples = unpack(chunk);
        assert_eq!((chunk.start, chunk.end), (samples[0].0, samples[samples.len() - 1].0));
        assert!(samples.is_sorted_by(|left, right| left.0 < right.0));
        all.extend(samples);
    }
    all.sort_by_key(|(at, _)| *at);
    all
}

#[track_caller]
fn assert_same(found: &[Sample], expected: &[(i64, u8)]) {
    assert_eq!(found.iter().map(|s| s.0.0).collect::<Vec<_>>(), expected.iter().map(|s| s.0).collect::<Vec<_>>());
    for ((at, found), (_, number)) in found.iter().zip(expected) {
        assert!(found.same(&value(*number)), "{found:?} at {at} instead of {number}");
    }
}

struct Tested {
    series: OooSeries,
    ranges: OpenRanges,
    model: BTreeMap<i64, u8>,
}

impl Tested {
    fn new() -> Self {
        Self { series: OooSeries::new(), ranges: OpenRanges::default(), model: BTreeMap::new() }
    }

    fn insert(&mut self, at: i64, number: u8) {
        let time = TimestampMs(at);
        match self.model.get(&at) {
            Some(stored) => assert!(self.series.find(time).is_some_and(|found| found.same(&value(*stored)))),
            None => {
                assert!(self.series.find(time).is_none(), "nothing is stored at {at}");
                self.ranges.open(crate::part::aligned(time, WIDTH));
                self.series.insert(time, value(number), &self.ranges);
                self.model.insert(at, number);
            }
        }
    }

    fn check(&self, start: i64, end: i64) {
        let range = TimeRange { start: TimestampMs(start), end: TimestampMs(end) };
        let mut chunks = Vec::new();
        self.series.chunks(range, &mut chunks);
        assert!(chunks.iter().all(|chunk| chunk.overlaps(range)));
        assert_eq!(self.series.has_chunks(range), !chunks.is_empty());
        let mut found = unpack_all(&chunks);
        found.retain(|(at, _)| range.contains(*at));
        assert_same(&found, &self.model.range(start..=end).map(|(at, number)| (*at, *number)).collect::<Vec<_>>());
        for at in start..=end.min(start + 50) {
            let found = self.series.find(TimestampMs(at));
            match self.model.get(&at) {
                None => assert!(found.is_none(), "{at}"),
                Some(number) => assert!(found.is_some_and(|found| found.same(&value(*number))), "{at}"),
            }
        }
        self.check_bytes();
    }

    fn check_bytes(&self) {
        let packed: usize = self.series.packed.iter().map(|chunk| chunk.data.len() + 16).sum();
        assert_eq!(self.series.packed_bytes, packed);
        let run = self.series.run.iter().map(|(_, value)| match value {
            Value::Float(_) => 0,
            Value::Histogram(histogram) => histogram_bytes(histogram),
        });
        assert_eq!(self.series.run_bytes, run.sum::<usize>());
    }

    fn settle(&mut self) {
        self.series.settle(&self.ranges);
        let mut chunks = Vec::new();
        self.series.chunks(TimeRange::ALL, &mut chunks);
        assert!(chunks.is_sorted_by(|left, right| left.end < right.start), "chunks do not overlap");
        for chunk in &chunks {
            assert!(self.ranges.of(chunk.start).contains(&chunk.end.0), "no chunk crosses a range");
        }
        self.check(-10_000, 100_000);
    }
}

#[derive(Clone, Debug)]
enum Step {
    One(i64, u8),
    /// Start, step, count, value.
    Run(i64, i64, i64, u8),
    Check(i64, i64),
    Settle,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = prop_oneof![6 => 0u8..=100, 1 => 101u8..=110];
    let step = prop_oneof![
        6 => (-100i64..5000, number.clone()).prop_map(|(at, number)| Step::One(at, number)),
        6 => (-100i64..5000, -30i64..60, 1i64..200, number)
            .prop_map(|(start, step, count, number)| Step::Run(start, step, count, number)),
        2 => (-200i64..5000, 0i64..3000).prop_map(|(start, length)| Step::Check(start, start + length)),
        1 => Just(Step::Settle),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn a_series_is_a_map(steps in steps()) {
        let mut tested = Tested::new();
        for step in steps {
            match step {
                Step::One(at, number) => tested.insert(at, number),
                Step::Run(start, step, count, number) => {
                    (0..count).for_each(|index| tested.insert(start + index * step, number));
                }
                Step::Check(start, end) => tested.check(start, end),
                Step::Settle => tested.settle(),
            }
        }
        tested.check(-10_000, 100_000);
        tested.settle();
    }
}

#[test]
fn rising_samples_fill_chunks_and_cost_little_more_than_their_bytes() {
    let mut tested = Tested::new();
    for at in (0..100_000).step_by(5) {
        tested.insert(at, 7);
    }
    let samples = tested.model.len();
    assert!(tested.series.run.is_empty());
    // A range has 200 samples: one full chunk and one of 80.
    assert_eq!(tested.series.packed.len() + 1, 2 * 100);
    assert!(tested.series.bytes() < 2 * samples, "{} bytes for {samples} samples", tested.series.bytes());
    tested.settle();
}

#[test]
fn samples_in_any_order_fill_chunks_at_least_to_a_half() {
    let mut tested = Tested::new();
    // 1,009 is a prime: every time comes once.
    (0..10_000i64).for_each(|index| tested.insert(index * 1_009 % 10_000, 7));
    tested.settle();
    let chunks = tested.series.packed.len();
    assert!(chunks <= 2 * 10_000 / CHUNK_SAMPLES, "{chunks} chunks");
}

#[test]
fn late_histograms_do_not_claim_to_know_about_resets() {
    let mut tested = Tested::new();
    // Counts that fall between chunks, and inside a run.
    for (at, count) in [(10, 110), (20, 105), (30, 103), (25, 104), (15, 120), (40, 102), (5, 110)] {
        tested.insert(at, count);
    }
    tested.settle();
    let mut chunks = Vec::new();
    tested.series.chunks(TimeRange::ALL, &mut chunks);
    for chunk in &chunks {
        for (index, (at, sample)) in unpack(chunk).iter().enumerate() {
            let Value::Histogram(histogram) = sample else { panic!("only histograms came") };
            // Inside a chunk neighbours are neighbours of the series, too, unless another part has one between.
            let expected = if index == 0 { ResetHint::Unknown } else { ResetHint::NotReset };
            assert_eq!(histogram.reset_hint, expected, "at {at}");
        }
    }
}
