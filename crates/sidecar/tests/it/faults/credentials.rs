//! Tokens that expire, are taken back, or have no role yet.

use std::time::Duration;

use super::audit::{Account, Allowed};
use super::load::Plan;
use super::passing_time::{eventually, now, pause};
use super::scene::Scene;
use super::sink::Reply;
use super::wire;

#[test]
fn token_endpoint_down_past_expiry() {
    let mut scene = Scene::prepare(&[]);
    scene.tokens.set_lifetime(Duration::from_secs(3));
    scene.sidecar.start();
    let plan = Plan { pause: Duration::from_millis(30), ..Plan::default() };
    let load = scene.load(&plan);
    let ready = |scene: &Scene| wire::get(scene.sidecar.port(), "/ready").unwrap().status();
    eventually("readiness", Duration::from_secs(10), || (ready(&scene) == 200).then_some(()));
    scene.tokens.fail_with(Some((500, "{\"error\":\"server_error\"}")));
    eventually("the token to expire", Duration::from_secs(10), || (ready(&scene) == 503).then_some(()));
    eventually("the reason to show", Duration::from_secs(10), || {
        scene.sidecar.metrics().find("delivery_blocked{reason=\"no_token\"}")
    });
    let before = load.acknowledged();
    pause(Duration::from_secs(1));
    assert_eq!(wire::get(scene.sidecar.port(), "/health").unwrap().status(), 200);
    assert!(load.acknowledged() > before, "senders wait for a token");
    let sent = load.stop();
    assert!(Account::of_all(&scene.sidecar.metrics()).queued > 0.0);
    scene.tokens.fail_with(None);
    super::audit::wait_until_empty(&scene.sidecar, Duration::from_secs(30));
    assert_eq!(scene.sink.record().unauthorized, 0, "an expired token was sent");
    scene.audit(&sent, &Allowed::default());
}

#[test]
fn tokens_taken_back_are_replaced() {
    let scene = Scene::start();
    let load = scene.load(&Plan::endless());
    eventually("a delivery", Duration::from_secs(10), || (scene.sink.record().requests > 0).then_some(()));
    scene.tokens.revoke_all();
    eventually("another token", Duration::from_secs(30), || (scene.tokens.asked() > 1).then_some(()));
    pause(Duration::from_millis(300));
    let sent = load.stop();
    scene.audit(&sent, &Allowed::default());
}

#[test]
fn role_granted_later() {
    let scene = Scene::start();
    scene.sink.behave(|_| Reply::refuse(403, "{\"error\":{\"code\":\"Forbidden\"}}"));
    let started = now();
    let load = scene.load(&Plan::endless());
    eventually("a 403", Duration::from_secs(10), || {
        scene.sidecar.metrics().find("delivery_answers_total{code=\"403\"}")
    });
    pause(Duration::from_secs(2).saturating_sub(started.elapsed()));
    let sent = load.stop();
    assert_eq!(sent.acknowledged, sent.sent, "senders notice nothing");
    assert_eq!(scene.sidecar.metrics().value("delivery_blocked{reason=\"forbidden\"}"), 1.0);
    scene.sink.behave_well();
    scene.audit(&sent, &Allowed::default());
}

#[test]
fn role_never_granted() {
    let scene = Scene::start_with(&[("REMORA_AUTHORIZATION_GRACE", "2s")]);
    scene.sink.behave(|_| Reply::refuse(403, "{\"error\":{\"code\":\"Forbidden\"}}"));
    let sent = scene.send(&Plan::of(3));
    super::audit::wait_until_empty(&scene.sidecar, Duration::from_secs(60));
    let metrics = scene.sidecar.metrics();
    let forbidden = metrics.sum("rejected_samples_total", "reason=\"forbidden\"");
    assert_eq!(forbidden, sent.acknowledged.len() as f64);
    scene.audit(&sent, &Allowed { given_up: true, ..Allowed::default() });
}
