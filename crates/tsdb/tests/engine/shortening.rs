//! The log after samples went to blocks: shorter, and what is left of it tells the rest.

use environment::UnixTime;
use model::{Metadata, TimestampMs};
use storage::{Queryable as _, Storage as _};
use testkit::{Fault, MemoryDisk};
use tsdb::{Db, Settings};

use crate::support::{DIRECTORY, Value, commit, labels, open_with, select_all, settings, wait};

const START: i64 = 1_700_006_400_000;

fn small() -> Settings {
    Settings { segment_bytes_max: 1500, ..settings() }
}

/// Six hours of a sample every 45 seconds, of series some of which end and others begin.
fn write(db: &Db, steps: std::ops::Range<i64>) {
    for step in steps {
        let at = START + step * 45_000;
        let all: Vec<_> = (0..8).map(|number| labels(&[("number", &(number + step / 100).to_string())])).collect();
        let samples: Vec<_> = all.iter().map(|series| (series, at, (step as f64).into())).collect();
        assert!(commit(db, &samples).unwrap().rejected.is_empty());
        let mut appender = db.appender(TimestampMs(at));
        appender.set_metadata("m", Metadata { help: format!("Hour {}.", step / 80), ..Metadata::default() });
        wait(appender.commit()).unwrap();
    }
}

fn maintain(db: &Db) {
    // What was written to blocks is cut off the head by the next round.
    for _ in 0..2 {
        db.maintain(UnixTime::from_millis((START + 6 * 3_600_000) as u64)).unwrap();
    }
}

fn names(disk: &MemoryDisk, part: &str) -> Vec<String> {
    let names = disk.paths().into_iter().map(|path| path.strip_prefix(DIRECTORY).unwrap().display().to_string());
    names.filter(|name| name.starts_with(part)).collect()
}

/// Blocks, head and log together: what is stored, and what metrics are.
#[expect(clippy::type_complexity, reason = "compared, never taken apart")]
fn all(db: &Db) -> (Vec<(model::Labels, Vec<(i64, Value)>)>, Vec<(String, Metadata)>) {
    (select_all(db), db.metadata())
}

#[test]
fn the_log_is_shortened_and_starts_find_everything() {
    let disk = MemoryDisk::new();
    let db = open_with(&disk, small());
    write(&db, 0..480);
    let (before, segments) = (all(&db), names(&disk, "wal/"));
    assert!(segments.len() > 10, "{segments:?}");
    maintain(&db);
    assert!(all(&db) == before);
    let left = names(&disk, "wal/");
    assert!(left.iter().any(|name| name.starts_with("wal/checkpoint.")) && !left.contains(&segments[0]), "{left:?}");
    assert!(left.len() < segments.len() / 2 + 2, "{left:?}");
    assert!(!names(&disk, "chunks_head/").is_empty());

    let crashed = disk.after_process_crash();
    let again = open_with(&crashed, small());
    assert!(all(&again) == before);
    let recovery = again.recovery();
    assert!(recovery.damage.is_empty() && recovery.without_series == 0, "{recovery:?}");
    assert!(recovery.head_chunks > 0 && recovery.samples < 8 * 480 / 2, "{recovery:?}");

    // And once more, with what came since.
    write(&again, 480..700);
    maintain(&again);
    let after = all(&again);
    assert_eq!(names(&crashed, "wal/checkpoint.").len(), 1);
    assert!(all(&open_with(&crashed.after_process_crash(), small())) == after);
}

#[test]
fn a_disk_that_fails_while_the_log_is_shortened_loses_nothing() {
    let disk = MemoryDisk::new();
    let db = open_with(&disk, small());
    write(&db, 0..480);
    let before = all(&db);
    db.close().unwrap();
    let whole = disk.after_process_crash();
    let trial = whole.after_process_crash();
    let db = open_with(&trial, small());
    let opened = trial.changes();
    maintain(&db);
    let changes = trial.changes();
    drop(db);
    for at in (opened..changes).step_by(7) {
        let disk = whole.after_process_crash();
        let db = open_with(&disk, small());
        disk.inject(Fault { at, error: std::io::ErrorKind::StorageFull, torn: 50, lasting: true });
        let _ = db.maintain(UnixTime::from_millis((START + 6 * 3_600_000) as u64));
        assert!(all(&db) == before, "change {at}");
        let crashed = disk.after_process_crash();
        assert!(all(&open_with(&crashed, small())) == before, "change {at}");
        disk.heal();
        maintain(&db);
        assert!(all(&db) == before, "change {at}");
        assert!(all(&open_with(&disk.after_process_crash(), small())) == before, "change {at}");
    }
}
