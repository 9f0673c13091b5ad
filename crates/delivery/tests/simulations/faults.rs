//! Targets that are down, slow, flapping or throttling, and clocks that are set.

use std::time::Duration;

use delivery::Policy;
use environment::{Clock, Rng};
use remote_write::Version;
use spool::Expiry;
use testkit::SeededRng;

use crate::target::{Reply, Stores};
use crate::world::{HOUR, MINUTE, SECOND, World, name, names};

#[test]
fn everything_arrives_once_and_in_order() {
    let mut world = World::new(Reply::taken);
    world.scrape(20, 10 * MINUTE);
    let sums = world.audit();
    assert_eq!((sums.delivered, sums.resent, sums.queued), (20 * 40 * 10, 0, 0));
    assert_eq!(world.sink.requests(), 20 * 40);
    let state = world.state();
    assert_eq!((state.delivered_requests, state.in_flight, state.blocked), (800, 0, None));
    assert_eq!((state.answers[&204], state.verdicts["delivered"]), (800, 800));
    assert_eq!(state.delivered_time, 800 * Duration::from_millis(50));
    assert_eq!(state.late.samples, 0);
}

#[test]
fn a_target_that_is_down_for_hours_is_asked_seldom_and_caught_up_with_quickly() {
    let mut world = World::new(|_| Reply::lost("unreachable", Stores::Nothing));
    world.scrape(10, 3 * HOUR);
    assert_eq!(world.blocked(), Some("unreachable"));
    let tries = world.sink.requests();
    assert!((300..1000).contains(&tries), "one request in 15 to 30 seconds: {tries}");
    assert_eq!(world.audit().queued, 10 * 720 * 10);
    world.sink.follow(Reply::taken);
    // 7,200 requests of ten senders: ten at a time at 50 ms each are 36 s, after at most 30 s of waiting.
    world.advance(80 * SECOND);
    let sums = world.audit();
    assert_eq!((sums.queued, sums.resent), (0, 0), "an unreachable target had nothing");
    assert_eq!((world.blocked(), world.sink.seen().in_flight_max), (None, 10));
    let late = world.state().late.samples;
    assert!(late > 60_000, "what waited longer than 20 minutes is counted: {late}");
}

#[test]
fn requests_that_may_have_arrived_are_counted_when_they_are_repeated() {
    let mut world = World::new(|asked| match asked.number % 3 {
        0 => Reply::lost("timeout", Stores::All),
        1 => Reply::status(503).stores(Stores::All),
        _ => Reply::taken(asked),
    });
    world.append(Version::V1, &names(0, 10));
    world.advance(MINUTE);
    let sums = world.audit();
    assert_eq!((sums.delivered, sums.resent), (10, 20));
}

#[test]
fn a_flapping_target_loses_nothing() {
    for seed in 0..6 {
        let chance = SeededRng::new(seed);
        let mut world = World::new(move |asked| {
            let some = || if chance.next_f64() < 0.5 { Stores::All } else { Stores::Nothing };
            let reply = match chance.next_u64() % 10 {
                0 => Reply::lost("unreachable", Stores::Nothing),
                1 => Reply::lost("timeout", some()).after(30 * SECOND),
                2 => Reply::lost("invalid_answer", some()),
                3 => Reply::status(503).stores(some()).retry_after(SECOND),
                4 => Reply::status(429),
                5 => Reply::status(500).stores(some()),
                6 => Reply::status(502).stores(some()),
                _ => Reply::taken(asked),
            };
            let latency = Duration::from_millis(chance.next_u64() % 300);
            if reply.after == 30 * SECOND { reply } else { reply.after(latency) }
        });
        world.scrape(8, 20 * MINUTE);
        world.sink.follow(Reply::taken);
        world.advance(5 * MINUTE);
        let sums = world.audit_sets();
        assert_eq!((sums.queued, sums.rejected, sums.expired), (0, 0, 0), "seed {seed}");
    }
}

