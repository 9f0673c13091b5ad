//! Segments that somebody else damaged between two lives of the sidecar.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::Duration;

use super::audit::{Account, Allowed, wait_until_empty};
use super::load::{Plan, Sent};
use super::scene::Scene;

/// A body that is not what was written: its request is refused as damaged, to the sample; all others are delivered.
#[test]
fn a_damaged_body() {
    let (mut scene, sent) = backlog();
    let (segment, record) = record_in_the_middle(&scene);
    damage(&segment, record + 300);
    scene.sidecar.start();
    scene.sink.up();
    wait_until_empty(&scene.sidecar, Duration::from_secs(60));
    let missing = missing(&scene, &sent);
    assert_eq!(missing as u64, Plan::default().points(), "one request of {}", sent.acknowledged.len());
    let metrics = scene.sidecar.metrics();
    assert_eq!(metrics.sum("rejected_samples_total", "reason=\"damaged\""), missing as f64);
    assert!(metrics.value("queue_set_aside_files_total") >= 1.0);
    assert!(scene.sidecar.log().contains(&segment.display().to_string()), "the log names the file");
    scene.audit(&sent, &Allowed { given_up: true, ..Allowed::default() });
}

/// The beginning of a record: what it held is gone, all others are delivered.
#[test]
fn a_damaged_header() {
    let (mut scene, sent) = backlog();
    let (segment, record) = record_in_the_middle(&scene);
    damage(&segment, record);
    scene.sidecar.start();
    scene.sink.up();
    wait_until_empty(&scene.sidecar, Duration::from_secs(60));
    assert_eq!(missing(&scene, &sent) as u64, Plan::default().points(), "one request of {}", sent.acknowledged.len());
    assert!(scene.sidecar.log().contains(&segment.display().to_string()), "the log names the file");
    finish(scene, &sent);
}

/// A segment whose end is gone: everything before is delivered.
#[test]
fn truncated() {
    let (mut scene, sent) = backlog();
    let segment = segment(&scene);
    let length = fs::metadata(&segment).unwrap().len();
    OpenOptions::new().write(true).open(&segment).unwrap().set_len(length * 3 / 4 + 3).unwrap();
    scene.sidecar.start();
    scene.sink.up();
    wait_until_empty(&scene.sidecar, Duration::from_secs(60));
    let missing = missing(&scene, &sent);
    assert!(missing > 0 && missing < sent.acknowledged.len() / 3, "{missing} of {} are gone", sent.acknowledged.len());
    finish(scene, &sent);
}

/// A file that is no segment at all, by its name one: it is kept to be looked at, and new requests go on.
#[test]
fn nonsense_in_place_of_a_segment() {
    let (mut scene, sent) = backlog();
    fs::write(segment(&scene), NONSENSE).unwrap();
    scene.sidecar.start();
    scene.sink.up();
    let more = scene.send(&Plan { name: "after", ..Plan::of(5) });
    wait_until_empty(&scene.sidecar, Duration::from_secs(60));
    assert!(more.acknowledged.iter().all(|point| scene.sink.record().points.contains_key(point)));
    assert_eq!(missing(&scene, &sent), sent.acknowledged.len());
    let account = Account::of_all(&scene.sidecar.metrics());
    assert_eq!(account.delivered, more.acknowledged.len() as f64);
    let kept = ["log", "set-aside"].into_iter().flat_map(|name| fs::read_dir(scene.sidecar.queue().join(name)));
    let kept: Vec<Vec<u8>> = kept.flatten().map(|entry| fs::read(entry.unwrap().path()).unwrap_or_default()).collect();
    assert!(kept.iter().any(|bytes| bytes == NONSENSE), "the damaged file is kept");
    assert!(scene.sidecar.terminate().success());
}

const NONSENSE: &[u8] = b"this was a segment once";

/// A sidecar that was killed with a backlog, the sink being down.
fn backlog() -> (Scene, Sent) {
    let mut scene = Scene::prepare(&[]);
    scene.sink.down();
    scene.sidecar.start();
    let sent = scene.send(&Plan::of(60));
    scene.sidecar.kill();
    (scene, sent)
}

/// The one segment of a backlog.
fn segment(scene: &Scene) -> PathBuf {
    let log = scene.sidecar.queue().join("log");
    let files = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    let is_segment =
        |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().bytes().all(|byte| byte.is_ascii_digit());
    files.filter(is_segment).max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

/// Where a record begins (`docs/format/queue.md`), about half-way into the segment.
fn record_in_the_middle(scene: &Scene) -> (PathBuf, u64) {
    let segment = segment(scene);
    let bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    let record = middle + bytes[middle..].windows(5).position(|window| window.starts_with(b"RSQ1")).unwrap();
    (segment, record as u64)
}

fn damage(segment: &PathBuf, at: u64) {
    OpenOptions::new().write(true).open(segment).unwrap().write_all_at(&[0x5a; 24], at).unwrap();
}

fn missing(scene: &Scene, sent: &Sent) -> usize {
    let record = scene.sink.record();
    sent.acknowledged.iter().filter(|point| !record.points.contains_key(point)).count()
}

/// The audit, less what the damage took without a trace.
fn finish(mut scene: Scene, sent: &Sent) {
    let record = scene.sink.record();
    assert!(record.disorder.is_empty(), "{:?}", record.disorder.first());
    assert!(record.points.keys().all(|point| sent.sent.contains(point)), "nothing is invented");
    assert_eq!(record.repeats(), 0);
    drop(record);
    assert!(scene.sidecar.terminate().success());
}
