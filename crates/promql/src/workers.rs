//! Threads that a program lends to an evaluation: this crate has none of its own.

/// Lends threads.
pub trait Workers: Sync {
    /// Calls `work` on this thread, and `help` meanwhile on up to `helpers` others, fewer when they are busy, once each.
    /// Returns when all have returned. `help` returns soon after `work` has.
    fn run(&self, helpers: usize, help: &(dyn Fn() + Sync), work: &mut dyn FnMut());
}

/// Lends none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWorkers;

impl Workers for NoWorkers {
    fn run(&self, _: usize, _: &(dyn Fn() + Sync), work: &mut dyn FnMut()) {
        work();
    }
}
