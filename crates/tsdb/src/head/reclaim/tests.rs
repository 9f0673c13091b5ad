//! Whatever comes in whatever order: no sample, label or exemplar is ever another series'.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use environment::{Monotonic, UnixTime};
use model::{Exemplar, Labels, MatchOp, Matcher, TimestampMs};
use proptest::prelude::*;
use storage::{Appender, Batch, Queryable as _, SelectHints, SeriesRef, SeriesSet, Storage as _, TimeRange};
use testkit::{ManualClock, MemoryDisk};

use super::REST;
use crate::head::Era;
use crate::{Db, Engine, Settings};

const SERIES: u32 = 24;
const MINUTE: i64 = 60_000;

#[derive(Clone, Debug)]
enum Step {
    /// Looks series up, and keeps what was found.
    Begin(BTreeSet<u32>),
    /// Appends to the series of the appender that has waited longest, and commits.
    Commit {
        exemplars: bool,
    },
    /// Selects, and keeps the set.
    Select(MatchOp, u32),
    /// Walks the set that has waited longest.
    Walk,
    /// Time passes for samples, and on the clock.
    Pass {
        minutes: i64,
        clock: u64,
    },
    /// What is older than so many minutes goes.
    Cut(i64),
    Reclaim,
    /// The log cannot be written for a while.
    Full(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop::collection::btree_set(0..SERIES, 1..6).prop_map(Step::Begin),
        6 => any::<bool>().prop_map(|exemplars| Step::Commit { exemplars }),
        2 => (prop_oneof![Just(MatchOp::Equal), Just(MatchOp::NotEqual), Just(MatchOp::Regex)], 0u32..4)
            .prop_map(|(op, group)| Step::Select(op, group)),
        2 => Just(Step::Walk),
        4 => (1i64..50, prop_oneof![Just(1u64), Just(59), Just(61)]).prop_map(|(minutes, clock)| Step::Pass { minutes, clock }),
        4 => (0i64..60).prop_map(Step::Cut),
        6 => Just(Step::Reclaim),
        1 => any::<bool>().prop_map(Step::Full),
    ];
    prop::collection::vec(step, 1..120)
}

/// A label set for each number; the values of its samples are the number.
fn labels(number: u32) -> Labels {
    let group = number % 3;
    // Names, values and lengths that some share, so that what is freed is used again by others.
    let own = if number.is_multiple_of(5) { format!("only_{number:02}") } else { "shared".to_owned() };
    Labels::from_pairs([("__name__", "m"), ("group", &group.to_string()), ("id", &number.to_string()), (&own, "x")])
        .unwrap()
}

fn number_of(labels: &Labels) -> u32 {
    labels.get("id").unwrap().parse().unwrap()
}

/// An appender under way, with the series that it was given.
type Begun = (Box<dyn Appender>, Vec<(u32, SeriesRef)>);

struct Bench {
    disk: MemoryDisk,
    clock: ManualClock,
    engine: Arc<Engine>,
    db: Arc<Db>,
    now: i64,
    begun: Vec<Begun>,
    sets: Vec<(Matcher, Box<dyn SeriesSet>)>,
    cut: Option<(Era, TimestampMs)>,
    stored: BTreeMap<u32, BTreeSet<i64>>,
    /// Series and time of the last append, by their index.
    indices: HashMap<u32, (u32, Monotonic)>,
    is_full: bool,
}

