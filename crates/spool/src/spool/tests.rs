use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use remote_write::Version;
use testkit::{ManualClock, MemoryDisk};

use super::*;
use crate::{Expiry, Rejection, Sync, WhenFull};

pub(super) const DIRECTORY: &str = "/queue";

/// The answer of a future that has one.
pub(super) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

pub(super) fn clock() -> ManualClock {
    ManualClock::new(UnixTime::from_secs(1_800_000_000))
}

pub(super) fn settings() -> Settings {
    Settings { segment_bytes_max: 4 << 10, bytes_max: 1 << 20, ..Settings::default() }
}

pub(super) fn open(disk: &MemoryDisk, clock: &ManualClock, settings: Settings) -> (Spool, Recovery) {
    let (disk, clock) = (Arc::new(disk.clone()), Arc::new(clock.clone()));
    Spool::open_without_threads(disk, clock, Path::new(DIRECTORY), settings).unwrap()
}

/// A request whose every part tells its number.
pub(super) fn request(number: u32) -> NewEntry {
    NewEntry {
        version: if number.is_multiple_of(3) { Version::V2 } else { Version::V1 },
        body: Bytes::from(vec![number as u8; 100 + number as usize % 50]),
        tally: tally(number),
        series: (0..number % 7).collect(),
    }
}

pub(super) fn tally(number: u32) -> Counts {
    Counts { samples: 10 + u64::from(number), histograms: u64::from(number % 2), exemplars: u64::from(number % 3) }
}

fn append(spool: &Spool, number: u32) -> EntryId {
    match now(spool.append(request(number))) {
        Some(Ok(Appended::Kept(id))) => id,
        other => panic!("{other:?}"),
    }
}

fn next(spool: &Spool, after: Option<EntryId>) -> Option<Entry> {
    now(spool.next(after)).map(|entry| entry.unwrap().unwrap())
}

#[track_caller]
fn check_entry(entry: &Entry, number: u32) {
    let NewEntry { version, body, tally, series } = request(number);
    assert_eq!((entry.version, &entry.body, entry.tally, &entry.series), (version, &body, tally, &series));
}

#[test]
fn entries_come_in_order_from_memory_and_from_disk_and_again_after_a_crash() {
    for cached_bytes_max in [0, 1 << 20] {
        let (disk, clock) = (MemoryDisk::new(), clock());
        let (spool, recovery) = open(&disk, &clock, Settings { cached_bytes_max, ..settings() });
        assert_eq!(recovery, Recovery::default());
        let ids: Vec<_> = (0..100).map(|number| append(&spool, number)).collect();
        let mut after = None;
        for (number, id) in ids.iter().enumerate() {
            let entry = next(&spool, after).unwrap();
            assert_eq!((entry.id, entry.received_at, entry.recovered), (*id, clock.now(), false));
            check_entry(&entry, number as u32);
            after = Some(entry.id);
        }
        assert!(next(&spool, after).is_none());
        assert_eq!(disk.reads() > 0, cached_bytes_max == 0, "what is in memory is not read");

        let (again, recovery) = open(&disk.after_process_crash(), &clock, settings());
        assert_eq!((recovery.entries, recovery.torn_bytes), (100, 0));
        assert_eq!(again.ledger(), spool.ledger());
        let entry = next(&again, Some(ids[57])).unwrap();
        assert!(entry.recovered);
        check_entry(&entry, 58);
    }
}

#[test]
fn who_waits_for_an_entry_gets_it_when_it_comes() {
    let (spool, _) = open(&MemoryDisk::new(), &clock(), settings());
    let mut waiting = pin!(spool.next(None));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    let id = append(&spool, 1);
    let Poll::Ready(Ok(Some(entry))) = waiting.poll(&mut context) else { panic!("it is there") };
    assert_eq!(entry.id, id);
    let mut waiting = pin!(spool.next(Some(id)));
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    spool.close().unwrap();
    assert!(matches!(waiting.poll(&mut context), Poll::Ready(Ok(None))));
    assert!(matches!(now(spool.append(request(2))), Some(Err(AppendError::Closing))));
}

