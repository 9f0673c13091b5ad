//! Days of refreshing in milliseconds: one simulated machine, one cache, an issuer that misbehaves on schedule.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::{ManualClock, SeededRng, Simulation, response};

use super::*;
use crate::test_support::{START, World, scope, token_answer};
use crate::{IdentitySelector, IdentitySource, ManagedIdentity, WorkloadIdentity};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What the issuer does at the next attempts; the last entry stays.
#[derive(Clone)]
enum Answer {
    Token { lifetime: Duration, refresh_in: Option<Duration> },
    Fail { retry_after: Option<Duration> },
    Hang,
}

const HOURLY: Answer = Answer::Token { lifetime: HOUR, refresh_in: None };
const DAILY: Answer = Answer::Token { lifetime: Duration::from_secs(86_399), refresh_in: None };
const FAIL: Answer = Answer::Fail { retry_after: None };

/// A credential by schedule, which takes `latency` to answer and numbers its tokens.
struct Scripted {
    clock: ManualClock,
    latency: Duration,
    answers: Mutex<VecDeque<Answer>>,
    /// When each attempt began, in seconds since the start.
    attempts: Mutex<Vec<u64>>,
    running: AtomicUsize,
    running_max: AtomicUsize,
}

impl Credential for Scripted {
    fn fetch<'a>(&'a self, _: &'a Scope) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        Box::pin(async move {
            let number = {
                let mut attempts = self.attempts.lock().unwrap();
                attempts.push(self.clock.monotonic().since(Monotonic::from_duration(1000 * SECOND)).as_secs());
                attempts.len()
            };
            self.running_max.fetch_max(self.running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            self.clock.sleep(self.latency).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            let answer = {
                let mut answers = self.answers.lock().unwrap();
                if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
            };
            match answer {
                Answer::Token { lifetime, refresh_in } => {
                    Ok(AccessToken::new(&format!("t{number}"), self.clock.now(), lifetime, refresh_in).unwrap())
                }
                Answer::Fail { retry_after } => {
                    let error = TokenError::new(TokenErrorKind::Unavailable, "scripted", format!("failure {number}"));
                    Err(match retry_after {
                        Some(span) => error.with_retry_after(span),
                        None => error,
                    })
                }
                Answer::Hang => std::future::pending().await,
            }
        })
    }

    fn describe(&self) -> String {
        "scripted".to_owned()
    }

    fn kind(&self) -> &'static str {
        "scripted"
    }
}

struct Bench {
    simulation: Simulation,
    clock: ManualClock,
    credential: Arc<Scripted>,
    cache: Arc<TokenCache>,
}

impl Bench {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::with_latency(Duration::ZERO, answers)
    }

    fn with_latency(latency: Duration, answers: impl IntoIterator<Item = Answer>) -> Self {
        let simulation = Simulation::new(UnixTime::from_secs(START));
        let clock = simulation.clock();
        let credential = Arc::new(Scripted {
            clock: clock.clone(),
            latency,
            answers: Mutex::new(answers.into_iter().collect()),
            attempts: Mutex::default(),
            running: AtomicUsize::new(0),
            running_max: AtomicUsize::new(0),
        });
        let (shared, rng) = (Arc::clone(&credential), Arc::new(SeededRng::new(3)));
        let cache = Arc::new(TokenCache::new(shared, scope(), Arc::new(clock.clone()), rng));
        Self { simulation, clock, credential, cache }
    }

    /// The same with the loop running.
    fn running(answers: impl IntoIterator<Item = Answer>) -> Self {
        let mut bench = Self::new(answers);
        bench.start();
        bench
    }

    fn start(&mut self) {
        let cache = Arc::clone(&self.cache);
        self.simulation.spawn(async move { cache.run().await });
        self.simulation.settle();
    }

    fn answer(&self, answer: Answer) {
        *self.credential.answers.lock().unwrap() = [answer].into();
    }

    fn token(&mut self) -> Result<String, TokenError> {
        let cache = Arc::clone(&self.cache);
        self.simulation.block_on(async move { cache.token().await.map(|token| token.secret().to_owned()) })
    }

    fn attempts(&self) -> Vec<u64> {
        self.credential.attempts.lock().unwrap().clone()
    }

    fn reject_current(&self) -> bool {
        self.cache.reject(&self.cache.unexpired().unwrap())
    }
}

