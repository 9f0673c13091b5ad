//! The threads under load: with a disk that fails now and then, and killed at any moment.

use std::io::ErrorKind;
use std::sync::atomic::AtomicU32;

use parking_lot::Mutex;
use testkit::Fault;

use super::*;

const SENDERS: u32 = 3;
const REQUESTS: u32 = 400;

/// Senders that send again what was refused, and a deliverer; every sixteenth request, something happens beside it.
fn run(
    settings: Settings,
    disk: &MemoryDisk,
    meanwhile: impl Fn(&Mutex<Vec<EntryId>>) + Send + std::marker::Sync,
) -> (Spool, u64) {
    let (shared, clock) = (Arc::new(disk.clone()), Arc::new(clock()));
    let (spool, _) = Spool::open(shared, clock, Path::new(DIRECTORY), settings).unwrap();
    let acknowledged = Mutex::new(Vec::new());
    let number = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                for _ in 0..REQUESTS {
                    let number = number.fetch_add(1, Ordering::Relaxed);
                    if number.is_multiple_of(16) {
                        meanwhile(&acknowledged);
                    }
                    let request = request(number);
                    loop {
                        match wait(spool.append(request.clone())) {
                            Ok(Appended::Kept(id)) => break acknowledged.lock().push(id),
                            Err(AppendError::Disk(_) | AppendError::Full { .. }) => std::thread::yield_now(),
                            other => panic!("{other:?}"),
                        }
                    }
                }
            });
        }
        scope.spawn(|| {
            let mut after = None;
            for _ in 0..SENDERS * REQUESTS {
                let entry = wait(spool.next(after)).unwrap().unwrap();
                after = Some(entry.id);
                spool.settle(entry.id, Outcome::delivered(entry.tally));
            }
        });
    });
    let count = acknowledged.lock().len() as u64;
    (spool, count)
}

fn all() -> Counts {
    (0..SENDERS * REQUESTS).fold(Counts::default(), |sum, number| crate::totals::plus(sum, tally(number)))
}

#[test]
fn a_disk_that_fails_now_and_then_costs_nothing_that_was_acknowledged() {
    for sync in [Sync::EveryRequest, Sync::Interval(Duration::from_millis(1))] {
        let disk = MemoryDisk::new();
        let settings = Settings { sync, bytes_max: 100_000, cached_bytes_max: 2000, ..settings() };
        let (spool, count) = run(settings, &disk, |_| {
            let at = disk.changes() + 2;
            disk.inject(Fault { at, error: ErrorKind::StorageFull, torn: at as usize % 100, lasting: false });
        });
        assert!(spool.stats().append_errors > 5, "{:?}", spool.stats());
        disk.heal();
        let ledger = spool.ledger();
        assert_eq!((ledger.received, ledger.delivered), (all(), all()));
        assert_eq!(count, u64::from(SENDERS * REQUESTS));
        spool.close().unwrap();
        assert_eq!(read_ledger(&disk, Path::new(DIRECTORY)).unwrap(), ledger);
    }
}

#[test]
fn killed_at_any_moment_under_load() {
    let disk = MemoryDisk::new();
    let settings = Settings { sync: Sync::Interval(Duration::from_millis(1)), ..settings() };
    let kills = AtomicU32::new(0);
    let (spool, _) = run(settings.clone(), &disk, |acknowledged| {
        let known: Vec<u64> = acknowledged.lock().iter().map(|id| id.0).collect();
        let left = disk.after_process_crash();
        let (again, _) = open(&left, &clock(), settings.clone());
        let ledger = again.ledger();
        let (mut waiting, mut after) = (Counts::default(), None);
        while let Some(entry) = next(&again, after) {
            waiting += entry.tally;
            after = Some(entry.id);
        }
        assert_eq!((ledger.queued, &ledger.rejected[..]), (waiting, &[][..]));
        assert_eq!(ledger.received, crate::totals::plus(ledger.delivered, waiting));
        assert_eq!(read_ledger(&left, Path::new(DIRECTORY)).unwrap(), ledger);
        // Ids are not used again: none that was acknowledged is new now.
        let new = append(&again, 1).0;
        assert!(known.iter().all(|id| *id < new), "an acknowledged request is gone");
        kills.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(kills.into_inner(), SENDERS * REQUESTS / 16);
    assert_eq!(spool.ledger().delivered, all());
}
