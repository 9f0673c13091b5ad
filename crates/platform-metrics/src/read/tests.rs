use std::pin::pin;
use std::task::{Context, Poll, Waker};

use catalog::{Envelope, Profile, Workspace, WorkspaceLimits, WorkspaceStorage};
use testkit::series_store::{SeriesStore, StoredValue};

use super::*;
use crate::definitions::{ACTIVE_SERIES, EVENTS_DROPPED};

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn workspace(number: u8, name: &str) -> Workspace {
    let id = format!("/subscriptions/S/resourceGroups/G/providers/Microsoft.Monitor/accounts/{name}");
    Workspace {
        envelope: Envelope::of(id.parse().unwrap()),
        account_id: format!("00000000-0000-0000-0000-0000000000{number:02}").parse().unwrap(),
        handle: name.to_owned(),
        profile: Profile::Strict,
        public_network_access: true,
        limits: WorkspaceLimits::default(),
        storage: WorkspaceStorage::default(),
        default_rule: None,
        default_endpoint: None,
    }
}

/// Values of a workspace's metric, one per minute from the hour on.
fn load(store: &SeriesStore, of: &Workspace, definition: &Definition, extra: &[(&str, &str)], values: &[Option<f64>]) {
    let labels = Resource::Workspace(of).labels(definition.series, extra);
    for (minute, value) in (0..).zip(values) {
        if let Some(value) = value {
            store.insert(&labels, TimestampMs((HOUR + minute * 60) * 1000), StoredValue::Float(*value));
        }
    }
}

#[track_caller]
fn ask(
    store: &SeriesStore,
    of: &Workspace,
    definition: &'static Definition,
    (interval, from, to, filter): (&str, i64, i64, &str),
    aggregation: Aggregation,
) -> Vec<(String, Vec<Option<f64>>)> {
    let query = Query {
        definition,
        interval: interval.parse().unwrap(),
        start: UnixTime::from_secs(HOUR + from),
        end: UnixTime::from_secs(HOUR + to),
        filter: Filter::parse(filter, definition).unwrap(),
    };
    let series = now(read(store, &Resource::Workspace(of), &query)).unwrap();
    let text = |series: &TimeSeries| {
        let dimensions = series.dimensions.iter().map(|(dimension, value)| format!("{}={value}", dimension.name));
        dimensions.collect::<Vec<_>>().join(" ")
    };
    series.iter().map(|one| (text(one), one.data.iter().map(|point| point.get(aggregation)).collect())).collect()
}

const HOUR: i64 = 1_800_000_000 / 3600 * 3600;

#[test]
fn aggregates_intervals_and_leaves_gaps() {
    let (store, of) = (SeriesStore::new(), workspace(1, "a"));
    let values = [Some(4.0), Some(2.0), None, None, Some(9.0), Some(1.0), None];
    load(&store, &of, ACTIVE_SERIES, &[], &values);
    for (span, aggregation, expected) in [
        (("PT1M", 0, 420, ""), Aggregation::Maximum, values.to_vec()),
        (("PT5M", 0, 900, ""), Aggregation::Maximum, vec![Some(9.0), Some(1.0), None]),
        (("PT5M", 0, 900, ""), Aggregation::Average, vec![Some(5.0), Some(1.0), None]),
        (("PT5M", 0, 900, ""), Aggregation::Total, vec![Some(15.0), Some(1.0), None]),
        (("PT5M", 0, 900, ""), Aggregation::Minimum, vec![Some(2.0), Some(1.0), None]),
        (("PT5M", 0, 900, ""), Aggregation::Count, vec![Some(3.0), Some(1.0), None]),
        // The first interval is the one that the start lies in; the last may be cut.
        (("PT5M", 299, 301, ""), Aggregation::Total, vec![Some(15.0), Some(1.0)]),
        (("PT5M", 0, 240, ""), Aggregation::Total, vec![Some(6.0)]),
        (("FULL", 0, 420, ""), Aggregation::Total, vec![Some(16.0)]),
        (("PT1H", 0, 1, ""), Aggregation::Total, vec![Some(4.0)]),
    ] {
        assert_eq!(ask(&store, &of, ACTIVE_SERIES, span, aggregation), [(String::new(), expected)], "{span:?}");
    }
    assert_eq!(ask(&store, &of, ACTIVE_SERIES, ("PT1M", 900, 1200, ""), Aggregation::Total), []);
}