#[test]
fn a_slow_target_gets_no_more_than_is_allowed_at_once() {
    let policy = Policy { in_flight_max: 4, ..Policy::default() };
    let mut world = World::with_policy(policy, |asked| Reply::taken(asked).after(20 * SECOND));
    world.scrape(12, 10 * MINUTE);
    world.advance(2 * HOUR);
    assert_eq!(world.audit().queued, 0);
    assert_eq!(world.sink.seen().in_flight_max, 4);
}

#[test]
fn what_shares_a_series_never_goes_at_the_same_time() {
    let mut world = World::new(|asked| Reply::taken(asked).after(SECOND));
    for _ in 0..20 {
        world.append(Version::V1, &[name(0, 0), name(1, 1)]);
        world.append(Version::V1, &[name(1, 1).replace("metric_1", "other"), name(2, 2)]);
        world.advance(Duration::from_millis(1));
    }
    world.advance(30 * SECOND);
    world.audit();
    assert_eq!(world.sink.seen().in_flight_max, 2);
}

#[test]
fn retry_after_is_obeyed_by_everything() {
    for status in [429, 503] {
        let mut world = World::new(move |asked| match asked.at < 10 * MINUTE {
            true => Reply::status(status).retry_after(90 * SECOND),
            false => Reply::taken(asked),
        });
        world.scrape(20, 12 * MINUTE);
        assert_eq!(world.audit().queued, 0);
        let seen = world.sink.seen();
        let refused: Vec<_> = seen.requests.iter().filter(|(_, answer)| *answer == status).map(|(at, _)| *at).collect();
        // Those that were on their way when the first answer came, and then one at a time.
        let first = refused.iter().filter(|at| **at < SECOND).count();
        assert!(first <= 16, "{refused:?}");
        let tries = &refused[first..];
        assert!((6..8).contains(&tries.len()), "{tries:?}");
        assert!(tries.windows(2).all(|pair| pair[1] - pair[0] >= 90 * SECOND), "{tries:?}");
    }
}

#[test]
fn what_is_too_old_expires_and_no_more() {
    let policy = Policy { age_max: HOUR, ..Policy::default() };
    let mut world = World::with_policy(policy, |_| Reply::status(503));
    world.scrape(4, 3 * HOUR);
    let sums = world.audit();
    let hour = 4 * 240 * 10;
    assert!(sums.queued.abs_diff(hour) <= 4 * 4 * 10, "an hour of them waits: {sums:?}");
    assert_eq!(world.expired(Expiry::Age), sums.received - sums.queued);
    world.sink.follow(Reply::taken);
    world.advance(5 * MINUTE);
    assert_eq!(world.audit().queued, 0);
}

#[test]
fn setting_the_wall_clock_expires_nothing() {
    let mut world = World::new(|_| Reply::lost("unreachable", Stores::Nothing));
    world.scrape(3, 20 * MINUTE);
    let now = world.clock.now();
    for wall in [now.plus(48 * HOUR), now, now.minus(30 * HOUR), now.plus(400 * HOUR)] {
        world.clock.set_wall(wall);
        world.advance(5 * MINUTE);
    }
    world.sink.follow(Reply::taken);
    world.advance(5 * MINUTE);
    let sums = world.audit();
    assert_eq!((sums.queued, sums.expired, sums.delivered), (0, 0, 3 * 80 * 10));
}

#[test]
fn an_age_bound_on_a_clock_that_jumped_still_holds() {
    let policy = Policy { age_max: HOUR, ..Policy::default() };
    let mut world = World::with_policy(policy, |_| Reply::lost("unreachable", Stores::Nothing));
    world.append(Version::V1, &names(0, 5));
    world.clock.set_wall(world.clock.now().plus(100 * HOUR));
    world.advance(50 * MINUTE);
    assert_eq!(world.audit().expired, 0);
    world.advance(15 * MINUTE);
    assert_eq!(world.audit().expired, 5);
}

#[test]
fn another_target_is_tried_at_once() {
    let mut world = World::new(|_| Reply::status(403));
    world.scrape(2, 10 * MINUTE);
    assert_eq!(world.blocked(), Some("forbidden"));
    let sink = world.exchange_target(Reply::taken);
    world.advance(10 * SECOND);
    assert_eq!((world.blocked(), world.sums().queued), (None, 0));
    assert_eq!(sink.seen().stored.len(), world.appended.len());
}
