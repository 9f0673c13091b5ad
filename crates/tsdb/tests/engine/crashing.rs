//! Disks that fail and processes that die: what was answered is there, what was not may be, nothing else is.

use std::io;

use model::Labels;
use storage::CommitError;
use testkit::{Fault, MemoryDisk};
use tsdb::{Db, OpenError, Settings, WalSync};

use crate::support::{DIRECTORY, Value, commit, labels, open, open_with, select_all, settings, try_open};

fn series(number: i64) -> Labels {
    labels(&[("__name__", "up"), ("number", &format!("{number:010}"))])
}

/// Twelve batches: a few series each, some of them new, three samples a series. Returns how many were answered.
fn work(db: &Db) -> Result<(), (i64, CommitError)> {
    for batch in 0..BATCHES {
        commit_batch(db, batch).map_err(|error| (batch, error))?;
    }
    Ok(())
}

const BATCHES: i64 = 12;

fn commit_batch(db: &Db, batch: i64) -> Result<(), CommitError> {
    let all: Vec<Labels> = (batch..batch + 4).map(series).collect();
    let samples: Vec<(&Labels, i64, Value)> = all
        .iter()
        .flat_map(|labels| (0..3).map(move |step| (labels, (batch * 3 + step) * 15_000, (batch as f64).into())))
        .collect();
    let committed = commit(db, &samples)?;
    assert_eq!(committed.samples, 12);
    Ok(())
}

/// What is stored after the first `batches`.
fn expected(batches: i64) -> Vec<(Labels, Vec<(i64, Value)>)> {
    let db = open(&MemoryDisk::new());
    (0..batches).for_each(|batch| commit_batch(&db, batch).unwrap());
    select_all(&db)
}

/// `small`: several segments.
fn sizes(small: bool) -> Settings {
    Settings { segment_bytes_max: if small { 600 } else { 128 << 20 }, ..settings() }
}

#[test]
fn every_cut_of_the_log_keeps_whole_batches() {
    for small in [false, true] {
        let disk = MemoryDisk::new();
        work(&open_with(&disk, sizes(small))).unwrap();
        let segment = disk.paths().into_iter().rfind(|path| path.parent().unwrap().ends_with("wal")).unwrap();
        let bytes = environment::Disk::read(&disk, &segment).unwrap();
        let states: Vec<_> = (0..=BATCHES).map(expected).collect();
        let mut last = 0;
        for length in 0..=bytes.len() {
            let cut = disk.after_process_crash();
            cut.put(&segment, bytes[..length].to_vec());
            let db = open_with(&cut, sizes(small));
            let found = select_all(&db);
            let batches = states.iter().position(|state| *state == found);
            // A batch is several records only when it is large, so a cut never leaves half of one.
            let batches = batches.unwrap_or_else(|| panic!("cut at {length}: half a batch: {found:?}"));
            assert!(batches >= last, "cut at {length}: less than a shorter log has");
            last = batches;
            assert!(db.recovery().damage.is_empty(), "cut at {length}: {:?}", db.recovery());
            // What follows is readable at the next start.
            let next = labels(&[("after", "crash")]);
            commit(&db, &[(&next, 1, 1.0.into())]).unwrap();
            let again = open_with(&cut.after_process_crash(), sizes(small));
            assert_eq!(again.recovery().torn_bytes, 0, "cut at {length}: the tail was mended");
            assert_eq!(select_all(&again).len(), states[batches].len() + 1, "cut at {length}");
        }
        assert_eq!(last, BATCHES as usize);
    }
}

#[test]
fn why_a_database_cannot_be_opened_is_said_once() {
    let disk = MemoryDisk::new();
    disk.inject(Fault { at: 0, error: io::ErrorKind::StorageFull, torn: 0, lasting: true });
    let Err(error) = try_open(&disk, settings()) else { panic!("the disk is full") };
    let cause = std::error::Error::source(&*error).expect("what the system says").to_string();
    let text = error.to_string();
    assert!(text.contains(DIRECTORY) && !text.contains(&cause), "{text}: {cause}");
}

