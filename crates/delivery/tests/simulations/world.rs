//! A simulated machine: clock, disk, queue, tokens, delivery, target.

use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use delivery::{Delivery, Parts, Policy, State};
use environment::{BoxFuture, Clock, UnixTime};
use futures_util::future::select;
use futures_util::task::AtomicWaker;
use identity::{AccessToken, Credential, Scope, TokenCache, TokenError, TokenErrorKind};
use model::{Labels, TimestampMs};
use remote_write::{Encoder, Limits, Sample, SurveyScratch, Version, framing, survey};
use spool::{Ledger, NewEntry, Refusal, Settings, Spool};
use testkit::{ManualClock, MemoryDisk, SeededRng, Simulation, Task};

use crate::target::{self, Asked, Reply, Sink};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// 2027-01-15T08:00:00Z
const START: i64 = 1_800_000_000;
const DIRECTORY: &str = "/queue";

pub(crate) struct World {
    pub(crate) simulation: Simulation,
    pub(crate) clock: ManualClock,
    pub(crate) disk: MemoryDisk,
    pub(crate) settings: Settings,
    pub(crate) spool: Spool,
    pub(crate) sink: Sink,
    pub(crate) tokens: Tokens,
    pub(crate) delivery: Delivery,
    pub(crate) policy: Policy,
    /// Everything that was appended.
    pub(crate) appended: Vec<target::Sample>,
    stop: Stop,
    killed: Stop,
    running: Task<()>,
}

impl World {
    pub(crate) fn new(script: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        Self::with_policy(Policy::default(), script)
    }

    pub(crate) fn with_policy(policy: Policy, script: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let mut simulation = Simulation::new(UnixTime::from_secs(START));
        let clock = simulation.clock();
        let (disk, tokens) = (MemoryDisk::new(), Tokens::new(clock.clone()));
        let settings = Settings { age_max: policy.age_max, bytes_max: 1 << 30, ..Settings::default() };
        let sink = Sink::new(clock.clone(), script);
        let spool = open(&disk, &clock, &settings);
        let (delivery, stop, killed, running) = start(&mut simulation, &spool, &sink, &tokens, &policy);
        Self {
            simulation,
            clock,
            disk,
            settings,
            spool,
            sink,
            tokens,
            delivery,
            policy,
            appended: Vec::new(),
            stop,
            killed,
            running,
        }
    }

    /// Appends one request with a sample of now for each of these series.
    pub(crate) fn append(&mut self, version: Version, series: &[String]) {
        let now = self.clock.now().as_millis();
        let samples: Vec<_> = series.iter().map(|series| (series.clone(), now, (now as f64).to_bits())).collect();
        self.append_samples(version, &samples);
    }

    pub(crate) fn append_samples(&mut self, version: Version, samples: &[target::Sample]) {
        let mut encoder = Encoder::new(version);
        for (series, at, value) in samples {
            let labels = labels(series);
            encoder.series(&labels).sample(Sample::new(TimestampMs(*at), f64::from_bits(*value)));
        }
        let message = encoder.finish();
        let mut scratch = SurveyScratch::default();
        let survey = survey(version, &message, &Limits::default(), &mut scratch).unwrap();
        let body = Bytes::from(framing::encode(&message));
        let entry = NewEntry { version, body, tally: survey.tally, series: survey.hashes.into() };
        self.simulation.block_on(self.spool.append(entry)).unwrap();
        self.appended.extend_from_slice(samples);
    }

    /// One request for each of `senders`, of ten series each, every 15 seconds for `span`.
    pub(crate) fn scrape(&mut self, senders: usize, span: Duration) {
        let until = self.clock.monotonic().plus(span);
        while self.clock.monotonic() < until {
            for sender in 0..senders {
                self.append(Version::V1, &names(sender, 10));
            }
            self.simulation.advance(15 * SECOND);
        }
    }

    pub(crate) fn advance(&mut self, span: Duration) {
        self.simulation.advance(span);
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.spool.ledger()
    }

    pub(crate) fn state(&self) -> State {
        self.delivery.state()
    }

    pub(crate) fn blocked(&self) -> Option<&'static str> {
        self.state().blocked.map(|blocked| blocked.reason)
    }

    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        spool::read_refusals(&self.disk, Path::new(DIRECTORY)).unwrap()
    }

    /// Ends delivery and the queue in order.
    pub(crate) fn shut_down(&mut self, drain: Duration) {
        self.stop.now();
        self.simulation.advance(drain + SECOND);
        assert!(self.running.take().is_some(), "delivery ends within its time");
        self.spool.close().unwrap();
    }

    /// Starts again with what is on the disk.
    pub(crate) fn start_again(&mut self) {
        self.spool = open(&self.disk, &self.clock, &self.settings);
        let started = start(&mut self.simulation, &self.spool, &self.sink, &self.tokens, &self.policy);
        (self.delivery, self.stop, self.killed, self.running) = started;
    }

    /// The process dies and is started again.
    pub(crate) fn kill(&mut self) {
        // What the dead one writes while it is dropped happens to a disk that nobody looks at any more.
        self.disk = self.disk.after_process_crash();
        self.killed.now();
        self.simulation.settle();
        assert!(self.running.take().is_some());
        self.sink.seen().in_flight = 0;
        self.start_again();
    }

    /// Delivery to another target.
    pub(crate) fn exchange_target(&mut self, script: impl FnMut(&Asked) -> Reply + Send + 'static) -> Sink {
        let sink = Sink::new(self.clock.clone(), script);
        let cache = self.tokens.cache();
        self.delivery.set_target(Arc::new(sink.clone()), cache);
        sink
    }
}