#[test]
fn a_token_is_refreshed_long_before_it_expires_and_always_served() {
    // Within the last five per cent before half a long life, three quarters of a short one, or the issuer's hint.
    let hint = |lifetime, refresh_in| Answer::Token { lifetime, refresh_in: Some(refresh_in) };
    for (answer, at) in [
        (HOURLY, 2700),
        (DAILY, 43_199),
        (hint(24 * HOUR, 6 * HOUR), 6 * 3600),
        (hint(HOUR, 30 * MINUTE), 1800),
        // A hint beyond the lifetime does not let the token lapse.
        (hint(HOUR, 2 * HOUR), 3210),
        (Answer::Token { lifetime: 60 * SECOND, refresh_in: None }, 45),
    ] {
        let mut bench = Bench::running([answer]);
        bench.simulation.advance(Duration::from_secs(at + 1));
        let attempts = bench.attempts();
        assert!(attempts.len() == 2 && attempts[1] >= at * 95 / 100 - 1 && attempts[1] <= at, "{at}: {attempts:?}");
        assert_eq!(bench.token().unwrap(), "t2");
    }
}

#[test]
fn a_week_passes_with_a_token_at_every_moment() {
    let mut bench = Bench::running([HOURLY]);
    for _ in 0..7 * 24 * 12 {
        bench.simulation.advance(5 * MINUTE);
        assert!(bench.cache.state().usable);
    }
    let state = bench.cache.state();
    let expected = 7 * 86_400 / 2700;
    assert!((expected..expected * 106 / 100).contains(&state.successes), "{}", state.successes);
    assert_eq!((state.failures, state.consecutive_failures), (0, 0));
}

#[test]
fn a_hundred_callers_make_one_request() {
    let mut bench = Bench::with_latency(SECOND, [HOURLY]);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let cache = Arc::clone(&bench.cache);
            bench.simulation.spawn(async move { cache.token().await })
        })
        .collect();
    bench.start();
    bench.simulation.advance(2 * SECOND);
    for task in tasks {
        assert_eq!(task.take().expect("answered").unwrap().secret(), "t1");
    }
    assert_eq!(bench.attempts().len(), 1);
}

#[test]
fn a_caller_that_leaves_stops_nobody() {
    let mut bench = Bench::with_latency(5 * SECOND, [HOURLY]);
    let waiting = Arc::clone(&bench.cache);
    let patient = bench.simulation.spawn(async move { waiting.token().await });
    let leaving = Arc::clone(&bench.cache);
    let clock = bench.clock.clone();
    bench.simulation.spawn(async move {
        let _ = select(pin!(leaving.token()), clock.sleep(SECOND)).await;
    });
    bench.simulation.advance(6 * SECOND);
    assert_eq!(patient.take().unwrap().unwrap().secret(), "t1");
    // The one who started it leaves, with nobody else about: the next caller takes up the same request.
    let mut bench = Bench::with_latency(5 * SECOND, [HOURLY]);
    let (leaving, clock) = (Arc::clone(&bench.cache), bench.clock.clone());
    bench.simulation.block_on(async move {
        let _ = select(pin!(leaving.token()), clock.sleep(SECOND)).await;
    });
    assert_eq!(bench.token().unwrap(), "t1");
    assert_eq!(bench.attempts().len(), 1);
}

#[test]
fn callers_wait_for_at_most_their_bound() {
    let mut bench = Bench::new([Answer::Hang]);
    let error = bench.token().unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Pending);
    assert_eq!(bench.clock.now(), UnixTime::from_secs(START).plus(WAIT_MAX));
    assert_eq!(bench.attempts().len(), 1);
}