#[test]
fn a_disk_that_fails_at_any_change_loses_nothing_answered() {
    for every_commit in [false, true] {
        let settings =
            Settings { wal_sync: if every_commit { WalSync::EveryCommit } else { settings().wal_sync }, ..sizes(true) };
        let healthy = MemoryDisk::new();
        work(&open_with(&healthy, settings.clone())).unwrap();
        let changes = healthy.changes();
        assert!(changes > 20, "the test reaches many kinds of changes");
        for at in 0..changes {
            for torn in [0, 1, 40, 1 << 20] {
                let disk = MemoryDisk::new();
                disk.inject(Fault { at, error: io::ErrorKind::StorageFull, torn, lasting: torn != 1 });
                let answered = match try_open(&disk, settings.clone()) {
                    Err(error) if matches!(*error, OpenError::Disk { .. }) => 0,
                    Err(error) => panic!("{error}"),
                    Ok(db) => {
                        let outcome = work(&db);
                        if let Err((_, error)) = &outcome {
                            assert!(matches!(error, CommitError::Log(_)), "{error}");
                            assert!(db.stats().wal_failed);
                            // Nothing is taken while the disk has no room; afterwards it depends on what failed.
                            assert!(torn == 1 || commit(&db, &[(&series(999), 1, 1.0.into())]).is_err());
                        }
                        let answered = outcome.map_or_else(|(batches, _)| batches, |()| BATCHES);
                        assert_eq!(select_all(&db), expected(answered), "reads go on, change {at}");
                        answered
                    }
                };
                let restarts = if every_commit {
                    vec![disk.after_process_crash(), disk.after_power_cut(|_| 0), disk.after_power_cut(|rest| rest / 2)]
                } else {
                    vec![disk.after_process_crash()]
                };
                for restarted in restarts {
                    let db = open_with(&restarted, settings.clone());
                    let found = select_all(&db);
                    let one_more = (answered + 1).min(BATCHES);
                    assert!(
                        found == expected(answered) || found == expected(one_more),
                        "change {at}, torn {torn}: {answered} batches were answered, found {found:?}"
                    );
                    // Repeating everything that was not answered is safe and completes it.
                    (answered..BATCHES).for_each(|batch| commit_batch(&db, batch).unwrap());
                    assert_eq!(select_all(&db), expected(BATCHES), "change {at}");
                }
            }
        }
    }
}

#[test]
fn a_power_cut_keeps_a_prefix() {
    let disk = MemoryDisk::new();
    let db = open_with(&disk, sizes(true));
    work(&db).unwrap();
    let mut kept = Vec::new();
    for part in 0..=8 {
        let found = select_all(&open(&disk.after_power_cut(|unsynced| unsynced * part / 8)));
        let batches = (0..=BATCHES).position(|batches| expected(batches) == found);
        kept.push(batches.unwrap_or_else(|| panic!("{part}/8 of the unsynced bytes: no prefix: {found:?}")));
    }
    assert!(kept.is_sorted() && kept[8] == BATCHES as usize, "{kept:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a thread of the engine is waited for, but not for ever")]
fn the_interval_syncs_in_the_background() {
    let disk = MemoryDisk::new();
    let interval = std::time::Duration::from_millis(1);
    let db = open_with(&disk, Settings { wal_sync: WalSync::Interval(interval), ..settings() });
    commit_batch(&db, 0).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while select_all(&open(&disk.after_power_cut(|_| 0))) != expected(1) {
        assert!(std::time::Instant::now() < deadline, "no sync came");
        std::thread::yield_now();
    }
}

#[test]
fn many_senders_at_once() {
    let disk = MemoryDisk::new();
    let db = open(&disk);
    std::thread::scope(|scope| {
        for sender in 0..4i64 {
            let db = &db;
            scope.spawn(move || {
                for step in 0..50 {
                    let own = series(sender);
                    let shared = series(100 + step % 5);
                    let samples = [(&own, step, (step as f64).into()), (&shared, step, 1.0.into())];
                    let committed = commit(db, &samples).unwrap();
                    assert!(committed.samples >= 1, "nobody else writes the own series");
                }
            });
        }
    });
    let found = select_all(&db);
    assert_eq!(found.len(), 9);
    assert!((0..4).all(|sender| found[sender].1.len() == 50));
    assert_eq!(select_all(&open(&disk.after_process_crash())), found);
    assert!(db.stats().wal_writes <= 200);
}
