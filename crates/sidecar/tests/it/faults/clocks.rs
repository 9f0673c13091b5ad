//! A wall clock that jumps, under the real program (`libfaketime`, which `scripts/peers` fetches). The monotonic clock goes
//! on as it always does.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::audit::Allowed;
use super::load::Plan;
use super::passing_time::{eventually, pause};
use super::scene::Scene;

#[test]
fn jumps_both_ways() {
    let mut scene = Scene::prepare(&[]);
    let offset = scene.sidecar.directory().join("offset");
    let set = |text: &str| {
        // At once, as the program may read it at any moment.
        fs::write(offset.with_extension("new"), text).unwrap();
        fs::rename(offset.with_extension("new"), &offset).unwrap();
    };
    set("+0");
    scene
        .sidecar
        .set("LD_PRELOAD", library().display().to_string())
        .set("FAKETIME_TIMESTAMP_FILE", offset.display().to_string())
        .set("FAKETIME_NO_CACHE", "1")
        .set("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .set("FAKETIME_DISABLE_SHM", "1");
    scene.sidecar.start();
    let load = scene.load(&Plan { pause: Duration::from_millis(10), ..Plan::default() });
    let scraper = scene.scrape();
    let serves = |what: &str| {
        let (acknowledged, arrived) = (load.acknowledged(), scene.sink.record().requests);
        eventually(&format!("requests to be taken and delivered after {what}"), Duration::from_secs(20), || {
            let goes_on = load.acknowledged() > acknowledged + 5 && scene.sink.record().requests > arrived + 5;
            goes_on.then_some(())
        });
    };
    serves("the start");
    // Hours, less than the queue's bound of age: nothing that waits may expire by this.
    for (what, jump) in
        [("+3 h", "+10800"), ("-3 h", "-10800"), ("+12 h", "+43200"), ("-1 day", "-86400"), ("the end", "+0")]
    {
        scene.sink.down();
        pause(Duration::from_millis(100));
        set(jump);
        pause(Duration::from_millis(100));
        scene.sink.up();
        serves(what);
    }
    let sent = load.stop();
    assert_eq!(sent.acknowledged, sent.sent);
    scraper.stop();
    let plan = Plan::default();
    // The sink was closed five times, each time with at most one request of each sender on its way.
    let repeats = 5 * plan.senders as u64 * plan.points();
    scene.audit(&sent, &Allowed { repeats, ..Allowed::default() });
}

/// Another time at every start, too: what is queued was received in the future, or long ago.
#[test]
fn jumps_between_two_lives() {
    let mut scene = Scene::prepare(&[]);
    scene.sink.down();
    scene
        .sidecar
        .set("LD_PRELOAD", library().display().to_string())
        .set("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .set("FAKETIME_DISABLE_SHM", "1");
    let mut all: Option<super::load::Sent> = None;
    for (name, offset) in [("now", "+0"), ("later", "+7200"), ("earlier", "-7200")] {
        scene.sidecar.set("FAKETIME", offset).start();
        let sent = scene.send(&Plan { name, ..Plan::of(10) });
        match &mut all {
            None => all = Some(sent),
            Some(all) => {
                all.acknowledged.extend(sent.acknowledged);
                all.sent.extend(sent.sent);
            }
        }
        scene.sidecar.kill();
    }
    scene.sidecar.start();
    scene.sink.up();
    scene.audit(&all.unwrap(), &Allowed::default());
}

fn library() -> PathBuf {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/usr/lib");
    let directories =
        fs::read_dir(&peers).unwrap_or_else(|_| panic!("{} is missing: run scripts/peers", peers.display()));
    directories
        .map(|directory| directory.unwrap().path().join("faketime/libfaketime.so.1"))
        .find(|path| path.exists())
        .expect("libfaketime is missing: run scripts/peers (make test does)")
        .canonicalize()
        .unwrap()
}
