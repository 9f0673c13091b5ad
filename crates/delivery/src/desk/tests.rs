//! The bounds of what is at hand.

use std::path::Path;

use bytes::Bytes;
use futures_util::FutureExt;
use remote_write::Version;
use spool::{Counts, NewEntry, Settings};
use testkit::{MemoryDisk, SeededRng, Simulation};

use super::*;

const BODY_BYTES: usize = 1000;

fn desk(policy: Policy, entries: u32) -> (Simulation, Desk) {
    let simulation = Simulation::new(UnixTime::from_secs(1_800_000_000));
    let clock: Arc<dyn Clock> = Arc::new(simulation.clock());
    let disk = Arc::new(MemoryDisk::new());
    let (spool, _) =
        Spool::open_without_threads(disk, Arc::clone(&clock), Path::new("/queue"), Settings::default()).unwrap();
    for number in 0..entries {
        let entry = NewEntry {
            version: Version::V1,
            body: Bytes::from(vec![0; BODY_BYTES]),
            tally: Counts { samples: 1, ..Counts::default() },
            series: Arc::new([number]),
        };
        spool.append(entry).now_or_never().unwrap().unwrap();
    }
    let desk = Desk::new(clock, Arc::new(SeededRng::new(1)), spool, policy, Arc::default());
    (simulation, desk)
}

/// Reads as long as the desk wants to.
fn fill(desk: &mut Desk) -> usize {
    while let Some(after) = desk.wants_entry() {
        let Some(read) = desk.spool.next(after).now_or_never() else { break };
        desk.entry(read);
    }
    desk.window.len()
}

#[test]
fn entries_at_hand_are_bounded_in_bytes() {
    let policy = Policy { window_bytes_max: 10 * BODY_BYTES, ..Policy::default() };
    let (_simulation, mut desk) = desk(policy, 100);
    let count = fill(&mut desk);
    assert!((8..=11).contains(&count), "{count}");
    assert!(desk.window.bytes() <= 12 * BODY_BYTES);
}

#[test]
fn entries_at_hand_are_bounded_in_number() {
    let policy = Policy { in_flight_max: 2, ..Policy::default() };
    let (_simulation, mut desk) = desk(policy, 100);
    assert_eq!(fill(&mut desk), 2 * ENTRIES_PER_REQUEST);
    assert_eq!(std::iter::from_fn(|| desk.depart()).count(), 2);
}

#[test]
fn behind_a_closed_gate_little_is_at_hand() {
    let policy = Policy { in_flight_max: 2, ..Policy::default() };
    let (_simulation, mut desk) = desk(policy, 100);
    let now = desk.now();
    let epoch = desk.gate.leave();
    desk.gate.failed(epoch, "unreachable", None, Duration::from_secs(1), now.monotonic, now.wall);
    assert_eq!(fill(&mut desk), 2);
    assert!(desk.depart().is_none());
    assert!(desk.wake_in().is_some_and(|wait| wait <= Duration::from_secs(1)));
}

#[test]
fn what_the_queue_gave_up_is_not_sent() {
    let (_simulation, mut desk) = desk(Policy::default(), 2);
    fill(&mut desk);
    let expired = vec![(spool::Expiry::Space, Counts { samples: 1, ..Counts::default() })];
    desk.spool.settle(EntryId(1), Outcome { expired, ..Outcome::default() });
    assert_eq!(desk.depart().map(|departure| departure.ticket.id), Some(EntryId(2)));
    assert!(desk.depart().is_none());
    assert_eq!(desk.window.len(), 1);
}

#[test]
fn what_is_damaged_on_disk_is_accounted_for() {
    let (_simulation, mut desk) = desk(Policy::default(), 3);
    desk.entry(Err(ReadError::Damaged(EntryId(1))));
    assert_eq!(fill(&mut desk), 2);
    let ledger = desk.spool.ledger();
    assert_eq!(ledger.rejected, [(Rejection::Damaged, Counts { samples: 1, ..Counts::default() })]);
    desk.entry(Err(ReadError::Disk("broken".into())));
    assert!(desk.wants_entry().is_none(), "it is tried again later");
    assert!(desk.wake_in().is_some_and(|wait| wait <= READ_AGAIN_AFTER));
}

#[test]
fn the_bound_on_bodies_is_between_what_is_taken_and_what_is_refused() {
    let now = Monotonic::from_duration(Duration::from_secs(1));
    let mut learned = Learned::default();
    learned.taken(100);
    assert_eq!(learned.body_bytes_max, None);
    assert_eq!(learned.refused_for_size(8000, None, now), 7000);
    assert_eq!(learned.refused_for_size(9000, Some(7500), now), 7000, "the least is kept");
    learned.taken(7200);
    assert_eq!(learned.body_bytes_max, Some((7200, now)), "one that cannot be cut was taken");
    assert_eq!(learned.refused_for_size(7600, None, now), 7200, "never below what was taken");
    assert_eq!(learned.refused_for_size(7600, Some(7100), now), 7200);
    assert_eq!(learned.refused_for_size(4000, None, now), 3500, "the bound was lowered");
    learned.taken(3000);
    assert_eq!(learned.refused_for_size(3200, Some(1000), now), 3000);
}
