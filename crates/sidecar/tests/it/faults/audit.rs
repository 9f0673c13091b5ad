//! The audit: what became of every sample that was acknowledged.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::load::Sent;
use super::passing_time::{eventually, pause};
use super::points::{Kind, Point};
use super::process::{Metrics, Sidecar};
use super::sink::Sink;
use super::wire;

/// What the faults of a test allow.
#[derive(Clone, Debug)]
pub(crate) struct Allowed {
    /// Points that may stand at the sink more than once, counted once per repetition.
    pub(crate) repeats: u64,
    /// Whether points may have been received that nobody was told of (kills, senders that hung up).
    pub(crate) unknown_receipts: bool,
    /// Points that may be missing, since the ledger says that they expired or were refused without standing in the ring.
    pub(crate) given_up: bool,
    /// Memory of the sidecar.
    pub(crate) resident_bytes_max: u64,
}

impl Default for Allowed {
    /// No kill, no lost answer: everything is exact.
    fn default() -> Self {
        Self { repeats: 0, unknown_receipts: false, given_up: false, resident_bytes_max: RESIDENT_BYTES_MAX }
    }
}

/// What the sidecar may use under these small loads, built without optimisation.
pub(crate) const RESIDENT_BYTES_MAX: u64 = 40 << 20;

/// The account of one kind of sample.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Account {
    pub(crate) received: f64,
    pub(crate) delivered: f64,
    pub(crate) rejected: f64,
    pub(crate) expired: f64,
    pub(crate) queued: f64,
}

impl Account {
    pub(crate) fn of(metrics: &Metrics, kind: Kind) -> Self {
        let label = format!("kind=\"{}\"", kind.name());
        Self {
            received: metrics.sum("received_samples_total", &label),
            delivered: metrics.sum("delivered_samples_total", &label),
            rejected: metrics.sum("rejected_samples_total", &label),
            expired: metrics.sum("expired_samples_total", &label),
            queued: metrics.sum("queued_samples", &label),
        }
    }

    /// Of all kinds together.
    pub(crate) fn of_all(metrics: &Metrics) -> Self {
        Kind::ALL.into_iter().map(|kind| Self::of(metrics, kind)).reduce(Self::plus).expect("there are kinds")
    }

    fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            delivered: self.delivered + other.delivered,
            rejected: self.rejected + other.rejected,
            expired: self.expired + other.expired,
            queued: self.queued + other.queued,
        }
    }

    fn balances(&self) -> bool {
        self.received == self.delivered + self.rejected + self.expired + self.queued
    }
}

/// Fails the test unless the account of every kind balances.
#[track_caller]
pub(crate) fn assert_balanced(metrics: &Metrics) {
    for kind in Kind::ALL {
        let account = Account::of(metrics, kind);
        assert!(account.balances(), "{}: received = delivered + rejected + expired + queued: {account:?}", kind.name());
    }
}

/// Waits until nothing is queued.
#[track_caller]
pub(crate) fn wait_until_empty(sidecar: &Sidecar, at_most: Duration) {
    eventually("the queue to be empty", at_most, || {
        let metrics = sidecar.try_metrics()?;
        assert_balanced(&metrics);
        (Account::of_all(&metrics).queued == 0.0).then_some(())
    });
}