#[test]
fn the_ledger_balances_and_survives() {
    let (disk, clock) = (MemoryDisk::new(), clock());
    let (spool, _) = open(&disk, &clock, settings());
    let ids: Vec<_> = (0..60).map(|number| append(&spool, number)).collect();
    let mut expected = Ledger::default();
    (0..60).for_each(|number| expected.received += tally(number));
    for number in 0..60u32 {
        let tally = tally(number);
        let one = Counts { samples: 1, ..Counts::default() };
        let outcome = match number % 4 {
            0 => Outcome::delivered(tally),
            1 => Outcome {
                rejected: vec![(Rejection::Invalid, one)],
                delivered: crate::totals::minus(tally, one),
                unconfirmed: one,
                resent: one,
                ..Outcome::default()
            },
            2 => Outcome::expired(Expiry::Age, tally),
            _ => {
                expected.queued += tally;
                continue;
            }
        };
        expected.delivered += outcome.delivered;
        expected.unconfirmed += outcome.unconfirmed;
        expected.resent += outcome.resent;
        for (place, counts) in [(&mut expected.rejected, &outcome.rejected)] {
            match (place.first_mut(), counts.first()) {
                (Some(sum), Some(new)) => sum.1 += new.1,
                (None, Some(new)) => place.push(*new),
                _ => {}
            }
        }
        match (expected.expired.first_mut(), outcome.expired.first()) {
            (Some(sum), Some(new)) => sum.1 += new.1,
            (None, Some(new)) => expected.expired.push(*new),
            _ => {}
        }
        spool.settle(ids[number as usize], outcome.clone());
        // A second outcome changes nothing.
        spool.settle(ids[number as usize], outcome);
    }
    assert_eq!(spool.ledger(), expected);
    assert_eq!(spool.tally(ids[3]), Some(tally(3)));
    assert_eq!(spool.tally(ids[4]), None);
    assert_eq!(read_ledger(&disk, Path::new(DIRECTORY)).unwrap(), expected);
    let (again, recovery) = open(&disk.after_process_crash(), &clock, settings());
    assert_eq!((again.ledger(), recovery.entries), (expected.clone(), 15));

    (0..60).for_each(|number| again.settle(ids[number], Outcome::delivered(tally(number as u32))));
    expected.delivered += std::mem::take(&mut expected.queued);
    assert_eq!(again.ledger(), expected);
    assert_eq!(again.stats().entries, 0);
}

#[test]
#[should_panic(expected = "must add up")]
fn an_outcome_must_add_up() {
    let (spool, _) = open(&MemoryDisk::new(), &clock(), settings());
    spool.settle(append(&spool, 5), Outcome::default());
}

#[test]
fn settled_segments_are_given_back_once_their_outcomes_are_safe() {
    let (disk, clock) = (MemoryDisk::new(), clock());
    let (spool, _) = open(&disk, &clock, settings());
    for round in 0..20 {
        let ids: Vec<_> = (0..100).map(|number| append(&spool, number)).collect();
        ids.iter().zip(0..).for_each(|(id, number)| spool.settle(*id, Outcome::delivered(tally(number))));
        clock.advance(Duration::from_secs(1));
        assert_eq!(spool.stats().entries, 0, "round {round}");
        let _ = now(spool.next(None));
        let stats = spool.stats();
        assert!(stats.segments <= 3 && stats.bytes < 16 << 10, "{stats:?}");
    }
    let files = disk.paths().len();
    assert!(files < 10, "{files} files");
    let ledger = spool.ledger();
    let (again, _) = open(&disk.after_power_cut(|_| 0), &clock, settings());
    assert_eq!(again.ledger(), ledger);
}

