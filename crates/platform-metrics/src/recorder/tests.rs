use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

use catalog::{Envelope, Profile, Route, Rule, Snapshot, Workspace, WorkspaceLimits, WorkspaceStorage};
use model::{Exemplar, Metadata, NativeHistogram};
use storage::{
    AppendError, Appender, Batch, BoxFuture, Committed, NoStorage, Querier, Queryable, SelectHints, SeriesRef,
    TimeRange,
};
use testkit::series_store::SeriesStore;

use super::*;

fn poll<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn account(number: u8) -> AccountId {
    format!("00000000-0000-0000-0000-0000000000{number:02}").parse().unwrap()
}

fn workspace(number: u8, name: &str) -> Workspace {
    let id = format!("/subscriptions/S/resourceGroups/G/providers/Microsoft.Monitor/accounts/{name}");
    Workspace {
        envelope: Envelope::of(id.parse().unwrap()),
        account_id: account(number),
        handle: name.to_owned(),
        profile: Profile::Strict,
        public_network_access: true,
        limits: WorkspaceLimits::default(),
        storage: WorkspaceStorage::default(),
        default_rule: None,
        default_endpoint: None,
    }
}

fn rule(number: u8) -> Rule {
    let id = format!("/subscriptions/S/resourceGroups/G/providers/Microsoft.Insights/dataCollectionRules/R{number}");
    Rule {
        envelope: Envelope::of(id.parse().unwrap()),
        immutable_id: format!("dcr-{number:032}"),
        kind: None,
        endpoint: None,
        routes: vec![Route { stream: catalog::PROMETHEUS_STREAM.to_owned(), workspaces: vec![account(1)] }],
        properties: serde_json::Map::new(),
    }
}

/// What the next commits do.
const WORKS: u8 = 0;
const FAILS: u8 = 1;
/// Stores and says that it failed, as a crash between the two would look.
const STORES_AND_FAILS: u8 = 2;

#[derive(Clone)]
struct Shaky {
    system: AccountId,
    store: SeriesStore,
    mode: Arc<AtomicU8>,
    closed: Arc<AtomicU8>,
}

impl Default for Shaky {
    fn default() -> Self {
        Self { system: account(1), store: SeriesStore::new(), mode: Arc::default(), closed: Arc::default() }
    }
}

impl Storage for Shaky {
    fn appender(&self, now: TimestampMs) -> Box<dyn Appender> {
        Box::new(ShakyAppender(self.store.appender(now), self.mode.load(SeqCst)))
    }
}

impl Queryable for Shaky {
    fn querier(&self, range: TimeRange) -> Box<dyn Querier> {
        self.store.querier(range)
    }
}

impl Workspaces for Shaky {
    fn storage(&self, workspace: AccountId, _: Purpose) -> BoxFuture<'_, Result<Arc<dyn Storage>, NoStorage>> {
        let is_open = workspace == self.system && self.closed.load(SeqCst) == 0;
        let storage = is_open.then(|| Arc::new(self.clone()) as Arc<dyn Storage>);
        Box::pin(std::future::ready(storage.ok_or(NoStorage::Unknown(workspace))))
    }
}

struct ShakyAppender(Box<dyn Appender>, u8);

impl Appender for ShakyAppender {
    fn resolve(&mut self, key: &[u8]) -> Option<SeriesRef> {
        self.0.resolve(key)
    }

    fn series(&mut self, key: Option<&[u8]>, labels: &Labels) -> Result<SeriesRef, AppendError> {
        self.0.series(key, labels)
    }

    fn append(&mut self, series: SeriesRef, timestamp: TimestampMs, value: f64) -> Result<(), AppendError> {
        self.0.append(series, timestamp, value)
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        timestamp: TimestampMs,
        histogram: Arc<NativeHistogram>,
    ) -> Result<(), AppendError> {
        self.0.append_histogram(series, timestamp, histogram)
    }

    fn append_exemplar(&mut self, series: SeriesRef, exemplar: Exemplar) -> Result<(), AppendError> {
        self.0.append_exemplar(series, exemplar)
    }

