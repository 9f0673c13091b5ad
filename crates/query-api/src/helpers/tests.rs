use std::sync::atomic::AtomicUsize;
use std::sync::{Barrier, mpsc};

use super::*;

#[test]
fn no_more_than_there_are() {
    let helpers = Helpers::new(3);
    let (together, helped) = (Barrier::new(4), AtomicUsize::new(0));
    let help = || {
        together.wait();
        helped.fetch_add(1, Ordering::Relaxed);
    };
    helpers.run(2, &help, &mut || {
        // One is left for another query.
        helpers.run(5, &help, &mut || {
            together.wait();
        });
    });
    assert_eq!(helped.load(Ordering::Relaxed), 3);
    helpers.run(5, &help, &mut || {
        together.wait();
    });
    assert_eq!(helped.load(Ordering::Relaxed), 6, "all were given back");
}

/// Gives others time to go on who should not.
fn linger() {
    (0..10_000).for_each(|_| thread::yield_now());
}

#[test]
fn who_has_begun_is_waited_for_and_who_has_not_does_not_begin() {
    let helpers = Helpers::new(1);
    let (begun, ended) = (Barrier::new(2), AtomicBool::new(false));
    let help = || {
        begun.wait();
        linger();
        ended.store(true, Ordering::Relaxed);
    };
    helpers.run(1, &help, &mut || {
        begun.wait();
    });
    assert!(ended.load(Ordering::Relaxed));
    // Many times, as it is up to chance whether it begins: it never does after the end.
    for _ in 0..2000 {
        let (over, late) = (AtomicBool::new(false), AtomicBool::new(false));
        helpers.run(1, &|| late.store(over.load(Ordering::SeqCst), Ordering::SeqCst), &mut || {});
        over.store(true, Ordering::SeqCst);
        assert!(!late.load(Ordering::SeqCst));
    }
}

#[test]
fn panics_are_passed_on_and_the_thread_lives() {
    let helpers = Helpers::new(1);
    let begun = Barrier::new(2);
    let help = || {
        begun.wait();
        panic!("a test's");
    };
    let run = || {
        helpers.run(1, &help, &mut || {
            begun.wait();
        });
    };
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    // One of the work leaves no helper behind.
    let (sender, receiver) = mpsc::sync_channel(1);
    let helped = AtomicBool::new(false);
    let run = || {
        let help = || {
            sender.send(()).unwrap();
            linger();
            helped.store(true, Ordering::Relaxed);
        };
        helpers.run(1, &help, &mut || {
            receiver.recv().unwrap();
            panic!("a test's");
        });
    };
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    assert!(helped.load(Ordering::Relaxed), "it was waited for");
    let help = || {
        begun.wait();
    };
    helpers.run(1, &help, &mut || {
        begun.wait();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn helpers_run_on_other_processors() {
    use rustix::thread::{sched_getaffinity, sched_getcpu};
    if sched_getaffinity(None).unwrap().count() < 2 {
        return;
    }
    let helpers = Helpers::new(1);
    let both = Barrier::new(2);
    // The thread tells who it is when it begins to live, of which nobody waits.
    for _ in 0..100 {
        let (here, allowed) = (AtomicUsize::new(usize::MAX), Mutex::new(None));
        let help = || {
            both.wait();
            *allowed.lock() = sched_getaffinity(None).ok();
        };
        let before = sched_getcpu();
        helpers.run(1, &help, &mut || {
            here.store(sched_getcpu(), Ordering::Relaxed);
            both.wait();
        });
        let allowed = allowed.lock().unwrap();
        if before == here.load(Ordering::Relaxed) && !allowed.is_set(before) {
            return;
        }
    }
    panic!("it was never kept off this processor");
}
