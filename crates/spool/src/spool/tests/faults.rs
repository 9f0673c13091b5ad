//! What is left after crashes, power cuts, full disks and failing ones.

use std::io::ErrorKind;

use proptest::prelude::*;
use testkit::Fault;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// This many requests, one after another.
    Append(u32),
    /// The oldest that wait are delivered.
    Deliver(u32),
    /// One that waits, wherever it stands, is settled in parts.
    Settle(u32),
    /// Time passes, in tenths of a second.
    Wait(u64),
}

/// What a sender and a deliverer know.
#[derive(Clone, Default)]
struct Known {
    next_number: u32,
    /// Acknowledged and not settled, by their ids; and the numbers of their requests.
    waiting: Vec<(EntryId, u32)>,
    settled: Vec<(EntryId, u32)>,
    refused: Vec<u32>,
}

fn run(spool: &Spool, clock: &ManualClock, known: &mut Known, step: &Step) {
    match *step {
        Step::Append(count) => {
            for _ in 0..count {
                let number = known.next_number;
                known.next_number += 1;
                match now(spool.append(request(number))) {
                    Some(Ok(Appended::Kept(id))) => known.waiting.push((id, number)),
                    Some(Err(AppendError::Disk(_))) => known.refused.push(number),
                    other => panic!("{other:?}"),
                }
            }
        }
        Step::Deliver(count) => {
            for _ in 0..count.min(known.waiting.len() as u32) {
                let (id, number) = known.waiting.remove(0);
                spool.settle(id, Outcome::delivered(tally(number)));
                known.settled.push((id, number));
            }
        }
        Step::Settle(which) => {
            if known.waiting.is_empty() {
                return;
            }
            let (id, number) = known.waiting.remove(which as usize % known.waiting.len());
            let one = Counts { samples: 1, ..Counts::default() };
            let outcome = Outcome {
                delivered: crate::totals::minus(tally(number), one),
                rejected: vec![(Rejection::Invalid, one)],
                ..Outcome::default()
            };
            spool.settle(id, outcome);
            known.settled.push((id, number));
        }
        Step::Wait(tenths) => {
            clock.advance(Duration::from_millis(tenths * 100));
            work(spool);
        }
    }
}

/// What is done from time to time happens with any call.
fn work(spool: &Spool) {
    assert!(now(spool.next(Some(EntryId(u64::MAX)))).is_none());
}

fn sum<'a>(numbers: impl IntoIterator<Item = &'a u32>) -> Counts {
    numbers.into_iter().fold(Counts::default(), |sum, number| crate::totals::plus(sum, tally(*number)))
}

fn numbers(entries: &[(EntryId, u32)]) -> Vec<u32> {
    entries.iter().map(|(_, number)| *number).collect()
}

/// Everything that waits, read from the disk; whose bodies are what was sent.
fn read_all(spool: &Spool) -> Vec<(EntryId, u32)> {
    let (mut entries, mut after) = (Vec::new(), None);
    while let Some(entry) = next(spool, after) {
        let number = u32::try_from(entry.tally.samples).unwrap() - 10;
        check_entry(&entry, number);
        after = Some(entry.id);
        entries.push((entry.id, number));
    }
    entries
}

fn classes(ledger: &Ledger) -> Counts {
    let mut sum = ledger.delivered;
    ledger.rejected.iter().for_each(|(_, counts)| sum += *counts);
    ledger.expired.iter().for_each(|(_, counts)| sum += *counts);
    sum
}