    fn set_metadata(&mut self, name: &str, metadata: Metadata) {
        self.0.set_metadata(name, metadata);
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<Committed, CommitError>> {
        let Self(inner, mode) = *self;
        if mode != FAILS {
            let committed = poll(inner.commit());
            if mode == WORKS {
                return Box::pin(std::future::ready(committed));
            }
        }
        Box::pin(std::future::ready(Err(CommitError::Log("no space left".into()))))
    }
}

struct Bench {
    recorder: Recorder,
    quotas: Arc<Quotas>,
    shaky: Shaky,
    catalog: Arc<Catalog>,
    wall: u64,
    monotonic: u64,
}

const HOUR: u64 = 1_800_000_000 / 3600 * 3600;

impl Bench {
    fn new() -> Self {
        let workspaces = [workspace(1, "System"), workspace(2, "a")];
        let catalog = Arc::new(Catalog::new(Snapshot::new(workspaces, [], [rule(1), rule(2)]).unwrap()));
        let (quotas, shaky) = (Arc::new(Quotas::default()), Shaky::default());
        let parts = Parts {
            quotas: Arc::clone(&quotas),
            catalog: Arc::clone(&catalog),
            workspaces: Arc::new(shaky.clone()),
            system: account(1),
        };
        Self { recorder: Recorder::new(parts), quotas, shaky, catalog, wall: HOUR, monotonic: 5000 }
    }

    /// The next process over what is stored.
    fn restarted(self) -> Self {
        let mut next = Self { wall: self.wall, ..Self::new() };
        next.recorder.parts.workspaces = Arc::new(self.shaky.clone());
        next.shaky = self.shaky;
        next
    }

    fn times(&self) -> (UnixTime, Monotonic) {
        let monotonic = Monotonic::from_duration(Duration::from_secs(self.monotonic));
        (UnixTime::from_secs(self.wall.cast_signed()), monotonic)
    }

    /// Lets `secs` pass and records.
    fn after(&mut self, secs: u64) -> Recorded {
        self.wall += secs;
        self.monotonic += secs;
        let (now, monotonic) = self.times();
        poll(self.recorder.record(now, monotonic))
    }

    fn drop_events(&self, count: u64) {
        self.quotas.workspace(account(2)).dropped(DROPPED, count);
    }

    /// Samples of series of workspace 2 or of rules whose name ends so: minute (from the hour) and value.
    fn stored(&self, series: &str) -> BTreeMap<String, Vec<(i64, f64)>> {
        let querier = self.shaky.store.querier(TimeRange::ALL);
        let mut set = poll(querier.select(&[], SelectHints::samples(TimeRange::ALL))).unwrap();
        let mut found = BTreeMap::new();
        while let Some(mut one) = set.next().unwrap() {
            if !one.labels.metric_name().ends_with(series) || one.labels.get("workspace") == Some("System") {
                continue;
            }
            let (mut batch, mut samples) = (Batch::default(), Vec::new());
            while one.samples.next_batch(&mut batch).unwrap() {
                let minutes = batch.timestamps.iter().map(|at| (at.0 / 1000 - HOUR.cast_signed()) / 60);
                samples.extend(minutes.zip(batch.floats.iter().copied()));
            }
            let label = one.labels.get("reason").or(one.labels.get("response_code")).unwrap_or("");
            found.insert(label.to_owned(), samples);
        }
        found
    }

