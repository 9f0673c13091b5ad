//! Disks that are full, fail in the middle of a write, or may only be read.
//!
//! A full disk is a small tmpfs in a mount namespace of the sidecar's own (`unshare`, without root where the system allows
//! it). A disk that fails within a write, or takes nothing any more, is a limit on the size of files, set on the running
//! process: a mount cannot be made read-only under a file that is open for writing. Where the system allows no namespace,
//! as in some containers, such a limit stands for the full disk, too, and a place where nobody may write for the
//! read-only one.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, prlimit};

use super::audit::Allowed;
use super::load::Plan;
use super::passing_time::{eventually, pause};
use super::process::Sidecar;
use super::scene::Scene;
use super::wire;

#[test]
fn full_then_free_again() {
    let mut scene = Scene::prepare(&[]);
    let is_small = in_namespace(&mut scene.sidecar, "mount -t tmpfs -o size=2m,mode=700 tmpfs \"$DIRECTORY\"");
    if !is_small {
        start_with_limits_ignored(&mut scene.sidecar);
    }
    scene.sink.down();
    scene.sidecar.start();
    let ballast = scene.sidecar.visible_queue().join("ballast");
    if is_small {
        fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    } else {
        limit_file_size(&scene.sidecar, Some(200_000));
    }
    let scraper = scene.scrape();
    let load = scene.load(&Plan::endless());
    eventually("the disk to be full", Duration::from_secs(60), || {
        scene.sidecar.metrics().find("queue_append_errors_total").filter(|count| *count > 0.0)
    });
    pause(Duration::from_millis(300));
    assert_eq!(scene.sidecar.metrics().value("queue_writable"), 0.0);
    for path in ["/health", "/ready"] {
        assert_eq!(wire::get(scene.sidecar.port(), path).unwrap().status(), 200, "{path}");
    }
    let before = load.acknowledged();
    if is_small {
        fs::remove_file(&ballast).unwrap();
    } else {
        limit_file_size(&scene.sidecar, None);
    }
    eventually("room", Duration::from_secs(20), || (load.acknowledged() > before + 10).then_some(()));
    scene.sink.up();
    pause(Duration::from_millis(500));
    // What is full is the queue's disk, not the sender's patience: everything comes in the end.
    let sent = load.stop();
    assert!(sent.dropped.is_empty(), "{:?}", sent.dropped);
    assert!(sent.pushed_back.iter().all(|status| *status == 503), "{:?}", sent.pushed_back);
    super::audit::wait_until_empty(&scene.sidecar, Duration::from_secs(60));
    assert_eq!(scene.sidecar.metrics().value("queue_writable"), 1.0);
    scraper.stop();
    scene.audit(&sent, &Allowed::default());
}

/// A full disk, and then a kill: what was answered is there, what was written in part is not.
#[test]
fn a_write_that_fails_half_way() {
    let mut scene = Scene::prepare(&[]);
    start_with_limits_ignored(&mut scene.sidecar);
    scene.sink.down();
    scene.sidecar.start();
    let load = scene.load(&Plan::endless());
    for round in 1..=3_u64 {
        limit_file_size(&scene.sidecar, Some(round * 100_000 + 77));
        let failed = |scene: &Scene| scene.sidecar.metrics().value("queue_append_errors_total");
        eventually("a write to fail", Duration::from_secs(30), || (failed(&scene) > 0.0).then_some(()));
        if round == 2 {
            // The next life has no limit.
            scene.sidecar.kill();
            scene.sidecar.start();
        } else {
            limit_file_size(&scene.sidecar, None);
        }
        let before = load.acknowledged();
        eventually("writes to go on", Duration::from_secs(20), || (load.acknowledged() > before + 10).then_some(()));
        if round == 1 {
            // A fresh count of failures, and a queue that was opened after a failed write.
            scene.sidecar.kill();
            scene.sidecar.start();
        }
    }
    scene.sink.up();
    let sent = load.stop();
    assert!(sent.dropped.is_empty(), "{:?}", sent.dropped);
    // The sink was down at both kills: no repeats but those of senders that got no answer.
    let allowed = Allowed { repeats: sent.unanswered, unknown_receipts: true, ..Allowed::default() };
    scene.audit(&sent, &allowed);
}

/// A directory that cannot be written at the start: the program says which and why, and promises nothing.
#[test]
fn read_only_from_the_start() {
    let mut scene = Scene::prepare(&[]);
    let is_mounted = in_namespace(
        &mut scene.sidecar,
        "mount --bind \"$DIRECTORY\" \"$DIRECTORY\" && mount -o remount,bind,ro \"$DIRECTORY\"",
    );
    let directory = if is_mounted { scene.sidecar.queue() } else { "/sys/remora-queue".into() };
    scene.sidecar.set("REMORA_QUEUE_DIR", directory.to_str().unwrap());
    scene.sidecar.spawn();
    let status = scene.sidecar.wait(Duration::from_secs(20));
    assert_eq!(status.code(), Some(1));
    let log = scene.sidecar.log();
    assert!(log.contains(directory.to_str().unwrap()), "{log}");
    assert!(!is_mounted || log.contains("Read-only"), "{log}");
}

/// The signal of a limit on the size of files ends a process unless it is ignored; then the write fails, after as much as
/// fits.
pub(crate) fn start_with_limits_ignored(sidecar: &mut Sidecar) {
    sidecar.start_by(&["sh", "-c", "trap '' XFSZ; exec \"$0\""]);
}

/// No file of the running program grows beyond `bytes`.
fn limit_file_size(sidecar: &Sidecar, bytes: Option<u64>) {
    prlimit(Some(sidecar.pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

/// The program starts in a mount namespace of its own, in which `command` has prepared `$DIRECTORY` for its queue. False where
/// the system allows no such namespace.
fn in_namespace(sidecar: &mut Sidecar, command: &str) -> bool {
    let mounts = |namespaces: &&&str| {
        let tried = Command::new("unshare").args([**namespaces, "mount", "-t", "tmpfs", "tmpfs", "/tmp"]).output();
        tried.is_ok_and(|output| output.status.success())
    };
    // As a user with a namespace of users; as root without one, which some systems forbid.
    let Some(namespaces) = ["-Urm", "-m"].iter().find(mounts) else {
        eprintln!("no mount namespace can be had here (`unshare -Urm`, `unshare -m`): tried with limits instead");
        return false;
    };
    let queue = sidecar.queue();
    fs::create_dir(&queue).unwrap();
    let script = format!("DIRECTORY='{}'; {command} && exec \"$0\"", queue.display());
    sidecar.start_by(&["unshare", *namespaces, "sh", "-c", &script]);
    true
}
