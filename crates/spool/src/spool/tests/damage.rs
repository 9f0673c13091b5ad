//! Files that a bad disk or a mistaken hand changed.

use std::ops::RangeInclusive;

use super::*;

const LOG: &str = "/queue/log";

fn segment(number: u32) -> PathBuf {
    Path::new(LOG).join(format!("{number:08}"))
}

fn index(number: u32) -> PathBuf {
    segment(number).with_extension("index")
}

fn sum(numbers: impl IntoIterator<Item = u32>) -> Counts {
    numbers.into_iter().fold(Counts::default(), |sum, number| crate::totals::plus(sum, tally(number)))
}

/// Thirty requests in four segments or so, of which every third is delivered.
fn filled() -> (MemoryDisk, ManualClock, Ledger) {
    let (disk, clock) = (MemoryDisk::new(), clock());
    let (spool, _) = open(&disk, &clock, Settings { segment_bytes_max: 2000, ..settings() });
    let ids: Vec<_> = (0..30).map(|number| append(&spool, number)).collect();
    for number in (0..30).step_by(3) {
        spool.settle(ids[number as usize], Outcome::delivered(tally(number)));
    }
    let ledger = spool.ledger();
    let disk = disk.after_process_crash();
    assert!(disk.paths().contains(&segment(4)), "{:?}", disk.paths());
    (disk, clock, ledger)
}

fn change(disk: &MemoryDisk, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = disk.read(path).unwrap();
    change(&mut bytes);
    disk.put(path, bytes);
}

/// Where the record of an entry is in a file.
fn record(disk: &MemoryDisk, path: &Path, number: u32) -> RangeInclusive<usize> {
    let NewEntry { body, .. } = request(number);
    let bytes = disk.read(path).unwrap();
    let at = bytes.windows(body.len()).position(|window| window == body).unwrap();
    at..=at + body.len() - 1
}

/// Reads all that waits; damaged entries are settled as such, as delivery does. Their tallies come back, too.
fn drain(spool: &Spool) -> (Vec<u32>, Counts) {
    let (mut read, mut damaged, mut after) = (Vec::new(), Counts::default(), None);
    loop {
        match now(spool.next(after)) {
            Some(Ok(Some(entry))) => {
                let number = u32::try_from(entry.tally.samples).unwrap() - 10;
                check_entry(&entry, number);
                read.push(number);
                after = Some(entry.id);
            }
            Some(Err(ReadError::Damaged(id))) => {
                let tally = spool.tally(id).unwrap();
                damaged += tally;
                spool.settle(id, Outcome::rejected(Rejection::Damaged, tally));
                after = Some(id);
            }
            None => return (read, damaged),
            other => panic!("{other:?}"),
        }
    }
}

/// Opens it, checks that `lost` is counted as damaged and all else is as before, twice.
#[track_caller]
fn check(disk: &MemoryDisk, clock: &ManualClock, before: &Ledger, lost: &[u32], set_aside: usize) {
    let mut expected = before.clone();
    expected.queued = crate::totals::minus(expected.queued, sum(lost.iter().copied()));
    if !lost.is_empty() {
        expected.rejected.push((Rejection::Damaged, sum(lost.iter().copied())));
    }
    for start in 0..3 {
        let (spool, recovery) = open(disk, clock, settings());
        let (read, _) = drain(&spool);
        let waiting: Vec<_> = (0..30).filter(|number| number % 3 != 0 && !lost.contains(number)).collect();
        assert_eq!((read, spool.ledger()), (waiting, expected.clone()), "start {start}");
        let copies = disk.list(Path::new("/queue/set-aside")).unwrap_or_default();
        assert_eq!(copies.len(), set_aside, "start {start}: {:?}", recovery.set_aside);
        assert_eq!(read_ledger(disk, Path::new(DIRECTORY)).unwrap(), expected, "start {start}");
    }
}

#[test]
fn a_damaged_body_costs_its_entry_whether_an_index_knows_it_or_not() {
    for indexed in [true, false] {
        let (disk, clock, ledger) = filled();
        let (first, last) = (segment(1), segment(4));
        let at = *record(&disk, &first, 4).start();
        change(&disk, &first, |bytes| bytes[at] ^= 1);
        if !indexed {
            disk.remove_file(&index(1)).unwrap();
        }
        check(&disk, &clock, &ledger, &[4], 1);

        let (disk, clock, ledger) = filled();
        let at = *record(&disk, &last, 28).start();
        change(&disk, &last, |bytes| bytes[at] ^= 1);
        check(&disk, &clock, &ledger, &[28], 1);
    }
}