#[test]
fn an_attempt_that_hangs_is_given_up_and_repeated() {
    let mut bench = Bench::running([Answer::Hang, HOURLY]);
    bench.simulation.advance(FETCH_MAX);
    let state = bench.cache.state();
    assert_eq!((state.consecutive_failures, state.usable), (1, false));
    assert!(state.last_error.unwrap().to_string().contains("no token within 90 s"));
    bench.simulation.advance(3 * SECOND);
    assert_eq!(bench.token().unwrap(), "t2");
}

#[test]
fn the_old_token_serves_while_refreshes_fail() {
    let mut bench = Bench::running([HOURLY, FAIL]);
    bench.simulation.advance(59 * MINUTE);
    assert_eq!(bench.token().unwrap(), "t1");
    let state = bench.cache.state();
    assert!(state.usable && state.consecutive_failures > 10, "{state:?}");
    // Then the token is of no use any more; callers hear the failure at once and are told when to come again.
    bench.simulation.advance(MINUTE);
    let before = bench.clock.now();
    let error = bench.token().unwrap_err();
    assert!(error.to_string().contains("failure"), "{error}");
    assert!(error.retry_after().unwrap() <= backoff::BACK_OFF_MAX);
    assert_eq!(bench.clock.now(), before);
    assert!(!bench.cache.state().usable);
    bench.answer(HOURLY);
    bench.simulation.advance(backoff::BACK_OFF_MAX);
    assert!(bench.cache.state().usable);
    assert!(bench.cache.state().last_error.is_none());
}

#[test]
fn failures_back_off_to_a_minute_and_never_end() {
    let mut bench = Bench::running([FAIL]);
    bench.simulation.advance(3 * 24 * HOUR);
    let attempts = bench.attempts();
    let gaps: Vec<u64> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[0] <= 2 && gaps[1] <= 4 && gaps[2] <= 8, "{:?}", &gaps[..5]);
    assert!(gaps[10..].iter().all(|gap| (29..=60).contains(gap)));
    // Between 30 and 60 s: a bit more than 5,000 in three days.
    assert!((4_300..8_700).contains(&attempts.len()), "{}", attempts.len());
    assert_eq!(bench.cache.state().consecutive_failures, attempts.len() as u64);
    bench.answer(HOURLY);
    bench.simulation.advance(MINUTE);
    assert!(bench.cache.state().usable);
}

#[test]
fn callers_do_not_hasten_attempts() {
    let mut bench = Bench::running([FAIL]);
    for _ in 0..10_000 {
        bench.token().unwrap_err();
        bench.simulation.advance(Duration::from_millis(36));
    }
    // Six minutes of a busy sender: doubling, then at most one in half a minute.
    assert!(bench.attempts().len() <= 5 + 12, "{:?}", bench.attempts());
}

#[test]
fn without_the_loop_callers_fetch_for_themselves() {
    let mut bench = Bench::new([HOURLY, FAIL, HOURLY]);
    assert_eq!(bench.token().unwrap(), "t1");
    assert_eq!(bench.token().unwrap(), "t1");
    bench.simulation.advance(HOUR);
    bench.token().unwrap_err();
    bench.simulation.advance(2 * SECOND);
    assert_eq!(bench.token().unwrap(), "t3");
}

#[test]
fn retry_after_is_obeyed_up_to_an_hour() {
    for (asked, waited) in [(120, 120), (7 * 24 * 3600, 3600)] {
        let mut bench = Bench::running([Answer::Fail { retry_after: Some(Duration::from_secs(asked)) }, HOURLY]);
        bench.simulation.advance(Duration::from_secs(waited) - SECOND);
        assert_eq!(bench.attempts().len(), 1);
        assert_eq!(bench.token().unwrap_err().retry_after().unwrap(), SECOND);
        bench.simulation.advance(SECOND);
        assert_eq!(bench.token().unwrap(), "t2");
    }
}

