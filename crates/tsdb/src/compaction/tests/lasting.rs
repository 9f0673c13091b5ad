//! What was deleted stays deleted, and what came afterwards stays, whatever a crash or a failing disk leaves on it.

use super::*;

fn hours(start: i64, end: i64) -> TimeRange {
    TimeRange { start: TimestampMs(start * HOUR), end: TimestampMs(end * HOUR - 1) }
}

fn without(mut content: Content, number: i64, range: TimeRange) -> Content {
    if let Some(samples) = content.get_mut(&number) {
        samples.retain(|at, _| !range.contains(TimestampMs(*at)));
    }
    content.retain(|_, samples| !samples.is_empty());
    content
}

#[test]
fn a_block_that_is_gone_does_not_come_back_from_the_log() {
    // Of series that have full chunks in files, a start takes nothing older from the log. Those of four hours have none.
    for (by_size, hours_written) in [(false, 5), (true, 5), (false, 4), (true, 4)] {
        let disk = empty_disk();
        let opened = open(&disk);
        let mut expected = minutes(0..3, 0..hours_written, 0);
        // Too few in the head to fill a chunk.
        let is_due = |at: i64| at < 2 * HOUR || at / 60_000 % 10 == 0;
        expected.values_mut().for_each(|samples| samples.retain(|at, _| is_due(*at)));
        opened.append(&expected);
        opened.maintain();
        assert_eq!(opened.metas().iter().map(|meta| meta.max_time).collect::<Vec<_>>(), [2 * HOUR]);
        let opened = match by_size {
            false => {
                opened.db.delete(&[], hours(0, 2)).unwrap();
                opened.db.clean_tombstones().unwrap();
                opened
            }
            true => {
                drop(opened);
                let opened = open_at(&disk, DIRECTORY, Settings { retention_bytes: Some(0), ..Settings::default() });
                opened.maintain();
                opened
            }
        };
        assert_eq!(opened.metas(), []);
        expected.values_mut().for_each(|samples| samples.retain(|at, _| *at >= 2 * HOUR));
        assert!(opened.content() == expected);
        for crashed in [disk.after_process_crash(), disk.after_power_cut(|unsynced| unsynced)] {
            assert!(open(&crashed).content() == expected, "by size: {by_size}, {hours_written} hours");
        }
        // The head goes on as before.
        let more = minutes(0..3, 5..12, 1);
        opened.append(&more);
        add(&mut expected, &more);
        assert!(open(&disk.after_process_crash()).content() == expected);
    }
}

#[test]
fn what_replaces_deleted_samples_outlives_starts() {
    let disk = empty_disk();
    let mut opened = open(&disk);
    opened.append(&minutes(0..2, 0..1, 0));
    opened.db.delete(&[], TimeRange::ALL).unwrap();
    // The same times again, in order, and enough to fill chunks.
    let expected = minutes(0..2, 0..3, 5);
    opened.append(&expected);
    for start in 0..3 {
        assert!(opened.content() == expected, "start {start}");
        opened.maintain();
        assert!(opened.content() == expected, "start {start}");
        opened = open_again(opened, &disk);
    }
}

#[test]
fn parents_of_a_merge_that_was_merged_do_not_come_back() {
    let disk = empty_disk();
    let opened = open(&disk);
    let mut expected = Content::new();
    let mut first = None;
    for hour in 0..26 {
        let more = minutes(0..2, hour..hour + 1, 0);
        opened.append(&more);
        add(&mut expected, &more);
        opened.maintain();
        if first.is_none() && !opened.metas().is_empty() {
            first = Some(opened.db.shared().blocks.all());
        }
    }
    assert!(opened.metas()[0].compaction.level > 2, "{:?}", opened.metas()[0].compaction);
    opened.db.delete(&[named(1)], hours(0, 1)).unwrap();
    let expected = without(expected, 1, hours(0, 1));
    assert!(opened.content() == expected);
    assert!(open(&disk.after_process_crash()).content() == expected, "while the first block is read");
    drop(first);
    opened.maintain();
    assert_eq!(block_directories(&disk).len(), opened.metas().len(), "when nobody reads it, nothing is left");
    assert!(open(&disk.after_process_crash()).content() == expected);
}

/// Late samples are written out, deleted, and blocks merged, while one access to the disk fails, or all from one on.
#[test]
fn what_failed_on_its_way_does_not_bring_deleted_samples_back() {
    for (reads, lasting) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut at = 0;
        loop {
            let disk = empty_disk();
            let opened = open(&disk);
            let mut content = minutes(0..3, 0..6, 0);
            opened.append(&content);
            opened.maintain();
            let late = minutes(5..7, 1..3, 0);
            opened.append(&late);
            add(&mut content, &late);
            let before = if reads { disk.reads() } else { disk.changes() };
            let fault = Fault { at: before + at, error: io::ErrorKind::Other, torn: 0, lasting };
            if reads {
                disk.inject_read(fault);
            } else {
                disk.inject(fault);
            }
            opened.maintain();
            let deleted = opened.db.delete(&[named(5)], hours(0, 3));
            let is_over = if reads { disk.reads() } else { disk.changes() } <= before + at;
            disk.heal();
            let expected = match deleted {
                Ok(_) => without(content.clone(), 5, hours(0, 3)),
                Err(_) => {
                    opened.db.delete(&[named(5)], hours(0, 3)).unwrap();
                    without(content.clone(), 5, hours(0, 3))
                }
            };
            assert!(opened.content() == expected, "{at}, reads: {reads}, lasting: {lasting}");
            assert!(
                open(&disk.after_process_crash()).content() == expected,
                "{at}, reads: {reads}, lasting: {lasting}"
            );
            opened.maintain();
            opened.db.clean_tombstones().unwrap();
            assert!(
                open(&disk.after_process_crash()).content() == expected,
                "{at} after cleaning, reads: {reads}, lasting: {lasting}"
            );
            if is_over {
                break;
            }
            at += 1;
        }
        assert!(at > if reads { 2 } else { 50 }, "{at}");
    }
}
