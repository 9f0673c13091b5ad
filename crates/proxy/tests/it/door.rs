//! What is let into the queue, what is not, and what its sender is told.

use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Metadata, MetricType};
use proxy::{Limits, RemoteWrite2};
use remote_write::{Encoder, Version, framing};

use crate::kept::{Kept, eventually, message, post, post_as, write_series, written};
use crate::support::{Client, Issuer, Step, Upstream};

#[tokio::test]
async fn a_request_is_kept_answered_and_delivered() {
    let upstream = Upstream::start([]).await;
    let kept = Kept::new();
    let keeping = kept.start(&upstream).await;
    let body = message(Version::V1, 0, 100, 1);
    let got = keeping.ask(post(Version::V1, &body)).await;
    assert_eq!((got.status, got.body.as_str()), (204, ""));
    assert!(got.header("x-prometheus-remote-write-samples-written").is_none(), "version 1.0 knows none: {}", got.head);
    eventually("delivery", async || upstream.requests().len() == 1).await;
    let sent = upstream.requests().remove(0);
    assert_eq!(sent.body, body, "as it was received");
    assert!(sent.head.starts_with("POST /rules/x/api/v1/write?v=1 HTTP/1.1\r\n"), "{}", sent.head);
    for (name, value) in [
        ("authorization", "Bearer token-1"),
        ("user-agent", "remora-sidecar/1.2.3"),
        ("content-encoding", "snappy"),
        ("content-type", "application/x-protobuf"),
        ("x-prometheus-remote-write-version", "0.1.0"),
    ] {
        assert_eq!(sent.header(name), Some(value), "{name}");
    }
    eventually("account", async || keeping.spool.ledger().delivered.samples == 100).await;
    keeping.stop().await;
}

#[tokio::test]
async fn what_is_no_message_is_refused_and_nothing_of_it_is_kept() {
    let upstream = Upstream::start([]).await;
    let kept = Kept { limits: Limits { body_bytes_max: 100_000, ..Limits::default() }, ..Kept::new() };
    let keeping = kept.start(&upstream).await;
    let good = message(Version::V1, 0, 3, 1);
    let v1 = Version::V1.content_type();
    let mut cut = good.clone();
    cut.pop();
    for (request, status, told) in [
        (post_as(v1, b""), 400, "the body is empty"),
        (post_as(v1, b"not snappy"), 400, "no snappy block"),
        (post_as(v1, &cut), 400, "no snappy block"),
        (post_as(v1, b"\xff\x06\x00\x00sNaPpY\x00"), 400, "framed"),
        (post_as(v1, &framing::encode(b"not protobuf")), 400, "prometheus.WriteRequest"),
        (post_as(v1, &message(Version::V2, 0, 3, 1)), 400, "version 2.0"),
        (post_as(v1, &framing::encode(&vec![0; (32 << 20) + 1])[..90_000]), 413, "decompressed"),
        (post_as(v1, &vec![b'x'; 100_001]), 413, "the body of the request is longer than 100000 bytes"),
        (post_as("text/plain", &good), 415, "text/plain"),
        (post_as("application/x-protobuf;proto=a.B", &good), 415, "a.B"),
        (
            [&b"POST /api/v1/write HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"[..]]
                .concat(),
            415,
            "gzip",
        ),
    ] {
        let got = keeping.ask(&request).await;
        assert_eq!(got.status, status, "{told}: {}", got.body);
        assert!(got.body.contains(told), "{told}: {}", got.body);
        assert_eq!(got.header("retry-after"), None, "{told}: it will not get better");
    }
    assert_eq!(keeping.spool.stats().appends, 0);
    let metrics = keeping.metrics().await;
    metrics.assert_balanced();
    assert_eq!(metrics.sum("received_samples_total", ""), 0.0);
    assert_eq!(metrics.value("write_answers_total{code=\"400\"}"), 6.0);
    assert_eq!(keeping.ask(post(Version::V1, &good)).await.status, 204);
    keeping.stop().await;
}

