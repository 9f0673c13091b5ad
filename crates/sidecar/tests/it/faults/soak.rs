//! The long versions, for `make soak`: many kills, then hours, if wanted, of faults in random order, one seed for all of it.
//!
//! Variables: `REMORA_SOAK_KILLS` (100), `REMORA_SOAK_SECONDS` (600), `REMORA_SOAK_SEED` (from the clock; printed, so that a
//! schedule can be replayed).

use std::time::Duration;

use environment::Rng as _;
use rustix::process::{Resource, Rlimit, prlimit};
use testkit::SeededRng;

use super::audit::{Allowed, Scraper, wait_until_empty};
use super::kills::kill_under_load;
use super::load::{Plan, labels};
use super::passing_time::{now, pause, unix_ms};
use super::points::series_number;
use super::scene::Scene;
use super::sink::Reply;

#[test]
#[ignore = "long: make soak"]
fn kills() {
    let seed = seed();
    kill_under_load(number("REMORA_SOAK_KILLS", 100), seed, &[]);
}

#[test]
#[ignore = "long: make soak"]
fn every_status() {
    let statuses: Vec<u16> = (400..=431).chain([451, 499]).chain(500..=511).chain([520, 599]).collect();
    super::target::answer_each_of(&statuses);
}

#[test]
#[ignore = "long: make soak"]
fn prometheus_with_many_kills() {
    super::prometheus::restarts_and_kills(40);
}

#[test]
#[ignore = "long: make soak"]
fn faults_in_random_order() {
    let rng = SeededRng::new(seed());
    let span = Duration::from_secs(number("REMORA_SOAK_SECONDS", 600));
    let mut scene = Scene::prepare(&[("REMORA_QUEUE_BYTES_MAX", "64MiB")]);
    scene.tokens.set_lifetime(Duration::from_secs(20));
    super::disks::start_with_limits_ignored(&mut scene.sidecar);
    scene.sidecar.start();
    let plan = Plan { pause: Duration::from_millis(20), ..Plan::default() };
    let load = scene.load(&plan);
    let scraper = Scraper::start(scene.sidecar.port());
    let started = now();
    let (mut cuts, mut count) = (0, 0_u64);
    while started.elapsed() < span {
        let fault = FAULTS[(rng.next_u64() % FAULTS.len() as u64) as usize];
        let long = Duration::from_millis(100 + rng.next_u64() % 4000);
        count += 1;
        eprintln!("{:>6.1} s: {fault:?} for {long:?}", started.elapsed().as_secs_f64());
        cuts += fault.happen(&mut scene, long);
        pause(Duration::from_millis(rng.next_u64() % 2000));
        scene.sidecar.assert_running();
        if count % 16 == 0 {
            // The queue has to come to its end now and then, whatever happened.
            wait_until_empty_under_load(&scene);
        }
    }
    let sent = load.stop();
    scraper.stop();
    wait_until_empty(&scene.sidecar, Duration::from_secs(120));
    assert!(sent.dropped.is_empty(), "{:?}", &sent.dropped[..1]);
    let lies = scene.sink.record().stored_unconfirmed;
    let repeats = sent.unanswered + lies + cuts * plan.senders as u64 * plan.points();
    scene.audit(&sent, &Allowed { repeats, unknown_receipts: true, ..Allowed::default() });
}

fn wait_until_empty_under_load(scene: &Scene) {
    super::passing_time::eventually("the queue to catch up", Duration::from_secs(120), || {
        let queued = super::audit::Account::of_all(&scene.sidecar.try_metrics()?).queued;
        (queued < 2000.0).then_some(())
    });
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    Terminate,
    TargetDown,
    TargetDeaf,
    TargetSlow,
    TargetCloses,
    TargetLies,
    Answers(u16),
    BadSeries,
    TooLarge,
    NoTokens,
    TokensRevoked,
    DiskTakesNothing,
}

const FAULTS: [Fault; 22] = [
    Fault::Kill,
    Fault::Kill,
    Fault::Kill,
    Fault::Kill,
    Fault::Terminate,
    Fault::TargetDown,
    Fault::TargetDeaf,
    Fault::TargetSlow,
    Fault::TargetCloses,
    Fault::TargetLies,
    Fault::Answers(429),
    Fault::Answers(500),
    Fault::Answers(502),
    Fault::Answers(503),
    Fault::Answers(504),
    Fault::Answers(403),
    Fault::BadSeries,
    Fault::BadSeries,
    Fault::TooLarge,
    Fault::NoTokens,
    Fault::TokensRevoked,
    Fault::DiskTakesNothing,
];

impl Fault {
    /// Happens, and is over in the end. Gives how often every request on its way was cut off.
    fn happen(self, scene: &mut Scene, long: Duration) -> u64 {
        match self {
            Self::Kill => {
                scene.sidecar.kill();
                scene.sidecar.start();
                return 1;
            }
            Self::Terminate => {
                assert!(scene.sidecar.terminate().success());
                scene.sidecar.start();
                return 1;
            }
            Self::TargetDown => {
                scene.sink.down();
                pause(long);
                scene.sink.up();
                return 1;
            }
            Self::TargetDeaf => {
                scene.sink.set_deaf(true);
                pause(long);
                scene.sink.set_deaf(false);
                return 2;
            }
            Self::TargetSlow => scene.sink.behave(|_| Reply::take().after(Duration::from_millis(400))),
            Self::TargetCloses => scene.sink.behave(|_| Reply::close()),
            Self::TargetLies => scene.sink.behave(|incoming| match incoming.number % 2 {
                0 => Reply::close_mid_answer(),
                _ => Reply::refuse(503, "stored all the same").and_store_all(),
            }),
            Self::Answers(status) => scene.sink.behave(move |_| Reply::refuse(status, "as told")),
            Self::BadSeries => scene.sink.behave(|incoming| {
                let bad = series_number(&labels("load", 1, 7));
                let has_bad = incoming.points.iter().any(|point| point.series == bad);
                if has_bad { Reply::refuse(400, "a series is bad") } else { Reply::take() }
            }),
            Self::TooLarge => scene.sink.behave(|incoming| match incoming.body_bytes {
                0..=1000 => Reply::take(),
                _ => Reply::refuse(413, "too large"),
            }),
            Self::DiskTakesNothing => {
                let limit = |bytes| Rlimit { current: bytes, maximum: None };
                prlimit(Some(scene.sidecar.pid()), Resource::Fsize, limit(Some(1))).unwrap();
                pause(long);
                prlimit(Some(scene.sidecar.pid()), Resource::Fsize, limit(None)).unwrap();
                return 0;
            }
            Self::NoTokens => scene.tokens.fail_with(Some((503, ""))),
            Self::TokensRevoked => scene.tokens.revoke_all(),
        }
        pause(long);
        scene.sink.behave_well();
        scene.tokens.fail_with(None);
        0
    }
}

#[expect(clippy::disallowed_methods, reason = "the long versions are told how long")]
fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}: {text:?} is not a number")),
        Err(_) => default,
    }
}

fn seed() -> u64 {
    let seed = number("REMORA_SOAK_SEED", unix_ms() as u64);
    eprintln!("REMORA_SOAK_SEED={seed}");
    seed
}