#[test]
fn a_rejected_token_is_replaced_once() {
    let mut bench = Bench::running([HOURLY]);
    let first = bench.cache.unexpired().unwrap();
    assert!(bench.reject_current());
    // All who were refused come at once.
    for _ in 0..50 {
        assert!(bench.cache.reject(&first));
    }
    assert_eq!(bench.token().unwrap(), "t2");
    // The one before is not ours any more, and the new one is not rejected within seconds.
    assert!(!bench.cache.reject(&first));
    assert!(!bench.reject_current());
    assert_eq!(bench.token().unwrap(), "t2");
    bench.simulation.advance(REJECT_INTERVAL);
    assert!(bench.reject_current());
    // The loop does it too, when no caller comes.
    bench.simulation.advance(SLICE);
    assert_eq!(bench.cache.unexpired().unwrap().secret(), "t3");
    assert_eq!((bench.attempts().len(), bench.cache.state().rejections), (3, 2));
}

#[test]
fn a_service_that_rejects_everything_does_not_cause_a_storm() {
    let mut bench = Bench::running([DAILY]);
    for _ in 0..36_000 {
        let token = bench.token().unwrap();
        assert!(token.starts_with('t'));
        bench.reject_current();
        bench.simulation.advance(Duration::from_millis(100));
    }
    assert!((350..=362).contains(&bench.attempts().len()), "{}", bench.attempts().len());
}

#[test]
fn a_rejected_token_goes_on_serving_if_there_is_no_other() {
    let mut bench = Bench::running([HOURLY, FAIL]);
    assert!(bench.reject_current());
    assert_eq!(bench.token().unwrap(), "t1");
    assert!(bench.cache.state().usable);
    bench.answer(HOURLY);
    bench.simulation.advance(2 * SECOND);
    assert_ne!(bench.token().unwrap(), "t1");
}

#[test]
fn a_suspended_machine_refreshes_within_a_slice() {
    let mut bench = Bench::running([HOURLY]);
    bench.simulation.advance(MINUTE);
    bench.clock.suspend(8 * HOUR);
    // A caller that comes first does not get the expired token, and need not wait for the loop.
    assert!(bench.cache.unexpired().is_none());
    bench.simulation.advance(SLICE);
    assert_eq!(bench.cache.unexpired().unwrap().secret(), "t2");
}

#[test]
fn a_clock_set_back_does_not_keep_a_token_for_ever() {
    let mut bench = Bench::running([HOURLY]);
    bench.simulation.advance(MINUTE);
    bench.clock.set_wall(UnixTime::from_secs(START - 10 * 365 * 86_400));
    bench.simulation.advance(HOUR);
    assert_eq!(bench.attempts().len(), 2);
    // The loop stops, and still the token ends in time.
    let mut bench = Bench::new([HOURLY]);
    bench.token().unwrap();
    bench.clock.set_wall(UnixTime::from_secs(START - 86_400));
    bench.simulation.advance(HOUR);
    assert_eq!(bench.token().unwrap(), "t2");
}

#[test]
fn a_clock_that_jumps_about_for_a_day_costs_no_outage() {
    let mut bench = Bench::running([HOURLY]);
    for round in 0..24 * 6_i64 {
        let step = [0, 7200, -86_400, 3, -3600, 1_000_000][round as usize % 6];
        bench.clock.set_wall(UnixTime::from_secs(bench.clock.now().as_secs() + step));
        bench.token().unwrap();
        bench.simulation.advance(10 * MINUTE);
        assert!(bench.cache.state().usable, "round {round}");
    }
    assert!(bench.attempts().len() < 200, "{}", bench.attempts().len());
}

#[test]
fn short_lives_do_not_spin() {
    for lifetime in [1, 2, 5, 20, 31] {
        let mut bench = Bench::running([Answer::Token { lifetime: Duration::from_secs(lifetime), refresh_in: None }]);
        bench.simulation.advance(10 * MINUTE);
        assert!(bench.attempts().len() <= 601, "{lifetime}: {}", bench.attempts().len());
    }
}