#[test]
fn a_damaged_header_is_jumped_over_and_what_it_hid_is_counted() {
    let (disk, clock, ledger) = filled();
    let (before, body) = (*record(&disk, &segment(1), 3).end() + 1, *record(&disk, &segment(1), 4).end() + 1);
    // All of request 4, header and front included.
    change(&disk, &segment(1), |bytes| bytes[before..body].fill(0));
    disk.remove_file(&index(1)).unwrap();
    check(&disk, &clock, &ledger, &[4], 1);
}

#[test]
fn a_truncated_segment_costs_its_end() {
    for indexed in [true, false] {
        let (disk, clock, ledger) = filled();
        let lost_from = *record(&disk, &segment(2), 13).start();
        let lost: Vec<_> = (13..30)
            .filter(|number| number % 3 != 0)
            .filter(|number| {
                let body = request(*number).body;
                disk.read(&segment(2)).unwrap().windows(body.len()).any(|window| window == body)
            })
            .collect();
        change(&disk, &segment(2), |bytes| bytes.truncate(lost_from));
        if !indexed {
            disk.remove_file(&index(2)).unwrap();
        }
        check(&disk, &clock, &ledger, &lost, 0);
    }
}

#[test]
fn a_segment_that_is_gone_is_counted() {
    let (disk, clock, ledger) = filled();
    let lost: Vec<_> = (0..30u32)
        .filter(|number| number % 3 != 0)
        .filter(|number| {
            let body = request(*number).body;
            disk.read(&segment(2)).unwrap().windows(body.len()).any(|window| window == body)
        })
        .collect();
    disk.remove_file(&segment(2)).unwrap();
    check(&disk, &clock, &ledger, &lost, 0);
}

#[test]
fn the_account_survives_the_loss_of_the_oldest_checkpoint() {
    let (disk, clock, ledger) = filled();
    change(&disk, &segment(1), |bytes| bytes[40] ^= 1);
    disk.remove_file(&index(1)).unwrap();
    check(&disk, &clock, &ledger, &[], 1);
}

#[test]
fn indexes_are_a_help_not_a_need() {
    let damages: [fn(&mut Vec<u8>); 4] =
        [|bytes| bytes.clear(), |bytes| bytes.truncate(100), |bytes| bytes[60] ^= 4, |bytes| bytes.push(0)];
    for damage in damages {
        let (disk, clock, ledger) = filled();
        (1..4).for_each(|number| change(&disk, &index(number), damage));
        check(&disk, &clock, &ledger, &[], 0);
    }
}

#[test]
fn any_flipped_bit_is_noticed_and_costs_no_more_than_its_segment() {
    let (disk, clock, ledger) = filled();
    let before = ledger.received;
    for number in 1..=4 {
        let length = disk.read(&segment(number)).unwrap().len();
        for at in (0..length).step_by(13) {
            for indexed in [true, false] {
                let damaged = disk.after_process_crash();
                change(&damaged, &segment(number), |bytes| bytes[at] ^= 1 << (at % 8));
                if !indexed {
                    let _ = damaged.remove_file(&index(number));
                }
                let (spool, _) = open(&damaged, &clock, settings());
                let offline = spool.ledger();
                let (read, lost) = drain(&spool);
                let after = spool.ledger();
                assert_eq!(after.queued, sum(read.iter().copied()), "segment {number} at {at}");
                assert_eq!(offline.queued, crate::totals::plus(after.queued, lost));
                assert!(read.len() >= 10, "segment {number} at {at}: {read:?}");
                if number < 4 {
                    assert_eq!(after.received, before, "segment {number} at {at}");
                }
                drop(spool);
                let (again, _) = open(&damaged, &clock, settings());
                assert_eq!((drain(&again).0, again.ledger()), (read, after), "segment {number} at {at}");
            }
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_stops_the_start_with_a_mend() {
    let (disk, clock, _) = filled();
    disk.inject_read(testkit::Fault {
        at: disk.reads(),
        error: io::ErrorKind::PermissionDenied,
        torn: 0,
        lasting: true,
    });
    disk.remove_file(&index(1)).unwrap();
    let error = Spool::open_without_threads(Arc::new(disk), Arc::new(clock), Path::new(DIRECTORY), settings());
    let error = error.err().unwrap().to_string();
    assert!(error.contains("00000001") && error.contains("permissions"), "{error}");
}