/// Opens what a crash left, checks it against what is known, goes on with it, and checks again.
///
/// `may_lose`: acknowledged requests may be gone (a power cut inside the interval).
#[track_caller]
fn check_after(disk: &MemoryDisk, settings: &Settings, known: &Known, may_lose: bool) {
    let offline = read_ledger(disk, Path::new(DIRECTORY)).unwrap_or_default();
    let clock = clock();
    let (spool, recovery) = open(disk, &clock, settings.clone());
    assert_eq!(recovery.set_aside, Vec::<PathBuf>::new());
    let ledger = spool.ledger();
    assert_eq!(ledger, offline, "read without opening it");
    let entries = read_all(&spool);
    assert_eq!(entries.len() as u64, recovery.entries);
    assert_eq!(ledger.queued, sum(&numbers(&entries)), "what waits is what the ledger says");
    assert_eq!(ledger.received, crate::totals::plus(classes(&ledger), ledger.queued));
    let is_known = |(id, number): &(EntryId, u32)| {
        known.waiting.contains(&(*id, *number))
            || known.settled.contains(&(*id, *number))
            || known.refused.contains(number)
            || *number + 1 == known.next_number
    };
    assert!(entries.iter().all(is_known), "{entries:?}");
    if !may_lose {
        for waiting in &known.waiting {
            assert!(entries.contains(waiting), "{waiting:?} was acknowledged and is gone");
        }
        assert!(!ledger.rejected.iter().any(|(reason, _)| *reason == Rejection::Damaged), "{ledger:?}");
        let extra: Vec<_> = entries.iter().filter(|(_, number)| known.refused.contains(number)).collect();
        let received = crate::totals::plus(sum(&numbers(&known.waiting)), sum(&numbers(&known.settled)));
        let extra = sum(extra.iter().map(|(_, number)| number));
        assert_eq!(ledger.received, crate::totals::plus(received, extra), "each acknowledged request, once");
    }

    let mut after = Known { next_number: 500, ..Known::default() };
    for step in [Step::Append(30), Step::Deliver(20), Step::Wait(20)] {
        run(&spool, &clock, &mut after, &step);
    }
    assert!(after.refused.is_empty(), "it works again");
    entries.iter().for_each(|(id, number)| spool.settle(*id, Outcome::delivered(tally(*number))));
    let ledger = spool.ledger();
    assert_eq!(ledger.queued, sum(&numbers(&after.waiting)));
    clock.advance(Duration::from_secs(2));
    work(&spool);
    drop(spool);
    let (again, _) = open(disk, &clock, settings.clone());
    assert_eq!((read_all(&again), again.ledger()), (after.waiting, ledger));
}

fn fault(at: u64, torn: usize, error: ErrorKind, lasting: bool) -> Fault {
    Fault { at, error, torn, lasting }
}

/// Little segments, so that every boundary is met.
fn tiny(sync: Sync) -> Settings {
    Settings { segment_bytes_max: 900, cached_bytes_max: 0, sync, ..settings() }
}

fn script() -> Vec<Step> {
    use Step::{Append, Deliver, Settle, Wait};
    vec![
        Append(4),
        Deliver(2),
        Append(3),
        Wait(15),
        Settle(1),
        Append(5),
        Deliver(6),
        Wait(15),
        Append(2),
        Settle(0),
        Wait(9),
    ]
}

fn run_script(disk: &MemoryDisk, settings: &Settings, steps: &[Step]) -> Known {
    let (clock, mut known) = (clock(), Known::default());
    let (shared, time) = (Arc::new(disk.clone()), Arc::new(clock.clone()));
    let opened = Spool::open_without_threads(shared, time, Path::new(DIRECTORY), settings.clone());
    let Ok((spool, _)) = opened else { return known };
    for step in steps {
        run(&spool, &clock, &mut known, step);
    }
    // The process dies: what closing would write does not count.
    disk.inject(fault(0, 0, ErrorKind::Other, true));
    known
}

fn with_fault(fault: Fault) -> MemoryDisk {
    let disk = MemoryDisk::new();
    disk.inject(fault);
    disk
}

