//! Senders as Prometheus has them: each series belongs to one sender, which sends its samples in order, one request at a
//! time, and repeats a request until it is answered with anything but 5xx.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use model::{Counts, Exemplar, Labels, NativeHistogram, ResetHint, Span, TimestampMs};
use remote_write::{Encoder, Sample, Version, WrittenCounts, framing};

use super::passing_time::{pause, unix_ms};
use super::points::{Decoder, Point};
use super::wire::{Connection, Message};

/// What senders send.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) senders: usize,
    /// Series of each sender, all of them in each request.
    pub(crate) series: usize,
    /// Samples of each series in a request.
    pub(crate) samples: usize,
    /// Between two requests of a sender.
    pub(crate) pause: Duration,
    /// Requests of each sender; none: until stopped.
    pub(crate) requests: Option<usize>,
    pub(crate) version: Version,
    /// Every so many series is a histogram, and every so many has exemplars (0: none).
    pub(crate) histogram_every: usize,
    /// A label of all series, so that two loads share none.
    pub(crate) name: &'static str,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            senders: 3,
            series: 40,
            samples: 3,
            pause: Duration::from_millis(2),
            requests: None,
            version: Version::V1,
            histogram_every: 10,
            name: "load",
        }
    }
}

/// What senders know in the end.
#[derive(Default)]
pub(crate) struct Sent {
    /// Points of requests that were answered with success.
    pub(crate) acknowledged: HashSet<Point>,
    /// Points of all requests that were sent, answered or not.
    pub(crate) sent: HashSet<Point>,
    /// Points of sendings that got no answer: each may have been received all the same.
    pub(crate) unanswered: u64,
    /// Sendings answered 5xx, by status.
    pub(crate) pushed_back: Vec<u16>,
    /// Of these, answers of 503 that do not say when to come again.
    pub(crate) unpaced: u64,
    /// Answers other than success and 5xx: the request was dropped, as Prometheus does.
    pub(crate) dropped: Vec<String>,
    /// Answers of success of version 2.0 whose written-headers were not what was sent.
    pub(crate) miscounted: Vec<String>,
}

/// Senders at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    sent: Arc<Mutex<Sent>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts sending to the sidecar on `port`.
    pub(crate) fn start(plan: &Plan, port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let sent = Arc::new(Mutex::new(Sent::default()));
        let threads = (0..plan.senders)
            .map(|number| {
                let sender = Sender {
                    plan: plan.clone(),
                    series: (0..plan.series).map(|index| labels(plan.name, number, index)).collect(),
                    port,
                    connection: None,
                    decoder: Decoder::default(),
                    stop: Arc::clone(&stop),
                    acknowledged: Arc::clone(&acknowledged),
                    sent: Arc::clone(&sent),
                };
                thread::spawn(move || sender.run())
            })
            .collect();
        Self { stop, acknowledged, sent, threads }
    }

    /// Sends all of a plan that has an end.
    pub(crate) fn run(plan: &Plan, port: u16) -> Sent {
        assert!(plan.requests.is_some(), "it would never end");
        Self::start(plan, port).join()
    }

    /// Requests answered with success so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Ends sending. A request that is not answered with success stays as it is.
    pub(crate) fn stop(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits until every sender has sent all of its plan.
    pub(crate) fn join(self) -> Sent {
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        std::mem::take(&mut self.sent.lock().unwrap())
    }
}

/// The labels of a series of the load.
pub(crate) fn labels(name: &str, sender: usize, index: usize) -> Labels {
    let (sender, index) = (sender.to_string(), index.to_string());
    let pairs = [
        ("__name__", "faults_load_seconds_total"),
        ("index", &index),
        ("instance", "node-of-usual-length.example.org:9100"),
        ("load", name),
        ("sender", &sender),
    ];
    Labels::from_pairs(pairs).unwrap()
}

struct Sender {
    plan: Plan,
    series: Vec<Labels>,
    port: u16,
    connection: Option<Connection>,
    decoder: Decoder,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    sent: Arc<Mutex<Sent>>,
}