#[test]
fn full_by_name() {
    let small = |when_full| Settings { bytes_max: 3000, when_full, ..settings() };
    let fill = |when_full| {
        let (disk, clock) = (MemoryDisk::new(), clock());
        let (spool, _) = open(&disk, &clock, small(when_full));
        let answers: Vec<_> = (0..300).map(|number| now(spool.append(request(number))).unwrap()).collect();
        (disk, spool, answers)
    };
    let (_, spool, answers) = fill(WhenFull::PushBack);
    assert!(matches!(answers[299], Err(AppendError::Full { bytes_max: 3000, .. })));
    let kept = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!((spool.stats().entries, spool.stats().pushed_back), (kept as u64, 300 - kept as u64));
    assert!(kept > 5 && spool.stats().bytes <= 3000);
    spool.settle(EntryId(1), Outcome::delivered(tally(0)));
    for number in 1..kept as u32 {
        spool.settle(EntryId(u64::from(number) + 1), Outcome::delivered(tally(number)));
    }
    append(&spool, 1);

    let (disk, spool, answers) = fill(WhenFull::DropNewest);
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Ok(Appended::Dropped))).count(), 300 - kept);
    let (_, dropped) = spool.ledger().expired[0];
    let sum = |from, to| (from..to).fold(Counts::default(), |sum, number| crate::totals::plus(sum, tally(number)));
    assert_eq!((dropped, spool.ledger().queued), (sum(kept as u32, 300), sum(0, kept as u32)));
    assert_eq!(read_ledger(&disk, Path::new(DIRECTORY)).unwrap(), spool.ledger());

    let (disk, spool, answers) = fill(WhenFull::DropOldest);
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Appended::Kept(_)))));
    let ledger = spool.ledger();
    let stats = spool.stats();
    let kept = stats.entries as u32;
    assert!(kept > 0 && kept < 30, "{stats:?}");
    assert_eq!(ledger.queued, sum(300 - kept, 300));
    assert_eq!(ledger.expired, [(Expiry::Space, sum(0, 300 - kept))]);
    assert_eq!(read_ledger(&disk, Path::new(DIRECTORY)).unwrap(), ledger);
}

#[test]
fn what_was_dropped_on_its_way_is_settled_once() {
    let (spool, _) =
        open(&MemoryDisk::new(), &clock(), Settings { bytes_max: 3000, when_full: WhenFull::DropOldest, ..settings() });
    append(&spool, 0);
    let sent = next(&spool, None).unwrap();
    (1..100).for_each(|number| assert!(append(&spool, number) > sent.id));
    assert_eq!(spool.tally(sent.id), None, "it made room");
    let ledger = spool.ledger();
    spool.settle(sent.id, Outcome::delivered(sent.tally));
    assert_eq!(spool.ledger(), ledger);
}

#[test]
fn a_request_over_the_bound_is_refused_whatever_the_rule() {
    for when_full in [WhenFull::PushBack, WhenFull::DropOldest, WhenFull::DropNewest] {
        let (spool, _) = open(&MemoryDisk::new(), &clock(), Settings { bytes_max: 150, when_full, ..settings() });
        assert!(matches!(now(spool.append(request(1))), Some(Err(AppendError::Full { .. }))));
    }
}

#[test]
fn entries_expire_by_time_that_passes_not_by_clocks_that_step() {
    let clock = clock();
    let settings = Settings { age_max: Duration::from_secs(3600), ..settings() };
    let disk = MemoryDisk::new();
    let (spool, _) = open(&disk, &clock, settings.clone());
    let old = append(&spool, 1);
    clock.suspend(Duration::from_secs(100_000));
    assert_eq!(next(&spool, None).unwrap().id, old);
    clock.set_wall(UnixTime::from_secs(1_800_000_000));
    clock.advance(Duration::from_secs(3000));
    let young = append(&spool, 2);
    let sent = append(&spool, 3);
    assert_eq!(next(&spool, Some(young)).unwrap().id, sent);
    clock.advance(Duration::from_secs(3601));
    // `old` and `sent` were handed out: their sender judges them.
    assert_eq!(next(&spool, Some(old)).unwrap().id, sent);
    assert_eq!(spool.ledger().expired, [(Expiry::Age, tally(2))]);
    assert_eq!(spool.stats().oldest, Some(UnixTime::from_secs(1_800_000_000)));

    let (again, _) = open(&disk.after_process_crash(), &clock, settings);
    assert!(next(&again, None).is_none());
    assert_eq!(again.ledger().queued, Counts::default());
}

