use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use environment::{Disk, UnixTime};
use model::{Labels, TimestampMs};
use proptest::prelude::*;
use storage::{Batch, Queryable as _, Storage as _};
use testkit::{ManualClock, MemoryDisk};
use tsdb_format::block::Ulid;
use tsdb_format::chunk::{ChunkEncoding, XorChunk};

use super::*;
use crate::compaction::{BlockChunk, BlockWriter, Origin};
use crate::{Db, Engine, Settings};

const DIRECTORY: &str = "w";

/// Series and their samples.
type Content = BTreeMap<Labels, BTreeMap<i64, u8>>;

fn labels(number: usize) -> Labels {
    Labels::from_pairs([("__name__", ["a", "b"][number % 2]), ("x", &"12"[..number / 2])]).unwrap()
}

fn write_block(disk: &MemoryDisk, number: u64, content: &Content) -> Ulid {
    let ulid = Ulid::new(number, 0);
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut writer = BlockWriter::create(&disk, Path::new(DIRECTORY), ulid).unwrap();
    for (labels, samples) in content {
        let samples: Vec<_> = samples.iter().collect();
        let chunks: Vec<XorChunk> = samples.chunks(7).map(float_chunk).collect();
        let chunks: Vec<BlockChunk<'_>> = chunks.iter().map(block_chunk).collect();
        writer.push(labels, &chunks).unwrap();
    }
    writer.finish(Origin::new_samples(), 0..1000).unwrap();
    ulid
}

fn float_chunk(samples: &[(&i64, &u8)]) -> XorChunk {
    let mut chunk = XorChunk::new(TimestampMs(*samples[0].0), f64::from(*samples[0].1));
    samples[1..].iter().for_each(|(at, value)| chunk.push(TimestampMs(**at), f64::from(**value)));
    chunk
}

fn block_chunk(chunk: &XorChunk) -> BlockChunk<'_> {
    BlockChunk { start: chunk.start(), end: chunk.newest().0, encoding: ChunkEncoding::Xor, data: chunk.data() }
}

/// A disk with a directory for the database, an engine without threads, and the database, whose log has not been read.
fn opened(disk: &MemoryDisk) -> (Arc<Engine>, Arc<Db>) {
    let clock = ManualClock::new(UnixTime::from_secs(1000));
    let engine = Engine::manual(Arc::new(disk.clone()), Arc::new(clock));
    let db = Db::open(&engine, Path::new(DIRECTORY), Settings::default()).unwrap();
    (engine, db)
}

fn empty_disk() -> MemoryDisk {
    let disk = MemoryDisk::new();
    disk.create_directory(Path::new(DIRECTORY)).unwrap();
    disk
}

/// Polls a future, and lets the engine work while it waits.
fn run<T>(engine: &Engine, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => return value,
            Poll::Pending => assert!(engine.run_pending(), "waits for nothing"),
        }
    }
}

fn append(engine: &Engine, db: &Db, content: &Content) {
    let mut appender = db.appender(TimestampMs(10_000));
    for (labels, samples) in content {
        let series = appender.series(None, labels).unwrap();
        for (at, value) in samples {
            appender.append(series, TimestampMs(*at), f64::from(*value)).unwrap();
        }
    }
    let committed = run(engine, appender.commit()).unwrap();
    assert_eq!(committed.rejected, []);
}

fn select(engine: &Engine, db: &Db, matchers: &[Matcher], range: TimeRange) -> Content {
    let querier = db.querier(range);
    let mut set = run(engine, querier.select(matchers, SelectHints::samples(range))).unwrap();
    let (mut found, mut batch) = (Content::new(), Batch::default());
    let mut previous = None;
    while let Some(mut series) = set.next().unwrap() {
        assert!(previous.replace(series.labels.clone()).is_none_or(|previous| previous < series.labels));
        let mut samples = BTreeMap::new();
        while series.samples.next_batch(&mut batch).unwrap() {
            assert!(samples.last_key_value().is_none_or(|(last, _)| *last < batch.timestamps[0].0));
            samples.extend(batch.timestamps.iter().zip(&batch.floats).map(|(at, value)| (at.0, *value as u8)));
        }
        if !samples.is_empty() {
            found.insert(series.labels, samples);
        }
    }
    found
}

