//! Callers that go away: the tables and the snapshot stay one.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use catalog::*;
use futures_executor::block_on;

use crate::fixture::*;

/// Polls a creation so often, yields in between as `pause` says, and drops it.
fn abandon(f: &Fixture, name: &str, polls: usize, pause: impl Fn()) -> bool {
    let id = workspace(name);
    let mut change = pin!(f.store.put_workspace(&f.actor, &id, with_defaults(), Precondition::None));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let Poll::Ready(outcome) = change.as_mut().poll(&mut context) {
            outcome.unwrap();
            return true;
        }
        pause();
    }
    false
}

/// What the tables hold is what readers saw, and observers heard of all of it.
fn check(f: &mut Fixture, expected: &[String]) {
    // Comes after what was abandoned, as all changes wait in one line.
    block_on(f.store.declare("done")).unwrap();
    let seen = f.snapshot();
    let told =
        f.seen.take().iter().flat_map(|(_, changes)| changes).filter(|c| matches!(c, Change::Workspace(_))).count();
    f.reopen();
    let kept = f.snapshot();
    let names = |snapshot: &Snapshot| -> Vec<String> {
        snapshot.workspaces().values().map(|workspace| workspace.envelope.id.name().to_owned()).collect()
    };
    assert_eq!(names(&seen), names(&kept));
    assert_eq!(names(&kept), expected);
    assert_eq!(kept.rules().len(), expected.len());
    assert_eq!(told, usize::from(!expected.is_empty()), "one creation a round");
}

#[test]
fn a_change_that_nobody_waits_for_is_made_or_not_begun() {
    let mut f = Fixture::new(Backend::File);
    let mut expected = Vec::new();
    for polls in 0..12 {
        let name = format!("ws{polls:02}");
        abandon(&f, &name, polls, std::thread::yield_now);
        // Not polled: not begun. Polled at all: made.
        if polls > 0 {
            expected.push(name);
        }
        check(&mut f, &expected);
    }
}

#[test]
fn dropping_future_and_store_together_finishes_what_was_begun() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let clock = testkit::ManualClock::new(environment::UnixTime::from_millis(START_MS));
    for round in 0..10 {
        let store = open(&path, &clock, 100 + round).unwrap();
        let actor = Actor::program("test");
        let id = uuid::Uuid::from_u128(u128::from(round));
        {
            let mut change = pin!(store.put_subscription(&actor, id, "main"));
            let mut context = Context::from_waker(Waker::noop());
            // Whether it is answered already depends on how fast the other thread is.
            let _ = change.as_mut().poll(&mut context);
        }
        drop(store);
        let store = open(&path, &clock, 200 + round).unwrap();
        assert!(store.catalog().snapshot().subscriptions().contains_key(&id), "round {round}");
    }
}

#[test]
fn many_callers_change_at_once() {
    let f = Arc::new(Fixture::new(Backend::File));
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let f = Arc::clone(&f);
            std::thread::spawn(move || {
                for n in 0..10 {
                    abandon(&f, &format!("gone-{thread}-{n}"), n % 3, std::thread::yield_now);
                    f.try_workspace(&workspace(&format!("ws-{thread}-{n}")), with_defaults()).unwrap();
                    // All of them want one resource, each with what it read: exactly one wins each round.
                    let etag = f.snapshot().group_by_id(&group("g")).unwrap().envelope.etag.clone();
                    let spec = GroupSpec { location: "local".to_owned(), ..GroupSpec::default() };
                    match block_on(f.store.put_group(&f.actor, &group("g"), spec, Precondition::Match(etag))) {
                        Ok(_) | Err(StoreError::PreconditionFailed { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let mut f = Arc::into_inner(f).unwrap();
    let revisions: Vec<u64> = f.seen.take().iter().map(|(revision, _)| *revision).collect();
    assert!(revisions.is_sorted_by(|one, other| one + 1 == *other), "{revisions:?}");
    let seen = f.snapshot();
    assert!(seen.workspaces().len() >= 80);
    f.reopen();
    assert!(f.snapshot().workspaces().values().eq(seen.workspaces().values()));
    assert!(f.snapshot().groups().values().eq(seen.groups().values()));
}
