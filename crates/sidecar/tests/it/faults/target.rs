//! A target that is away, slow, broken or of another opinion.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use remote_write::Version;

use super::audit::{Account, Allowed};
use super::load::{Plan, labels};
use super::passing_time::{eventually, now, pause};
use super::points::series_number;
use super::scene::Scene;
use super::sink::Reply;

#[test]
fn down_and_back() {
    let scene = Scene::prepare(&[]);
    let mut scene = scene;
    scene.sink.down();
    scene.sidecar.start();
    let scraper = scene.scrape();
    let sent = scene.send(&Plan::of(40));
    // Nobody had to wait for the target.
    assert_eq!(sent.acknowledged, sent.sent);
    assert!(sent.pushed_back.is_empty(), "{:?}", sent.pushed_back);
    let metrics = scene.sidecar.metrics();
    assert_eq!(Account::of_all(&metrics).queued, sent.sent.len() as f64);
    eventually("the reason to show", Duration::from_secs(5), || {
        scene.sidecar.metrics().find("delivery_blocked{reason=\"unreachable\"}").filter(|value| *value == 1.0)
    });
    scene.sink.up();
    scraper.stop();
    scene.audit(&sent, &Allowed::default());
}

#[test]
fn flapping() {
    const FLAPS: u64 = 8;
    let scene = Scene::start();
    let plan = Plan::endless();
    let load = scene.load(&plan);
    for _ in 0..FLAPS {
        pause(Duration::from_millis(150));
        scene.sink.down();
        pause(Duration::from_millis(100));
        scene.sink.up();
    }
    let sent = load.stop();
    assert_eq!(sent.acknowledged, sent.sent, "senders notice nothing");
    let on_their_way = FLAPS * plan.senders as u64 * plan.points();
    scene.audit(&sent, &Allowed { repeats: on_their_way, ..Allowed::default() });
}

#[test]
fn slow() {
    let scene = Scene::start();
    scene.sink.behave(|_| Reply::take().after(Duration::from_millis(150)));
    let started = now();
    let sent = scene.send(&Plan::of(12));
    let sending = started.elapsed();
    // Twelve requests one after the other would take the target 1.8 s.
    assert!(sending < Duration::from_millis(1500), "senders waited for the target: {sending:?}");
    scene.audit(&sent, &Allowed::default());
}

#[test]
fn half_open_until_cut() {
    let scene = Scene::start();
    let plan = Plan::of(30);
    scene.sink.set_deaf(true);
    let sent = scene.send(&plan);
    assert_eq!(sent.acknowledged, sent.sent);
    pause(Duration::from_secs(1));
    assert_eq!(scene.sink.record().requests, 0);
    scene.sink.set_deaf(false);
    scene.audit(&sent, &Allowed::default());
}

/// As many silent requests as there are senders: each waits for the sidecar's own bound.
#[test]
fn half_open_until_given_up() {
    let scene = Scene::start();
    scene.sink.behave(|incoming| if incoming.number <= 3 { Reply::hang() } else { Reply::take() });
    let sent = scene.send(&Plan::of(10));
    assert_eq!(sent.acknowledged, sent.sent);
    eventually("a time-out", Duration::from_secs(45), || (scene.sink.record().requests > 3).then_some(()));
    scene.audit(&sent, &Allowed::default());
}

#[test]
fn closing_in_the_middle_of_an_answer() {
    let scene = Scene::start();
    scene.sink.behave(|incoming| match incoming.number {
        2 | 9 | 16 => Reply::close_mid_answer(),
        4 | 11 | 18 => Reply::close(),
        6 | 13 | 20 => Reply::close().and_store_all(),
        _ => Reply::take(),
    });
    let sent = scene.send(&Plan::of(8));
    super::audit::wait_until_empty(&scene.sidecar, Duration::from_secs(60));
    // Whatever was stored without a word stands there twice, and the ledger knows of the repetition.
    let (repeats, unconfirmed) = {
        let record = scene.sink.record();
        (record.repeats(), record.stored_unconfirmed)
    };
    assert_eq!(repeats, unconfirmed);
    let resent = scene.sidecar.metrics().sum("resent_samples_total", "kind");
    assert!(resent >= repeats as f64, "{resent} of {repeats}");
    scene.audit(&sent, &Allowed { repeats, ..Allowed::default() });
}

