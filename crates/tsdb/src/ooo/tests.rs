use super::*;
use crate::settings::Settings;

const HOUR: i64 = 3_600_000;
const DAYS: i64 = 24 * HOUR;

fn ooo(bytes_max: usize) -> Ooo {
    let ooo = Ooo::new(BlockRanges::new(&Settings::default()), bytes_max);
    ooo.complete_until(TimestampMs(1000 * DAYS));
    ooo
}

fn at(seconds: u64) -> Monotonic {
    Monotonic::from_duration(Duration::from_secs(seconds))
}

fn sample(slot: u32, at: i64) -> HeadSample {
    HeadSample { slot, is_histogram: false, at: TimestampMs(at), value: 1f64.to_bits() }
}

#[test]
fn the_flushing_half_is_read_until_its_blocks_are() {
    let ooo = ooo(1 << 20);
    assert!(ooo.is_empty() && ooo.flushing().is_none());
    ooo.append(&[sample(3, 10), sample(700, 20)], &[], at(0));
    let half = ooo.rotate(5, TimestampMs(0));
    assert_eq!((half.slots(), half.log_ends_before()), (vec![3, 700], 5));
    ooo.append(&[sample(3, 5)], &[], at(1));

    let view = ooo.view();
    let times = |view: &OooView| {
        let mut chunks = Vec::new();
        view.chunks(3, TimeRange::ALL, &mut chunks);
        chunks.iter().map(|chunk| chunk.start.0).collect::<Vec<_>>()
    };
    assert_eq!(times(&view), [10, 5], "what came first stands first");
    assert!(ooo.contains(700) && ooo.find(3, TimestampMs(10)).is_some() && ooo.find(3, TimestampMs(5)).is_some());
    assert_eq!((ooo.samples(), ooo.find(3, TimestampMs(7)).is_some()), (3, false));

    assert!(Arc::ptr_eq(&ooo.flushing().unwrap(), &half), "a flush that failed is tried again with the same half");
    ooo.flushed();
    assert!(!ooo.contains(700));
    assert_eq!((times(&ooo.view()), times(&view)), (vec![5], vec![10, 5]));
    let range = TimeRange { start: TimestampMs(6), end: TimestampMs(100) };
    assert!(view.overlaps(range) && !ooo.view().overlaps(range) && !ooo.view().has_chunks(3, range));
}

#[test]
fn more_ranges_than_can_be_open_are_refused_and_asked_to_be_flushed() {
    let ooo = ooo(1 << 20);
    // Twenty days each.
    let range = |number: i64| TimestampMs(number * 486 * HOUR);
    let plan = |ooo: &Ooo, numbers: std::ops::Range<i64>| {
        let mut planned = ooo.open_ranges();
        ooo.plan(numbers.map(range), &mut planned).map(|()| planned.len())
    };
    assert_eq!(plan(&ooo, 0..25), Ok(25), "where none is open, a batch may have as many as it needs");
    ooo.append(&(0..20).map(|number| sample(1, range(number).0)).collect::<Vec<_>>(), &[], at(0));
    assert_eq!(plan(&ooo, 0..20), Ok(20));
    assert!(!ooo.is_due(TimestampMs(0), at(0)), "they are small and new");
    assert_eq!(plan(&ooo, 5..21), Err(Busy::Ranges));
    assert!(ooo.is_due(TimestampMs(0), at(0)) && ooo.is_pressing());
    ooo.rotate(1, TimestampMs(0));
    assert!(!ooo.is_due(TimestampMs(0), at(0)));
    assert_eq!(plan(&ooo, 5..21), Ok(16));
    // Two batches of one group.
    let mut planned = ooo.open_ranges();
    assert_eq!(ooo.plan((0..20).map(range), &mut planned), Ok(()));
    assert_eq!(ooo.plan((20..21).map(range), &mut planned), Err(Busy::Ranges));
    assert_eq!(ooo.plan((3..9).map(range), &mut planned), Ok(()));
}