    fn throttled(&self) -> Vec<(i64, f64)> {
        self.stored("events_dropped").remove("LimitThrottling").unwrap_or_default()
    }
}

const DROPPED: Dropped = Dropped::Event(EventReason::LimitThrottling);

#[test]
fn records_every_metric_of_a_minute() {
    let mut bench = Bench::new();
    let quota = bench.quotas.workspace(account(2));
    quota.set_limits(quota::WorkspaceLimits { events_per_minute: 200, active_series: 8 });
    quota.received(50);
    quota.stored(40);
    let (_, monotonic) = bench.times();
    let labels = Labels::from_pairs([("__name__", "up")]).unwrap();
    quota.active_series().at(monotonic).touch(quota.active_series().hash(&labels), None);
    quota.dropped(Dropped::Sample(SampleReason::Duplicate), 7);
    assert!(matches!(bench.after(60), Recorded::Stored { refused: 0, .. }));
    for (series, label, value) in [
        ("_active_time_series", "", 1.0),
        ("_active_time_series_limit", "", 8.0),
        ("_active_time_series_percent_utilization", "", 12.5),
        ("_events_per_minute_ingested", "", 50.0),
        ("_events_per_minute_ingested_limit", "", 200.0),
        ("_events_per_minute_ingested_percent_utilization", "", 25.0),
        ("_events_dropped", "LimitThrottling", 0.0),
        ("_time_series_samples_dropped", "LimitThrottling", 0.0),
        ("_time_series_samples_dropped", "Duplicate", 7.0),
        ("_simple_samples_stored", "", 40.0),
    ] {
        assert_eq!(bench.stored(series).get(label), Some(&vec![(0, value)]), "{series} {label}");
    }
    bench.after(60);
    assert_eq!(bench.stored("_simple_samples_stored")[""], [(0, 40.0), (1, 0.0)]);
}

#[test]
fn series_name_their_resource() {
    let mut bench = Bench::new();
    bench.quotas.rule(&rule(1).immutable_id).answered(204);
    bench.after(60);
    let querier = bench.shaky.store.querier(TimeRange::ALL);
    for (label, expected) in [
        ("workspace", "System a"),
        ("account_id", "00000000-0000-0000-0000-000000000001 00000000-0000-0000-0000-000000000002"),
        ("immutable_id", "dcr-00000000000000000000000000000001"),
        ("rule", "R1"),
        ("input_stream_id", "Microsoft-PrometheusMetrics"),
        ("stamp_color", "local"),
    ] {
        assert_eq!(poll(querier.label_values(label, &[], 0)).unwrap().join(" "), expected);
    }
    let ids = poll(querier.label_values("resource_id", &[], 0)).unwrap();
    assert!(ids.iter().all(|id| *id == id.to_ascii_lowercase()), "{ids:?}");
}

#[test]
fn requests_of_rules_by_status() {
    let mut bench = Bench::new();
    let quota = bench.quotas.rule(&rule(1).immutable_id);
    for status in [204, 204, 429, 418] {
        quota.answered(status);
    }
    bench.after(60);
    quota.answered(429);
    bench.after(60);
    let requests = bench.stored("metric_ingestion_request_count");
    let expected = [("204", [(0, 2.0), (1, 0.0)]), ("429", [(0, 1.0), (1, 1.0)]), ("Other", [(0, 1.0), (1, 0.0)])];
    assert_eq!(requests, expected.map(|(code, samples)| (code.to_owned(), samples.to_vec())).into());
}

#[test]
fn the_system_workspace_counts_what_is_recorded() {
    let mut bench = Bench::new();
    let Recorded::Stored { samples, .. } = bench.after(60) else { panic!("stored") };
    let (_, monotonic) = bench.times();
    let usage = bench.quotas.workspace(account(1)).usage(monotonic);
    let samples = samples as u64;
    assert_eq!((usage.received, usage.stored, usage.active_series), (samples, samples, samples));
}

#[test]
fn a_minute_is_recorded_once() {
    let mut bench = Bench::new();
    bench.drop_events(1);
    bench.after(60);
    bench.drop_events(2);
    let last = TimestampMs(HOUR.cast_signed() * 1000);
    assert_eq!(bench.after(30), Recorded::NotAfter(last));
    bench.after(30);
    assert_eq!(bench.throttled(), [(0, 1.0), (1, 2.0)]);
}

#[test]
fn what_could_not_be_written_is_carried() {
    for mode in [FAILS, STORES_AND_FAILS] {
        let mut bench = Bench::new();
        bench.drop_events(1);
        bench.after(60);
        bench.shaky.mode.store(mode, SeqCst);
        for minute in 0..3 {
            bench.drop_events(10 + minute);
            assert!(matches!(bench.after(60), Recorded::Unwritten(error) if error.contains("no space left")));
        }
        bench.shaky.mode.store(WORKS, SeqCst);
        bench.drop_events(100);
        assert!(matches!(bench.after(60), Recorded::Stored { refused: 0, .. }));
        // The first failed minute is written as it was; the later ones are in the one that succeeds.
        assert_eq!(bench.throttled(), [(0, 1.0), (1, 10.0), (4, 123.0)], "mode {mode}");
    }
}

#[test]
fn a_rate_after_a_gap_is_a_mean() {
    let mut bench = Bench::new();
    bench.after(60);
    let quota = bench.quotas.workspace(account(2));
    bench.shaky.closed.store(1, SeqCst);
    for _ in 0..3 {
        quota.received(100);
        assert!(matches!(bench.after(60), Recorded::Unwritten(_)));
    }
    bench.shaky.closed.store(0, SeqCst);
    quota.received(100);
    bench.after(60);
    assert_eq!(bench.stored("_events_per_minute_ingested")[""], [(0, 0.0), (4, 100.0)]);
}

#[test]
fn the_wall_clock_may_jump() {
    let mut bench = Bench::new();
    bench.drop_events(1);
    bench.after(60);
    // Back by ten minutes: nothing is written into the past, nothing twice.
    bench.wall -= 600;
    for _ in 0..3 {
        bench.drop_events(10);
        assert!(matches!(bench.after(60), Recorded::NotAfter(_)));
    }
    // And ahead by an hour.
    bench.wall += 3600;
    bench.drop_events(100);
    assert!(matches!(bench.after(60), Recorded::Stored { .. }));
    assert_eq!(bench.throttled(), [(0, 1.0), (54, 130.0)]);
}

#[test]
fn a_restart_within_a_minute_loses_and_doubles_nothing() {
    // Also where both processes count the same: the second sample would look like a repetition of the first.
    for counted in [4, 2] {
        let mut bench = Bench::new();
        bench.drop_events(1);
        bench.after(60);
        bench.drop_events(2);
        let (now, monotonic) = bench.times();
        assert!(matches!(poll(bench.recorder.finish(now, monotonic)), Recorded::Stored { .. }));
        // The next process, with counters of its own, meets the same minute.
        let mut bench = bench.restarted();
        bench.drop_events(counted);
        assert!(matches!(bench.after(60), Recorded::NotAfter(_)));
        bench.after(60);
        assert_eq!(bench.throttled(), [(0, 1.0), (1, 2.0), (2, counted as f64)]);
    }
}

#[test]
fn processes_that_end_within_one_minute_lose_nothing() {
    let mut bench = Bench::new();
    bench.drop_events(1);
    bench.after(60);
    for counted in 2..5 {
        bench.drop_events(counted);
        bench.wall += 5;
        let (now, monotonic) = bench.times();
        assert!(matches!(poll(bench.recorder.finish(now, monotonic)), Recorded::Stored { .. }));
        bench = bench.restarted();
    }
    bench.drop_events(5);
    for _ in 0..4 {
        bench.after(60);
    }
    assert_eq!(bench.throttled(), [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0), (4, 5.0)]);
}

