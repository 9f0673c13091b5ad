use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use futures_executor::block_on;

use super::*;

#[test]
fn more_waiting_jobs_than_there_may_be_are_refused() {
    let worker = block_on(Worker::start("test", || Ok(0_usize), drop)).unwrap();
    let (release, held) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel::<()>();
    let first: Job<usize> = Box::new(move |_| {
        begun.send(()).unwrap();
        held.recv().unwrap();
    });
    worker.enqueue("written", first).unwrap();
    has_begun.recv().unwrap();
    for _ in 0..JOBS_WAITING_MAX {
        worker.enqueue("written", Box::new(|count| *count += 1)).unwrap();
    }
    let refused = worker.enqueue("written", Box::new(|_| {})).unwrap_err();
    assert!(refused.to_string().contains("1024 requests wait already"), "{refused}");
    release.send(()).unwrap();
    // Accepted again as soon as there is room, and none of those that waited is lost.
    let count = loop {
        match block_on(worker.run("read", |count| *count)) {
            Ok(count) => break count,
            Err(_) => std::thread::yield_now(),
        }
    };
    assert_eq!(count, JOBS_WAITING_MAX);
}

#[test]
fn a_panic_is_answered_and_ends_it() {
    let worker = block_on(Worker::start("test", || Ok(()), drop)).unwrap();
    let outcome = block_on(worker.run("written", |()| panic!("on purpose"))).unwrap_err();
    assert!(outcome.to_string().contains("has stopped"), "{outcome}");
    block_on(worker.close());
    assert!(block_on(worker.run("written", |()| ())).is_err());
}

#[test]
fn what_was_asked_for_is_done_before_it_ends() {
    let done = Arc::new(AtomicUsize::new(0));
    let worker = block_on(Worker::start("test", || Ok(()), drop)).unwrap();
    for _ in 0..100 {
        let done = Arc::clone(&done);
        let count = move |(): &mut ()| {
            done.fetch_add(1, Ordering::Relaxed);
        };
        worker.enqueue("written", Box::new(count)).unwrap();
    }
    block_on(worker.close());
    assert_eq!(done.load(Ordering::Relaxed), 100);
}

#[test]
fn what_cannot_be_made_is_said() {
    let fail = || Err::<(), _>(StoreError::Database { action: "opened", reason: "no".to_owned() });
    let error = block_on(Worker::start("test", fail, drop)).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "the catalogue cannot be opened: no");
}

#[test]
fn it_may_be_let_go_of_by_its_own_job() {
    let worker = Arc::new(block_on(Worker::start("test", || Ok(()), drop)).unwrap());
    let own = Arc::clone(&worker);
    let (gone, is_gone) = mpsc::channel();
    let job: Job<()> = Box::new(move |()| {
        is_gone.recv().unwrap();
        drop(own);
    });
    worker.enqueue("written", job).unwrap();
    let ended = worker.ended.clone();
    drop(worker);
    gone.send(()).unwrap();
    // The last owner was the thread itself, which must not wait for its own end.
    let _ = block_on(ended);
}
