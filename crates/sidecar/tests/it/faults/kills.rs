//! `kill -9` at random, under load.

use std::time::Duration;

use environment::Rng as _;
use testkit::SeededRng;

use super::audit::Allowed;
use super::load::Plan;
use super::passing_time::{eventually, now, pause};
use super::scene::Scene;
use super::sink::Reply;

#[test]
fn every_acknowledged_sample_survives_kills() {
    kill_under_load(15, 20_261_123, &[]);
}

#[test]
fn kills_with_every_request_forced_to_the_disk() {
    kill_under_load(4, 4_711, &[("REMORA_QUEUE_SYNC", "every-request")]);
}

/// Kills the sidecar again and again while senders send and the sink takes a moment for each request.
pub(crate) fn kill_under_load(kills: u64, seed: u64, variables: &[(&str, &str)]) {
    let rng = SeededRng::new(seed);
    let mut scene = Scene::start_with(variables);
    scene.sink.behave(|incoming| Reply::take().after(Duration::from_millis(incoming.number % 7)));
    let plan = Plan::endless();
    let load = scene.load(&plan);
    let scraper = scene.scrape();
    for _ in 0..kills {
        // Not always at the same moment of its life; sometimes before it has sent anything.
        let life = Duration::from_millis(20 + rng.next_u64() % 300);
        pause(life);
        scene.sidecar.kill();
        scene.sidecar.start();
    }
    pause(Duration::from_millis(200));
    let sent = load.stop();
    assert!(sent.dropped.is_empty(), "{:?}", sent.dropped);
    let enough = kills * plan.points() * plan.senders as u64;
    assert!(
        sent.acknowledged.len() as u64 > enough,
        "too little was sent to prove anything: {}",
        sent.acknowledged.len()
    );
    scraper.stop();
    // Requests of one sender share their series, so of each at most one was on its way to the sink.
    let on_their_way = kills * plan.senders as u64 * plan.points();
    let allowed = Allowed { repeats: sent.unanswered + on_their_way, unknown_receipts: true, ..Allowed::default() };
    super::audit::wait_until_empty(&scene.sidecar, Duration::from_secs(60));
    eprintln!(
        "{kills} kills, {} samples acknowledged, {} in doubt, {} repeats at the sink of {} allowed, at most {} MiB",
        sent.acknowledged.len(),
        sent.unanswered,
        scene.sink.record().repeats(),
        allowed.repeats,
        scene.sidecar.resident_bytes_max() >> 20,
    );
    scene.audit(&sent, &allowed);
}

/// SIGTERM under load: what is on its way is brought to its end, what waits stays for the next life, nothing comes twice.
#[test]
fn terminated_under_load() {
    let mut scene = Scene::start();
    scene.sink.behave(|_| Reply::take().after(Duration::from_millis(40)));
    let load = scene.load(&Plan::endless());
    for _ in 0..4 {
        pause(Duration::from_millis(300));
        let started = now();
        let status = scene.sidecar.terminate();
        assert!(status.success(), "{status}");
        assert!(started.elapsed() < Duration::from_secs(10), "it took {:?}", started.elapsed());
        scene.sidecar.start();
    }
    scene.sink.behave_well();
    let sent = load.stop();
    assert!(sent.dropped.is_empty(), "{:?}", sent.dropped);
    // A sender whose connection ended under its hands cannot know, and sends again.
    let allowed = Allowed { repeats: sent.unanswered, unknown_receipts: true, ..Allowed::default() };
    scene.audit(&sent, &allowed);
}

/// A target that is away holds up an end in order no longer than it may take.
#[test]
fn terminated_while_the_target_is_away() {
    let mut scene = Scene::start_with(&[("REMORA_DRAIN_TIMEOUT", "1s")]);
    scene.sink.down();
    let sent = scene.send(&Plan::of(10));
    let started = now();
    assert!(scene.sidecar.terminate().success());
    assert!(started.elapsed() < Duration::from_secs(5), "it took {:?}", started.elapsed());
    scene.sidecar.start();
    scene.sink.up();
    scene.audit(&sent, &Allowed::default());
}

/// The first request leaves soon after a start, however much waits.
#[test]
fn the_backlog_does_not_delay_the_start() {
    let mut scene = Scene::prepare(&[]);
    scene.sink.down();
    scene.sidecar.start();
    let plan = Plan { senders: 4, series: 400, samples: 5, ..Plan::of(40) };
    let sent = scene.send(&plan);
    scene.sidecar.kill();
    scene.sink.up();
    let started = now();
    scene.sidecar.spawn();
    eventually("the first request", Duration::from_secs(20), || (scene.sink.record().requests > 0).then_some(()));
    let waited = started.elapsed();
    eprintln!("first request {waited:?} after the start, with {} samples waiting", sent.acknowledged.len());
    // The promise is a second; this build is not optimised, and shares two cores.
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    scene.audit(&sent, &Allowed::default());
}
