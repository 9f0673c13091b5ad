use std::sync::atomic::Ordering::SeqCst;

use environment::{Clock, UnixTime};
use testkit::ManualClock;

use super::*;
use crate::drops::{EventReason, SampleReason};

fn quota(events_per_minute: u64) -> WorkspaceQuota {
    let account = "00000000-0000-0000-0000-000000000001".parse().unwrap();
    let limits = WorkspaceLimits { events_per_minute, active_series: 10 };
    WorkspaceQuota::new(account, limits, Arc::new(HashKey::random()))
}

fn at(secs: u64) -> Monotonic {
    Monotonic::from_duration(Duration::from_secs(secs))
}

#[test]
fn events_of_a_request_are_charged_all_or_none() {
    let quota = quota(100);
    quota.check_events(at(0)).unwrap();
    quota.admit_events(90, at(0)).unwrap();
    let over = quota.admit_events(20, at(1)).unwrap_err();
    assert_eq!((over.limit, over.value, over.used), (LimitName::WorkspaceEvents, 100, 90));
    quota.check_events(at(2)).unwrap();
    quota.admit_events(10, at(2)).unwrap();
    let over = quota.check_events(at(2)).unwrap_err();
    assert_eq!((over.used, over.retry_after), (100, Some(Duration::from_secs(58))));
    quota.admit_events(0, at(3)).unwrap();
    quota.check_events(at(60)).unwrap();
}

#[test]
fn what_is_given_back_may_be_used_again() {
    let quota = quota(100);
    quota.admit_events(90, at(0)).unwrap();
    quota.give_back_events(90, at(0));
    quota.admit_events(100, at(1)).unwrap();
    // Of a window that is over nothing comes back.
    quota.admit_events(50, at(60)).unwrap();
    quota.give_back_events(100, at(1));
    assert_eq!(quota.usage(at(60)).events.used, 50);
}

#[test]
fn a_part_may_be_admitted_where_the_rest_is_dropped() {
    let quota = quota(100);
    assert_eq!([60, 60, 60].map(|events| quota.admit_events_partly(events, at(0))), [60, 40, 0]);
    assert_eq!(quota.admit_events_partly(1000, at(60)), 100);
    assert_eq!(quota.usage(at(60)).events, Use { used: 100, limit: 100, used_before: 100 });
}

#[test]
fn a_refusal_names_the_largest_metrics() {
    let quota = quota(100);
    let mut contribution = quota.contribution();
    for (name, events) in [("small", 1), ("large", 70), ("middle", 29)] {
        contribution.add(events, || name);
    }
    quota.admit_events(contribution.events(), at(0)).unwrap();
    quota.contributed(&contribution, at(0));
    let expected = "limit of 100 events per minute of workspace 00000000-0000-0000-0000-000000000001 is reached: 100 \
                    used, come back in 60 s; most events by metric: large 70, middle 29, small 1";
    assert_eq!(quota.check_events(at(0)).unwrap_err().to_string(), expected);
}

#[test]
fn a_full_table_of_series_says_so() {
    let quota = quota(100);
    let seen = quota.active_series().at(at(0));
    for number in 0..12 {
        let labels = model::Labels::from_pairs([("n", number.to_string())]).unwrap();
        seen.touch(seen.hash(&labels), None);
    }
    let over = quota.over_active_series(at(0));
    assert_eq!((over.limit, over.value, over.used), (LimitName::WorkspaceActiveSeries, 10, 10));
    assert_eq!(over.retry_after, None, "it does not pass by waiting");
}

#[test]
fn the_wall_clock_changes_nothing() {
    let clock = ManualClock::new(UnixTime::from_secs(1_800_000_000));
    let quota = quota(100);
    quota.admit_events(100, clock.monotonic()).unwrap();
    let wait = quota.check_events(clock.monotonic()).unwrap_err().retry_after;
    for jump in [1_800_003_600, 1_799_990_000, 0, 4_000_000_000] {
        clock.set_wall(UnixTime::from_secs(jump));
        assert_eq!(quota.check_events(clock.monotonic()).unwrap_err().retry_after, wait);
    }
    clock.advance(wait.unwrap());
    quota.admit_events(100, clock.monotonic()).unwrap();
}

#[test]
fn threads_together_never_get_more_than_the_limit() {
    const LIMIT: u64 = 100_000;
    let quota = quota(LIMIT);
    let (admitted, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    for window in 0..5 {
        admitted.store(0, SeqCst);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (quota, admitted, refused) = (&quota, &admitted, &refused);
                scope.spawn(move || {
                    for request in 0..400 {
                        let events = 1 + (request * 7 + thread) % 100;
                        // Late readings of the window before must not open it again.
                        let now = at(window * 60 + 30 - if request % 3 == 0 { (window * 60).min(45) } else { 0 });
                        match (request % 5, quota.admit_events(events, now)) {
                            (_, Err(_)) => drop(refused.fetch_add(1, SeqCst)),
                            (0, Ok(())) => {
                                admitted.fetch_add(events, SeqCst);
                                admitted.fetch_add(quota.admit_events_partly(events, now), SeqCst);
                            }
                            (_, Ok(())) => drop(admitted.fetch_add(events, SeqCst)),
                        }
                    }
                });
            }
        });
        let total = admitted.load(SeqCst);
        assert!((LIMIT - 100..=LIMIT).contains(&total), "{total} in window {window}");
    }
    assert!(refused.load(SeqCst) > 0);
}

#[test]
fn counts_are_shown() {
    let quota = quota(100);
    quota.received(5);
    quota.stored(3);
    quota.dropped(Dropped::Event(EventReason::OldData), 1);
    quota.dropped(Dropped::Sample(SampleReason::Duplicate), 1);
    let usage = quota.usage(at(10));
    assert_eq!((usage.received, usage.stored, usage.minute_left), (5, 3, Duration::from_secs(50)));
    assert_eq!(usage.dropped.iter().sum::<u64>(), 2);
    assert_eq!((usage.active_series, usage.active_series_limit), (0, 10));
}