#[test]
fn killed_at_every_operation() {
    for sync in [Sync::Interval(Duration::from_secs(1)), Sync::EveryRequest] {
        let settings = tiny(sync);
        let all = MemoryDisk::new();
        run_script(&all, &settings, &script());
        let changes = all.changes();
        assert!(changes > 50, "{changes}");
        for at in 0..changes {
            for torn in [0, 1, 15, 16, 17, 60, 100, 150, 400] {
                let disk = with_fault(fault(at, torn, ErrorKind::Other, true));
                let known = run_script(&disk, &settings, &script());
                check_after(&disk.after_process_crash(), &settings, &known, false);
            }
        }
    }
}

/// Bytes of the segments.
fn written(disk: &MemoryDisk) -> usize {
    let paths = disk.paths().into_iter().filter(|path| path.extension().is_none() && !path.ends_with("reserve"));
    paths.map(|path| disk.read(&path).unwrap().len()).sum()
}

#[test]
fn killed_at_every_byte() {
    let settings = tiny(Sync::Never);
    let steps = [Step::Append(3), Step::Settle(1), Step::Append(2), Step::Deliver(2)];
    let all = MemoryDisk::new();
    run_script(&all, &settings, &steps);
    let (files, changes) = (all.paths(), all.changes());
    assert!(files.contains(&"/queue/log/00000002".into()), "{files:?}");
    for at in 0..changes {
        let mut before = None;
        for torn in 0.. {
            let disk = with_fault(fault(at, torn, ErrorKind::Other, true));
            let known = run_script(&disk, &settings, &steps);
            let written = written(&disk);
            if before.replace(written) == Some(written) {
                // No append, or all of it was written.
                break;
            }
            check_after(&disk.after_process_crash(), &settings, &known, false);
        }
    }
}

#[test]
fn a_single_failure_of_any_operation_costs_no_more_than_its_request() {
    for sync in [Sync::Interval(Duration::from_secs(1)), Sync::EveryRequest, Sync::Never] {
        let settings = tiny(sync);
        for at in 2..130 {
            for error in [ErrorKind::StorageFull, ErrorKind::Other] {
                for torn in [0, 16, 150, usize::MAX] {
                    let disk = with_fault(fault(at, torn, error, false));
                    let known = run_script(&disk, &settings, &script());
                    assert!(known.refused.len() <= 1, "{:?}", known.refused);
                    check_after(&disk.after_process_crash(), &settings, &known, false);
                }
            }
        }
    }
}

#[test]
fn a_power_cut_takes_no_more_than_the_interval() {
    for keep in [0, 1, 2] {
        let extra = |unsynced: usize| unsynced * keep / 2;
        for at in 2..200 {
            let settings = tiny(Sync::EveryRequest);
            let disk = with_fault(fault(at, 30, ErrorKind::Other, true));
            let known = run_script(&disk, &settings, &script());
            check_after(&disk.after_power_cut(extra), &settings, &known, false);

            let settings = tiny(Sync::Interval(Duration::from_secs(1)));
            let disk = with_fault(fault(at, 30, ErrorKind::Other, true));
            let known = run_script(&disk, &settings, &script());
            check_after(&disk.after_power_cut(extra), &settings, &known, true);
        }
    }
    let settings = tiny(Sync::Interval(Duration::from_secs(1)));
    let disk = MemoryDisk::new();
    let known = run_script(&disk, &settings, &[Step::Append(20), Step::Settle(3), Step::Wait(11)]);
    check_after(&disk.after_power_cut(|_| 0), &settings, &known, false);
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..12u32).prop_map(Step::Append),
        (1..12u32).prop_map(Step::Deliver),
        any::<u32>().prop_map(Step::Settle),
        (0..25u64).prop_map(Step::Wait),
    ]
}