#[tokio::test]
async fn nothing_to_deliver_is_not_queued_and_metadata_is() {
    let upstream = Upstream::start([]).await;
    let kept = Kept::new();
    let keeping = kept.start(&upstream).await;
    assert_eq!(keeping.ask(post(Version::V1, &framing::encode(b""))).await.status, 204);
    assert_eq!(keeping.spool.stats().appends, 0);
    let mut encoder = Encoder::new(Version::V1);
    let metadata =
        Metadata { metric_type: MetricType::Counter, help: "what it counts".to_owned(), unit: String::new() };
    encoder.family("m_total", &metadata);
    let body = framing::encode(&encoder.finish());
    assert_eq!(keeping.ask(post(Version::V1, &body)).await.status, 204);
    assert_eq!(keeping.spool.stats().appends, 1);
    eventually("delivery", async || upstream.requests().iter().any(|request| request.body == body)).await;
    keeping.stop().await;
}

#[tokio::test]
async fn pipelined_and_chunked_requests_are_each_kept() {
    let upstream = Upstream::start([]).await;
    let kept = Kept::new();
    let keeping = kept.start(&upstream).await;
    let bodies: Vec<_> = (0..4).map(|number| message(Version::V1, number * 100, 20 + 200 * number, 1)).collect();
    let mut chunked =
        b"POST /api/v1/write HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
            .to_vec();
    for piece in bodies[1].chunks(100) {
        chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let health = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let requests =
        [post(Version::V1, &bodies[0]), chunked, health, post(Version::V1, &bodies[2]), post(Version::V1, &bodies[3])];
    // All at once, then in pieces that end anywhere.
    for piece_bytes in [usize::MAX, 97] {
        let mut client = Client::connect(keeping.proxy.address).await;
        client.stream.set_nodelay(true).unwrap();
        for piece in requests.concat().chunks(piece_bytes) {
            client.send(piece).await;
            tokio::task::yield_now().await;
        }
        for status in [204, 204, 200, 204, 204] {
            let mut got = client.answer().await;
            if got.status == 100 {
                got = client.answer().await;
            }
            assert_eq!(got.status, status, "{piece_bytes}: {}", got.body);
        }
    }
    eventually("delivery", async || upstream.requests().len() == 8).await;
    let mut delivered: Vec<_> = upstream.requests().into_iter().map(|request| request.body).collect();
    delivered.sort();
    delivered.dedup();
    let mut sent = bodies.clone();
    sent.sort();
    assert_eq!(delivered, sent);
    keeping.stop().await;
}

#[tokio::test]
async fn a_sender_that_hung_up_has_its_request_kept() {
    let upstream = Upstream::start([Step::Hang]).await;
    let kept = Kept::new();
    let keeping = kept.start(&upstream).await;
    let mut client = Client::connect(keeping.proxy.address).await;
    client.send(write_series(0, 10)).await;
    drop(client);
    eventually("kept", async || keeping.spool.stats().appends == 1).await;
    assert_eq!(keeping.spool.ledger().queued.samples, 10);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_whole_is_not_kept_and_may_come_again() {
    let upstream = Upstream::start([]).await;
    let limits = Limits { body_timeout: Duration::from_millis(200), ..Limits::default() };
    let kept = Kept { limits, ..Kept::new() };
    let keeping = kept.start(&upstream).await;
    let request = write_series(0, 100);
    let got = keeping.ask(&request[..request.len() - 1]).await;
    assert_eq!((got.status, got.header("connection")), (503, Some("close")), "{}", got.body);
    assert_eq!(keeping.spool.stats().appends, 0);
    keeping.stop().await;
}

#[tokio::test]
async fn without_a_token_requests_are_kept_and_wait() {
    let upstream = Upstream::start([]).await;
    let kept = Kept { issuer: Issuer::Fails { after: 0 }, ..Kept::new() };
    let keeping = kept.start(&upstream).await;
    assert_eq!(keeping.ask(write_series(0, 10)).await.status, 204);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(upstream.requests().is_empty());
    let metrics = keeping.metrics().await;
    metrics.assert_balanced();
    assert_eq!(metrics.value("queued_samples{kind=\"float\"}"), 10.0);
    assert_eq!(metrics.value("delivery_blocked{reason=\"no_token\"}"), 1.0);
}

#[tokio::test]
async fn version_2_is_answered_with_what_became_durable() {
    let upstream = Upstream::start([written([1, 0, 1]), written([7, 0, 0])]).await;
    let mut kept = Kept::new();
    kept.settings.remote_write_2 = RemoteWrite2::Accept;
    let keeping = kept.start(&upstream).await;
    let mut encoder = Encoder::new(Version::V2);
    let labels = Labels::from_pairs([("__name__", "m")]).unwrap();
    let sample = remote_write::Sample { timestamp: model::TimestampMs(1), value: 1.0, start_timestamp: None };
    let exemplar = model::Exemplar { labels: Labels::empty(), value: 2.0, timestamp: model::TimestampMs(1) };
    encoder.series(&labels).sample(sample).exemplar(&exemplar);
    for (body, durable) in [
        (framing::encode(&encoder.finish()), ["1", "0", "1"]),
        (message(Version::V2, 0, 7, 1), ["7", "0", "0"]),
        (framing::encode(&Encoder::new(Version::V2).finish()), ["0", "0", "0"]),
    ] {
        let got = keeping.ask(post(Version::V2, &body)).await;
        assert_eq!(got.status, 204, "{}", got.body);
        let header = |kind: &str| got.header(&format!("x-prometheus-remote-write-{kind}-written"));
        assert_eq!(["samples", "histograms", "exemplars"].map(|kind| header(kind).unwrap()), durable);
    }
    eventually("delivery", async || upstream.requests().len() == 2).await;
    let content_type = Some("application/x-protobuf;proto=io.prometheus.write.v2.Request");
    assert!(upstream.requests().iter().all(|request| request.header("content-type") == content_type));
    keeping.stop().await;
}

#[tokio::test]
async fn what_was_kept_before_a_restart_is_delivered_after_it() {
    let down = Upstream::start(std::iter::repeat_n(Step::Close, 10_000)).await;
    let kept = Kept::new();
    let keeping = kept.start(&down).await;
    let bodies: Vec<_> = (0..20).map(|number| message(Version::V1, number * 10, 10, 1)).collect();
    for body in &bodies {
        assert_eq!(keeping.ask(post(Version::V1, body)).await.status, 204);
    }
    keeping.stop().await;

    let upstream = Upstream::start([]).await;
    let keeping = kept.start(&upstream).await;
    eventually("delivery", async || upstream.requests().len() == 20).await;
    let mut delivered: Vec<_> = upstream.requests().into_iter().map(|request| request.body).collect();
    delivered.sort();
    let mut sent = bodies;
    sent.sort();
    assert_eq!(delivered, sent);
    eventually("account", async || keeping.spool.ledger().delivered.samples == 200).await;
    let metrics = keeping.metrics().await;
    metrics.assert_balanced();
    assert_eq!(metrics.value("received_samples_total{kind=\"float\"}"), 200.0, "across the restart");
    assert_eq!(metrics.value("queue_appends_total"), 0.0, "since the start");
    keeping.stop().await;
}

#[tokio::test]
async fn the_queue_may_stand_in_memory() {
    let upstream = Upstream::start([]).await;
    let disk = Arc::new(testkit::MemoryDisk::new());
    let kept = Kept::on(disk, std::path::Path::new("/queue"));
    let keeping = kept.start(&upstream).await;
    for number in 0..10 {
        assert_eq!(keeping.ask(write_series(number * 10, 10)).await.status, 204);
    }
    eventually("delivery", async || keeping.spool.ledger().delivered.samples == 100).await;
    keeping.metrics().await.assert_balanced();
    keeping.stop().await;
}