#[test]
fn one_process_at_a_time() {
    let (disk, clock) = (MemoryDisk::new(), clock());
    let (spool, _) = open(&disk, &clock, settings());
    let second = || {
        let (disk, clock) = (Arc::new(disk.clone()), Arc::new(clock.clone()));
        Spool::open_without_threads(disk, clock, Path::new(DIRECTORY), settings())
    };
    let error = second().err().unwrap();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    assert!(error.to_string().contains("end that one"), "{error}");
    spool.close().unwrap();
    second().unwrap();
}

#[test]
fn refused_series_are_kept_in_a_ring() {
    let (disk, clock) = (MemoryDisk::new(), clock());
    let settings = Settings { refusals_bytes_max: 8 << 10, ..settings() };
    let (spool, _) = open(&disk, &clock, settings.clone());
    let refusal = |number: u32| Refusal {
        at: UnixTime::from_millis(u64::from(number)),
        entry: EntryId(u64::from(number)),
        reason: Rejection::ALL[number as usize % 9],
        status: (!number.is_multiple_of(2)).then_some(400),
        answer: format!("answer {number}"),
        series: format!("up{{job=\"{number}\"}}"),
        tally: tally(number),
        body: Bytes::from(vec![7; 300]),
    };
    (0..100).for_each(|number| spool.refuse(refusal(number)));
    let kept = read_refusals(&disk, Path::new(DIRECTORY)).unwrap();
    assert!((10..30).contains(&kept.len()), "{}", kept.len());
    let expected: Vec<_> = (100 - kept.len() as u32..100).map(refusal).collect();
    assert_eq!(kept, expected);
    assert_eq!(spool.stats().refusals, kept.len() as u64);

    let (again, _) = open(&disk.after_process_crash(), &clock, settings);
    assert_eq!(again.stats().refusals, kept.len() as u64);
    again.refuse(Refusal { body: Bytes::from(vec![7; 9000]), ..refusal(1) });
    let last = read_refusals(&*again.0.shared.disk, Path::new(DIRECTORY)).unwrap().pop().unwrap();
    assert_eq!(last, Refusal { body: Bytes::new(), ..refusal(1) }, "what is too large is kept without its request");
}

struct Unpark(std::thread::Thread);
impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
fn wait<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park();
    }
}

#[test]
fn threads_do_the_same() {
    for sync in [Sync::EveryRequest, Sync::Never, Sync::Interval(Duration::from_millis(1))] {
        let disk = MemoryDisk::new();
        let settings = Settings { sync, cached_bytes_max: 1000, ..settings() };
        let (spool, _) =
            Spool::open(Arc::new(disk.clone()), Arc::new(clock()), Path::new(DIRECTORY), settings).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..250).for_each(|number| assert!(wait(spool.append(request(number))).is_ok())));
            }
            let mut after = None;
            for _ in 0..1000 {
                let entry = wait(spool.next(after)).unwrap().unwrap();
                after = Some(entry.id);
                spool.settle(entry.id, Outcome::delivered(entry.tally));
            }
        });
        let ledger = spool.ledger();
        assert_eq!((ledger.queued, ledger.received), (Counts::default(), ledger.delivered));
        spool.close().unwrap();
        assert_eq!(
            read_ledger(
                &disk.after_power_cut(|_| if sync == Sync::Never { usize::MAX } else { 0 }),
                Path::new(DIRECTORY)
            )
            .unwrap(),
            ledger
        );
    }
}

mod damage;
mod faults;
mod threads;
