//! Series of a selection computed in batches, by several threads where some are lent, and handed on in their order.
//!
//! What comes out does not depend on the threads: each batch is computed alone, and batches are consumed one by one in the
//! order of the selection, on the caller's thread. The selection is walked under a lock, a batch at a time; unpacking samples
//! and computing with them, which is most of the work, goes on beside. Never are more than [`WINDOW`] batches a thread between
//! the walk and the consumer, so memory stays bounded.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use storage::{QueryError, Series, SeriesSet};

use crate::workers::Workers;

/// How many series go together, how many go before others help, and how many others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    pub(crate) alone: usize,
    pub(crate) helpers: usize,
}

/// Calls `compute` with batches of series of `set`, and `consume` with what it gives, in order.
///
/// # Errors
/// The first of `set`, `compute` or `consume`, in order.
pub(crate) fn in_order<T: Send, E: From<QueryError> + Send>(
    mut set: Box<dyn SeriesSet>,
    sizes: Sizes,
    workers: &dyn Workers,
    compute: &(dyn Fn(Vec<Series>) -> Result<T, E> + Sync),
    consume: &mut dyn FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let mut before = 0;
    while before < sizes.alone || sizes.helpers == 0 {
        let Some(batch) = take(&mut *set, sizes.batch)? else { return Ok(()) };
        before += batch.len();
        consume(compute(batch)?)?;
    }
    let shared = Shared {
        walk: Mutex::new(Walk { set, given: 0, ended: false }),
        results: Mutex::new(Results { ready: VecDeque::new(), consumed: 0, total: None }),
        changed: Condvar::new(),
        stop: AtomicBool::new(false),
        window: WINDOW * (sizes.helpers + 1),
        sizes,
        compute,
    };
    let mut outcome = Ok(());
    workers.run(sizes.helpers, &|| shared.help(), &mut || {
        outcome = shared.consume_all(consume);
        shared.stop.store(true, Ordering::Relaxed);
        // Under the lock, so that nobody misses it between his look and his wait.
        let _results = shared.results();
        shared.changed.notify_all();
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

struct Shared<'a, T, E> {
    walk: Mutex<Walk>,
    results: Mutex<Results<T, E>>,
    /// Results came, or were consumed, or it is over.
    changed: Condvar,
    stop: AtomicBool,
    /// The most batches between the walk and the consumer.
    window: usize,
    sizes: Sizes,
    compute: &'a (dyn Fn(Vec<Series>) -> Result<T, E> + Sync),
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
    ready: VecDeque<Option<Result<T, E>>>,
    consumed: usize,
    /// How many batches there are, once that is known.
    total: Option<usize>,
}

impl<T: Send, E: From<QueryError> + Send> Shared<'_, T, E> {
    fn results(&self) -> MutexGuard<'_, Results<T, E>> {
        // A thread that panicked has left nothing half done: each change is one assignment.
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn help(&self) {
        // Ends the consumer's waiting also when this thread panics.
        let _ends = StopOnPanic(self);
        loop {
            match self.compute_one() {
                Turn::Computed => {}
                Turn::Over => return,
                Turn::Full => {
                    let mut results = self.results();
                    while !self.stop.load(Ordering::Relaxed) && !self.has_room(&results) {
                        results = self.changed.wait(results).unwrap_or_else(PoisonError::into_inner);
                    }
                }
            }
        }
    }

    fn has_room(&self, results: &Results<T, E>) -> bool {
        results.ready.len() < self.window
    }

    /// Computes the next batch, if there is one and room for it.
    fn compute_one(&self) -> Turn {
        let mut walk = self.walk.lock().unwrap_or_else(PoisonError::into_inner);
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
        let taken = take(&mut *walk.set, self.sizes.batch);
        walk.given += 1;
        walk.ended = !matches!(taken, Ok(Some(_)));
        drop(walk);
        let computed = match taken {
            Ok(Some(batch)) => (self.compute)(batch),
            Ok(None) => {
                let mut results = self.results();
                results.ready.pop_back();
                results.total = Some(number);
                drop(results);
                self.changed.notify_all();
                return Turn::Over;
            }
            Err(error) => Err(error.into()),
        };
        let mut results = self.results();
        let place = number - results.consumed;
        results.ready[place] = Some(computed);
        drop(results);
        self.changed.notify_all();
        Turn::Computed
    }

    fn consume_all(&self, consume: &mut dyn FnMut(T) -> Result<(), E>) -> Result<(), E> {
        loop {
            let mut results = self.results();
            if let Some(Some(_)) = results.ready.front() {
                let next = results.ready.pop_front().flatten().expect("it was looked at under the same lock");
                results.consumed += 1;
                drop(results);
                self.changed.notify_all();
                consume(next?)?;
                continue;
            }
            if results.total == Some(results.consumed) {
                return Ok(());
            }
            drop(results);
            if let Turn::Computed = self.compute_one() {
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
                results = self.changed.wait(results).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

struct StopOnPanic<'s, 'a, T: Send, E: From<QueryError> + Send>(&'s Shared<'a, T, E>);

impl<T: Send, E: From<QueryError> + Send> Drop for StopOnPanic<'_, '_, T, E> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop.store(true, Ordering::Relaxed);
            let _results = self.0.results();
            self.0.changed.notify_all();
        }
    }
}

/// Batches a thread may be ahead of the consumer.
const WINDOW: usize = 4;

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
    }

    struct Threads;

    impl Workers for Threads {
        fn run(&self, helpers: usize, help: &(dyn Fn() + Sync), work: &mut dyn FnMut()) {
            std::thread::scope(|scope| {
                for _ in 0..helpers {
                    scope.spawn(help);
                }
                work();
            });
        }
    }

    fn walk(end: usize, fails_at: usize, helpers: usize, workers: &dyn Workers) -> Result<Vec<usize>, QueryError> {
        let mut seen = Vec::new();
        let under_way = AtomicUsize::new(0);
        let sizes = Sizes { batch: 3, alone: 4, helpers };
        in_order(
            Box::new(Counted { next: 0, end, fails_at }),
            sizes,
            workers,
            &|batch| {
                let ahead = under_way.fetch_add(1, Ordering::Relaxed);
                assert!(ahead <= WINDOW * (helpers + 1) + 1, "{ahead} batches are ahead");
                Ok(batch.iter().map(|series| series.labels.get("n").unwrap().parse().unwrap()).collect::<Vec<usize>>())
            },
            &mut |batch| {
                under_way.fetch_sub(1, Ordering::Relaxed);
                seen.extend(batch);
                Ok(())
            },
        )?;
        Ok(seen)
    }

    #[test]
    fn all_series_come_in_order_whoever_helps() {
        for end in [0, 1, 3, 4, 6, 7, 1000] {
            let expected: Vec<usize> = (1..=end).collect();
            assert_eq!(walk(end, usize::MAX, 0, &NoWorkers).unwrap(), expected);
            assert_eq!(walk(end, usize::MAX, 3, &NoWorkers).unwrap(), expected, "helpers that never come");
            assert_eq!(walk(end, usize::MAX, 3, &Threads).unwrap(), expected);
        }
    }

    #[test]
    fn an_error_ends_it() {
        for fails_at in [0, 2, 5, 500] {
            walk(1000, fails_at, 3, &Threads).unwrap_err();
            walk(1000, fails_at, 0, &NoWorkers).unwrap_err();
        }
    }
}
