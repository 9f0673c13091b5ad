//! Threads that help with large evaluations: no more at a time, over all queries, than there are processors beside the one
//! that evaluates.
//!
//! They live for one query. Starting one takes some ten microseconds, which the engine asks for only where there is work for
//! many times that, and none rests beside the many queries that are small.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use promql::Workers;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Helpers {
    free: AtomicUsize,
}

impl Helpers {
    /// As many as there are processors beside one.
    pub(crate) fn beside_one() -> Self {
        Self::new(thread::available_parallelism().map_or(0, |processors| processors.get() - 1))
    }

    /// At most so many threads.
    fn new(most: usize) -> Self {
        Self { free: AtomicUsize::new(most) }
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
        thread::scope(|scope| {
            for _ in 0..taken.count {
                // A machine that gives no more threads only makes the query slower.
                let _ = thread::Builder::new().name("query-helper".to_owned()).spawn_scoped(scope, help);
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