impl Bench {
    fn new() -> Self {
        let (disk, clock) = (MemoryDisk::new(), ManualClock::new(UnixTime::from_secs(0)));
        let engine = Engine::manual(Arc::new(disk.clone()), Arc::new(clock.clone()));
        // Appenders wait for long.
        let future_max = Duration::from_secs(365 * 24 * 3600);
        let settings =
            Settings { future_max, exemplars_max: 6, series_cache_bytes_max: 1 << 16, ..Settings::default() };
        let db = Db::open(&engine, Path::new("w"), settings).unwrap();
        db.wait_ready().unwrap();
        let (begun, sets, stored) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self {
            disk,
            clock,
            engine,
            db,
            now: 0,
            begun,
            sets,
            cut: None,
            stored,
            indices: HashMap::new(),
            is_full: false,
        }
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return value;
            }
            assert!(self.engine.run_pending(), "what is waited for is under way");
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Begin(numbers) => self.begin(&numbers),
            Step::Commit { exemplars } => self.commit(exemplars),
            Step::Select(op, group) => {
                let value = if op == MatchOp::Regex { format!("{group}|9") } else { group.to_string() };
                let matcher = Matcher::new(op, "group", &value).unwrap();
                let querier = self.db.querier(TimeRange::ALL);
                let matchers = [matcher.clone()];
                let set = self.wait(querier.select(&matchers, SelectHints::samples(TimeRange::ALL))).unwrap();
                self.sets.push((matcher, set));
            }
            Step::Walk if !self.sets.is_empty() => {
                let (matcher, set) = self.sets.remove(0);
                walk(&matcher, set);
            }
            Step::Walk => {}
            Step::Pass { minutes, clock } => {
                self.now += minutes * MINUTE;
                self.clock.advance(Duration::from_secs(clock * 60));
            }
            Step::Cut(minutes) => self.cut(TimestampMs(self.now - minutes * MINUTE)),
            Step::Reclaim => self.db.shared.reclaim(),
            Step::Full(is_full) => {
                self.is_full = is_full;
                self.disk.set_capacity(is_full.then_some(0));
            }
        }
    }

    fn begin(&mut self, numbers: &BTreeSet<u32>) {
        let mut appender = self.db.appender(TimestampMs(self.now));
        let mut found = Vec::new();
        for number in numbers {
            let labels = labels(*number);
            let key = labels.as_packed();
            let series = appender.resolve(key).unwrap_or_else(|| appender.series(Some(key), &labels).unwrap());
            if let Some(index) = appender.index_of(series)
                && let Some((other, at)) = self.indices.get(&index)
            {
                let since = environment::Clock::monotonic(&self.clock).since(*at);
                assert!(
                    other == number || since >= REST,
                    "index {index} of {other} is that of {number} after {since:?}"
                );
            }
            found.push((*number, series));
        }
        self.begun.push((appender, found));
    }

    fn commit(&mut self, exemplars: bool) {
        if self.begun.is_empty() {
            return;
        }
        let (mut appender, series) = self.begun.remove(0);
        // Each at its own time, so that a sample that went astray is never taken for one that is there.
        let times: Vec<i64> = (0..).map(|step| self.now + step).take(series.len()).collect();
        for ((number, series), at) in series.iter().zip(&times) {
            let (at, value) = (TimestampMs(*at), f64::from(*number));
            appender.append(*series, at, value).unwrap();
            if exemplars {
                let labels = Labels::from_pairs([("trace", number.to_string())]).unwrap();
                appender.append_exemplar(*series, Exemplar { labels, timestamp: at, value }).unwrap();
            }
            if let Some(index) = appender.index_of(*series) {
                self.indices.insert(index, (*number, environment::Clock::monotonic(&self.clock)));
            }
        }
        match self.wait(appender.commit()) {
            Ok(committed) => {
                let refused: BTreeSet<u32> =
                    committed.rejected.iter().map(|rejected| number_of(&rejected.labels)).collect();
                for ((number, _), at) in series.iter().zip(&times).filter(|((number, _), _)| !refused.contains(number))
                {
                    self.stored.entry(*number).or_default().insert(*at);
                }
            }
            Err(error) => assert!(self.is_full, "{error}"),
        }
        self.now += times.len() as i64;
    }

    /// As maintenance does it, with blocks that nobody asks for.
    fn cut(&mut self, time: TimestampMs) {
        let shared = &self.db.shared;
        if self.cut.is_none() {
            shared.with_writer(|_| shared.head.freeze_before(time));
            self.cut = Some((shared.head.begin_generation(), time));
        }
        if let Some((_, time)) = self.cut.take_if(|(era, _)| shared.head.is_over(*era)) {
            shared.cut_head(time);
            for times in self.stored.values_mut() {
                *times = times.split_off(&time.0);
            }
        }
    }

    fn audit(&self) {
        let querier = self.db.querier(TimeRange::ALL);
        let set = self.wait(querier.select(&[], SelectHints::samples(TimeRange::ALL))).unwrap();
        let found = walk(&Matcher::new(MatchOp::Regex, "group", ".*").unwrap(), set);
        for (number, times) in &self.stored {
            // Late ones stay when the head is cut.
            let found = found.get(number).cloned().unwrap_or_default();
            assert!(found.is_superset(times), "series {number} has {found:?} of {times:?}");
        }
        for series in self.db.exemplars(&[Vec::new()], TimeRange::ALL) {
            let number = f64::from(number_of(&series.labels));
            assert!(series.exemplars.iter().all(|exemplar| exemplar.value == number), "{series:?}");
        }
        let index = self.db.shared.head.index.read();
        let mut alive: Vec<u32> = index.all().iter().filter(|slot| index.is_alive(*slot)).collect();
        assert_eq!(alive.len() as u32, self.db.shared.head.series_count());
        alive.sort_by_key(|slot| number_of(&index.labels(*slot, &mut model::LabelsBuilder::default())));
        let numbers = alive.iter().map(|slot| number_of(&index.labels(*slot, &mut model::LabelsBuilder::default())));
        assert!(numbers.is_sorted_by(|left, right| left < right), "a series stands once");
    }
}

