//! Series of a selection computed in batches, by several threads where some are lent, and handed on in their order.
//!
//! What comes out does not depend on the threads: each batch is computed alone, and batches are consumed one by one in the
//! order of the selection, on the caller's thread. The selection is walked under a lock, a batch at a time; unpacking samples
//! and computing with them, which is most of the work, goes on beside. Never are more than [`WINDOW`] batches a thread between
//! the walk and the consumer, and fewer when they hold many samples, so memory stays bounded.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

use storage::{QueryError, Series, SeriesSet};

use crate::workers::Workers;

/// Bounds on batches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The most series that go together.
    pub(crate) batch: usize,
    /// The most threads that help.
    pub(crate) helpers: usize,
    /// From so many samples on that wait to be consumed, no batch is begun.
    pub(crate) samples: usize,
}

/// What came of a batch.
pub(crate) struct Computed<T> {
    pub(crate) result: T,
    /// How much there was to do: about as many steps of ten nanoseconds.
    pub(crate) work: usize,
    /// How many samples it holds.
    pub(crate) samples: usize,
}

/// Calls `compute` with batches of series of `set`, and `consume` with what it gives, in order.
///
/// The first series, few at a time, tell what a series costs; when as many as are left are worth it, others help.
///
/// # Errors
/// The first of `set`, `compute` or `consume`, in order.
pub(crate) fn in_order<S, T: Send, E: From<QueryError> + Send>(
    mut set: Box<dyn SeriesSet>,
    mut bounds: Bounds,
    workers: &dyn Workers,
    state: &(dyn Fn() -> S + Sync),
    compute: Compute<'_, S, T, E>,
    consume: &mut dyn FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let mut own = state();
    let (mut size, mut series, mut work) = (1, 0, 0);
    let batch_least;
    loop {
        let Some(batch) = take(&mut *set, size)? else { return Ok(()) };
        series += batch.len();
        let computed = compute(&mut own, batch)?;
        work += computed.work;
        consume(computed.result)?;
        let of_one = (work / series).max(1);
        let series_for = |work: usize| (work / of_one).clamp(1, bounds.batch);
        // Where nothing is known, as many again as there were.
        let left = set.remaining().unwrap_or(series).saturating_mul(of_one);
        if bounds.helpers > 0 && left >= HELP_WORK {
            (batch_least, bounds.batch) = (series_for(BATCH_WORK.start), series_for(BATCH_WORK.end));
            break;
        }
        size = (size * 2).min(series_for(BATCH_WORK.end));
    }
    let shared = Shared {
        walk: Mutex::new(Walk { set, given: 0, ended: false }),
        results: Mutex::new(Results { ready: VecDeque::new(), samples: 0, consumed: 0, total: None, waiting: 0 }),
        changed: Condvar::new(),
        stop: AtomicBool::new(false),
        window: WINDOW * (bounds.helpers + 1),
        bounds,
        batch_least,
        compute,
    };
    let mut outcome = Ok(());
    workers.run(bounds.helpers, &|| shared.help(&mut state()), &mut || {
        outcome = shared.consume_all(&mut own, consume);
        shared.stop.store(true, Ordering::Relaxed);
        // Under the lock, so that nobody misses it between his look and his wait.
        shared.tell(shared.results());
    });
    outcome
}

/// The next series, so many at most; `None` at the end.
fn take(set: &mut dyn SeriesSet, most: usize) -> Result<Option<Vec<Series>>, QueryError> {
    let mut batch = Vec::with_capacity(most);
    while batch.len() < most {
        match set.next()? {
            Some(series) => batch.push(series),
            None => break,
        }
    }
    Ok((!batch.is_empty()).then_some(batch))
}

/// Computes a batch, on any thread, with what that one keeps from batch to batch.
type Compute<'a, S, T, E> = &'a (dyn Fn(&mut S, Vec<Series>) -> Result<Computed<T>, E> + Sync);

struct Shared<'a, S, T, E> {
    walk: Mutex<Walk>,
    results: Mutex<Results<T, E>>,
    /// Results came, or were consumed, or it is over.
    changed: Condvar,
    stop: AtomicBool,
    /// The most batches between the walk and the consumer.
    window: usize,
    bounds: Bounds,
    /// The fewest series that go together while there are as many.
    batch_least: usize,
    compute: Compute<'a, S, T, E>,
}

/// What became of an attempt to compute a batch.
enum Turn {
    Computed,
    /// Results wait to be consumed.
    Full,
    /// None are left to be begun.
    Over,
}

struct Walk {
    set: Box<dyn SeriesSet>,
    /// Batches given so far.
    given: usize,
    ended: bool,
}

struct Results<T, E> {
    /// From the one that is consumed next on; `None` while it is computed.
    ready: VecDeque<Option<Result<Computed<T>, E>>>,
    /// That those hold.
    samples: usize,
    consumed: usize,
    /// How many batches there are, once that is known.
    total: Option<usize>,
    /// Threads that wait for a change.
    waiting: usize,
}

