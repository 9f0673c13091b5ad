//! Requests with something bad in them.

use environment::{Clock, Rng};
use remote_write::Version;
use spool::{Refusal, Rejection};
use testkit::SeededRng;

use crate::target::{Asked, Reply, Stores, decode};
use crate::world::{MINUTE, SECOND, World, name, names};

/// Refuses whole requests with one of these series in them.
fn refuses(bad: Vec<String>, status: u16, text: &'static str) -> impl FnMut(&Asked) -> Reply + Send + 'static {
    move |asked| match bad.iter().any(|bad| asked.has(bad)) {
        true => Reply::text(status, text),
        false => Reply::taken(asked),
    }
}

#[test]
fn one_bad_series_is_found_and_the_others_arrive() {
    for (version, status) in [(Version::V1, 400), (Version::V2, 400), (Version::V1, 422), (Version::V1, 409)] {
        let mut world = World::new(refuses(vec![name(0, 137)], status, "bad data"));
        world.append(version, &names(0, 1000));
        world.append(version, &names(1, 1000));
        world.advance(MINUTE);
        let sums = world.audit();
        assert_eq!((sums.delivered, world.rejected(Rejection::Invalid)), (1999, 1));
        assert!(world.sink.requests() <= 2 + 2 * 9 + 8, "{}", world.sink.requests());
        let refusal = world.refusals().pop().unwrap();
        assert_eq!((refusal.series, refusal.status, refusal.tally.samples), (name(0, 137), Some(status), 1));
        assert_eq!(refusal.answer, "bad data");
    }
}

#[test]
fn a_series_that_is_bad_every_time_is_searched_for_once() {
    let mut world = World::new(refuses(vec![name(0, 137)], 400, "bad data"));
    world.append(Version::V1, &names(0, 1000));
    world.advance(MINUTE);
    let search = world.sink.requests();
    assert!(search > 8, "{search}");
    for _ in 0..10 {
        world.append(Version::V1, &names(0, 1000));
        world.advance(15 * SECOND);
    }
    assert_eq!((world.audit().delivered, world.rejected(Rejection::Invalid)), (11 * 999, 11));
    assert_eq!(world.sink.requests() - search, 10 * 3, "the whole, the rest, the one");
    world.sink.follow(Reply::taken);
    for _ in 0..2 {
        world.append(Version::V1, &names(0, 1000));
        world.advance(15 * SECOND);
    }
    assert_eq!((world.audit().queued, world.rejected(Rejection::Invalid)), (0, 11));
}

#[test]
fn what_the_answer_names_is_found_with_two_requests() {
    let bad = name(0, 700);
    let script = move |asked: &Asked| match asked.has(&bad) {
        true => Reply::text(400, format!("{{\"error\":{{\"message\":{:?}}}}}", format!("series {bad} has odd labels"))),
        false => Reply::taken(asked),
    };
    let mut world = World::new(script);
    world.append(Version::V1, &names(0, 1000));
    world.advance(MINUTE);
    assert_eq!((world.audit().delivered, world.rejected(Rejection::Invalid)), (999, 1));
    assert_eq!(world.sink.requests(), 3);
}

#[test]
fn what_breaks_a_known_limit_is_found_with_two_requests() {
    let long = format!("long{{a=\"{}\"}}", "x".repeat(1024));
    let mut world = World::new(refuses(vec![long.clone()], 400, "label value too long"));
    let mut series = names(0, 999);
    series.insert(123, long);
    world.append(Version::V1, &series);
    world.advance(MINUTE);
    assert_eq!((world.audit().delivered, world.rejected(Rejection::Invalid)), (999, 1));
    assert_eq!(world.sink.requests(), 3);
}

#[test]
fn a_service_that_stored_the_rest_is_not_sent_it_again() {
    let bad = vec![name(0, 3), name(0, 5)];
    let stored_rest = |text: &'static str, bad: Vec<String>| {
        move |asked: &Asked| {
            let stores = Stores::AllBut(bad.clone());
            let reply = Reply::text(400, text).stores(stores);
            if asked.version == Version::V2 { reply.written(asked.samples() - 2) } else { reply }
        }
    };
    let text = r#"{"error":{"code":"SamplesRefused","message":"refused 2 of 20 samples; everything else is stored. metric_3{instance=\"host-3\", job=\"sender-0\"}: sample at 1 is too old: the oldest time taken is 2; and 1 more"}}"#;
    for version in [Version::V1, Version::V2] {
        let mut world = World::new(stored_rest(text, bad.clone()));
        world.append(version, &names(0, 20));
        world.advance(MINUTE);
        let sums = world.audit();
        assert_eq!((sums.delivered, world.rejected(Rejection::Invalid), sums.resent), (18, 2, 0));
        assert_eq!(world.sink.requests(), 1);
        let refusals = world.refusals();
        assert_eq!((&*refusals[0].series, refusals[0].tally.samples), (&*name(0, 3), 1));
        let mut others: Vec<_> = names(0, 20).into_iter().filter(|series| *series != name(0, 3)).collect();
        others.sort();
        assert_eq!((&*refusals[1].series, refusals[1].tally.samples), (&*others.join(", "), 1));
    }
}

