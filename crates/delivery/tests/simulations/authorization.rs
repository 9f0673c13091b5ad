//! Tokens, roles and rules that are not as they should be yet, or no longer.

use std::time::Duration;

use spool::Rejection;

use crate::target::{Asked, Reply, Stores};
use crate::world::{HOUR, MINUTE, SECOND, World, names};

#[test]
fn a_role_granted_after_twenty_minutes_loses_nothing() {
    let mut world = World::new(|asked| match asked.at < 20 * MINUTE {
        true => Reply::text(403, r#"{"error":{"code":"OperationFailed","message":"no access"}}"#),
        false => Reply::taken(asked),
    });
    world.scrape(5, 19 * MINUTE);
    assert_eq!(world.blocked(), Some("forbidden"));
    let asked = world.sink.requests();
    assert!((20..60).contains(&asked), "one request in 30 to 60 seconds: {asked}");
    world.scrape(5, 6 * MINUTE);
    let sums = world.audit();
    assert_eq!((sums.queued, sums.rejected, sums.resent), (0, 0, 0));
}

#[test]
fn without_a_role_the_queue_keeps_the_last_forty_five_minutes() {
    for (status, reason, word) in [
        (401, Rejection::Unauthorized, "unauthorized"),
        (403, Rejection::Forbidden, "forbidden"),
        (404, Rejection::NotFound, "not_found"),
        (301, Rejection::NotFound, "not_found"),
        (451, Rejection::NotFound, "not_found"),
        (415, Rejection::Unsupported, "unsupported"),
    ] {
        let mut world = World::new(move |_| Reply::text(status, "the whole answer"));
        world.scrape(2, 44 * MINUTE);
        assert_eq!(world.audit().rejected, 0, "{status}");
        world.scrape(2, HOUR + 15 * MINUTE);
        let sums = world.audit();
        let kept = 2 * 180 * 10;
        assert!(sums.queued.abs_diff(kept) <= 2 * 6 * 10, "{status}: 45 minutes of them wait: {sums:?}");
        assert_eq!(world.rejected(reason), sums.received - sums.queued, "{status}");
        assert_eq!(world.blocked(), Some(word));
        let refusal = world.refusals().pop().unwrap();
        assert_eq!((refusal.reason, refusal.status, &*refusal.answer), (reason, Some(status), "the whole answer"));
        assert_eq!(refusal.series, names(1, 10).join(", "));
        world.sink.follow(Reply::taken);
        world.advance(2 * MINUTE);
        assert_eq!((world.audit().queued, world.blocked()), (0, None), "{status}");
    }
}

/// Answers 503 for `outage`, and then as `script` does, which is told how long the outage is over.
fn after_an_outage(
    outage: Duration,
    mut script: impl FnMut(Duration, &Asked) -> Reply + Send + 'static,
) -> impl FnMut(&Asked) -> Reply + Send + 'static {
    move |asked| match asked.at.checked_sub(outage) {
        None => Reply::status(503),
        Some(since) => script(since, asked),
    }
}

#[test]
fn one_refusal_after_an_outage_costs_nothing() {
    let mut refusals = 0..1;
    let mut world = World::new(after_an_outage(3 * HOUR, move |_, asked| match refusals.next() {
        Some(_) => Reply::status(403),
        None => Reply::taken(asked),
    }));
    world.scrape(2, 3 * HOUR + 5 * MINUTE);
    let sums = world.audit();
    assert_eq!((sums.queued, sums.rejected, sums.resent > 0), (0, 0, true), "{sums:?}");
    let seen = world.sink.seen();
    let refused = seen.requests.iter().position(|(_, status)| *status == 403).unwrap();
    let wait = seen.requests[refused + 1].0 - seen.requests[refused].0;
    assert!(wait < 6 * SECOND, "the wait counts the refusals, not the failures before: {wait:?}");
}

#[test]
fn a_role_granted_after_an_outage_loses_nothing() {
    let mut world = World::new(after_an_outage(3 * HOUR, |since, asked| match since < 40 * MINUTE {
        true => Reply::status(403),
        false => Reply::taken(asked),
    }));
    world.scrape(2, 3 * HOUR + 45 * MINUTE);
    let sums = world.audit();
    assert_eq!((sums.queued, sums.rejected), (0, 0), "{sums:?}");
}

#[test]
fn a_backlog_is_given_up_once_it_is_refused_for_the_whole_grace() {
    let mut world = World::new(after_an_outage(3 * HOUR, |_, _| Reply::status(403)));
    world.scrape(2, 3 * HOUR + 44 * MINUTE);
    assert_eq!(world.audit().rejected, 0);
    world.scrape(2, 6 * MINUTE);
    let (sums, kept) = (world.audit(), 2 * 180 * 10);
    assert!(sums.queued.abs_diff(kept) <= 2 * 6 * 10, "45 minutes of them wait: {sums:?}");
    assert_eq!(world.rejected(Rejection::Forbidden), sums.received - sums.queued);
}

#[test]
fn failures_of_another_kind_are_no_part_of_the_grace() {
    // Of each hour twelve minutes are refusals: 45 minutes of them take nearly four hours.
    let script = |asked: &Asked| match asked.at.as_secs() % 3600 < 720 {
        true => Reply::status(403),
        false => Reply::lost("unreachable", Stores::Nothing),
    };
    let mut world = World::new(script);
    world.scrape(1, 3 * HOUR + 5 * MINUTE);
    assert_eq!(world.audit().rejected, 0);
    world.scrape(1, 2 * HOUR);
    assert!(world.audit().rejected > 0);
}

#[test]
fn nothing_is_given_up_that_was_not_refused_after_its_time() {
    let mut world = World::new(|_| Reply::status(403));
    world.scrape(5, HOUR + 7 * SECOND);
    let before = world.audit().rejected;
    assert!(before > 0);
    for reply in [Reply::taken as fn(&Asked) -> Reply, |_| Reply::status(503)] {
        world.sink.follow(reply);
        world.scrape(5, 10 * MINUTE);
        assert_eq!(world.audit().rejected, before);
    }
}

#[test]
fn a_refused_token_is_exchanged_at_once() {
    let mut world = World::new(|asked| match asked.token.as_str() {
        "token-1" => Reply::status(401),
        _ => Reply::taken(asked),
    });
    world.scrape(3, MINUTE);
    let sums = world.audit();
    assert_eq!((sums.queued, sums.resent), (0, 0));
    assert_eq!(world.tokens.given(), 2);
    let seen = world.sink.seen();
    let refused = seen.requests.iter().filter(|(_, status)| *status == 401).count();
    assert!(refused <= 3 && seen.requests.iter().all(|(at, status)| *status == 204 || *at < SECOND), "{refused}");
}

#[test]
fn tokens_that_are_refused_for_ever_are_not_asked_for_all_the_time() {
    let mut world = World::new(|_| Reply::status(401));
    world.scrape(3, 2 * HOUR);
    let given = world.tokens.given();
    assert!(given <= 40, "one in five minutes, and those that expire: {given}");
    world.audit();
}

#[test]
fn without_a_token_everything_waits() {
    let mut world = World::new(Reply::taken);
    world.scrape(3, 10 * MINUTE);
    world.tokens.set_working(false);
    world.scrape(3, 4 * HOUR);
    assert_eq!(world.blocked(), Some("no_token"));
    let sums = world.audit();
    assert!(sums.queued > 3 * 10 * 240 * 2, "the token of before served for an hour: {sums:?}");
    world.tokens.set_working(true);
    world.advance(3 * MINUTE);
    assert_eq!((world.audit().queued, world.blocked()), (0, None));
}
