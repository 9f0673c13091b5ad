//! Threads that help with large evaluations: no more at a time, over all queries, than there are processors beside the one
//! that evaluates.
//!
//! They rest between queries: to start one for each takes longer than many a query's work, above all when it has to make room
//! for its memory anew. Two things matter to queries of a millisecond, and pools of threads made for more have neither: a
//! helper that has not begun when the work is done is not waited for, and none is woken on the processor of the one that it
//! is to help, which would keep it waiting for as long as the work takes ([`elsewhere`]).

mod elsewhere;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use parking_lot::{Condvar, Mutex, MutexGuard};
use promql::Workers;

use elsewhere::{Elsewhere, Movable};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Helpers {
    all: Box<[Arc<Helper>]>,
}

/// A thread that helps, seen from both sides.
#[derive(Debug)]
struct Helper {
    /// Lent to a query.
    is_taken: AtomicBool,
    turn: Mutex<Turn>,
    changed: Condvar,
    movable: Mutex<Movable>,
}

enum Turn {
    Rests,
    /// There is something to do.
    Asked(Task),
    Helps,
    /// It helped; with what it panicked.
    Helped(Option<Box<dyn Any + Send>>),
    Ends,
}

/// What a helper is to call once.
struct Task(&'static (dyn Fn() + Sync));

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rests => "Rests",
            Self::Asked(_) => "Asked",
            Self::Helps => "Helps",
            Self::Helped(_) => "Helped",
            Self::Ends => "Ends",
        })
    }
}

impl Helpers {
    /// As many as there are processors beside one.
    pub(crate) fn beside_one() -> Self {
        Self::new(thread::available_parallelism().map_or(0, |processors| processors.get() - 1))
    }

    /// So many threads, or fewer where the machine gives no more: queries are slower then.
    fn new(count: usize) -> Self {
        let start = |_| {
            let helper = Arc::new(Helper {
                is_taken: AtomicBool::new(false),
                turn: Mutex::new(Turn::Rests),
                changed: Condvar::new(),
                movable: Mutex::default(),
            });
            let own = Arc::clone(&helper);
            let started = thread::Builder::new().name("query-helper".to_owned()).spawn(move || own.help_on());
            started.ok().map(|_detached| helper)
        };
        Self { all: (0..count).map_while(start).collect() }
    }

    /// Takes as many as are free, up to `wanted`.
    fn take(&self, wanted: usize) -> Vec<Taken<'_>> {
        let free = self.all.iter().filter(|helper| !helper.is_taken.swap(true, Ordering::Acquire));
        free.take(wanted).map(|helper| Taken { helper, is_asked: false }).collect()
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        for helper in &self.all {
            *helper.turn.lock() = Turn::Ends;
            helper.changed.notify_all();
        }
    }
}

impl Workers for Helpers {
    fn run(&self, helpers: usize, help: &(dyn Fn() + Sync), work: &mut dyn FnMut()) {
        let mut taken = self.take(helpers);
        if taken.is_empty() {
            return work();
        }
        let elsewhere = Elsewhere::than_here();
        for taken in &mut taken {
            elsewhere.direct(&mut taken.helper.movable.lock());
            taken.ask(help);
        }
        work();
        let panics: Vec<_> = taken.iter_mut().filter_map(Taken::settle).collect();
        drop(taken);
        if let Some(panic) = panics.into_iter().next() {
            resume_unwind(panic);
        }
    }
}

impl Helper {
    /// The thread's life.
    fn help_on(&self) {
        *self.movable.lock() = Movable::this_thread();
        let mut turn = self.turn.lock();
        loop {
            match std::mem::replace(&mut *turn, Turn::Helps) {
                Turn::Asked(task) => {
                    let panic = MutexGuard::unlocked(&mut turn, || catch_unwind(AssertUnwindSafe(task.0)).err());
                    *turn = Turn::Helped(panic);
                    self.changed.notify_all();
                }
                Turn::Ends => return,
                other => {
                    *turn = other;
                    self.changed.wait(&mut turn);
                }
            }
        }
    }
}

/// A helper that is lent. Given back in the end, also by a panic, and not while it helps.
struct Taken<'h> {
    helper: &'h Helper,
    is_asked: bool,
}

impl Taken<'_> {
    /// Has it call `help`.
    fn ask(&mut self, help: &(dyn Fn() + Sync)) {
        // SAFETY: the reference is used until the turn is no more `Asked` or `Helps`, which `settle` waits for. It is called at the
        // latest when this value is dropped, which [`Helpers::run`], that borrows `help` for longer, does in any case: it neither forgets it
        // nor hands it on.
        #[allow(unsafe_code)]
        let task = unsafe { std::mem::transmute::<&(dyn Fn() + Sync), &'static (dyn Fn() + Sync)>(help) };
        self.is_asked = true;
        *self.helper.turn.lock() = Turn::Asked(Task(task));
        self.helper.changed.notify_all();
    }

    /// Waits until it helps no more; one that has not begun does not begin. Gives what it panicked with.
    fn settle(&mut self) -> Option<Box<dyn Any + Send>> {
        if !std::mem::take(&mut self.is_asked) {
            return None;
        }
        let mut turn = self.helper.turn.lock();
        self.helper.changed.wait_while(&mut turn, |turn| matches!(turn, Turn::Helps));
        match std::mem::replace(&mut *turn, Turn::Rests) {
            Turn::Helped(panic) => panic,
            _ => None,
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        drop(self.settle());
        self.helper.is_taken.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