/// The newest sample of each series, asked for alone.
fn select_newest(engine: &Engine, db: &Db, matchers: &[Matcher], range: TimeRange) -> Vec<(i64, u8)> {
    let querier = db.querier(range);
    let hints = SelectHints { newest_only: true, ..SelectHints::samples(range) };
    let mut set = run(engine, querier.select(matchers, hints)).unwrap();
    let (mut found, mut batch) = (Vec::new(), Batch::default());
    while let Some(mut series) = set.next().unwrap() {
        let mut newest = None;
        while series.samples.next_batch(&mut batch).unwrap() {
            newest = batch.timestamps.last().map(|at| at.0).zip(batch.floats.last().map(|value| *value as u8));
        }
        found.extend(newest);
    }
    found
}

/// The label `x` of each series with samples in the range, of which no other label is asked for.
fn select_x(engine: &Engine, db: &Db, matchers: &[Matcher], range: TimeRange, any_order: bool) -> Vec<Option<String>> {
    let querier = db.querier(range);
    let labels = Some(["x".to_owned()].into());
    let hints = SelectHints { labels, any_order, ..SelectHints::samples(range) };
    let mut set = run(engine, querier.select(matchers, hints)).unwrap();
    assert!(!set.may_have_label("nobody's"));
    let (mut found, mut batch) = (Vec::new(), Batch::default());
    while let Some(mut series) = set.next().unwrap() {
        if series.samples.next_batch(&mut batch).unwrap() {
            found.push(series.labels.get("x").map(str::to_owned));
        }
    }
    found
}

fn content() -> impl Strategy<Value = Content> {
    let samples = || prop::collection::btree_map(0i64..60, 0u8..3, 1..20);
    prop::collection::btree_map((0usize..6).prop_map(labels), samples(), 0..5)
}

