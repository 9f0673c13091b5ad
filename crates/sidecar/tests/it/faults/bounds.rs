//! A queue that is full, by size or by age.

use std::time::Duration;

use super::audit::{Account, Allowed, wait_until_empty};
use super::load::Plan;
use super::passing_time::{eventually, pause};
use super::scene::Scene;

const SMALL: (&str, &str) = ("REMORA_QUEUE_BYTES_MAX", "1MiB");

#[test]
fn full_and_pushing_back() {
    let scene = Scene::start_with(&[SMALL]);
    scene.sink.down();
    let load = scene.load(&large());
    eventually("the queue to push back", Duration::from_secs(30), || {
        scene.sidecar.metrics().find("queue_pushed_back_total").filter(|count| *count > 0.0)
    });
    for path in ["/health", "/ready"] {
        assert_eq!(super::wire::get(scene.sidecar.port(), path).unwrap().status(), 200, "{path}");
    }
    scene.sink.up();
    let before = load.acknowledged();
    eventually("room", Duration::from_secs(60), || (load.acknowledged() > before + 20).then_some(()));
    let sent = load.stop();
    // 503 with Retry-After, on which Prometheus keeps what it has; never 429.
    assert!(sent.pushed_back.iter().all(|status| *status == 503), "{:?}", sent.pushed_back);
    assert_eq!(sent.unpaced, 0, "answers of 503 without Retry-After");
    scene.audit(&sent, &Allowed::default());
}

#[test]
fn full_and_dropping() {
    for policy in ["drop-oldest", "drop-newest"] {
        let scene = Scene::start_with(&[SMALL, ("REMORA_QUEUE_WHEN_FULL", policy)]);
        scene.sink.down();
        let load = scene.load(&large());
        eventually("samples to be given up", Duration::from_secs(30), || {
            let expired = Account::of_all(&scene.sidecar.metrics()).expired;
            (expired > 10_000.0).then_some(())
        });
        let sent = load.stop();
        assert_eq!(sent.acknowledged, sent.sent, "{policy}");
        let account = Account::of_all(&scene.sidecar.metrics());
        assert!(account.expired > 0.0 && account.queued > 0.0, "{policy}: {account:?}");
        scene.sink.up();
        wait_until_empty(&scene.sidecar, Duration::from_secs(60));
        let metrics = scene.sidecar.metrics();
        let missing = sent.acknowledged.iter().filter(|point| !scene.sink.record().points.contains_key(point)).count();
        assert_eq!(metrics.sum("expired_samples_total", "reason=\"space\""), missing as f64, "{policy}");
        scene.audit(&sent, &Allowed { given_up: true, ..Allowed::default() });
    }
}

#[test]
fn too_old() {
    let scene = Scene::start_with(&[("REMORA_QUEUE_AGE_MAX", "2s")]);
    scene.sink.down();
    let sent = scene.send(&Plan::of(10));
    pause(Duration::from_millis(2500));
    wait_until_empty(&scene.sidecar, Duration::from_secs(30));
    let metrics = scene.sidecar.metrics();
    assert_eq!(metrics.sum("expired_samples_total", "reason=\"age\""), sent.acknowledged.len() as f64);
    scene.sink.up();
    scene.audit(&sent, &Allowed { given_up: true, ..Allowed::default() });
}

/// Large requests, so that a queue is full soon.
fn large() -> Plan {
    Plan { series: 400, samples: 5, ..Plan::endless() }
}
