use std::sync::Arc;

use environment::Monotonic;
use model::{Labels, NativeHistogram, TimestampMs};
use proptest::prelude::*;
use storage::TimeRange;
use testkit::MemoryDisk;
use tsdb_format::wal::record::{HistogramEncoder, SampleEncoder, SeriesEncoder, TombstoneEncoder};

use super::*;
use crate::compaction::BlockRanges;
use crate::log::Log;
use crate::settings::Settings;

const DIRECTORY: &str = "db";

fn labels(number: u32) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("number", &number.to_string())]).unwrap()
}

/// What a log is to say.
#[derive(Clone, Debug)]
enum Step {
    Sample { series: u32, at: i64, is_histogram: bool },
    Delete { series: u32, start: i64, end: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0u32..600, 0i64..2000, prop::bool::weighted(0.1))
            .prop_map(|(series, at, is_histogram)| Step::Sample { series, at, is_histogram }),
        1 => (0u32..600, 0i64..2000, 0i64..500)
            .prop_map(|(series, start, length)| Step::Delete { series, start, end: start + length }),
    ]
}

/// Writes a record for each step, and one for each series before its first.
fn write(disk: &MemoryDisk, log: &str, steps: &[Step]) {
    let directory = Path::new(DIRECTORY).join(log);
    disk.create_directory(&directory).unwrap();
    let mut log = Log::create(Arc::new(disk.clone()), &directory, 0, 2000, None).unwrap();
    let mut named = std::collections::BTreeSet::new();
    for step in steps {
        let (Step::Sample { series, .. } | Step::Delete { series, .. }) = *step;
        // Far apart, as in the log of one who has seen many.
        let reference = WalRef(u64::from(series) * 77 + 1);
        if named.insert(series) && directory.ends_with("wal") {
            let mut encoder = SeriesEncoder::default();
            encoder.push(reference, &labels(series));
            log.push(encoder.record());
        }
        match *step {
            Step::Sample { at, is_histogram: true, .. } => {
                let mut encoder = HistogramEncoder::default();
                encoder.push(reference, TimestampMs(at), &NativeHistogram::stale());
                log.push(encoder.record());
            }
            Step::Sample { at, .. } => {
                let mut encoder = SampleEncoder::default();
                encoder.push(reference, TimestampMs(at), at as f64);
                log.push(encoder.record());
            }
            Step::Delete { start, end, .. } => {
                let mut encoder = TombstoneEncoder::default();
                encoder.push(reference, TimestampMs(start), TimestampMs(end));
                log.push(encoder.record());
            }
        }
        log.write(&Counters::default()).unwrap();
    }
}

/// Reads the log back; gives the times of each series, and what was found.
fn replay(disk: &MemoryDisk, workers: usize, from: i64, ooo: Option<&Ooo>) -> (Vec<(String, Vec<i64>)>, Recovery) {
    let head = Head::new(0, 700);
    let replaying = Replaying {
        disk,
        directory: Path::new(DIRECTORY),
        head: &head,
        counters: &Counters::default(),
        from: TimestampMs(from),
        head_chunks: LoadedChunks::default(),
        late: ooo.map(|ooo| Late { ooo, now: Monotonic::from_duration(std::time::Duration::ZERO) }),
        workers,
        mend: Mend::Yes,
    };
    let replayed = replaying.run().unwrap();
    let mut found = Vec::new();
    for slot in 0..head.slot_count() {
        let labels = head.index.read().labels(slot, &mut model::LabelsBuilder::default());
        let chunks = head.read(slot, |series| series.chunks(TimeRange::ALL));
        let times = chunks.iter().flat_map(|chunk| chunk.samples().unwrap()).map(|(at, _)| at.0);
        found.push((labels.to_string(), times.collect()));
    }
    found.sort();
    (found, replayed.recovery)
}

/// The same, by simpler means.
fn expected(steps: &[Step], from: i64) -> Vec<(String, Vec<i64>)> {
    let mut series: std::collections::BTreeMap<u32, Vec<i64>> = std::collections::BTreeMap::new();
    for step in steps {
        match *step {
            Step::Sample { series: number, at, .. } if at >= from => {
                let times = series.entry(number).or_default();
                if times.last().is_none_or(|newest| *newest < at) {
                    times.push(at);
                }
            }
            Step::Sample { .. } => {}
            Step::Delete { series: number, start, end } => {
                if let Some(times) = series.get_mut(&number) {
                    times.retain(|at| !(start..=end).contains(at));
                }
            }
        }
    }
    let mut found: Vec<_> = series.into_iter().map(|(number, times)| (labels(number).to_string(), times)).collect();
    found.sort();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_number_of_workers_reads_what_was_written(
        steps in prop::collection::vec(step(), 1..300),
        from in prop_oneof![Just(i64::MIN), 0i64..1500],
    ) {
        let disk = MemoryDisk::new();
        write(&disk, "wal", &steps);
        let expected = expected(&steps, from);
        let samples: usize = expected.iter().map(|(_, times)| times.len()).sum();
        for workers in [0, 1, 3] {
            let (found, recovery) = replay(&disk.after_process_crash(), workers, from, None);
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(recovery.samples - recovery.deleted, samples as u64);
        }
    }

    #[test]
    fn late_samples_are_read_once(times in prop::collection::vec((0u32..4, 0i64..50), 1..60)) {
        let disk = MemoryDisk::new();
        let newest: Vec<Step> = (0..4).map(|series| Step::Sample { series, at: 1000, is_histogram: false }).collect();
        write(&disk, "wal", &newest);
        let late = times.iter().map(|(series, at)| Step::Sample { series: *series, at: *at, is_histogram: false });
        write(&disk, "wbl", &late.collect::<Vec<_>>());
        let ooo = Ooo::new(BlockRanges::new(&Settings::default()), 1 << 20);
        let (_, recovery) = replay(&disk, 0, i64::MIN, Some(&ooo));
        let mut once = times.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!((ooo.samples(), recovery.out_of_order), (once.len() as u64, once.len() as u64));
        prop_assert_eq!(recovery.repeated, (times.len() - once.len()) as u64);
    }
}

#[test]
fn every_cut_leaves_what_was_written_before_it() {
    let steps: Vec<Step> = (0..30u32)
        .map(|number| match number % 7 {
            6 => Step::Delete { series: number % 3, start: i64::from(number) - 4, end: i64::from(number) - 2 },
            kind => Step::Sample { series: number % 3, at: i64::from(number), is_histogram: kind == 3 },
        })
        .collect();
    let disk = MemoryDisk::new();
    write(&disk, "wal", &steps);
    let path = Path::new(DIRECTORY).join("wal/00000000");
    let bytes = disk.read(&path).unwrap();
    let all: Vec<_> = (0..=steps.len()).map(|count| expected(&steps[..count], i64::MIN)).collect();
    let mut most = 0;
    for length in 0..=bytes.len() {
        let cut = disk.after_process_crash();
        cut.put(&path, bytes[..length].to_vec());
        let (found, recovery) = replay(&cut, 0, i64::MIN, None);
        assert!(recovery.damage.is_empty(), "cut to {length}: {recovery:?}");
        let count = all.iter().rposition(|expected| *expected == found).unwrap_or_else(|| panic!("cut to {length}"));
        assert!(count >= most, "cut to {length}");
        most = count;
        let again = replay(&cut, 0, i64::MIN, None);
        assert_eq!((again.0, again.1.torn_bytes), (found, 0), "cut to {length}");
    }
    assert_eq!(most, steps.len());
}