impl Sender {
    fn run(mut self) {
        let mut at = unix_ms() - 60_000;
        let mut number = 0;
        while self.plan.requests.is_none_or(|requests| number < requests) && !self.stop.load(Ordering::Relaxed) {
            let body = request(&self.plan, &self.series, at, number);
            at += self.plan.samples as i64;
            number += 1;
            let points = self.decoder.points(self.plan.version, &body).unwrap();
            self.sent.lock().unwrap().sent.extend(&points);
            self.deliver(&body, &points);
            pause(self.plan.pause);
        }
    }

    /// Sends one request until it is answered for good.
    fn deliver(&mut self, body: &[u8], points: &[Point]) {
        loop {
            match self.post(body) {
                Ok(answer) => match answer.status() {
                    200..300 => return self.took(&answer, points),
                    status @ 500.. => {
                        let mut sent = self.sent.lock().unwrap();
                        sent.pushed_back.push(status);
                        sent.unpaced += u64::from(status == 503 && answer.header("retry-after").is_none());
                    }
                    status => {
                        let what = format!("{status}: {}", answer.text());
                        return self.sent.lock().unwrap().dropped.push(what);
                    }
                },
                Err(error) => {
                    // A refused connection took nothing; any other failure may have.
                    if error.kind() != io::ErrorKind::ConnectionRefused {
                        self.sent.lock().unwrap().unanswered += points.len() as u64;
                    }
                    self.connection = None;
                }
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            pause(RETRY_PAUSE);
        }
    }

    fn took(&self, answer: &Message, points: &[Point]) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        let mut sent = self.sent.lock().unwrap();
        sent.acknowledged.extend(points);
        if self.plan.version == Version::V2 {
            let written = WrittenCounts::from_headers(|name| answer.header(&name.to_ascii_lowercase()));
            let total = written.map_or(0, |written| written.samples + written.histograms + written.exemplars);
            if total != points.len() as u64 {
                sent.miscounted.push(format!("{written:?} of {}", points.len()));
            }
        }
    }

    fn post(&mut self, body: &[u8]) -> io::Result<Message> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(([127, 0, 0, 1], self.port).into(), ANSWER_MAX)?);
        }
        let connection = self.connection.as_mut().expect("it was opened just now");
        let answer = connection.ask(head(self.plan.version), body)?;
        if answer.header("connection") == Some("close") {
            self.connection = None;
        }
        Ok(answer)
    }
}

/// The head of a write request, without what depends on its body.
pub(crate) fn head(version: Version) -> &'static str {
    match version {
        Version::V1 => {
            "POST /api/v1/write HTTP/1.1\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n"
        }
        Version::V2 => {
            "POST /api/v1/write HTTP/1.1\r\nContent-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\nContent-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 2.0.0\r\n"
        }
    }
}

/// A compressed request with `plan.samples` samples of each of the series, from `at` on. Equal arguments, equal bytes.
pub(crate) fn request(plan: &Plan, series: &[Labels], at: i64, number: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(plan.version);
    for (index, labels) in series.iter().enumerate() {
        let mut encoded = encoder.series(labels);
        let is_histogram = plan.histogram_every > 0 && index % plan.histogram_every == 1;
        for sample in 0..plan.samples {
            let timestamp = TimestampMs(at + sample as i64);
            let value = (number * plan.samples + sample) as f64 + index as f64 / 1000.0;
            match is_histogram {
                true => encoded.histogram(timestamp, None, &histogram(value)),
                false => encoded.sample(Sample::new(timestamp, value)),
            };
        }
        if plan.histogram_every > 0 && index % plan.histogram_every == 2 {
            let labels = Labels::from_pairs([("trace_id", format!("{number:x}"))]).unwrap();
            encoded.exemplar(&Exemplar { labels, timestamp: TimestampMs(at), value: number as f64 });
        }
    }
    framing::encode(&encoder.finish())
}

fn histogram(sum: f64) -> NativeHistogram {
    NativeHistogram {
        schema: 3,
        zero_threshold: 0.001,
        sum,
        reset_hint: ResetHint::NotReset,
        positive_spans: vec![Span { offset: 2, length: 3 }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts: Counts::Integer { count: 12, zero_count: 2, positive: vec![3, 1, -1], negative: Vec::new() },
    }
}

/// How long a sender waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Before a request is repeated. Short: tests have little time.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
