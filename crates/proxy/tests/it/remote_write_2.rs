//! Requests of version 2.0 are let in when the target takes them, and only then.

use std::time::Duration;

use proxy::RemoteWrite2;
use remote_write::{Version, framing};

use crate::kept::{Kept, eventually, message, post, write_series, written};
use crate::support::{Client, Issuer, Step, Upstream, connector, tokens};

fn answer(text: &str) -> Step {
    Step::Answer(format!("HTTP/1.1 {text}Content-Length: 0\r\n\r\n"))
}

fn request() -> Vec<u8> {
    post(Version::V2, &message(Version::V2, 0, 10, 1))
}

#[tokio::test]
async fn an_empty_request_finds_out_whether_the_target_takes_it() {
    for (step, status, takes) in [
        (written([0; 3]), 204, Some(true)),
        // Takes anything, and looks into nothing.
        (answer("200 OK\r\n"), 415, Some(false)),
        (answer("415 Unsupported Media Type\r\n"), 415, Some(false)),
        // Not about the version.
        (answer("403 Forbidden\r\n"), 503, None),
        (answer("503 Service Unavailable\r\n"), 503, None),
        (Step::Close, 503, None),
    ] {
        let upstream = Upstream::start([step]).await;
        let kept = Kept::new();
        let keeping = kept.start(&upstream).await;
        for _ in 0..2 {
            let got = keeping.ask(request()).await;
            assert_eq!(got.status, status, "{takes:?}: {}", got.body);
            // A sender that has to come again is told so: 415 would have it drop the samples.
            assert_eq!(got.header("retry-after").is_some(), status == 503, "{}", got.head);
        }
        let asked = upstream.requests().remove(0);
        assert_eq!(asked.header("content-type"), Some(Version::V2.content_type()));
        assert_eq!(asked.header("x-prometheus-remote-write-version"), Some("2.0.0"));
        let mut decoded = Vec::new();
        framing::decode(&asked.body, 100, &mut decoded).unwrap();
        assert_eq!(decoded, [0x22, 0], "no series, and the symbol that is always there");
        let status_page = keeping.status().await;
        let told = &status_page["queue"]["remote_write_2"];
        assert_eq!((&told["setting"], &told["target_takes"]), (&"probe".into(), &takes.into()));
        // Version 1.0 is taken whatever that comes to.
        assert_eq!(keeping.ask(write_series(0, 10)).await.status, 204);
        if takes != Some(true) {
            eventually("delivery", async || upstream.requests().len() == 2).await;
            assert_eq!(upstream.requests()[1].header("x-prometheus-remote-write-version"), Some("0.1.0"));
        }
    }
}

#[tokio::test]
async fn requests_that_come_together_ask_once() {
    let upstream =
        Upstream::start([written([0; 3])].into_iter().chain(std::iter::repeat_n(written([10, 0, 0]), 10))).await;
    let kept = Kept::new();
    let keeping = kept.start(&upstream).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Client::connect(keeping.proxy.address).await;
        client.send(request()).await;
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 204);
    }
    eventually("delivery", async || upstream.requests().len() == 11).await;
    let empty = upstream.requests().iter().filter(|request| request.body.len() < 10).count();
    assert_eq!(empty, 1);
    keeping.stop().await;
}

#[tokio::test]
async fn a_target_that_does_not_answer_holds_senders_up_for_a_short_time() {
    let upstream = Upstream::start([Step::Hang]).await;
    let mut kept = Kept::new();
    kept.limits.answer_timeout = Duration::from_secs(30);
    let keeping = kept.start(&upstream).await;
    let got = tokio::time::timeout(Duration::from_secs(5), keeping.ask(request())).await.expect("it is told in time");
    assert_eq!(got.status, 503, "{}", got.body);
}

#[tokio::test]
async fn the_setting_decides_without_asking() {
    for (setting, status, version) in [
        (RemoteWrite2::Accept, 204, Some("2.0.0")),
        (RemoteWrite2::Transcode, 204, Some("0.1.0")),
        (RemoteWrite2::Refuse, 415, None),
    ] {
        let upstream = Upstream::start([written([10, 0, 0])]).await;
        let mut kept = Kept::new();
        kept.settings.remote_write_2 = setting;
        let keeping = kept.start(&upstream).await;
        let got = keeping.ask(request()).await;
        assert_eq!(got.status, status, "{}", got.body);
        match version {
            Some(version) => {
                eventually("delivery", async || upstream.requests().len() == 1).await;
                let sent = upstream.requests().remove(0);
                assert_eq!(sent.header("x-prometheus-remote-write-version"), Some(version), "{setting:?}");
                eventually("account", async || keeping.spool.ledger().delivered.samples == 10).await;
            }
            None => {
                assert!(got.body.contains("prometheus.WriteRequest"), "the mend is told: {}", got.body);
                assert!(upstream.requests().is_empty());
            }
        }
        keeping.stop().await;
    }
}

#[tokio::test]
async fn another_target_is_asked_anew() {
    let old = Upstream::start([answer("415 Unsupported Media Type\r\n")]).await;
    let kept = Kept::new();
    let keeping = kept.start(&old).await;
    assert_eq!(keeping.ask(request()).await.status, 415);
    let new = Upstream::start([written([0; 3]), written([10, 0, 0])]).await;
    let cache = tokens(Issuer::Renews, "https://monitor.azure.com", &kept.clock);
    let url = format!("http://{}/new", new.address).parse().unwrap();
    keeping.proxy.handle.set_ingestion(&url, cache, connector()).unwrap();
    assert_eq!(keeping.ask(request()).await.status, 204);
    eventually("delivery", async || new.requests().len() == 2).await;
    let mut settings = kept.settings.clone();
    settings.remote_write_2 = RemoteWrite2::Refuse;
    keeping.proxy.handle.set_queue(settings);
    assert_eq!(keeping.ask(request()).await.status, 415);
    keeping.stop().await;
}