impl<S, T: Send, E: From<QueryError> + Send> Shared<'_, S, T, E> {
    fn results(&self) -> MutexGuard<'_, Results<T, E>> {
        // A thread that panicked has left nothing half done: each change is one assignment.
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The walk, for one thread at a time. A batch is taken quickly: who finds another one at it tries again for a while, since
    /// waking up takes longer, and then the other one would be at it again.
    fn walk(&self) -> MutexGuard<'_, Walk> {
        for _ in 0..TRIES {
            match self.walk.try_lock() {
                Ok(walk) => return walk,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => (0..PAUSES).for_each(|_| std::hint::spin_loop()),
            }
        }
        self.walk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something has changed.
    fn wait<'r>(&self, mut results: MutexGuard<'r, Results<T, E>>) -> MutexGuard<'r, Results<T, E>> {
        results.waiting += 1;
        let mut results = self.changed.wait(results).unwrap_or_else(PoisonError::into_inner);
        results.waiting -= 1;
        results
    }

    /// Wakes those who wait. Telling nobody would be a system call, too.
    fn tell(&self, results: MutexGuard<'_, Results<T, E>>) {
        let waiting = results.waiting;
        drop(results);
        if waiting > 0 {
            self.changed.notify_all();
        }
    }

    fn help(&self, state: &mut S) {
        // Ends the consumer's waiting also when this thread panics.
        let _ends = StopOnPanic(self);
        loop {
            match self.compute_one(state) {
                Turn::Computed => {}
                Turn::Over => return,
                Turn::Full => {
                    let mut results = self.results();
                    while !self.stop.load(Ordering::Relaxed) && !self.has_room(&results) {
                        results = self.wait(results);
                    }
                }
            }
        }
    }

    fn has_room(&self, results: &Results<T, E>) -> bool {
        results.ready.len() < self.window && results.samples <= self.bounds.samples
    }

    /// Computes the next batch, if there is one and room for it.
    fn compute_one(&self, state: &mut S) -> Turn {
        let mut walk = self.walk();
        if walk.ended || self.stop.load(Ordering::Relaxed) {
            return Turn::Over;
        }
        {
            let mut results = self.results();
            if !self.has_room(&results) {
                return Turn::Full;
            }
            results.ready.push_back(None);
        }
        let number = walk.given;
        // Smaller ones towards the end, so that all threads end at about the same time.
        let left = walk.set.remaining().unwrap_or(usize::MAX);
        let size = (left / SHARES).clamp(self.batch_least, self.bounds.batch);
        let taken = take(&mut *walk.set, size);
        walk.given += 1;
        walk.ended = !matches!(taken, Ok(Some(_)));
        drop(walk);
        let computed = match taken {
            Ok(Some(batch)) => (self.compute)(state, batch),
            Ok(None) => {
                let mut results = self.results();
                results.ready.pop_back();
                results.total = Some(number);
                self.tell(results);
                return Turn::Over;
            }
            Err(error) => Err(error.into()),
        };
        let mut results = self.results();
        let place = number - results.consumed;
        results.samples += computed.as_ref().map_or(0, |computed| computed.samples);
        results.ready[place] = Some(computed);
        self.tell(results);
        Turn::Computed
    }

    fn consume_all(&self, state: &mut S, consume: &mut dyn FnMut(T) -> Result<(), E>) -> Result<(), E> {
        loop {
            let mut results = self.results();
            if let Some(Some(_)) = results.ready.front() {
                let next = results.ready.pop_front().flatten().expect("it was looked at under the same lock");
                results.consumed += 1;
                results.samples -= next.as_ref().map_or(0, |computed| computed.samples);
                self.tell(results);
                consume(next?.result)?;
                continue;
            }
            if results.total == Some(results.consumed) {
                return Ok(());
            }
            drop(results);
            if let Turn::Computed = self.compute_one(state) {
                continue;
            }
            let mut results = self.results();
            let waits = |results: &Results<T, E>| {
                !matches!(results.ready.front(), Some(Some(_))) && results.total != Some(results.consumed)
            };
            while waits(&results) {
                assert!(
                    !self.stop.load(Ordering::Relaxed),
                    "a thread that helped has panicked; its message says where"
                );
                results = self.wait(results);
            }
        }
    }
}

struct StopOnPanic<'s, 'a, S, T: Send, E: From<QueryError> + Send>(&'s Shared<'a, S, T, E>);

impl<S, T: Send, E: From<QueryError> + Send> Drop for StopOnPanic<'_, '_, S, T, E> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop.store(true, Ordering::Relaxed);
            self.0.tell(self.0.results());
        }
    }
}

/// Together some fifty microseconds, many times what taking a batch needs.
const TRIES: usize = 64;
const PAUSES: usize = 64;

/// Batches a thread may be ahead of the consumer.
const WINDOW: usize = 4;

/// What a batch is to cost: enough that threads seldom meet at the walk's lock, since who waits there wakes late and finds it
/// taken again, and that a result is seldom waited for.
const BATCH_WORK: Range<usize> = 2_500..25_000;

