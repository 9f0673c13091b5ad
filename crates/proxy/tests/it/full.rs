//! A queue without room: push-back, dropping, a disk that fails. Never 429.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use environment::Disk;
use proxy::RemoteWrite2;
use remote_write::Version;
use spool::{Settings, WhenFull};
use testkit::{Fault, MemoryDisk};

use crate::kept::{Keeping, Kept, eventually, message, post, soon, write_series};
use crate::support::{Answer, Step, Upstream, get};

fn small(when_full: WhenFull) -> Settings {
    Settings { bytes_max: 64 << 10, segment_bytes_max: 16 << 10, when_full, ..Settings::default() }
}

/// A target that answers nothing.
async fn silent() -> Upstream {
    Upstream::start(std::iter::repeat_n(Step::Hang, 10_000)).await
}

/// Sends until one is not answered 204 and says what it was answered, and how many were.
async fn fill(keeping: &Keeping) -> (Answer, usize) {
    for number in 0..500 {
        let got = keeping.ask(write_series(number * 100, 100)).await;
        if got.status != 204 {
            return (got, number);
        }
    }
    panic!("it is never full");
}

#[tokio::test]
async fn a_full_queue_pushes_back_and_takes_requests_again_once_there_is_room() {
    let silent = silent().await;
    let mut kept = Kept { spool: small(WhenFull::PushBack), ..Kept::new() };
    kept.settings.ready_strict = true;
    let keeping = kept.start(&silent).await;
    assert_eq!(keeping.ask(write_series(0, 1)).await.status, 204);
    eventually("a token", async || get(keeping.proxy.address, "/ready").await.status == 200).await;
    let (refused, taken) = fill(&keeping).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{}", refused.body);
    assert!(
        refused.body.contains("\"code\":\"QueueFull\"") && refused.body.contains("65536 bytes"),
        "{}",
        refused.body
    );
    let metrics = keeping.metrics().await;
    metrics.assert_balanced();
    assert_eq!(metrics.value("received_samples_total{kind=\"float\"}"), (taken * 100 + 1) as f64);
    assert_eq!(metrics.value("queue_pushed_back_total"), 1.0);
    assert_eq!(metrics.value("queue_writable"), 0.0);
    let ready = get(keeping.proxy.address, "/ready").await;
    assert_eq!(ready.status, 503, "it was asked to be strict");
    assert!(ready.body.contains("QueueNotWritable"), "{}", ready.body);
    assert_eq!(get(keeping.proxy.address, "/health").await.status, 200);

    // The other target takes everything.
    let upstream = Upstream::start([]).await;
    let clock = Arc::clone(&kept.clock);
    let tokens = crate::support::tokens(crate::support::Issuer::Renews, "https://monitor.azure.com", &clock);
    let url = format!("http://{}/new", upstream.address).parse().unwrap();
    keeping.proxy.handle.set_ingestion(&url, tokens, crate::support::connector()).unwrap();
    let room = soon(async || keeping.ask(write_series(0, 100)).await.status == 204).await;
    assert!(room, "no room: {:?} {:#}", keeping.spool.stats(), keeping.status().await);
    eventually("ready", async || get(keeping.proxy.address, "/ready").await.status == 200).await;
    assert_eq!(keeping.metrics().await.value("queue_writable"), 1.0);
    assert!(upstream.requests().iter().all(|request| request.head.starts_with("POST /new HTTP/1.1")));
    keeping.stop().await;
}

#[tokio::test]
async fn a_request_larger_than_the_whole_queue_is_not_asked_for_again() {
    let upstream = Upstream::start([]).await;
    let kept = Kept { spool: small(WhenFull::PushBack), ..Kept::new() };
    let keeping = kept.start(&upstream).await;
    let got = keeping.ask(write_series(0, 50_000)).await;
    assert_eq!((got.status, got.header("retry-after")), (413, None), "{}", got.body);
    assert_eq!(keeping.metrics().await.value("queue_writable"), 1.0);
    assert_eq!(keeping.ask(write_series(0, 10)).await.status, 204);
    keeping.stop().await;
}

