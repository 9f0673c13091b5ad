//! Ends and starts.

use std::time::Duration;

use environment::Rng;
use remote_write::Version;
use testkit::SeededRng;

use crate::target::{Reply, Stores};
use crate::world::{MINUTE, SECOND, World, names};

#[test]
fn an_orderly_end_lets_requests_on_their_way_arrive() {
    let mut world = World::new(|asked| Reply::taken(asked).after(4 * SECOND));
    for sender in 0..40 {
        world.append(Version::V1, &names(sender, 10));
    }
    world.advance(SECOND);
    world.shut_down(20 * SECOND);
    world.start_again();
    world.advance(MINUTE);
    let sums = world.audit();
    assert_eq!((sums.queued, sums.delivered), (0, 400));
    assert_eq!(world.sink.requests(), 40, "nothing is sent twice");
}

#[test]
fn an_end_does_not_wait_for_a_target_that_hangs() {
    let mut world = World::new(|_| Reply::lost("timeout", Stores::All).after(10 * MINUTE));
    world.append(Version::V1, &names(0, 10));
    world.advance(SECOND);
    world.shut_down(20 * SECOND);
    world.start_again();
    world.sink.follow(Reply::taken);
    world.advance(MINUTE);
    let sums = world.audit();
    assert_eq!((sums.queued, sums.delivered), (0, 10));
}

#[test]
fn an_end_does_not_wait_at_all_for_a_target_that_is_known_to_be_away() {
    let mut asked_before = false;
    let mut world = World::new(move |_| match std::mem::replace(&mut asked_before, true) {
        false => Reply::text(503, "busy"),
        true => Reply::lost("timeout", Stores::All).after(10 * MINUTE),
    });
    world.append(Version::V1, &names(0, 10));
    world.advance(MINUTE);
    assert_eq!((world.blocked(), world.state().in_flight), (Some("unavailable"), 1), "one request tries");
    world.shut_down(Duration::ZERO);
    world.start_again();
    world.sink.follow(Reply::taken);
    world.advance(MINUTE);
    let sums = world.audit();
    assert_eq!((sums.queued, sums.delivered), (0, 10));
}

#[test]
fn kills_repeat_at_most_what_was_on_its_way() {
    for seed in 0..4 {
        let chance = SeededRng::new(seed);
        let mut world = World::new(|asked| Reply::taken(asked).after(2 * SECOND));
        let mut at_kills = 0;
        for _ in 0..25 {
            for sender in 0..6 {
                world.append(Version::V1, &names(sender, 10));
            }
            world.advance(Duration::from_millis(chance.next_u64() % 6000));
            at_kills += 10 * world.sink.seen().in_flight as u64;
            world.kill();
        }
        world.advance(10 * MINUTE);
        let sums = world.audit_sets();
        assert_eq!((sums.queued, sums.rejected, sums.expired), (0, 0, 0));
        let repeats = world.sink.seen().stored.len() as u64 - sums.received;
        assert!(repeats <= at_kills, "seed {seed}: {repeats} repeats, {at_kills} on their way at kills");
    }
}

#[test]
fn a_kill_during_a_search_loses_nothing() {
    let mut world = World::new(|asked| match asked.has(&crate::world::name(0, 5)) {
        true => Reply::text(400, "bad"),
        false => Reply::taken(asked),
    });
    world.append(Version::V1, &names(0, 500));
    for _ in 0..6 {
        world.advance(Duration::from_millis(130));
        world.kill();
    }
    world.advance(MINUTE);
    let sums = world.audit_sets();
    assert_eq!((sums.delivered, sums.rejected, sums.queued), (499, 1, 0));
    assert_eq!(world.refusals().len(), 1);
}