#[test]
fn series_that_the_answer_gives_by_number_are_those_in_the_ring() {
    for (version, text, expected) in [
        (
            Version::V1,
            "refused 1 of 50 samples; everything else is stored. series 8: series {i=\"noname\"} has no metric name",
            vec![8],
        ),
        (
            Version::V2,
            "refused 2 of 50 samples, 1 entries without data; everything else is stored. series 49: no; series 0: label 7 \
             is out of bounds; series 50: there is none",
            vec![0, 49],
        ),
    ] {
        let bad: Vec<String> = expected.iter().map(|index| name(0, *index)).collect();
        let (stores, count) = (bad.clone(), bad.len() as u64);
        let mut world = World::new(move |asked| {
            Reply::text(400, text).stores(Stores::AllBut(stores.clone())).written(asked.samples() - count)
        });
        world.append(version, &names(0, 50));
        world.advance(MINUTE);
        let sums = world.audit();
        assert_eq!((sums.delivered, world.rejected(Rejection::Invalid), sums.resent), (50 - count, count, 0));
        let refusals = world.refusals();
        let refused: Vec<_> = refusals.iter().map(|refusal| (refusal.series.clone(), refusal.tally.samples)).collect();
        assert_eq!(refused, bad.iter().map(|series| (series.clone(), 1)).collect::<Vec<_>>());
        for Refusal { series, body, .. } in refusals {
            let resent = decode(Version::V1, &body);
            assert_eq!(resent.iter().map(|(series, _)| series).collect::<Vec<_>>(), [&series]);
        }
    }
}

#[test]
fn many_series_in_one_entry_of_the_ring_are_named_up_to_a_bound() {
    let mut world = World::new(|asked| {
        let text = format!("refused 1 of {0} samples; everything else is stored. a: no", asked.samples());
        Reply::text(400, text).stores(Stores::AllBut(vec![name(0, 3)]))
    });
    world.append(Version::V1, &names(0, 144));
    world.advance(MINUTE);
    let (mut all, refusals) = (names(0, 144), world.refusals());
    all.sort();
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].series, format!("{} and 124 more", all[..20].join(", ")));
}

#[test]
fn many_bad_series_are_bounded_and_nothing_is_lost_from_the_account() {
    let chance = SeededRng::new(5);
    let bad: Vec<String> = (0..40).map(|_| name(0, (chance.next_u64() % 2000) as usize)).collect();
    let mut world = World::new(refuses(bad, 400, "no"));
    world.append(Version::V1, &names(0, 2000));
    world.advance(MINUTE);
    let sums = world.audit();
    assert!(world.sink.requests() <= 1 + 2 * 10 + 8, "{}", world.sink.requests());
    assert_eq!((sums.delivered + sums.rejected, sums.queued), (2000, 0));
    assert!(world.rejected(Rejection::Undecided) > 0);
}

#[test]
fn the_order_of_a_series_holds_while_a_request_is_searched() {
    let mut world = World::new(refuses(vec![name(0, 30)], 400, "bad"));
    for _ in 0..20 {
        world.append(Version::V1, &names(0, 64));
        world.append(Version::V1, &names(1, 64));
        world.advance(SECOND / 10);
    }
    world.advance(MINUTE);
    let sums = world.audit();
    assert_eq!((sums.delivered, world.rejected(Rejection::Invalid)), (20 * 127, 20));
}

#[test]
fn what_was_sent_before_and_is_called_out_of_order_counts_as_delivered() {
    let mut answered = false;
    let mut world = World::new(move |asked| {
        if !std::mem::replace(&mut answered, true) {
            return Reply::lost("timeout", Stores::All);
        }
        if asked.is_repetition { Reply::text(400, "out of order sample") } else { Reply::taken(asked) }
    });
    world.append(Version::V1, &names(0, 4));
    world.advance(MINUTE);
    let sums = world.audit_sets();
    assert_eq!((sums.delivered, sums.unconfirmed, sums.rejected, sums.queued), (4, 4, 0, 0));
}

#[test]
fn out_of_order_at_the_first_sending_is_a_refusal() {
    let mut world = World::new(|_| Reply::text(400, "out of order sample"));
    world.append(Version::V1, &names(0, 1));
    world.advance(MINUTE);
    assert_eq!(world.audit().rejected, 1);
}

