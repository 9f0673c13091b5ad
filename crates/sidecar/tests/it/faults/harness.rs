//! The harness itself, over plain pass-through: what it records, and that its audit finds what is wrong.

use std::sync::Mutex;
use std::time::Duration;

use super::audit::Allowed;
use super::load::{Load, Plan};
use super::process::Sidecar;
use super::scene::Scene;
use super::sink::{Reply, Sink};
use super::tokens::Tokens;

fn plan() -> Plan {
    Plan { requests: Some(20), pause: Duration::ZERO, ..Plan::default() }
}

fn pass_through(tokens: &Tokens, sink: &Sink) -> Sidecar {
    let mut sidecar = Sidecar::new(tokens, sink);
    sidecar.unset("REMORA_QUEUE_DIR").start();
    sidecar
}

#[test]
fn the_sink_records_what_was_acknowledged() {
    let tokens = Tokens::serve();
    let sink = Sink::open(&tokens);
    let mut sidecar = pass_through(&tokens, &sink);
    let sent = Load::run(&plan(), sidecar.port());
    let record = sink.record();
    assert_eq!(sent.acknowledged, sent.sent);
    assert_eq!(record.points.keys().copied().collect::<std::collections::HashSet<_>>(), sent.acknowledged);
    // 3 senders, 20 requests of 40 series with 3 samples each; every tenth series has an exemplar besides.
    assert_eq!((record.points.len(), record.repeats(), record.requests), (3 * 20 * (40 * 3 + 4), 0, 60));
    assert!(record.disorder.is_empty() && record.broken.is_empty() && record.unauthorized == 0);
    drop(record);
    assert!(sidecar.terminate().success());
}

#[test]
fn the_sink_misbehaves_as_told() {
    let tokens = Tokens::serve();
    let sink = Sink::open(&tokens);
    let mut sidecar = pass_through(&tokens, &sink);
    sink.behave(|incoming| match incoming.number {
        1 => Reply::refuse(503, "busy"),
        2 => Reply::close(),
        3 => Reply::close_mid_answer(),
        4 => Reply::refuse(400, "no").and_store_all(),
        _ => Reply::take(),
    });
    let sent = Load::run(&Plan { senders: 1, ..plan() }, sidecar.port());
    let record = sink.record();
    assert_eq!(sent.dropped, ["400: no"]);
    // The third sending was stored, was not acknowledged, came again as the fourth, which was stored and refused.
    assert_eq!(record.repeats(), 124);
    assert_eq!(sent.acknowledged.len(), 19 * 124);
    drop(record);
    sink.down();
    let load = Load::start(&Plan { senders: 1, name: "second", ..plan() }, sidecar.port());
    super::passing_time::pause(Duration::from_millis(200));
    assert_eq!(load.acknowledged(), 0);
    sink.up();
    assert_eq!(load.join().acknowledged.len(), 20 * 124);
    assert!(sidecar.terminate().success());
}

#[test]
#[should_panic(expected = "124 of 7440 acknowledged samples are nowhere")]
fn the_audit_finds_what_is_lost() {
    let scene = Scene::start();
    scene.sink.behave(|incoming| if incoming.number == 7 { Reply::refuse(204, "") } else { Reply::take() });
    let sent = scene.send(&plan());
    scene.audit(&sent, &Allowed::default());
}

#[test]
#[should_panic(expected = "124 repeats at the sink, 0 are allowed")]
fn the_audit_finds_what_came_twice() {
    let scene = Scene::start();
    scene.sink.behave(|incoming| match incoming.number {
        7 => Reply::refuse(503, "").and_store_all(),
        _ => Reply::take(),
    });
    let sent = scene.send(&plan());
    scene.audit(&sent, &Allowed::default());
}

/// A sink that says *taken*, and stores a request of a sender after the next one.
#[test]
#[should_panic(expected = "samples out of order at the sink")]
fn the_audit_finds_disorder() {
    let scene = Scene::start();
    let late = Mutex::new(Vec::new());
    scene.sink.behave(move |incoming| {
        let mut late = late.lock().unwrap();
        match incoming.number {
            3 => {
                late.extend_from_slice(incoming.points);
                Reply::refuse(204, "")
            }
            5 => Reply::take().and_store_also(std::mem::take(&mut *late)),
            _ => Reply::take(),
        }
    });
    let sent = scene.send(&Plan { senders: 1, ..plan() });
    scene.audit(&sent, &Allowed::default());
}
