//! Bodies that are too large, and versions that are not spoken.

use std::time::Duration;

use remote_write::Version;
use spool::Rejection;

use crate::target::{Reply, Stores};
use crate::world::{HOUR, MINUTE, SECOND, World, names};

#[test]
fn large_bodies_are_split_and_the_size_is_remembered() {
    let mut world = World::new(|asked| match asked.bytes > 6000 {
        true => Reply::status(413),
        false => Reply::taken(asked),
    });
    for _ in 0..30 {
        world.append(Version::V1, &names(0, 1500));
        world.advance(15 * SECOND);
    }
    let sums = world.audit();
    assert_eq!((sums.queued, sums.rejected, sums.resent), (0, 0, 0));
    let answers = world.state().answers;
    assert!(answers[&413] <= 4, "what is known to be too large is not tried: {answers:?}");
    let limit = world.state().body_bytes_limit.unwrap();
    assert!((5250..12_000).contains(&limit), "{limit}");
    // After an hour one request tries whether the bound was raised.
    world.sink.follow(Reply::taken);
    world.advance(HOUR);
    world.append(Version::V1, &names(0, 1500));
    world.advance(15 * SECOND);
    assert_eq!((world.audit().queued, world.state().body_bytes_limit), (0, None));
}

#[test]
fn sizes_near_the_limit_are_refused_a_few_times_only() {
    let named = "Maximum allowed content length: 6000 bytes (6 kB). Provided content length: 6543 bytes.";
    for (text, refused_max, limits) in [("", 4, 5250..7000), (named, 1, 6000..6001)] {
        let mut world = World::new(move |asked| match asked.bytes > 6000 {
            true => Reply::text(413, text),
            false => Reply::taken(asked),
        });
        for step in 0..12 {
            world.append(Version::V1, &names(0, 1500 - 30 * step));
            world.advance(15 * SECOND);
        }
        let (sums, state) = (world.audit(), world.state());
        assert_eq!((sums.queued, sums.rejected, sums.resent), (0, 0, 0));
        assert!(state.answers[&413] <= refused_max, "{text}: {:?}", state.answers);
        assert!(limits.contains(&state.body_bytes_limit.unwrap()), "{text}: {:?}", state.body_bytes_limit);
    }
}

#[test]
fn a_single_series_that_is_too_large_is_refused() {
    let mut world = World::new(|asked| match asked.has("big{a=\"x\"}") && asked.bytes > 60 {
        true => Reply::status(413),
        false => Reply::taken(asked),
    });
    let now = 1_800_000_000_000;
    let mut samples: Vec<_> =
        (0..200).map(|at| ("big{a=\"x\"}".to_owned(), now + at * 977, at as u64 * 7919)).collect();
    samples.extend(names(0, 500).into_iter().map(|series| (series, now, 0)));
    world.append_samples(Version::V1, &samples);
    world.advance(MINUTE);
    let sums = world.audit();
    assert_eq!((sums.delivered, world.rejected(Rejection::TooLarge)), (500, 200), "{sums:?}");
}

#[test]
fn a_target_that_calls_everything_too_large_is_not_asked_for_ever() {
    let mut world = World::new(|_| Reply::status(413));
    world.append(Version::V1, &names(0, 2000));
    world.advance(10 * MINUTE);
    let sums = world.audit();
    assert_eq!(sums.rejected, 2000);
    assert!(world.sink.requests() < 400, "{}", world.sink.requests());
}

#[test]
fn a_late_415_has_the_queue_said_in_1_0() {
    let mut world = World::new(|asked| match asked.version == Version::V2 && asked.at > 5 * MINUTE {
        true => Reply::status(415),
        false => Reply::taken(asked),
    });
    for _ in 0..40 {
        world.append(Version::V2, &names(0, 50));
        world.append(Version::V2, &names(1, 50));
        world.advance(15 * SECOND);
    }
    let sums = world.audit();
    assert_eq!((sums.queued, sums.rejected, sums.resent), (0, 0, 0));
    assert!(world.state().answers[&415] <= 2, "it is remembered");
}

#[test]
fn success_without_written_headers_is_none_for_2_0() {
    let mut world = World::new(|asked| match asked.version {
        // As a receiver of 1.0 that overlooks the type: it finds no series.
        Version::V2 => Reply::status(204).stores(Stores::Nothing),
        Version::V1 => Reply::status(204),
    });
    world.append(Version::V2, &names(0, 50));
    world.append(Version::V2, &names(1, 50));
    world.advance(MINUTE);
    assert_eq!(world.audit().delivered, 100);
    assert_eq!(world.state().verdicts["transcode"], 2);
}

#[test]
fn what_the_target_says_it_did_not_write_is_rejected() {
    let mut world = World::new(|asked| {
        let left_out = asked.series[0].0.clone();
        Reply::taken(asked).written(asked.samples() - 1).stores(Stores::AllBut(vec![left_out]))
    });
    world.append(Version::V2, &names(0, 50));
    world.advance(Duration::from_secs(5));
    let sums = world.audit();
    assert_eq!((sums.delivered, world.rejected(Rejection::NotWritten)), (49, 1));
}