/// Those that pass are answered twice, those that are held for seconds once. `make soak` takes all that there are.
#[test]
fn statuses_of_failure() {
    let held = [401, 403, 404, 415];
    let passing = [400, 408, 409, 413, 422, 425, 429, 500, 501, 502, 503, 504, 505, 507, 599];
    answer_each_of(&[held.as_slice(), &passing].concat());
}

/// Each status is answered to requests of a sender of its own for a while, then no more: all is delivered in the end.
pub(crate) fn answer_each_of(statuses: &[u16]) {
    let scene = Scene::start();
    let plan = Plan { senders: statuses.len(), series: 8, samples: 1, histogram_every: 4, ..Plan::of(2) };
    let status_of: HashMap<u64, u16> = (0..plan.senders)
        .flat_map(|sender| (0..plan.series).map(move |index| (sender, index)))
        .map(|(sender, index)| (series_number(&labels(plan.name, sender, index)), statuses[sender]))
        .collect();
    let answered: Mutex<HashMap<u16, u32>> = Mutex::default();
    scene.sink.behave(move |incoming| {
        let Some(first) = incoming.points.first() else { return Reply::take() };
        let status = status_of[&first.series];
        let mut answered = answered.lock().unwrap();
        let times = answered.entry(status).or_default();
        *times += 1;
        if *times <= times_of(status) { Reply::refuse(status, "as told") } else { Reply::take() }
    });
    let sent = scene.send(&plan);
    assert_eq!(sent.acknowledged, sent.sent);
    super::audit::wait_until_empty(&scene.sidecar, Duration::from_secs(60 + 10 * statuses.len() as u64));
    let metrics = scene.sidecar.metrics();
    for status in statuses {
        let counted = metrics.value(&format!("delivery_answers_total{{code=\"{status}\"}}"));
        assert_eq!(counted, f64::from(times_of(*status)), "{status}");
    }
    scene.audit(&sent, &Allowed::default());
}

fn times_of(status: u16) -> u32 {
    match status {
        400 | 408 | 409 | 413 | 422 | 425 | 429 | 500.. => 2,
        _ => 1,
    }
}

#[test]
fn a_bad_series_alone_is_refused() {
    for stores_the_rest in [false, true] {
        let scene = Scene::start();
        let plan = Plan { senders: 2, series: 50, samples: 2, ..Plan::of(6) };
        let bad = series_number(&labels(plan.name, 1, 33));
        scene.sink.behave(move |incoming| {
            let has_bad = incoming.points.iter().any(|point| point.series == bad);
            match (has_bad, stores_the_rest) {
                (true, true) => Reply::refuse(400, "one series is bad").and_store_all_but(bad),
                (true, false) => Reply::refuse(400, "one series is bad"),
                (false, _) => Reply::take(),
            }
        });
        let sent = scene.send(&plan);
        super::audit::wait_until_empty(&scene.sidecar, Duration::from_secs(60));
        let refused = scene.sidecar.refused();
        assert_eq!(refused.len(), 6 * 2, "stores the rest: {stores_the_rest}");
        assert!(refused.iter().all(|point| point.series == bad && sent.acknowledged.contains(point)));
        let metrics = scene.sidecar.metrics();
        assert_eq!(metrics.value("rejected_samples_total{kind=\"float\",reason=\"invalid\"}"), 12.0);
        let tail = String::from_utf8(scene.sidecar.ledger(&["tail", "-n", "100", "--json"])).unwrap();
        let tail: Vec<serde_json::Value> = tail.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(tail.len(), 6, "{tail:?}");
        for refusal in &tail {
            assert!(refusal["series"].as_str().unwrap().contains("index=\"33\""), "{refusal}");
            assert_eq!(
                (&refusal["status"], &refusal["answer"]),
                (&400.into(), &"one series is bad".into()),
                "{refusal}"
            );
        }
        // 2·log2(50) + 8 extra requests for each of the bodies that held it.
        let requests = scene.sink.record().requests;
        assert!(requests <= 12 + 6 * (2 * 6 + 8), "{requests} requests");
        let repeats = scene.sink.record().repeats();
        if !stores_the_rest {
            assert_eq!(repeats, 0);
        }
        scene.audit(&sent, &Allowed { repeats, ..Allowed::default() });
    }
}