/// A batch is such a part of what is left: two threads then end at about the same time, and so do several.
const SHARES: usize = 6;

/// From how much on others help: several times what it takes to start a thread.
const HELP_WORK: usize = 12_000;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use model::Labels;
    use storage::{Batch, SampleIterator};

    use super::*;
    use crate::NoWorkers;

    struct Counted {
        next: usize,
        end: usize,
        fails_at: usize,
    }

    struct Nothing;

    impl SampleIterator for Nothing {
        fn next_batch(&mut self, _: &mut Batch) -> Result<bool, QueryError> {
            Ok(false)
        }
    }

    impl SeriesSet for Counted {
        fn next(&mut self) -> Result<Option<Series>, QueryError> {
            if self.next == self.fails_at {
                return Err(QueryError::Unavailable("gone".into()));
            }
            if self.next == self.end {
                return Ok(None);
            }
            self.next += 1;
            let labels = Labels::from_pairs([("n", self.next.to_string())]).unwrap();
            Ok(Some(Series { labels, samples: Box::new(Nothing) }))
        }

        fn remaining(&self) -> Option<usize> {
            Some(self.end - self.next)
        }
    }

    /// Counts how often it was asked for threads.
    #[derive(Default)]
    struct Threads(AtomicUsize);

    impl Workers for Threads {
        fn run(&self, helpers: usize, help: &(dyn Fn() + Sync), work: &mut dyn FnMut()) {
            self.0.fetch_add(1, Ordering::Relaxed);
            std::thread::scope(|scope| {
                for _ in 0..helpers {
                    scope.spawn(help);
                }
                work();
            });
        }
    }

    /// Walks over `end` series that cost `work` each.
    fn walk(set: Counted, work: usize, helpers: usize, workers: &dyn Workers) -> Result<Vec<usize>, QueryError> {
        walk_holding(0, set, work, helpers, workers)
    }

    /// The same where each batch holds so many samples, and two batches' are allowed.
    fn walk_holding(
        samples: usize,
        set: Counted,
        work: usize,
        helpers: usize,
        workers: &dyn Workers,
    ) -> Result<Vec<usize>, QueryError> {
        let mut seen = Vec::new();
        let under_way = AtomicUsize::new(0);
        let bounds = Bounds { batch: 3, helpers, samples: 2 * samples };
        // When three wait, none is begun; others may be computed just then, and one consumed.
        let ahead_max = if samples > 0 { 3 + helpers + 1 } else { WINDOW * (helpers + 1) };
        in_order(
            Box::new(set),
            bounds,
            workers,
            &|| (),
            &|(), batch| {
                let ahead = under_way.fetch_add(1, Ordering::Relaxed);
                assert!(ahead <= ahead_max + 1, "{ahead} batches are ahead");
                assert!(batch.len() <= bounds.batch);
                let number = |series: &Series| series.labels.get("n").unwrap().parse().unwrap();
                let result = batch.iter().map(number).collect::<Vec<usize>>();
                Ok(Computed { work: work * batch.len(), samples, result })
            },
            &mut |batch| {
                under_way.fetch_sub(1, Ordering::Relaxed);
                seen.extend(batch);
                Ok(())
            },
        )?;
        Ok(seen)
    }

    fn counted(end: usize) -> Counted {
        Counted { next: 0, end, fails_at: usize::MAX }
    }

    #[test]
    fn all_series_come_in_order_whoever_helps() {
        for end in [0, 1, 3, 4, 6, 7, 1000] {
            let expected: Vec<usize> = (1..=end).collect();
            for work in [0, 100, BATCH_WORK.start, HELP_WORK] {
                assert_eq!(walk(counted(end), work, 0, &NoWorkers).unwrap(), expected);
                assert_eq!(walk(counted(end), work, 3, &NoWorkers).unwrap(), expected, "helpers that never come");
                assert_eq!(walk(counted(end), work, 3, &Threads::default()).unwrap(), expected);
            }
        }
    }

    #[test]
    fn few_wait_that_hold_much() {
        let expected: Vec<usize> = (1..=5000).collect();
        let threads = Threads::default();
        assert_eq!(walk_holding(1000, counted(5000), HELP_WORK, 7, &threads).unwrap(), expected);
    }

    #[test]
    fn others_help_where_it_is_worth_it() {
        for (end, work, helps) in [(0, 0, 0), (1000, 1, 0), (1000, 100, 1), (2, HELP_WORK - 1, 0), (2, HELP_WORK, 1)] {
            let threads = Threads::default();
            walk(counted(end), work, 1, &threads).unwrap();
            assert_eq!(threads.0.into_inner(), helps, "{end} series, {work} each");
        }
    }

    #[test]
    fn an_error_ends_it() {
        for fails_at in [0, 2, 5, 500] {
            for work in [0, HELP_WORK] {
                walk(Counted { fails_at, ..counted(1000) }, work, 3, &Threads::default()).unwrap_err();
                walk(Counted { fails_at, ..counted(1000) }, work, 0, &NoWorkers).unwrap_err();
            }
        }
    }
}
