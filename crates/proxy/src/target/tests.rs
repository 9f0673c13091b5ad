use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use environment::UnixTime;
use host::{Connector, HostClock};
use identity::AccessToken;
use remote_write::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What the other side does with each connection in turn: for each request, writes the text; then as told.
#[derive(Clone, Copy)]
enum Then {
    Close,
    /// Once it has read one more request.
    CloseOnNext,
    StayOpen,
}

struct Script(&'static [(&'static [&'static str], Then)]);

/// A target that plays `script`, connection by connection, and how many connections it took.
async fn target_of(script: Script, limits: Limits) -> (HttpTarget, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/write?v=1", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        for (answers, then) in script.0 {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                for answer in *answers {
                    read_request(&mut stream).await;
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
                match then {
                    Then::Close => drop(stream),
                    Then::CloseOnNext => drop(read_request(&mut stream).await),
                    Then::StayOpen => std::future::pending().await,
                }
            });
        }
    });
    let clock: Arc<dyn Clock> = Arc::new(HostClock::new());
    let tls = host::tls::client_config(host::tls::roots(None).unwrap(), &["http/1.1"]);
    let connector = Connector::new(tls).with_timeout(Duration::from_millis(500));
    let upstream = Upstream::of(&url.parse().unwrap(), connector, Arc::clone(&clock), &limits).unwrap();
    let parts = TargetParts {
        limits,
        clock,
        metrics: Arc::default(),
        published: Arc::default(),
        user_agent: "remora-sidecar/1.2.3".to_owned(),
    };
    (HttpTarget::new(Arc::new(upstream), Arc::new(parts)), connections)
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\nbody") {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "{}", String::from_utf8_lossy(&bytes));
    }
    String::from_utf8(bytes).unwrap()
}

fn shipment(version: Version) -> Shipment {
    let token = AccessToken::new("secret", UnixTime::EPOCH, Duration::from_secs(1), None).unwrap();
    Shipment { version, body: Bytes::from_static(b"body"), token }
}

fn quick() -> Limits {
    Limits { answer_timeout: Duration::from_millis(400), ..Limits::default() }
}

#[tokio::test]
async fn a_request_has_the_headers_of_prometheus_with_our_name_and_token() {
    let (target, _) = target_of(Script(&[]), quick()).await;
    let authority = target.upstream.target.authority.clone();
    for (version, content_type, number) in [
        (Version::V1, "application/x-protobuf", "0.1.0"),
        (Version::V2, "application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
    ] {
        let head = String::from_utf8(target.request_head(&shipment(version))).unwrap();
        let expected = format!(
            "POST /write?v=1 HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: remora-sidecar/1.2.3\r\n\
             Content-Encoding: snappy\r\nContent-Type: {content_type}\r\n\
             x-prometheus-remote-write-version: {number}\r\nAuthorization: Bearer secret\r\nContent-Length: 4\r\n\r\n"
        );
        assert_eq!(head, expected);
    }
}

#[tokio::test]
async fn an_answer_is_read_whole_and_its_connection_used_again() {
    let answers: &[&str] = &[
        "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 5\r\n\r\nlater",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\
         X-Prometheus-Remote-Write-Samples-Written: 3\r\n\r\n3\r\nbad\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ];
    let script = vec![(answers, Then::StayOpen)].leak();
    let (target, connections) = target_of(Script(script), quick()).await;
    let written = WrittenCounts { samples: 3, ..WrittenCounts::default() };
    for expected in [
        Answer {
            status: 503,
            retry_after: Some(Duration::from_secs(7)),
            body: Bytes::from_static(b"later"),
            ..Answer::default()
        },
        Answer { status: 400, written: Some(written), body: Bytes::from_static(b"bad"), ..Answer::default() },
        Answer { status: 204, ..Answer::default() },
    ] {
        assert_eq!(target.send(shipment(Version::V1)).await, Ok(expected));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    let line = target.parts.published.take_line();
    assert_eq!((line.succeeded, line.failed, line.avg_bytes_per_request), (1, 2, 4));
}

#[tokio::test]
async fn the_body_of_an_answer_is_read_up_to_a_bound() {
    let long = format!("HTTP/1.1 400 Bad\r\nContent-Length: 1000000\r\n\r\n{}", "x".repeat(1_000_000));
    let long: &'static str = long.leak();
    let script = vec![(&*vec![long].leak(), Then::StayOpen), (&["HTTP/1.1 204\r\n\r\n"][..], Then::StayOpen)].leak();
    let (target, connections) = target_of(Script(script), quick()).await;
    assert_eq!(target.ask(&shipment(Version::V1)).await.unwrap().body.len(), ANSWER_BODY_BYTES_MAX);
    assert_eq!(target.ask(&shipment(Version::V1)).await.unwrap().status, 204);
    assert_eq!(connections.load(Ordering::SeqCst), 2, "the first one has unread bytes");
}

#[tokio::test]
async fn no_whole_answer_is_an_error_in_bounded_time() {
    for (answers, then, kind) in [
        (&[][..], Then::Close, "unreachable"),
        (&[""][..], Then::Close, "unreachable"),
        (&[""][..], Then::StayOpen, "timeout"),
        (&["HTTP/1.1 2"][..], Then::Close, "invalid_answer"),
        (&["HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"][..], Then::Close, "invalid_answer"),
        (&["HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"][..], Then::StayOpen, "timeout"),
        (&["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz"][..], Then::StayOpen, "invalid_answer"),
        (&["SSH-2.0-OpenSSH\r\n\r\n"][..], Then::StayOpen, "invalid_answer"),
    ] {
        let script = vec![(answers, then)].leak();
        let (target, _) = target_of(Script(script), quick()).await;
        let asked = tokio::time::timeout(Duration::from_secs(5), target.ask(&shipment(Version::V1))).await;
        let error = asked.expect("it is bounded in time").unwrap_err();
        assert_eq!((error.kind, error.may_have_arrived), (kind, true), "{answers:?}: {error}");
        assert!(!error.message.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn what_found_no_connection_cannot_have_arrived() {
    let (mut target, _) = target_of(Script(&[]), quick()).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/").parse().unwrap();
    let tls = host::tls::client_config(host::tls::roots(None).unwrap(), &["http/1.1"]);
    let upstream = Upstream::of(&url, Connector::new(tls), Arc::clone(&target.parts.clock), &quick()).unwrap();
    target.upstream = Arc::new(upstream);
    let error = target.send(shipment(Version::V1)).await.unwrap_err();
    assert_eq!((error.kind, error.may_have_arrived), ("unreachable", false), "{error}");
    assert_eq!(target.parts.published.take_line().failed, 1);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_once() {
    let ok: &[&str] = &["HTTP/1.1 204\r\n\r\n"];
    // The last one is closed without an answer although it is fresh, which is an error.
    let script = vec![(ok, Then::CloseOnNext), (ok, Then::CloseOnNext), (&[][..], Then::CloseOnNext)].leak();
    let (target, connections) = target_of(Script(script), quick()).await;
    for sent_twice in [false, true] {
        let answer = target.ask(&shipment(Version::V1)).await.unwrap();
        assert_eq!((answer.status, answer.sent_twice), (204, sent_twice));
    }
    let error = target.ask(&shipment(Version::V1)).await.unwrap_err();
    assert_eq!((error.kind, error.may_have_arrived, error.sent_twice), ("unreachable", true, true), "{error}");
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}