#[tokio::test]
async fn by_default_a_full_queue_is_no_reason_to_be_unready() {
    let silent = silent().await;
    let kept = Kept { spool: small(WhenFull::PushBack), ..Kept::new() };
    let keeping = kept.start(&silent).await;
    assert_eq!(fill(&keeping).await.0.status, 503);
    assert_eq!(get(keeping.proxy.address, "/ready").await.status, 200);
    assert_eq!(get(keeping.proxy.address, "/health").await.status, 200);
    let status = keeping.status().await;
    assert_eq!(status["queue"]["writable"], false);
    assert_eq!(status["last_failure"]["reason"], "QueueFull");
}

#[tokio::test]
async fn what_is_dropped_is_answered_204_and_accounted_for() {
    for when_full in [WhenFull::DropNewest, WhenFull::DropOldest] {
        let silent = silent().await;
        let kept = Kept { spool: small(when_full), ..Kept::new() };
        let keeping = kept.start(&silent).await;
        for number in 0..100 {
            assert_eq!(keeping.ask(write_series(number * 100, 100)).await.status, 204, "{when_full:?}");
        }
        let metrics = keeping.metrics().await;
        metrics.assert_balanced();
        assert_eq!(metrics.value("received_samples_total{kind=\"float\"}"), 10_000.0);
        let expired = metrics.value("expired_samples_total{kind=\"float\",reason=\"space\"}");
        assert!((1000.0..10_000.0).contains(&expired), "{when_full:?}: {expired}");
        assert_eq!(metrics.value("queue_writable"), 1.0, "{when_full:?}");
    }
}

#[tokio::test]
async fn dropped_samples_of_version_2_are_not_said_to_be_written() {
    let silent = silent().await;
    let mut kept = Kept { spool: small(WhenFull::DropNewest), ..Kept::new() };
    kept.settings.remote_write_2 = RemoteWrite2::Accept;
    let keeping = kept.start(&silent).await;
    let mut written = Vec::new();
    for number in 0..100 {
        let got = keeping.ask(post(Version::V2, &message(Version::V2, number * 100, 100, 1))).await;
        assert_eq!(got.status, 204);
        written.push(got.header("x-prometheus-remote-write-samples-written").unwrap().to_owned());
    }
    assert_eq!(written[0], "100");
    assert_eq!(written[99], "0");
    let kept_samples = 100 * written.iter().filter(|written| *written == "100").count() as u64;
    assert_eq!(keeping.spool.ledger().queued.samples, kept_samples);
}

#[tokio::test]
async fn a_disk_that_fails_is_told_and_tried_again() {
    let upstream = Upstream::start([]).await;
    let disk = MemoryDisk::new();
    let kept = Kept::on(Arc::new(disk.clone()) as Arc<dyn Disk>, Path::new("/queue"));
    let keeping = kept.start(&upstream).await;
    assert_eq!(keeping.ask(write_series(0, 10)).await.status, 204);
    eventually("delivery", async || keeping.spool.ledger().delivered.samples == 10).await;
    disk.inject(Fault { at: disk.changes(), error: ErrorKind::StorageFull, torn: 3, lasting: true });
    let refused = keeping.ask(write_series(0, 10)).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{}", refused.body);
    assert!(refused.body.contains("QueueNotWritable"), "{}", refused.body);
    let metrics = keeping.metrics().await;
    metrics.assert_balanced();
    assert_eq!(metrics.value("queue_writable"), 0.0);
    assert!(metrics.value("queue_append_errors_total") >= 1.0);
    assert_eq!(get(keeping.proxy.address, "/health").await.status, 200);
    assert!(!keeping.status().await["queue"]["disk_error"].is_null());

    disk.heal();
    eventually("the disk takes requests", async || keeping.ask(write_series(0, 10)).await.status == 204).await;
    eventually("writable", async || keeping.metrics().await.value("queue_writable") == 1.0).await;
    eventually("delivery", async || keeping.spool.ledger().queued.samples == 0).await;
    keeping.metrics().await.assert_balanced();
    keeping.stop().await;
}
