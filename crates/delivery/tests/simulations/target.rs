//! A target by script: it decodes what it is sent, and remembers what it stored.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use delivery::{Answer, SendError, Shipment, Target};
use environment::{BoxFuture, Clock};
use remote_write::{Item, Limits, Request, Version, framing};
use spool::Counts;
use testkit::ManualClock;

/// One float sample: series, time, value as bits.
pub(crate) type Sample = (String, i64, u64);

/// What the script sees of a request.
pub(crate) struct Asked {
    /// Since the start of the simulation.
    pub(crate) at: Duration,
    /// Counts from 0.
    pub(crate) number: usize,
    pub(crate) version: Version,
    pub(crate) bytes: usize,
    pub(crate) token: String,
    /// Series by their labels, in the order of the request.
    pub(crate) series: Vec<(String, Vec<Sample>)>,
    /// Whether something as new is stored of one of these series.
    pub(crate) is_repetition: bool,
}

impl Asked {
    pub(crate) fn samples(&self) -> u64 {
        self.series.iter().map(|(_, samples)| samples.len() as u64).sum()
    }

    pub(crate) fn has(&self, series: &str) -> bool {
        self.series.iter().any(|(name, _)| name == series)
    }
}

/// What the script does.
pub(crate) struct Reply {
    pub(crate) result: Result<Answer, SendError>,
    /// Which series are stored.
    pub(crate) stores: Stores,
    pub(crate) after: Duration,
}

pub(crate) enum Stores {
    All,
    Nothing,
    AllBut(Vec<String>),
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        let stores = if (200..300).contains(&status) { Stores::All } else { Stores::Nothing };
        Self { result: Ok(Answer { status, ..Answer::default() }), stores, after: Duration::from_millis(50) }
    }

    /// As a service that knows 2.0 answers.
    pub(crate) fn taken(asked: &Asked) -> Self {
        Self::status(204).written(asked.samples())
    }

    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        Self::status(status).with(|answer| answer.body = Bytes::from(text.into()))
    }

    pub(crate) fn retry_after(self, span: Duration) -> Self {
        self.with(|answer| answer.retry_after = Some(span))
    }

    pub(crate) fn written(self, samples: u64) -> Self {
        self.with(|answer| answer.written = Some(Counts { samples, ..Counts::default() }))
    }

    pub(crate) fn lost(kind: &'static str, stores: Stores) -> Self {
        let may_have_arrived = kind != "unreachable";
        let error = SendError { message: format!("{kind}: sink"), kind, may_have_arrived, sent_twice: false };
        Self { result: Err(error), stores, after: Duration::from_millis(50) }
    }

    pub(crate) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    pub(crate) fn stores(self, stores: Stores) -> Self {
        Self { stores, ..self }
    }

    fn with(mut self, change: impl FnOnce(&mut Answer)) -> Self {
        if let Ok(answer) = &mut self.result {
            change(answer);
        }
        self
    }
}

pub(crate) type Script = Box<dyn FnMut(&Asked) -> Reply + Send>;

/// The target. Clones are one.
#[derive(Clone)]
pub(crate) struct Sink(Arc<Inner>);

struct Inner {
    clock: ManualClock,
    started: environment::Monotonic,
    script: Mutex<Script>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
pub(crate) struct Seen {
    /// Every sample stored, in order, also repeatedly.
    pub(crate) stored: Vec<Sample>,
    pub(crate) newest: BTreeMap<String, i64>,
    /// When requests came, with what they were answered (0 for none).
    pub(crate) requests: Vec<(Duration, u16)>,
    pub(crate) in_flight: usize,
    pub(crate) in_flight_max: usize,
}

impl Sink {
    pub(crate) fn new(clock: ManualClock, script: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let started = clock.monotonic();
        Self(Arc::new(Inner { clock, started, script: Mutex::new(Box::new(script)), seen: Mutex::default() }))
    }

    pub(crate) fn follow(&self, script: impl FnMut(&Asked) -> Reply + Send + 'static) {
        *self.0.script.lock().unwrap() = Box::new(script);
    }

    pub(crate) fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap()
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen().requests.len()
    }

    fn asked(&self, shipment: &Shipment) -> Asked {
        let seen = self.seen();
        let series = decode(shipment.version, &shipment.body);
        let is_stored = |(name, at, _): &Sample| seen.newest.get(name).is_some_and(|newest| at <= newest);
        Asked {
            at: self.0.clock.monotonic().since(self.0.started),
            number: seen.requests.len(),
            version: shipment.version,
            bytes: shipment.body.len(),
            token: shipment.token.secret().to_owned(),
            is_repetition: series.iter().any(|(_, samples)| samples.iter().any(is_stored)),
            series,
        }
    }
}

impl Target for Sink {
    fn send(&self, shipment: Shipment) -> BoxFuture<'_, Result<Answer, SendError>> {
        Box::pin(async move {
            let asked = self.asked(&shipment);
            let Reply { result, stores, after } = (self.0.script.lock().unwrap())(&asked);
            {
                let mut seen = self.seen();
                seen.requests.push((asked.at, result.as_ref().map_or(0, |answer| answer.status)));
                seen.in_flight += 1;
                seen.in_flight_max = seen.in_flight_max.max(seen.in_flight);
            }
            // Stored halfway, so that a kill may come before or after.
            self.0.clock.sleep(after / 2).await;
            self.store(asked, &stores);
            self.0.clock.sleep(after / 2).await;
            self.seen().in_flight -= 1;
            result
        })
    }
}

impl Sink {
    fn store(&self, asked: Asked, stores: &Stores) {
        let mut seen = self.seen();
        for (name, samples) in asked.series {
            let kept = match stores {
                Stores::All => true,
                Stores::Nothing => false,
                Stores::AllBut(bad) => !bad.contains(&name),
            };
            if kept {
                let newest = samples.iter().map(|(_, at, _)| *at).max().unwrap_or(i64::MIN);
                let known = seen.newest.entry(name).or_insert(newest);
                *known = newest.max(*known);
                seen.stored.extend(samples);
            }
        }
    }
}

/// Series and samples of a body.
pub(crate) fn decode(version: Version, body: &[u8]) -> Vec<(String, Vec<Sample>)> {
    let mut message = Vec::new();
    framing::decode(body, 64 << 20, &mut message).unwrap();
    let limits = Limits::default();
    let request = Request::parse(version, &message, &limits).unwrap();
    let (mut scratch, mut all) = (Vec::new(), Vec::new());
    let mut walk = request.walk(&mut scratch);
    while let Some(item) = walk.next_item().unwrap() {
        if let Item::Series(series) = item {
            let name = series.labels().unwrap().to_string();
            let samples = series.samples().map(|sample| {
                let sample = sample.unwrap();
                (name.clone(), sample.timestamp.0, sample.value.to_bits())
            });
            let samples = samples.collect();
            all.push((name, samples));
        }
    }
    all
}