/// Waits until nothing is queued, then audits. The sidecar must run.
#[track_caller]
pub(crate) fn audit(sidecar: &mut Sidecar, sink: &Sink, sent: &Sent, allowed: &Allowed) {
    wait_until_empty(sidecar, Duration::from_secs(60));
    let metrics = sidecar.metrics();
    assert_ledger_agrees(sidecar, &metrics);
    let refused: HashSet<Point> = sidecar.refused().into_iter().collect();
    let account = Account::of_all(&metrics);
    let record = sink.record();
    let mut wrong = String::new();

    let lost: Vec<&Point> = sent
        .acknowledged
        .iter()
        .filter(|point| !record.points.contains_key(point) && !refused.contains(point))
        .collect();
    let given_up = if allowed.given_up { account.expired + account.rejected } else { 0.0 };
    if lost.len() as f64 > given_up {
        let sample = lost.iter().min().map(|point| (record.name(point.series).to_owned(), **point));
        let _ = writeln!(
            wrong,
            "{} of {} acknowledged samples are nowhere, such as {sample:?}",
            lost.len(),
            sent.acknowledged.len()
        );
    }
    let invented = record.points.keys().filter(|point| !sent.sent.contains(point)).count();
    if invented > 0 {
        let _ = writeln!(wrong, "{invented} samples at the sink were never sent");
    }
    if record.repeats() > allowed.repeats {
        let _ = writeln!(wrong, "{} repeats at the sink, {} are allowed", record.repeats(), allowed.repeats);
    }
    if let Some(first) = record.disorder.first() {
        let _ = writeln!(wrong, "{} samples out of order at the sink, first {first}", record.disorder.len());
    }
    if let Some(first) = record.broken.first() {
        let _ = writeln!(wrong, "{} broken requests at the sink, first {first}", record.broken.len());
    }
    let acknowledged = sent.acknowledged.len() as f64;
    let unknown = if allowed.unknown_receipts { sent.unanswered as f64 } else { 0.0 };
    if !(acknowledged..=acknowledged + unknown).contains(&account.received) {
        let _ = writeln!(
            wrong,
            "{acknowledged} acknowledged, up to {unknown} more possible, but received is {}",
            account.received
        );
    }
    if !allowed.unknown_receipts {
        // Nothing happened that anybody could be in doubt about: every number is the same.
        let confirmed = (record.arrivals() - record.stored_unconfirmed) as f64;
        if account.delivered != confirmed && allowed.repeats == 0 {
            let _ = writeln!(wrong, "delivered is {}, but {confirmed} arrived", account.delivered);
        }
    }
    let resident = sidecar.resident_bytes_max();
    if resident > allowed.resident_bytes_max {
        let _ = writeln!(wrong, "{resident} bytes of memory, {} are allowed", allowed.resident_bytes_max);
    }
    if let Some(first) = sent.miscounted.first() {
        let _ = writeln!(wrong, "{} answers with wrong written-headers, first {first}", sent.miscounted.len());
    }
    assert!(wrong.is_empty(), "the audit found:\n{wrong}{account:?}");
}

/// `ledger summary`, which reads the directory, comes to say the same as the running process.
#[track_caller]
fn assert_ledger_agrees(sidecar: &Sidecar, metrics: &Metrics) {
    eventually("`ledger summary` to agree with the metrics", Duration::from_secs(10), || {
        let summary = sidecar.ledger_summary();
        assert_eq!(summary["balances"], true, "{summary}");
        let agrees = |kind: Kind| {
            let sum = |part: &str| {
                let by_reason = summary[part].as_object().expect("reasons").values();
                by_reason.map(|counts| counts[kind.name()].as_f64().expect("a number")).sum::<f64>()
            };
            let number = |part: &str| summary[part][kind.name()].as_f64().expect("a number");
            let told = Account {
                received: number("received"),
                delivered: number("delivered"),
                rejected: sum("rejected"),
                expired: sum("expired"),
                queued: number("queued"),
            };
            told == Account::of(metrics, kind)
        };
        Kind::ALL.into_iter().all(agrees).then_some(())
    });
}

/// Reads the metrics all the time while a test goes on; each reading must balance.
pub(crate) struct Scraper {
    stop: Arc<AtomicBool>,
    found: Arc<Mutex<(u64, Vec<String>)>>,
    thread: Option<JoinHandle<()>>,
}

impl Scraper {
    pub(crate) fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let found = Arc::new(Mutex::new((0, Vec::new())));
        let thread = thread::spawn({
            let (stop, found) = (Arc::clone(&stop), Arc::clone(&found));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Some(metrics) = wire::get(port, "/metrics").and_then(|answer| Metrics::of_answer(&answer)) {
                        let mut found = found.lock().unwrap();
                        found.0 += 1;
                        for kind in Kind::ALL {
                            let account = Account::of(&metrics, kind);
                            if !account.balances() {
                                found.1.push(format!("{}: {account:?}", kind.name()));
                            }
                        }
                    }
                    pause(Duration::from_millis(50));
                }
            }
        });
        Self { stop, found, thread: Some(thread) }
    }

    /// Ends; fails the test if any reading did not balance.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it is stopped once").join().unwrap();
        let found = self.found.lock().unwrap();
        assert!(found.0 > 0, "not one reading of the metrics");
        assert!(found.1.is_empty(), "{} of {} readings do not balance, first {}", found.1.len(), found.0, found.1[0]);
    }
}