/// The times of all series of a set, each of which meets the matcher and has no samples but its own.
fn walk(matcher: &Matcher, mut set: Box<dyn SeriesSet>) -> BTreeMap<u32, BTreeSet<i64>> {
    let (mut found, mut batch) = (BTreeMap::new(), Batch::default());
    while let Some(mut series) = set.next().unwrap() {
        let number = number_of(&series.labels);
        assert_eq!(series.labels, labels(number));
        assert!(matcher.matches(series.labels.get("group").unwrap()), "{} for {matcher:?}", series.labels);
        let mut times = BTreeSet::new();
        while series.samples.next_batch(&mut batch).unwrap() {
            assert!(batch.floats.iter().all(|value| *value == f64::from(number)), "{}: {batch:?}", series.labels);
            times.extend(batch.timestamps.iter().map(|at| at.0));
        }
        assert!(found.insert(number, times).is_none(), "{} stands twice", series.labels);
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn a_slot_is_never_another_series_for_those_who_have_it(steps in steps()) {
        let mut bench = Bench::new();
        for step in steps {
            bench.take(step);
            bench.audit();
        }
    }
}

#[test]
fn what_dead_series_took_is_used_again() {
    let mut bench = Bench::new();
    let mut slots = 0;
    for round in 0..40 {
        // Series of two rounds ago are gone.
        let first = round % 4 * 6;
        bench.begin(&(first..first + 6).collect());
        bench.commit(round % 2 == 0);
        bench.now += 121 * MINUTE;
        bench.clock.advance(REST + Duration::from_secs(60));
        bench.cut(TimestampMs(bench.now - 60 * MINUTE));
        bench.db.shared.reclaim();
        bench.audit();
        if round == 20 {
            slots = bench.db.shared.head.slot_count();
        }
    }
    assert!(slots < 30 && bench.db.shared.head.slot_count() == slots, "{slots}");
    assert!(bench.db.stats().series <= 12);
}

#[test]
fn a_key_does_not_outlive_its_series() {
    let mut bench = Bench::new();
    bench.begin(&BTreeSet::from([1]));
    bench.commit(false);
    bench.now += 300 * MINUTE;
    bench.cut(TimestampMs(bench.now - 60 * MINUTE));
    // Somebody asks for the dead series by its key, and brings nothing that is taken of it.
    let (dead, other) = (labels(1), labels(2));
    let mut appender = bench.db.appender(TimestampMs(bench.now));
    assert_eq!(appender.resolve(dead.as_packed()), None);
    appender.series(Some(dead.as_packed()), &dead).unwrap();
    let series = appender.series(Some(other.as_packed()), &other).unwrap();
    appender.append(series, TimestampMs(bench.now), 2.0).unwrap();
    bench.wait(appender.commit()).unwrap();
    bench.db.shared.reclaim();
    bench.clock.advance(REST + Duration::from_secs(1));
    bench.db.shared.reclaim();
    for number in [3, 4] {
        bench.begin(&BTreeSet::from([number]));
        bench.commit(false);
    }
    let slots = bench.db.shared.head.slot_count();
    assert_eq!(slots, 3, "the slot of the dead series is used again");
    bench.begin(&BTreeSet::from([1]));
    bench.commit(false);
    bench.audit();
}