/// `count` series of one sender.
pub(crate) fn names(sender: usize, count: usize) -> Vec<String> {
    (0..count).map(|index| name(sender, index)).collect()
}

pub(crate) fn name(sender: usize, index: usize) -> String {
    format!("metric_{index}{{instance=\"host-{index}\", job=\"sender-{sender}\"}}")
}

fn labels(text: &str) -> Labels {
    let (name, rest) = text.split_once('{').unwrap_or((text, "}"));
    let pairs = rest.trim_end_matches('}').split(", ").filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap();
        (name, value.trim_matches('"'))
    });
    Labels::from_pairs([("__name__", name)].into_iter().chain(pairs)).unwrap()
}

fn open(disk: &MemoryDisk, clock: &ManualClock, settings: &Settings) -> Spool {
    let (disk, clock) = (Arc::new(disk.clone()), Arc::new(clock.clone()));
    Spool::open_without_threads(disk, clock, Path::new(DIRECTORY), settings.clone()).unwrap().0
}

fn start(
    simulation: &mut Simulation,
    spool: &Spool,
    sink: &Sink,
    tokens: &Tokens,
    policy: &Policy,
) -> (Delivery, Stop, Stop, Task<()>) {
    let cache = tokens.cache();
    let running_cache = Arc::clone(&cache);
    simulation.spawn(async move { running_cache.run().await });
    let delivery = Delivery::new(Parts {
        spool: spool.clone(),
        target: Arc::new(sink.clone()),
        tokens: cache,
        clock: Arc::new(simulation.clock()),
        rng: Arc::new(SeededRng::new(11)),
        policy: policy.clone(),
    });
    let (stop, killed) = (Stop::default(), Stop::default());
    let (ran, stopped, dead) = (delivery.clone(), stop.clone(), killed.clone());
    let running = simulation.spawn(async move {
        let _ = select(pin!(ran.run(stopped.wait(), 20 * SECOND)), pin!(dead.wait())).await;
    });
    (delivery, stop, killed, running)
}

/// Says when to shut down.
#[derive(Clone, Default)]
struct Stop(Arc<(AtomicBool, AtomicWaker)>);

impl Stop {
    fn now(&self) {
        self.0.0.store(true, Ordering::SeqCst);
        self.0.1.wake();
    }

    async fn wait(self) {
        poll_fn(|context| {
            self.0.1.register(context.waker());
            if self.0.0.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// The identity: gives tokens of an hour, numbered, while it works.
#[derive(Clone)]
pub(crate) struct Tokens {
    clock: ManualClock,
    works: Arc<AtomicBool>,
    given: Arc<Mutex<u64>>,
}

impl Tokens {
    fn new(clock: ManualClock) -> Self {
        Self { clock, works: Arc::new(AtomicBool::new(true)), given: Arc::default() }
    }

    fn cache(&self) -> Arc<TokenCache> {
        let scope = Scope::parse("https://monitor.azure.com//.default").unwrap();
        let rng = Arc::new(SeededRng::new(7));
        Arc::new(TokenCache::new(Arc::new(self.clone()), scope, Arc::new(self.clock.clone()), rng))
    }

    pub(crate) fn set_working(&self, works: bool) {
        self.works.store(works, Ordering::SeqCst);
    }

    pub(crate) fn given(&self) -> u64 {
        *self.given.lock().unwrap()
    }
}

impl Credential for Tokens {
    fn fetch<'a>(&'a self, _: &'a Scope) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        Box::pin(async move {
            self.clock.sleep(Duration::from_millis(20)).await;
            if !self.works.load(Ordering::SeqCst) {
                return Err(TokenError::new(TokenErrorKind::Unavailable, "simulated", "the token endpoint is down"));
            }
            let mut given = self.given.lock().unwrap();
            *given += 1;
            Ok(AccessToken::new(&format!("token-{given}"), self.clock.now(), HOUR, None).unwrap())
        })
    }

    fn describe(&self) -> String {
        "simulated".to_owned()
    }

    fn kind(&self) -> &'static str {
        "simulated"
    }
}
