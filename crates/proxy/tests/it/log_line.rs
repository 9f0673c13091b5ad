//! The line of every minute, as tools that read these logs find it.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use environment::UnixTime;
use host::logging::LogrusText;
use testkit::ManualClock;

use crate::kept::{Kept, eventually, write_series};
use crate::support::{Client, Setup, Step, Upstream, ask, ok, write};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        // Without the time, which is the system's.
        text.lines().map(|line| line.split_once("\" level=").map_or(line, |(_, rest)| rest).to_owned()).collect()
    }

    fn minutes(&self) -> Vec<String> {
        self.lines().into_iter().filter(|line| line.contains("Metric packets")).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn it_comes_every_minute_with_or_without_traffic_and_counts_each_request_once() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().event_format(LogrusText::new()).with_writer(move || writer.clone()).finish();
    // Everything of this test runs on this thread.
    let _guard = tracing::subscriber::set_default(subscriber);
    let refused = |status: &str| Step::Answer(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
    let upstream = Upstream::start([
        ok(),
        // One request of the sender that takes two of ours.
        refused("401 Unauthorized"),
        ok(),
        refused("400 Bad Request"),
    ])
    .await;
    let clock = ManualClock::new(UnixTime::from_secs(1_700_000_000));
    let proxy = Setup { clock: Arc::new(clock.clone()), ..Setup::default() }.start(upstream.address).await;
    let minute = async |expected: usize| {
        while clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_secs(60));
        while log.minutes().len() < expected {
            tokio::task::yield_now().await;
        }
    };
    minute(1).await;
    for (body, status) in [("12345", 204), ("1234567890", 204), ("1", 400)] {
        assert_eq!(ask(proxy.address, write(body)).await.status, status);
    }
    minute(2).await;
    minute(3).await;
    proxy.stop.send(()).unwrap();
    proxy.served.await.unwrap();

    let zeros = "info msg=\"Metric packets published in last 1 minute\" avgBytesPerRequest=0 avgRequestDurationInSec=0 failedPublishing=0 successfullyPublished=0";
    let busy = "info msg=\"Metric packets published in last 1 minute\" avgBytesPerRequest=5 avgRequestDurationInSec=0 failedPublishing=1 successfullyPublished=2";
    // The last one comes with the end, so that nothing counted is lost.
    assert_eq!(log.minutes(), [zeros, busy, zeros, zeros]);
    let failures: Vec<_> = log.lines().into_iter().filter(|line| line.starts_with("error")).collect();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].contains("statusCode=400"), "{failures:?}");
}

/// Head and body of an answer often come apart; what the body says is logged all the same, and each answer once.
#[tokio::test]
async fn what_an_answer_says_is_logged_whenever_its_body_comes() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().event_format(LogrusText::new()).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let answers: [(&[&str], u16, &str); 5] = [
        (&["HTTP/1.1 400 Bad Request\r\nContent-Length: 16\r\n\r\n", "label too", " long 1"], 400, "label too"),
        (&["HTTP/1.1 403 No\r\nContent-Length: 7\r\n\r\nno role"], 403, "no role"),
        (&["HTTP/1.1 409 No\r\nTransfer-Encoding: chunked\r\n\r\n", "8\r\nconflict\r\n", "0\r\n\r\n"], 409, "conflict"),
        (&["HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"], 404, ""),
        // The rest never comes.
        (&["HTTP/1.1 422 No\r\nContent-Length: 7\r\n\r\n"], 422, ""),
    ];
    let upstream = Upstream::start(answers.map(|(pieces, ..)| Step::AnswerInPieces(pieces))).await;
    let mut setup = Setup::default();
    setup.limits.stall_timeout = Duration::from_millis(300);
    let proxy = setup.start(upstream.address).await;
    for (_, status, _) in &answers[..4] {
        assert_eq!(ask(proxy.address, write("1")).await.status, *status);
    }
    let mut client = Client::connect(proxy.address).await;
    client.send(write("1")).await;
    assert!(client.try_answer().await.is_none(), "a body that ends too soon is seen to");
    proxy.stop.send(()).unwrap();
    proxy.served.await.unwrap();
    let lines: Vec<_> = log.lines().into_iter().filter(|line| line.contains("Error response body:")).collect();
    assert_eq!(lines.len(), answers.len(), "{lines:?}");
    for ((_, status, text), line) in answers.iter().zip(&lines) {
        assert!(line.contains(&format!("msg=\"Error response body: {text}\"")), "{line}");
        assert!(line.contains(&format!("statusCode={status}")), "{line}");
    }
}

/// With a queue, what is published is what the target took: not yet when the sender was answered.
#[tokio::test]
async fn with_a_queue_it_counts_requests_to_the_target() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().event_format(LogrusText::new()).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let busy = Step::Answer("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_owned());
    let upstream = Upstream::start([busy, ok()]).await;
    let kept = Kept::new();
    let keeping = kept.start(&upstream).await;
    let request = write_series(0, 10);
    assert_eq!(keeping.ask(&request).await.status, 204);
    assert_eq!(
        keeping.ask(b"POST /api/v1/write HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await.status,
        400
    );
    eventually("delivery", async || keeping.spool.ledger().delivered.samples == 10).await;
    let bytes = upstream.requests()[0].body.len();
    keeping.stop().await;
    let minutes = log.minutes();
    let line = &minutes[minutes.len() - 1];
    assert!(line.contains(&format!("avgBytesPerRequest={bytes} ")), "{line}");
    assert!(line.ends_with("failedPublishing=1 successfullyPublished=1"), "{line}");
    // What its sender will not send again is told, as no account has it.
    assert!(
        log.lines().iter().any(|line| line.starts_with("error") && line.contains("statusCode=400")),
        "{:?}",
        log.lines()
    );
}
