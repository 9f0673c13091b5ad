//! Threads that help with large evaluations: no more at a time, over all queries, than there are processors beside the one
//! that evaluates.
//!
//! They rest between queries: to start one for each takes longer than many a query's work, above all when it has to make room
//! for its memory anew.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use promql::Workers;
use rayon_core::{ThreadPool, ThreadPoolBuilder};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Helpers {
    /// `None` where there are none, or the machine gives no threads: queries are slower then.
    pool: Option<ThreadPool>,
    free: AtomicUsize,
}

impl Helpers {
    /// As many as there are processors beside one.
    pub(crate) fn beside_one() -> Self {
        Self::new(thread::available_parallelism().map_or(0, |processors| processors.get() - 1))
    }

    /// So many threads.
    fn new(count: usize) -> Self {
        let builder = ThreadPoolBuilder::new().num_threads(count).thread_name(|_| "query-helper".to_owned());
        // Of no threads, the library makes as many as there are processors.
        let pool = if count > 0 { builder.build().ok() } else { None };
        let free = AtomicUsize::new(if pool.is_some() { count } else { 0 });
        Self { pool, free }
    }

    /// Takes as many as are free, up to `wanted`.
    fn take(&self, wanted: usize) -> Taken<'_> {
        let mut count = 0;
        let _ = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
            count = wanted.min(free);
            Some(free - count)
        });
        Taken { helpers: self, count }
    }
}

impl Workers for Helpers {
    fn run(&self, helpers: usize, help: &(dyn Fn() + Sync), work: &mut dyn FnMut()) {
        let taken = self.take(helpers);
        let Some(pool) = self.pool.as_ref().filter(|_| taken.count > 0) else { return work() };
        pool.in_place_scope(|scope| {
            for _ in 0..taken.count {
                scope.spawn(|_| help());
            }
            work();
        });
    }
}

/// Given back in the end, also by a panic.
struct Taken<'h> {
    helpers: &'h Helpers,
    count: usize,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.helpers.free.fetch_add(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_there_are() {
        let helpers = Helpers::new(3);
        let helped = AtomicUsize::new(0);
        let help = || {
            helped.fetch_add(1, Ordering::Relaxed);
        };
        helpers.run(2, &help, &mut || {
            // One is left for another query.
            helpers.run(5, &help, &mut || {});
        });
        assert_eq!(helped.load(Ordering::Relaxed), 3);
        helpers.run(5, &help, &mut || {});
        assert_eq!(helped.load(Ordering::Relaxed), 6, "all were given back");
    }
}