#[test]
fn a_request_that_is_answered_500_does_not_stop_the_others() {
    let mut world = World::new(refuses(vec![name(0, 77)], 500, "panic"));
    for _ in 0..40 {
        for sender in 0..4 {
            world.append(Version::V1, &names(sender, 100));
        }
        world.advance(15 * SECOND);
    }
    world.advance(MINUTE);
    let sums = world.audit();
    assert_eq!((sums.queued, world.rejected(Rejection::Invalid)), (0, 40), "{sums:?}");
    assert_eq!(sums.delivered, 40 * 400 - 40);
    let others = world.sink.seen().stored.iter().filter(|(series, ..)| series.contains("sender-3")).count();
    assert_eq!(others, 4000);
}

#[test]
fn a_request_that_is_answered_500_does_not_stop_its_only_sender() {
    let mut world = World::new(refuses(vec![name(0, 7)], 500, "panic"));
    for _ in 0..10 {
        world.append(Version::V1, &names(0, 100));
        world.advance(15 * SECOND);
    }
    world.advance(20 * MINUTE);
    let sums = world.audit();
    assert_eq!((sums.queued, world.rejected(Rejection::Invalid), sums.delivered), (0, 10, 990), "{sums:?}");
    // Once it is known, it costs the others little: whole, halves, and the one again.
    let before = world.sink.requests();
    world.append(Version::V1, &names(0, 100));
    world.advance(5 * SECOND);
    assert_eq!((world.audit().queued, world.rejected(Rejection::Invalid)), (0, 11));
    assert!(world.sink.requests() - before <= 4, "{}", world.sink.requests() - before);
    // And when it is mended, it is not refused any more.
    world.sink.follow(Reply::taken);
    world.append(Version::V1, &names(0, 100));
    world.advance(5 * SECOND);
    assert_eq!((world.audit().queued, world.rejected(Rejection::Invalid)), (0, 11));
}

#[test]
fn a_target_that_answers_500_to_everything_gets_everything_in_the_end() {
    let mut world = World::new(|_| Reply::status(500));
    world.scrape(6, 60 * MINUTE);
    assert_eq!(world.audit().rejected, 0);
    let requests = world.sink.requests();
    assert!(requests < 600, "one request tries at a time: {requests}");
    world.sink.follow(Reply::taken);
    world.advance(5 * MINUTE);
    let sums = world.audit();
    assert_eq!((sums.queued, sums.rejected), (0, 0));
}

#[test]
fn an_outage_that_begins_among_deliveries_rejects_nothing() {
    for seed in 0..3 {
        let chance = SeededRng::new(seed);
        let mut world = World::new(move |asked| {
            let ill = asked.at > 5 * MINUTE && asked.at < 65 * MINUTE;
            let wavering = asked.at > 4 * MINUTE && asked.at < 5 * MINUTE && chance.next_f64() < 0.7;
            if ill || wavering { Reply::status(500) } else { Reply::taken(asked) }
        });
        world.scrape(6, 70 * MINUTE);
        world.advance(5 * MINUTE);
        let sums = world.audit();
        assert_eq!((sums.rejected, sums.queued), (0, 0), "seed {seed}: {sums:?}");
    }
}

#[test]
fn every_status_leaves_the_account_whole() {
    for status in (100..=103).chain(200..=208).chain(300..=308).chain(400..=451).chain(500..=511).chain([999]) {
        let mut world = World::new(move |_| Reply::text(status, "whatever"));
        for round in 0..8 {
            world.append(Version::V1, &names(round % 3, 30));
            world.append(Version::V2, &names(3 + round % 2, 30));
            world.advance(15 * SECOND);
        }
        world.sink.follow(Reply::taken);
        world.advance(5 * MINUTE);
        let sums = world.audit();
        assert_eq!(sums.queued, 0, "{status}");
        let lost = matches!(status, 400 | 409 | 413 | 422);
        assert_eq!(sums.rejected > 0, lost, "{status}: {sums:?}");
        assert!(world.clock.now().as_secs() > 0);
    }
}

#[test]
fn a_target_that_fails_at_random_has_nothing_given_up() {
    for (share, seed) in [(0.5, 1), (0.7, 2), (0.9, 3), (0.97, 4)] {
        let chance = SeededRng::new(seed);
        let mut world = World::new(move |asked| match chance.next_f64() < share {
            true => Reply::status(500),
            false => Reply::taken(asked),
        });
        world.scrape(4, 40 * MINUTE);
        world.sink.follow(Reply::taken);
        world.advance(5 * MINUTE);
        let sums = world.audit();
        assert_eq!((sums.rejected, sums.queued), (0, 0), "{share}: {sums:?}");
    }
}