#[test]
fn one_fetch_at_a_time_whatever_happens() {
    let mut bench = Bench::with_latency(700 * Duration::from_millis(1), [HOURLY, FAIL, FAIL, HOURLY, FAIL, HOURLY]);
    bench.start();
    for round in 0..2000_u64 {
        for _ in 0..3 {
            let cache = Arc::clone(&bench.cache);
            bench.simulation.spawn(async move { drop(cache.token().await) });
        }
        if round % 7 == 0
            && let Some(token) = bench.cache.unexpired()
        {
            bench.cache.reject(&token);
        }
        bench.simulation.advance(Duration::from_millis(100 + round * 37 % 9_000));
    }
    assert_eq!(bench.credential.running_max.load(Ordering::SeqCst), 1);
    assert!(bench.attempts().len() > 100);
}

/// Days against the real credentials and an issuer in memory.
mod days {
    use super::*;

    /// A cache over `credential`, its loop running.
    fn start(world: &mut World, credential: impl Credential) -> Arc<TokenCache> {
        let (clock, rng) = (Arc::clone(&world.environment.clock), Arc::clone(&world.environment.rng));
        let cache = Arc::new(TokenCache::new(Arc::new(credential), scope(), clock, rng));
        let looping = Arc::clone(&cache);
        world.simulation.spawn(async move { looping.run().await });
        world.simulation.settle();
        cache
    }

    #[test]
    fn imds_storms_of_hours_are_lived_through() {
        let status = Arc::new(Mutex::new(200));
        let current = Arc::clone(&status);
        let issued = AtomicUsize::new(0);
        let mut world = World::new(move |_| match *current.lock().unwrap() {
            200 => Ok(token_answer(&format!("t{}", issued.fetch_add(1, Ordering::SeqCst)), 86_399)),
            status => Ok(response(status, "")),
        });
        let source = IdentitySource::imds(crate::IMDS_BASE).unwrap();
        let identity = ManagedIdentity::new(IdentitySelector::SystemAssigned, source, world.environment.clone());
        let cache = start(&mut world, identity);
        for storm in [404, 410, 429, 500, 503] {
            // Thirteen hours reach past the refresh at half a day, so that every storm hits one.
            *status.lock().unwrap() = storm;
            let before = world.http.request_count();
            for _ in 0..13 * 60 {
                world.simulation.advance(MINUTE);
                assert!(cache.state().usable, "{storm}");
            }
            let asked = world.http.request_count() - before;
            assert!((1..=13 * 125).contains(&asked), "{storm}: {asked}");
            assert_eq!(cache.state().last_error.unwrap().status(), Some(storm));
            *status.lock().unwrap() = 200;
            world.simulation.advance(MINUTE);
            let state = cache.state();
            assert_eq!((state.usable, state.consecutive_failures), (true, 0), "{storm}");
        }
        // One that outlasts the token: an outage, and recovery within a minute of its end.
        *status.lock().unwrap() = 429;
        world.simulation.advance(30 * HOUR);
        assert!(!cache.state().usable);
        *status.lock().unwrap() = 200;
        world.simulation.advance(MINUTE);
        assert!(cache.state().usable);
    }