fn errors() -> impl Strategy<Value = ErrorKind> {
    prop_oneof![Just(ErrorKind::StorageFull), Just(ErrorKind::Other), Just(ErrorKind::ReadOnlyFilesystem)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost(
        steps in proptest::collection::vec(step(), 1..30),
        at in 2..300u64,
        torn in 0..400usize,
        error in errors(),
        lasting in any::<bool>(),
        sync in prop_oneof![Just(Sync::Never), Just(Sync::EveryRequest), Just(Sync::Interval(Duration::from_secs(1)))],
        segment_bytes_max in 600..5000u64,
        keep in 0..100usize,
    ) {
        let settings = Settings { segment_bytes_max, ..tiny(sync) };
        let disk = with_fault(fault(at, torn, error, lasting));
        let known = run_script(&disk, &settings, &steps);
        check_after(&disk.after_process_crash(), &settings, &known, false);
        let cut = disk.after_power_cut(|unsynced| unsynced * keep / 100);
        check_after(&cut, &settings, &known, sync != Sync::EveryRequest);
    }
}

#[test]
fn a_disk_that_fills_up_and_is_freed() {
    for when_full in [WhenFull::PushBack, WhenFull::DropOldest, WhenFull::DropNewest] {
        let disk = MemoryDisk::new();
        let clock = clock();
        let settings = Settings { when_full, ..settings() };
        let (spool, _) = open(&disk, &clock, settings.clone());
        disk.set_capacity(Some((64 << 10) + 20_000));
        let answers: Vec<_> = (0..400).map(|number| now(spool.append(request(number))).unwrap()).collect();
        let count = |is: fn(&&Result<Appended, AppendError>) -> bool| answers.iter().filter(is).count();
        let refused = count(|answer| matches!(answer, Err(AppendError::Disk(_))));
        let dropped = count(|answer| matches!(answer, Ok(Appended::Dropped)));
        match when_full {
            WhenFull::PushBack => assert!(refused > 200 && dropped == 0, "{refused}"),
            WhenFull::DropNewest => assert!(refused == 0 && dropped > 200, "{dropped}"),
            WhenFull::DropOldest => assert_eq!((refused, dropped), (0, 0)),
        }
        let ledger = spool.ledger();
        let waiting = read_all(&spool);
        assert_eq!(ledger.queued, sum(&numbers(&waiting)));
        assert_eq!(spool.stats().disk_error.is_some(), when_full != WhenFull::DropOldest);
        // The queue empties on the disk that is still full, and so makes room for itself.
        waiting.iter().for_each(|(id, number)| spool.settle(*id, Outcome::delivered(tally(*number))));
        for _ in 0..2 {
            clock.advance(Duration::from_secs(2));
            work(&spool);
        }
        for number in 0..20 {
            let answer = now(spool.append(request(number))).unwrap();
            assert!(matches!(answer, Ok(Appended::Kept(_))), "{when_full:?} {answer:?}");
        }
        assert_eq!(spool.stats().disk_error, None);
        let ledger = spool.ledger();
        assert_eq!(read_ledger(&disk, Path::new(DIRECTORY)).unwrap(), ledger);
        let (again, _) = open(&disk.after_process_crash(), &clock, settings);
        assert_eq!((again.ledger(), read_all(&again).len()), (ledger, 20));
    }
}

#[test]
fn outcomes_wait_for_a_disk_that_fails_and_are_written_later() {
    let (disk, clock) = (MemoryDisk::new(), clock());
    let (spool, _) = open(&disk, &clock, settings());
    let ids: Vec<_> = (0..50).map(|number| append(&spool, number)).collect();
    disk.inject(fault(disk.changes(), 0, ErrorKind::ReadOnlyFilesystem, true));
    for (id, number) in ids.iter().zip(0..) {
        spool.settle(*id, Outcome::delivered(tally(number)));
    }
    assert!(matches!(now(spool.append(request(9))), Some(Err(AppendError::Disk(_)))));
    let ledger = spool.ledger();
    assert_eq!((ledger.queued, ledger.received), (Counts::default(), ledger.delivered));
    assert_ne!(read_ledger(&disk, Path::new(DIRECTORY)).unwrap(), ledger);
    disk.heal();
    clock.advance(Duration::from_secs(1));
    work(&spool);
    assert_eq!(read_ledger(&disk, Path::new(DIRECTORY)).unwrap(), ledger);
    append(&spool, 9);
}

#[test]
fn a_queue_on_a_disk_that_became_read_only_is_still_emptied() {
    let (disk, clock) = (MemoryDisk::new(), clock());
    let (spool, _) = open(&disk, &clock, settings());
    for number in 0..30 {
        append(&spool, number);
    }
    let disk = disk.after_process_crash();
    disk.inject(fault(0, 0, ErrorKind::ReadOnlyFilesystem, true));
    let (again, recovery) = open(&disk, &clock, settings());
    assert_eq!((recovery.entries, read_all(&again).len()), (30, 30));
    assert!(matches!(now(again.append(request(1))), Some(Err(AppendError::Disk(_)))));
    disk.heal();
    append(&again, 1);
}

#[test]
fn an_entry_that_cannot_be_read_now_can_be_read_later() {
    let (disk, clock) = (MemoryDisk::new(), clock());
    let (spool, _) = open(&disk, &clock, Settings { cached_bytes_max: 0, ..settings() });
    let id = append(&spool, 1);
    disk.inject_read(fault(disk.reads(), 0, ErrorKind::Other, false));
    assert!(matches!(now(spool.next(None)), Some(Err(ReadError::Disk(_)))));
    assert_eq!(next(&spool, None).unwrap().id, id);
}

#[test]
fn after_a_failed_sync_nothing_more_goes_to_that_segment() {
    // In the background, and before the answer.
    for sync in [Sync::Interval(Duration::from_secs(1)), Sync::EveryRequest] {
        let (disk, clock) = (MemoryDisk::new(), clock());
        let (spool, _) = open(&disk, &clock, Settings { sync, ..settings() });
        append(&spool, 1);
        clock.advance(Duration::from_secs(1));
        work(&spool);
        let first: PathBuf = "/queue/log/00000001".into();
        let kept = match sync {
            Sync::EveryRequest => {
                // An append, then its sync.
                disk.inject(fault(disk.changes() + 1, 0, ErrorKind::Other, false));
                assert!(matches!(now(spool.append(request(2))), Some(Err(AppendError::Disk(_)))));
                disk.read(&first).unwrap()
            }
            _ => {
                append(&spool, 2);
                disk.inject(fault(disk.changes(), 0, ErrorKind::Other, false));
                clock.advance(Duration::from_secs(1));
                work(&spool);
                disk.read(&first).unwrap()
            }
        };
        assert!(spool.stats().disk_error.is_some());
        append(&spool, 3);
        assert_eq!(spool.stats().disk_error, None);
        assert_eq!(disk.read(&first).unwrap(), kept, "{sync:?}");
        assert!(disk.paths().contains(&"/queue/log/00000002".into()), "{sync:?}");
    }
}

#[test]
fn a_disk_smaller_than_a_segment_is_used_again_and_again() {
    for when_full in [WhenFull::PushBack, WhenFull::DropOldest, WhenFull::DropNewest] {
        let (disk, clock) = (MemoryDisk::new(), clock());
        let settings = Settings { segment_bytes_max: 1 << 20, bytes_max: 1 << 30, when_full, ..settings() };
        let (spool, _) = open(&disk, &clock, settings);
        disk.set_capacity(Some((64 << 10) + 9000));
        for round in 0..10 {
            let kept =
                (0..100).filter(|number| matches!(now(spool.append(request(*number))), Some(Ok(Appended::Kept(_)))));
            assert!(kept.count() > 10, "{when_full:?}, round {round}");
            let waiting = read_all(&spool);
            assert_eq!(spool.ledger().queued, sum(&numbers(&waiting)));
            waiting.iter().for_each(|(id, number)| spool.settle(*id, Outcome::delivered(tally(*number))));
            for _ in 0..2 {
                clock.advance(Duration::from_secs(2));
                work(&spool);
            }
            assert_eq!(read_ledger(&disk, Path::new(DIRECTORY)).unwrap(), spool.ledger());
        }
    }
}
