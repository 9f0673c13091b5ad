//! A single-threaded executor that runs tasks at the simulated moments they asked for.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use environment::{BoxFuture, UnixTime};

use crate::ManualClock;

/// Runs tasks against a [`ManualClock`]: between two timers every task runs as far as it can, in the order of spawning.
///
/// The same tasks with the same inputs always take the same course. Days pass as fast as the tasks compute.
pub struct Simulation {
    clock: ManualClock,
    running: Vec<Running>,
}

/// The outcome of a spawned future. Dropping it does not end the task.
pub struct Task<T>(Arc<Mutex<Option<T>>>);

struct Running {
    future: BoxFuture<'static, ()>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl<T> Task<T> {
    /// Takes the outcome, once there is one.
    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Simulation {
    /// An executor whose clock shows `wall`.
    pub fn new(wall: UnixTime) -> Self {
        Self { clock: ManualClock::new(wall), running: Vec::new() }
    }

    /// The clock to hand to what is under test.
    pub fn clock(&self) -> ManualClock {
        self.clock.clone()
    }

    /// Adds a task; it first runs at the next [`Simulation::settle`] or [`Simulation::advance`].
    pub fn spawn<T: Send + 'static>(&mut self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        let outcome = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&outcome);
        let future = Box::pin(async move {
            let value = future.await;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        });
        self.running.push(Running { future, woken: Arc::new(Woken(AtomicBool::new(true))) });
        Task(outcome)
    }

    /// Runs every task until none can go on without time passing.
    pub fn settle(&mut self) {
        let mut progress = true;
        while progress {
            progress = false;
            self.running.retain_mut(|task| {
                if !task.woken.0.swap(false, Ordering::SeqCst) {
                    return true;
                }
                progress = true;
                let waker = Waker::from(Arc::clone(&task.woken));
                task.future.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Pending
            });
        }
    }

    /// Lets `span` pass; tasks run at the moments their sleeps end.
    pub fn advance(&mut self, span: Duration) {
        let until = self.clock.monotonic_span() + span;
        self.settle();
        while self.clock.advance_to_next(until) {
            self.settle();
        }
    }

    /// Runs `future` to its end, letting as much time pass as it needs.
    ///
    /// # Panics
    /// When the future still waits although no timer is left, which is a deadlock, or after a simulated year.
    #[track_caller]
    pub fn block_on<T: Send + 'static>(&mut self, future: impl Future<Output = T> + Send + 'static) -> T {
        let task = self.spawn(future);
        let year_end = self.clock.monotonic_span() + Duration::from_secs(366 * 24 * 3600);
        loop {
            self.settle();
            if let Some(outcome) = task.take() {
                return outcome;
            }
            assert!(self.clock.advance_to_next(year_end), "nothing is left that could wake the future");
        }
    }
}

#[cfg(test)]
mod tests {
    use environment::Clock;

    use super::*;

    #[test]
    fn tasks_run_at_the_moments_they_asked_for() {
        let mut simulation = Simulation::new(UnixTime::from_secs(0));
        let seen = Arc::new(Mutex::new(Vec::new()));
        for (name, step) in [("slow", 3), ("quick", 2)] {
            let (clock, seen) = (simulation.clock(), Arc::clone(&seen));
            simulation.spawn(async move {
                for _ in 0..2 {
                    clock.sleep(Duration::from_secs(step)).await;
                    seen.lock().unwrap().push((name, clock.now().as_secs()));
                }
            });
        }
        simulation.advance(Duration::from_secs(5));
        assert_eq!(*seen.lock().unwrap(), [("quick", 2), ("slow", 3), ("quick", 4)]);
    }

    #[test]
    fn block_on_lets_the_time_pass_that_is_needed() {
        let mut simulation = Simulation::new(UnixTime::from_secs(0));
        let clock = simulation.clock();
        let ended = simulation.block_on(async move {
            clock.sleep(Duration::from_secs(86_400)).await;
            clock.now().as_secs()
        });
        assert_eq!(ended, 86_400);
    }

    #[test]
    #[should_panic(expected = "nothing is left")]
    fn a_deadlock_is_named() {
        Simulation::new(UnixTime::EPOCH).block_on(std::future::pending::<()>());
    }
}