    #[test]
    fn a_rotating_token_file_is_never_sent_stale() {
        // The cluster renews the file every 48 minutes; what it held then is valid for an hour, and the issuer checks.
        let clock_slot: Arc<Mutex<Option<ManualClock>>> = Arc::default();
        let clock = Arc::clone(&clock_slot);
        let mut world = World::new(move |request| {
            if request.method() == "GET" {
                return Ok(response(404, ""));
            }
            let form = String::from_utf8(request.body().to_vec()).unwrap();
            let issued: i64 = form.rsplit_once("client_assertion=jwt.").unwrap().1.parse().unwrap();
            let now = clock.lock().unwrap().as_ref().unwrap().now().as_secs();
            if now - issued > 3600 {
                return Ok(response(401, r#"{"error":"invalid_client","error_codes":[700024]}"#));
            }
            Ok(token_answer(&format!("t{now}"), 3599))
        });
        let clock = world.simulation.clock();
        *clock_slot.lock().unwrap() = Some(clock.clone());
        let (files, kubelet) = (world.files.clone(), clock.clone());
        files.put("/token", format!("jwt.{START}"));
        world.simulation.spawn(async move {
            loop {
                kubelet.sleep(48 * MINUTE).await;
                files.put("/token", format!("jwt.{}", kubelet.now().as_secs()));
            }
        });
        let credential =
            WorkloadIdentity::new(crate::test_support::application(), "/token".into(), world.environment.clone());
        let cache = start(&mut world, credential);
        for _ in 0..3 * 24 * 60 {
            world.simulation.advance(MINUTE);
            assert!(cache.state().usable);
        }
        let state = cache.state();
        assert_eq!(state.failures, 0, "{state:?}");
        assert!(state.successes > 90, "{}", state.successes);
        // The file vanishes for a while, shorter than the token lives.
        world.files.remove("/token");
        world.simulation.advance(10 * MINUTE);
        world.files.put("/token", format!("jwt.{}", clock.now().as_secs()));
        world.simulation.advance(2 * HOUR);
        assert!(cache.state().usable && cache.state().consecutive_failures == 0);
    }

    #[test]
    fn an_expired_certificate_is_mended_by_rotation_without_a_restart() {
        let fixture = |name: &str| {
            std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
        };
        let mut world = World::new(|request| match request.method().as_str() {
            "GET" => Ok(response(404, "")),
            _ => Ok(token_answer("t", 3599)),
        });
        world.files.put("/cert", fixture("pem_expired.pem"));
        let environment = world.environment.clone();
        let credential =
            crate::ClientCertificate::new(crate::test_support::application(), "/cert".into(), None, environment);
        let cache = start(&mut world, credential);
        world.simulation.advance(24 * HOUR);
        let state = cache.state();
        assert!(!state.usable && state.consecutive_failures > 1000);
        assert!(state.last_error.unwrap().to_string().contains("expired"));
        assert_eq!(world.http.request_count(), 0);
        world.files.put("/cert", fixture("p12_modern_empty.pfx"));
        world.simulation.advance(MINUTE);
        assert!(cache.state().usable);
    }

    #[test]
    fn a_host_whose_clock_is_off_keeps_its_token() {
        // The issuer's clock is right and it says so; ours is five hours ahead, then five behind.
        for off in [5 * 3600, -5 * 3600_i64] {
            let slot: Arc<Mutex<Option<ManualClock>>> = Arc::default();
            let clock = Arc::clone(&slot);
            let mut world = World::new(move |_| {
                let now = clock.lock().unwrap().as_ref().unwrap().now().as_secs() - off;
                let body = format!(r#"{{"access_token":"t{now}","expires_on":"{}"}}"#, now + 3600);
                let mut answer = testkit::json_response(200, body);
                answer.headers_mut().insert("date", http_date(now).parse().unwrap());
                Ok(answer)
            });
            *slot.lock().unwrap() = Some(world.simulation.clock());
            let source = IdentitySource::imds(crate::IMDS_BASE).unwrap();
            let identity = ManagedIdentity::new(IdentitySelector::SystemAssigned, source, world.environment.clone());
            let cache = start(&mut world, identity);
            for _ in 0..24 * 60 {
                world.simulation.advance(MINUTE);
                assert!(cache.state().usable, "{off}");
            }
            let state = cache.state();
            assert_eq!(state.failures, 0);
            assert!((30..40).contains(&state.successes), "{off}: {}", state.successes);
        }
    }

    /// The date of a header, for January 2027, which is all the test needs.
    fn http_date(seconds: i64) -> String {
        let since = seconds - 1_798_761_600;
        let (day, time) = (since / 86_400 + 1, since % 86_400);
        format!("Fri, {day:02} Jan 2027 {:02}:{:02}:{:02} GMT", time / 3600, time / 60 % 60, time % 60)
    }
}