fn matchers() -> impl Strategy<Value = Vec<Matcher>> {
    use model::MatchOp::{Equal, NotEqual, NotRegex, Regex};
    let one = (
        prop::sample::select(vec!["__name__", "x", "y"]),
        prop::sample::select(vec![Equal, NotEqual, Regex, NotRegex]),
    );
    let one = (one, prop::sample::select(vec!["", "a", "1", "1|12", "1.*", ".*", ".+"]));
    let one = one.prop_map(|((name, op), value)| Matcher::new(op, name, value).unwrap());
    prop::collection::vec(one, 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn parts_are_one_in_which_the_first_stored_counts(
        blocks in prop::collection::vec(content(), 0..4),
        head in content(),
        asked in prop::collection::vec((matchers(), 0i64..60, 0i64..60), 1..8),
    ) {
        let disk = empty_disk();
        // Written in another order than that of their names.
        for (number, content) in (1..).zip(&blocks).collect::<Vec<_>>().into_iter().rev() {
            write_block(&disk, number, content);
        }
        let (engine, db) = opened(&disk);
        append(&engine, &db, &head);
        let mut all = Content::new();
        for (labels, samples) in blocks.iter().flatten().chain(&head) {
            let series = all.entry(labels.clone()).or_default();
            samples.iter().for_each(|(at, value)| { series.entry(*at).or_insert(*value); });
        }
        for (matchers, start, length) in asked {
            let range = TimeRange { start: TimestampMs(start), end: TimestampMs(start + length) };
            let mut expected = all.clone();
            expected.retain(|labels, samples| {
                samples.retain(|at, _| range.contains(TimestampMs(*at)));
                !samples.is_empty() && matchers.iter().all(|matcher| matcher.matches_labels(labels))
            });
            prop_assert_eq!(select(&engine, &db, &matchers, range), expected.clone());
            let newest: Vec<_> = expected.values().filter_map(|samples| samples.last_key_value()).collect();
            let newest: Vec<(i64, u8)> = newest.into_iter().map(|(at, value)| (*at, *value)).collect();
            prop_assert_eq!(select_newest(&engine, &db, &matchers, range), newest);
            let of_x = |labels: &Labels| labels.get("x").map(str::to_owned);
            let mut values: Vec<_> = expected.keys().map(of_x).collect();
            prop_assert_eq!(&select_x(&engine, &db, &matchers, range, false), &values);
            values.sort_unstable();
            let mut in_any_order = select_x(&engine, &db, &matchers, range, true);
            in_any_order.sort_unstable();
            prop_assert_eq!(in_any_order, values);

            let querier = db.querier(TimeRange::ALL);
            let meeting = || all.keys().filter(|labels| matchers.iter().all(|matcher| matcher.matches_labels(labels)));
            let mut names: Vec<&str> = meeting().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
            names.sort_unstable();
            names.dedup();
            prop_assert_eq!(run(&engine, querier.label_names(&matchers, 0)).unwrap(), names);
            let mut values: Vec<&str> = meeting().filter_map(|labels| labels.get("x")).collect();
            values.sort_unstable();
            values.dedup();
            prop_assert_eq!(&run(&engine, querier.label_values("x", &matchers, 0)).unwrap(), &values);
            values.truncate(1);
            prop_assert_eq!(run(&engine, querier.label_values("x", &matchers, 1)).unwrap(), values);

            let hints = SelectHints { limit: 2, ..SelectHints::series_only(TimeRange::ALL) };
            let mut set = run(&engine, querier.select(&matchers, hints)).unwrap();
            let limited: Vec<Labels> = std::iter::from_fn(|| set.next().unwrap()).map(|series| series.labels).collect();
            prop_assert_eq!(limited, meeting().take(2).cloned().collect::<Vec<_>>());
        }
    }

    #[test]
    fn sorted_lists_become_one(
        left in prop::collection::btree_set("[a-c]{0,2}", 0..9),
        right in prop::collection::btree_set("[a-c]{0,2}", 0..9),
    ) {
        let both: Vec<String> = left.union(&right).cloned().collect();
        prop_assert_eq!(union(left.into_iter().collect(), right.into_iter().collect()), both);
    }
}

#[test]
fn a_damaged_chunk_is_left_out_and_counted() {
    let disk = empty_disk();
    let content = Content::from([(labels(0), (0..14).map(|at| (at, 1)).collect()), (labels(1), [(3, 2)].into())]);
    let ulid = write_block(&disk, 1, &content);
    let path = Path::new(DIRECTORY).join(format!("{ulid}/chunks/000001"));
    let mut bytes = disk.read(&path).unwrap();
    // Behind the header, the chunk's length and its encoding.
    bytes[8 + 2 + 3] ^= 1;
    disk.put(&path, bytes);
    let (engine, db) = opened(&disk);
    let found = select(&engine, &db, &[], TimeRange::ALL);
    let expected = Content::from([(labels(0), (7..14).map(|at| (at, 1)).collect()), (labels(1), [(3, 2)].into())]);
    assert_eq!(found, expected);
    assert_eq!(db.stats().query_bad_chunks, 1);
    // Who wants to know is told, once its samples were asked for.
    let left_out = Arc::new(LeftOut::default());
    let querier = db.querier_with(TimeRange::ALL, Arc::clone(&left_out));
    let mut set = run(&engine, querier.select(&[], SelectHints::samples(TimeRange::ALL))).unwrap();
    drop(querier);
    assert_eq!(left_out.damaged_chunks(), 0);
    let mut batch = Batch::default();
    while let Some(mut series) = set.next().unwrap() {
        while series.samples.next_batch(&mut batch).unwrap() {}
    }
    assert_eq!(left_out.damaged_chunks(), 1);
}

#[test]
fn blocks_are_read_while_the_log_is() {
    let disk = empty_disk();
    let old = Content::from([(labels(0), [(3, 1)].into())]);
    write_block(&disk, 1, &old);
    for is_late in [false, true] {
        let (engine, db) = opened(&disk);
        // What is in order is newer than the block's end.
        let at = if is_late { 5 } else { 2000 };
        append(&engine, &db, &Content::from([(labels(1), [(at, 2)].into())]));
        drop((engine, db));
        let (engine, db) = opened(&disk);
        for (start, end, waits) in [(0, 999, is_late), (0, 1000, true), (3000, 4000, true)] {
            let range = TimeRange { start: TimestampMs(start), end: TimestampMs(end) };
            let querier = db.querier(range);
            let hints = SelectHints::samples(range);
            let mut selecting = querier.select(&[], hints);
            let polled = selecting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(polled.is_pending(), waits, "{start}..={end}, late: {is_late}");
        }
        let mut expected = Content::from([(labels(0), [(3, 1)].into()), (labels(1), [(2000, 2)].into())]);
        if is_late {
            expected.get_mut(&labels(1)).unwrap().insert(5, 2);
        }
        assert_eq!(select(&engine, &db, &[], TimeRange::ALL), expected);
        assert_eq!(
            select(&engine, &db, &[], TimeRange { start: TimestampMs(0), end: TimestampMs(999) }).len(),
            1 + usize::from(is_late)
        );
    }
}

#[test]
fn conflicts_are_counted() {
    let disk = empty_disk();
    write_block(&disk, 1, &Content::from([(labels(0), [(3, 1), (4, 1)].into())]));
    write_block(&disk, 2, &Content::from([(labels(0), [(3, 2), (4, 1)].into())]));
    let (engine, db) = opened(&disk);
    append(&engine, &db, &Content::from([(labels(0), [(3, 1), (4, 3), (5, 3)].into())]));
    let expected = Content::from([(labels(0), [(3, 1), (4, 1), (5, 3)].into())]);
    assert_eq!(select(&engine, &db, &[], TimeRange::ALL), expected);
    assert_eq!(db.stats().query_conflicts, 2);
}

#[test]
fn selections_of_blocks_are_worked_out_once_unless_they_are_large() {
    let disk = empty_disk();
    let of = |numbers: std::ops::Range<usize>, at: i64| -> Content {
        numbers.map(|number| (labels(number), BTreeMap::from([(at, 1)]))).collect()
    };
    write_block(&disk, 1, &of(0..4, 10));
    write_block(&disk, 2, &of(2..6, 20));
    let (engine, db) = opened(&disk);
    let named = |name: &str| [Matcher::new(model::MatchOp::Equal, "__name__", name).unwrap()];
    let ask = |matchers: &[Matcher], start: i64, end: i64| {
        let range = TimeRange { start: TimestampMs(start), end: TimestampMs(end) };
        let found = select(&engine, &db, matchers, range).len();
        let stats = engine.selection_cache();
        (found, stats.hits, stats.misses)
    };
    assert_eq!(engine.selection_cache().bytes, 0);
    assert_eq!(ask(&named("a"), 0, 99), (3, 0, 1));
    assert_eq!(ask(&named("a"), 0, 99), (3, 1, 1));
    assert_eq!(ask(&named("a"), 5, 25), (3, 2, 1), "of other times in the same blocks");
    assert_eq!(ask(&named("a"), 11, 25), (2, 3, 1), "series without samples there are left out");
    assert_eq!(ask(&named("b"), 0, 99), (3, 3, 2));
    let bytes = engine.selection_cache().bytes;
    assert!(bytes > 6 * 10);
    // Of four series in a block.
    for round in [3, 4] {
        assert_eq!(ask(&[], 0, 99), (6, 3, round));
    }
    assert_eq!(engine.selection_cache().bytes, bytes);
}
