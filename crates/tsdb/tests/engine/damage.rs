//! Bytes of the log that are not what was written: named, set aside, and the rest kept.

use std::path::Path;

use environment::Disk;
use model::TimestampMs;
use storage::AppendError;
use testkit::MemoryDisk;
use tsdb::Settings;
use tsdb_format::wal::frame::FrameWriter;
use tsdb_format::wal::record::{SampleEncoder, SeriesEncoder, WalRef};

use crate::support::{DIRECTORY, append, commit, labels, open, open_with, select_all, settings, try_open};

/// One series per batch, each batch of many samples, so that there are several pages.
fn written(settings: Settings) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let db = open_with(&disk, settings);
    for batch in 0..60 {
        let series = labels(&[("batch", &format!("{batch:02}"))]);
        let noise = |step: i64| f64::from_bits((step as u64 * 60 + batch).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2);
        let samples: Vec<_> = (0..200).map(|step| (&series, step * 977, noise(step).into())).collect();
        commit(&db, &samples).unwrap();
    }
    disk
}

#[test]
fn damage_in_the_middle_is_set_aside() {
    let disk = written(settings());
    let segment = Path::new(DIRECTORY).join("wal/00000000");
    let mut bytes = disk.read(&segment).unwrap();
    assert!(bytes.len() > 3 * 32_768);
    bytes[50_000] ^= 0x10;
    disk.put(&segment, bytes.clone());

    let db = open(&disk);
    let [damage] = &db.recovery().damage[..] else { panic!("{:?}", db.recovery()) };
    let place = damage.offset as usize..(damage.offset + damage.bytes) as usize;
    assert!(place.contains(&50_000) && place.len() <= 2 * 32_768, "{damage:?}");
    assert_eq!(damage.file, segment);
    assert_eq!(disk.read(&damage.set_aside).unwrap(), bytes[place]);
    let found = select_all(&db);
    assert!((40..60).contains(&found.len()), "{} series left", found.len());
    assert!(found.iter().all(|(_, samples)| samples.len() == 200));

    let again = open(&disk.after_power_cut(|_| 0));
    assert!(again.recovery().damage.is_empty(), "the segment was rewritten without it");
    assert_eq!(select_all(&again), found);
}

#[test]
fn damage_in_an_earlier_segment_leaves_the_later_ones() {
    let small = Settings { segment_bytes_max: 40_000, ..settings() };
    let disk = written(small.clone());
    let segment = Path::new(DIRECTORY).join("wal/00000001");
    let length = disk.read(&segment).unwrap().len();
    // Cut short, which at the end of the last segment would be a torn tail; here it is not.
    disk.put(&segment, disk.read(&segment).unwrap()[..length - 3].to_vec());
    let db = open_with(&disk, small);
    assert_eq!(db.recovery().damage.len(), 1);
    assert_eq!(select_all(&db).len(), 59);
    assert_eq!(db.recovery().torn_bytes, 0);
}

#[test]
fn any_damaged_byte_is_noticed_and_never_believed() {
    let disk = written(Settings { segment_bytes_max: 20_000, ..settings() });
    let all = select_all(&open(&disk.after_process_crash()));
    let segment = Path::new(DIRECTORY).join("wal/00000002");
    let bytes = disk.read(&segment).unwrap();
    for at in (0..bytes.len()).step_by(67) {
        let damaged = disk.after_process_crash();
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        damaged.put(&segment, bytes);
        let db = open(&damaged);
        let recovery = db.recovery();
        assert!(!recovery.damage.is_empty(), "a flipped bit at {at}: {recovery:?}");
        for series in select_all(&db) {
            assert!(all.contains(&series), "a flipped bit at {at} was believed");
        }
    }
}

#[test]
fn a_start_that_dies_while_mending_is_no_harm() {
    let disk = written(settings());
    let segment = Path::new(DIRECTORY).join("wal/00000000");
    let mut bytes = disk.read(&segment).unwrap();
    bytes[50_000] ^= 0x10;
    disk.put(&segment, bytes);
    let whole = disk.after_process_crash();
    let expected = select_all(&open(&whole));
    for at in 0..whole.changes() {
        let failing = disk.after_process_crash();
        failing.inject(testkit::Fault { at, error: std::io::ErrorKind::Other, torn: 100, lasting: true });
        let opened = try_open(&failing, settings());
        let outcome = opened.map(|db| db.close());
        let db = open(&failing.after_process_crash());
        assert_eq!(select_all(&db), expected, "change {at}: {outcome:?}");
    }
}

#[test]
fn samples_whose_series_is_lost_never_become_another_one_s() {
    let disk = MemoryDisk::new();
    for (log, time) in [("wal", 1000), ("wbl", 500)] {
        let mut samples = SampleEncoder::default();
        samples.push(WalRef(1), TimestampMs(time), 7.0);
        let mut framed = Vec::new();
        FrameWriter::new(0).frame(samples.record(), &mut framed);
        disk.create_directory(&Path::new(DIRECTORY).join(log)).unwrap();
        disk.put(Path::new(DIRECTORY).join(log).join("00000000"), framed);
    }
    let settings = Settings { out_of_order_window: None, ..settings() };
    let db = open_with(&disk, settings.clone());
    assert_eq!(db.recovery().without_series, 2);
    let other = labels(&[("other", "series")]);
    commit(&db, &[(&other, 2000, 1.0.into())]).unwrap();
    commit(&db, &[(&other, 1500, 2.0.into())]).unwrap();
    let expected = vec![(other, vec![(1500, 2.0.into()), (2000, 1.0.into())])];
    assert_eq!(select_all(&db), expected);
    assert_eq!(select_all(&open_with(&disk.after_process_crash(), settings)), expected);
}

#[test]
fn late_samples_are_known_also_where_a_power_cut_took_what_they_were_late_to() {
    let disk = MemoryDisk::new();
    let series = labels(&[("a", "series")]);
    let mut record = SeriesEncoder::default();
    record.push(WalRef(1), &series);
    let samples = |at| {
        let mut samples = SampleEncoder::default();
        samples.push(WalRef(1), TimestampMs(at), 7.0);
        samples.record().to_vec()
    };
    // Of the log of what comes in order, nothing after the first second was synced.
    for (log, records) in [("wal", vec![record.record().to_vec(), samples(1000)]), ("wbl", vec![samples(5000)])] {
        let (mut frames, mut framed) = (FrameWriter::new(0), Vec::new());
        records.iter().for_each(|record| frames.frame(record, &mut framed));
        disk.create_directory(&Path::new(DIRECTORY).join(log)).unwrap();
        disk.put(Path::new(DIRECTORY).join(log).join("00000000"), framed);
    }
    let db = open_with(&disk, Settings { out_of_order_window: None, ..settings() });
    let at = TimestampMs(5000);
    assert_eq!(append(&db, &series, at.0, 8.0), Some(AppendError::DuplicateTimestamp { at }));
    assert_eq!(append(&db, &series, at.0, 7.0), None);
    assert_eq!(append(&db, &series, 4000, 4.0), None);
    assert_eq!(append(&db, &series, 6000, 6.0), None);
    let expected = [(1000, 7.0.into()), (4000, 4.0.into()), (5000, 7.0.into()), (6000, 6.0.into())];
    assert_eq!(select_all(&db), [(series, expected.to_vec())]);
}