#[test]
fn it_is_due_when_it_is_large_or_spread_or_rests() {
    let check = |bytes_max: usize, samples: &[HeadSample], seconds: u64, expected: bool| {
        let ooo = ooo(bytes_max);
        ooo.append(samples, &[], at(0));
        assert_eq!(
            ooo.is_due(TimestampMs(0), at(seconds)),
            expected,
            "{} of {bytes_max} bytes after {seconds} s",
            ooo.bytes()
        );
    };
    let old = sample(1, 0);
    let recent = sample(1, 1001 * DAYS);
    let spread: Vec<_> = (0..11).map(|number| sample(1, number * 486 * HOUR)).collect();
    check(1 << 20, &[], 9999, false);
    check(1 << 20, &[old], 599, false);
    check(1 << 20, &[old], 600, true);
    check(1 << 20, &[recent], 9999, false);
    check(1 << 20, &[recent, old], 9999, true);
    check(1000, &[recent], 0, true);
    check(1 << 20, &spread, 0, false);
    check(40 << 10, &spread, 0, true);
    check(40 << 10, &spread[..10], 0, false);

    let ooo = ooo(1 << 20);
    ooo.append(&[recent], &[], at(0));
    assert!(!ooo.is_due(TimestampMs(10), at(0)), "how far the head was written out before is not known");
    assert!(!ooo.is_due(TimestampMs(10), at(0)));
    assert!(ooo.is_due(TimestampMs(20), at(0)), "the head was written out");
    ooo.rotate(1, TimestampMs(20));
    ooo.append(&[recent], &[], at(0));
    assert!(!ooo.is_due(TimestampMs(20), at(0)));
}

#[test]
fn too_many_bytes_are_refused_to_old_samples_only() {
    let ooo = ooo(2000);
    ooo.append(&[sample(1, 0), sample(300, 0), sample(600, 0)], &[], at(0));
    assert!(ooo.bytes() >= 4000);
    let mut planned = ooo.open_ranges();
    assert!(matches!(ooo.plan([TimestampMs(0)].into_iter(), &mut planned), Err(Busy::Bytes(_))));
    assert_eq!(ooo.plan(std::iter::empty(), &mut planned), Ok(()));
}

#[test]
fn bytes_are_those_of_all_series() {
    let ooo = ooo(usize::MAX / 4);
    let mut samples = Vec::new();
    for index in 0..5000 {
        let time = if index % 7 == 0 { index * 31 % 5000 } else { index };
        samples.push(sample((index % 3) as u32, time * 100_000 + index));
    }
    ooo.append(&samples, &[], at(0));
    let half = ooo.view().active;
    let counted = half.bytes();
    let pages = 256 * 8 + 8;
    let series: usize = half.slots().iter().map(|slot| half.series_bytes(*slot)).sum();
    assert_eq!(counted, series + pages);
    let ranges = ooo.ranges_of(&half);
    half.slots().iter().for_each(|slot| half.settle(*slot, &ranges));
    assert!(half.bytes() <= counted);
    let series: usize = half.slots().iter().map(|slot| half.series_bytes(*slot)).sum();
    assert_eq!(half.bytes(), series + pages);
}

#[test]
fn ranges_grow_while_more_of_the_past_is_complete() {
    let ooo = Ooo::new(BlockRanges::new(&Settings::default()), 1 << 20);
    ooo.append(&[sample(1, HOUR), sample(1, 3 * HOUR), sample(1, 30 * HOUR)], &[], at(0));
    let hours = |ranges: &OpenRanges| -> Vec<(i64, i64)> {
        ranges.as_slice().iter().map(|range| (range.start / HOUR, range.end / HOUR)).collect()
    };
    let half = ooo.rotate(1, TimestampMs(0));
    assert_eq!(hours(&ooo.ranges_of(&half)), [(0, 2), (2, 4), (30, 32)]);
    ooo.complete_until(TimestampMs(19 * HOUR));
    assert_eq!(hours(&ooo.ranges_of(&half)), [(0, 18), (30, 32)]);
    ooo.complete_until(TimestampMs(5 * HOUR));
    assert_eq!(hours(&ooo.ranges_of(&half)), [(0, 18), (30, 32)], "it never goes back");
}