#[test]
fn a_process_that_ends_behind_what_is_stored_writes_no_minutes_far_ahead() {
    let mut bench = Bench::new();
    bench.drop_events(1);
    bench.after(60);
    let mut bench = bench.restarted();
    bench.wall -= 3600;
    let (now, monotonic) = bench.times();
    assert!(matches!(poll(bench.recorder.finish(now, monotonic)), Recorded::NotAfter(_)));
}

#[test]
fn a_restart_with_a_clock_set_back_writes_nothing_into_the_past() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.drop_events(1);
        bench.after(60);
    }
    let mut bench = bench.restarted();
    bench.wall -= 120;
    for _ in 0..2 {
        bench.drop_events(1);
        assert!(matches!(bench.after(60), Recorded::NotAfter(_)));
    }
    bench.drop_events(1);
    bench.after(60);
    assert_eq!(bench.throttled(), [(0, 1.0), (1, 1.0), (2, 1.0), (3, 3.0)]);
}

#[test]
fn another_system_workspace_goes_on_with_the_counts() {
    let mut bench = Bench::new();
    bench.drop_events(5);
    bench.after(60);
    bench.drop_events(1);
    bench.shaky.mode.store(FAILS, SeqCst);
    bench.after(60);
    // Deleted with what it holds, and made again with another identity.
    bench.shaky = Shaky { system: account(3), ..Shaky::default() };
    bench.recorder.parts.workspaces = Arc::new(bench.shaky.clone());
    bench.recorder.set_system(account(3));
    bench.drop_events(2);
    bench.after(60);
    assert_eq!(bench.throttled(), [(2, 3.0)]);
}

#[test]
fn what_is_deleted_is_recorded_no_more() {
    let mut bench = Bench::new();
    bench.drop_events(1);
    bench.after(60);
    bench.catalog.replace(Snapshot::new([workspace(1, "System")], [], []).unwrap());
    bench.quotas.forget_workspace(account(2));
    bench.after(60);
    assert_eq!(bench.throttled(), [(0, 1.0)]);
    // Restored: it counts from zero.
    bench.catalog.replace(Snapshot::new([workspace(1, "System"), workspace(2, "a")], [], []).unwrap());
    bench.drop_events(5);
    bench.after(60);
    assert_eq!(bench.throttled(), [(0, 1.0), (2, 5.0)]);
}

#[test]
fn minutes_begin_with_the_wall_clock() {
    for (millis, wait) in [(0, 60_000), (1, 59_999), (59_999, 1), (60_000, 60_000)] {
        assert_eq!(until_next_minute(UnixTime::from_millis(millis)), Duration::from_millis(wait));
    }
}

#[test]
fn shares_of_limits() {
    for (used, limit, expected) in [(1.0, 4.0, 25.0), (0.0, 0.0, 0.0), (1.0, 0.0, 100.0), (6.0, 4.0, 150.0)] {
        assert_eq!(percent(used, limit), expected);
    }
}

#[test]
fn recording_may_move_between_threads() {
    fn check<T: Send>(_: T) {}
    let mut bench = Bench::new();
    let (now, monotonic) = bench.times();
    check(bench.recorder.record(now, monotonic));
}
