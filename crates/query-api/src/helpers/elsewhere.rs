//! Where a helper may run: on any processor but the one of whom it helps.
//!
//! Linux mostly wakes a thread on a processor that is idle. When none seems so at that moment (another thread is just about
//! to sleep there), it stays on the waker's, and waits there for up to a time slice, 3 ms, while the other one has become
//! idle long ago.

#[cfg(target_os = "linux")]
pub(super) use linux::{Elsewhere, Movable};
#[cfg(not(target_os = "linux"))]
pub(super) use others::{Elsewhere, Movable};

#[cfg(target_os = "linux")]
mod linux {
    use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// A thread, and what was last said of where it may run.
    #[derive(Debug, Default)]
    pub(in crate::helpers) struct Movable {
        /// There once it has begun to live.
        thread: Option<Pid>,
        allowed: Option<CpuSet>,
    }

    impl Movable {
        pub(in crate::helpers) fn this_thread() -> Self {
            Self { thread: Some(gettid()), allowed: None }
        }
    }

    /// The processors that this thread may run on, but for the one where it is now; `None` where there are no others.
    pub(in crate::helpers) struct Elsewhere(Option<CpuSet>);

    impl Elsewhere {
        pub(in crate::helpers) fn than_here() -> Self {
            let others = sched_getaffinity(None).ok().map(|mut allowed| {
                allowed.unset(sched_getcpu());
                allowed
            });
            Self(others.filter(|others| others.count() > 0))
        }

        /// Keeps a thread there from now on. A hint: where it cannot be done, it may run anywhere.
        pub(in crate::helpers) fn direct(&self, movable: &mut Movable) {
            let Some(allowed) = self.0 else { return };
            if let Some(thread) = movable.thread
                && movable.allowed != Some(allowed)
                && sched_setaffinity(Some(thread), &allowed).is_ok()
            {
                movable.allowed = Some(allowed);
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod others {
    #[derive(Debug, Default)]
    pub(in crate::helpers) struct Movable;

    impl Movable {
        pub(in crate::helpers) fn this_thread() -> Self {
            Self
        }
    }

    /// Left to the system.
    pub(in crate::helpers) struct Elsewhere;

    impl Elsewhere {
        pub(in crate::helpers) fn than_here() -> Self {
            Self
        }

        pub(in crate::helpers) fn direct(&self, _: &mut Movable) {}
    }
}
