//! Everything at once: random answers, lost answers, a bad series for each sender, two versions of the protocol, tokens that fail, clocks that are set, kills and orderly ends. Then all is well, and the audit
//! must find every sample, in order.

use std::time::Duration;

use environment::{Clock, Rng};
use remote_write::Version;
use testkit::SeededRng;

use crate::target::{Asked, Reply, Stores};
use crate::world::{HOUR, MINUTE, SECOND, World, name, names};

const SENDERS: usize = 5;
const SERIES: usize = 40;

fn is_bad(series: &str) -> bool {
    (0..SENDERS).any(|sender| series == name(sender, 3 + 7 * sender))
}

/// As the target is in the end: well, but it takes no bad series.
fn well(asked: &Asked) -> Reply {
    if asked.series.iter().any(|(series, _)| is_bad(series)) {
        return Reply::text(400, "no");
    }
    Reply::taken(asked)
}

fn ill(chance: &SeededRng, asked: &Asked) -> Reply {
    let good = !asked.series.iter().any(|(series, _)| is_bad(series));
    let some = || if good && chance.next_f64() < 0.5 { Stores::All } else { Stores::Nothing };
    let reply = match chance.next_u64() % 20 {
        0 => Reply::lost("unreachable", Stores::Nothing),
        1 => Reply::lost("timeout", some()).after(30 * SECOND),
        2 => Reply::lost("invalid_answer", some()),
        3 => Reply::status(503).stores(some()).retry_after(3 * SECOND),
        4 => Reply::status(429).retry_after(SECOND),
        5 => Reply::status(500).stores(some()),
        6 => Reply::status(504).stores(some()),
        7 => Reply::status(401),
        8 => Reply::status(403),
        9 => Reply::status(408),
        _ => well(asked),
    };
    match reply.after > SECOND {
        true => reply,
        false => reply.after(Duration::from_millis(chance.next_u64() % 400)),
    }
}

fn run(seed: u64) {
    let (chance, answers) = (SeededRng::new(seed), SeededRng::new(seed + 1000));
    let takes_v2 = seed.is_multiple_of(2);
    let mut world = World::new(move |asked| match asked.version == Version::V2 && !takes_v2 && asked.at > MINUTE {
        true => Reply::status(415),
        false => ill(&answers, asked),
    });
    for _ in 0..60 {
        for sender in 0..SENDERS {
            let version = if sender.is_multiple_of(2) { Version::V1 } else { Version::V2 };
            world.append(version, &names(sender, SERIES));
        }
        world.advance(Duration::from_millis(chance.next_u64() % 20_000));
        match chance.next_u64() % 12 {
            0 => world.kill(),
            1 => {
                world.shut_down(20 * SECOND);
                world.start_again();
            }
            2 => world.tokens.set_working(false),
            3 | 4 => world.tokens.set_working(true),
            5 => world.clock.set_wall(world.clock.now().plus(HOUR)),
            _ => {}
        }
    }
    world.tokens.set_working(true);
    world.sink.follow(move |asked| match asked.version == Version::V2 && !takes_v2 {
        true => Reply::status(415),
        false => well(asked),
    });
    world.advance(20 * MINUTE);
    let sums = world.audit_sets();
    assert_eq!((sums.queued, sums.expired, sums.unconfirmed), (0, 0, 0), "seed {seed}: {sums:?}");
    let bad = world.appended.iter().filter(|(series, ..)| is_bad(series)).count() as u64;
    assert_eq!(sums.rejected, bad, "seed {seed}: {:?}", world.ledger().rejected);
    assert!(world.sink.seen().stored.iter().all(|(series, ..)| !is_bad(series)));
}

#[test]
fn everything_at_once_loses_nothing() {
    for seed in 0..5 {
        run(seed);
    }
}