#[test]
fn too_large_is_split_and_the_size_remembered() {
    const BYTES_MAX: usize = 1500;
    let scene = Scene::start();
    scene.sink.behave(|incoming| match incoming.body_bytes {
        0..=BYTES_MAX => Reply::take(),
        _ => Reply::refuse(413, "too large"),
    });
    let plan = Plan { senders: 1, series: 200, samples: 2, ..Plan::of(12) };
    let sent = scene.send(&plan);
    super::audit::wait_until_empty(&scene.sidecar, Duration::from_secs(60));
    let metrics = scene.sidecar.metrics();
    let learned = metrics.value("delivery_body_bytes_limit");
    assert!(learned >= 200.0, "{learned}");
    let refused = metrics.value("delivery_answers_total{code=\"413\"}");
    // Had each of the twelve to find out for itself, it would be three of each.
    assert!((1.0..=30.0).contains(&refused), "{refused} answers of 413");
    scene.audit(&sent, &Allowed::default());
}

#[test]
fn retry_after_is_obeyed() {
    for status in [429, 503] {
        let scene = Scene::start();
        let told: Arc<Mutex<Option<Instant>>> = Arc::default();
        let early = Arc::new(Mutex::new(Vec::new()));
        scene.sink.behave({
            let (told, early) = (Arc::clone(&told), Arc::clone(&early));
            move |_| match &mut *told.lock().unwrap() {
                none @ None => {
                    *none = Some(now());
                    Reply::refuse(status, "").header("Retry-After", "2")
                }
                Some(at) => {
                    early
                        .lock()
                        .unwrap()
                        .extend(Some(at.elapsed()).filter(|waited| *waited < Duration::from_millis(1900)));
                    Reply::take()
                }
            }
        });
        // One sender: no other request is on its way when the answer comes.
        let sent = scene.send(&Plan { senders: 1, ..Plan::of(5) });
        super::audit::wait_until_empty(&scene.sidecar, Duration::from_secs(30));
        assert!(early.lock().unwrap().is_empty(), "{status}: sent again after {:?}", early.lock().unwrap());
        scene.audit(&sent, &Allowed::default());
    }
}

#[test]
fn version_2_is_passed_on_and_transcoded_once_it_is_refused() {
    let scene = Scene::start_with(&[("REMORA_REMOTE_WRITE_2", "accept")]);
    let plan = Plan { version: Version::V2, senders: 1, ..Plan::of(5) };
    let mut sent = scene.send(&plan);
    super::audit::wait_until_empty(&scene.sidecar, Duration::from_secs(30));
    assert!(scene.sink.record().version_2 >= 5);
    scene.sink.behave(|incoming| match incoming.version {
        Version::V2 => Reply::refuse(415, "1.0 only"),
        Version::V1 => Reply::take(),
    });
    let later = scene.send(&Plan { name: "later", ..plan });
    sent.acknowledged.extend(later.acknowledged);
    sent.sent.extend(later.sent);
    sent.miscounted.extend(later.miscounted);
    scene.audit(&sent, &Allowed::default());
}