#[test]
fn points_carry_their_times() {
    let (store, of) = (SeriesStore::new(), workspace(1, "a"));
    load(&store, &of, ACTIVE_SERIES, &[], &[Some(1.0)]);
    let (start, end) = (UnixTime::from_secs(HOUR + 30), UnixTime::from_secs(HOUR + 121));
    let query = Query { definition: ACTIVE_SERIES, interval: Interval::MINUTE, start, end, filter: Filter::default() };
    let series = now(read(&store, &Resource::Workspace(&of), &query)).unwrap();
    let times: Vec<i64> = series[0].data.iter().map(|point| point.at.as_secs() - HOUR).collect();
    assert_eq!(times, [0, 60, 120]);
}

#[test]
fn splits_by_what_the_filter_names_and_adds_the_rest() {
    let (store, of) = (SeriesStore::new(), workspace(1, "a"));
    load(&store, &of, EVENTS_DROPPED, &[("reason", "OldData")], &[Some(4.0), None]);
    load(&store, &of, EVENTS_DROPPED, &[("reason", "LimitThrottling")], &[Some(1.0), Some(3.0)]);
    let series = |filter| ask(&store, &of, EVENTS_DROPPED, ("PT1M", 0, 120, filter), Aggregation::Maximum);
    let some = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
    assert_eq!(series(""), [(String::new(), some(&[5.0, 3.0]))]);
    let throttled = ("Reason=LimitThrottling".to_owned(), some(&[1.0, 3.0]));
    let old = ("Reason=OldData".to_owned(), vec![Some(4.0), None]);
    assert_eq!(series("Reason eq '*'"), [throttled, old.clone()]);
    assert_eq!(series("Reason eq 'olddata'"), [old]);
    assert_eq!(series("StampColor eq '*'"), [("StampColor=local".to_owned(), some(&[5.0, 3.0]))]);
    assert_eq!(series("Reason eq 'Duplicate'"), []);
}

#[test]
fn never_shows_another_workspace() {
    let store = SeriesStore::new();
    // The same name, given again after the first was deleted.
    let (before, after, other) = (workspace(1, "a"), workspace(2, "a"), workspace(3, "ab"));
    load(&store, &before, ACTIVE_SERIES, &[], &[Some(1.0)]);
    load(&store, &other, ACTIVE_SERIES, &[], &[Some(3.0)]);
    let span = ("PT1M", 0, 60, "");
    assert_eq!(ask(&store, &after, ACTIVE_SERIES, span, Aggregation::Total), []);
    assert_eq!(ask(&store, &before, ACTIVE_SERIES, span, Aggregation::Total), [(String::new(), vec![Some(1.0)])]);
}

#[test]
fn refuses_what_is_too_much() {
    let (store, of) = (SeriesStore::new(), workspace(1, "a"));
    let ask = |interval, start, end| {
        let query = Query { definition: ACTIVE_SERIES, interval, start, end, filter: Filter::default() };
        now(read(&store, &Resource::Workspace(&of), &query)).map(|series| series.len())
    };
    let (start, far) = (UnixTime::from_secs(HOUR), UnixTime::from_millis(u64::MAX));
    assert!(matches!(ask(Interval::MINUTE, start, start), Err(ReadError::EmptyTimespan)));
    assert!(matches!(ask(Interval::MINUTE, far, start), Err(ReadError::EmptyTimespan)));
    assert!(matches!(ask(Interval::MINUTE, UnixTime::EPOCH, far), Err(ReadError::TooManyPoints { .. })));
    assert_eq!(ask(Interval::FULL, UnixTime::EPOCH, far).unwrap(), 0);
    let month = start.plus(Duration::from_secs(POINTS_MAX * 60));
    assert_eq!(ask(Interval::MINUTE, start, month).unwrap(), 0);
    let error = ask(Interval::MINUTE, start, month.plus(Duration::from_millis(1))).unwrap_err();
    assert!(error.to_string().starts_with("44641 intervals of PT1M are too many"), "{error}");
}

#[test]
fn reading_may_move_between_threads() {
    fn check<T: Send>(_: T) {}
    let (store, of) = (SeriesStore::new(), workspace(1, "a"));
    let (start, end) = (UnixTime::from_secs(HOUR), UnixTime::from_secs(HOUR + 60));
    let query = Query { definition: ACTIVE_SERIES, interval: Interval::MINUTE, start, end, filter: Filter::default() };
    check(read(&store, &Resource::Workspace(&of), &query));
}
