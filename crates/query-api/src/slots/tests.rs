use std::future::pending;
use std::thread::{self, ThreadId};

use environment::UnixTime;
use testkit::ManualClock;
use tokio::runtime::{Builder, Runtime};

use super::*;

struct Bench {
    slots: Slots,
    clock: Arc<ManualClock>,
    runtime: Runtime,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(UnixTime::from_secs(0)));
        let slots = Slots::new(2, 0, Arc::clone(&clock) as Arc<dyn Clock>, Metrics::new());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { slots, clock, runtime }
    }

    /// Does work that takes so long by the clock; where it was done.
    fn run(&self, asked: Asked, took: Duration) -> ThreadId {
        let clock = Arc::clone(&self.clock);
        let work = move |_: &Job| {
            clock.advance(took);
            Ok(thread::current().id())
        };
        self.near(asked, work).unwrap()
    }

    fn near<T: Send + 'static>(
        &self,
        asked: Asked,
        work: impl Fn(&Job) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.runtime.block_on(self.slots.run_near(asked, Duration::from_secs(60), work))
    }
}

const LONG: Duration = Duration::from_millis(20);

#[test]
fn what_was_quick_stays_where_it_is_asked_for() {
    let bench = Bench::new();
    let (one, other) = (bench.slots.asked("one"), bench.slots.asked("other"));
    let here = thread::current().id();
    assert_ne!(bench.run(one, Duration::ZERO), here, "nothing is known of it");
    assert_eq!(bench.run(one, Duration::ZERO), here);
    assert_ne!(bench.run(other, LONG), here);
    assert_ne!(bench.run(other, LONG), here, "it was not quick");
    // It asks nobody whether it should end, and takes long.
    assert_eq!(bench.run(one, LONG), here);
    assert_ne!(bench.run(one, Duration::ZERO), here);
    assert_eq!(bench.run(one, Duration::ZERO), here);
}

#[test]
fn work_that_wants_to_wait_or_takes_long_is_begun_again_elsewhere() {
    type Act = fn(&Job, &ManualClock) -> Result<(), ApiError>;
    let waits: Act = |job, _| {
        job.wait(async {
            if job.serving.is_some() {
                pending::<()>().await;
            }
        })
    };
    let takes_long: Act = |job, clock| {
        clock.advance(LONG);
        job.check()
    };
    for act in [waits, takes_long] {
        let bench = Bench::new();
        let asked = bench.slots.asked(0);
        bench.run(asked, Duration::ZERO);
        let clock = Arc::clone(&bench.clock);
        let done_on = bench.near(asked, move |job| act(job, &clock).map(|()| thread::current().id())).unwrap();
        assert_ne!(done_on, thread::current().id());
        assert_eq!(bench.slots.metrics.running.get(), 0);
    }
}

#[test]
fn errors_and_panics_of_quick_work_are_answered() {
    let bench = Bench::new();
    let asked = bench.slots.asked(0);
    bench.run(asked, Duration::ZERO);
    let error = bench.near::<()>(asked, |_| Err(ApiError::Busy)).unwrap_err();
    assert!(matches!(error, ApiError::Busy), "{error}");
    let error = bench.near::<()>(asked, |_| panic!("a test's")).unwrap_err();
    assert!(matches!(error, ApiError::Internal(_)), "{error}");
    assert_eq!(bench.slots.metrics.running.get(), 0);
    assert_eq!(bench.run(asked, Duration::ZERO), thread::current().id());
}
