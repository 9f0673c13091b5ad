//! Tokens, roles and rules that are not as they should be yet, or no longer.

use spool::Rejection;

use crate::target::Reply;
use crate::world::{HOUR, MINUTE, SECOND, World};

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
        assert!(refusal.series.ends_with("and 9 more"), "{}", refusal.series);
        world.sink.follow(Reply::taken);
        world.advance(2 * MINUTE);
        assert_eq!((world.audit().queued, world.blocked()), (0, None), "{status}");
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
