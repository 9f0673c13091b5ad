use std::collections::HashMap;

use environment::Rng;
use testkit::SeededRng;

use super::*;

fn series(limit: u64) -> ActiveSeries {
    ActiveSeries::new(limit, Arc::new(HashKey::random()))
}

fn at(secs: u64) -> Monotonic {
    Monotonic::from_duration(Duration::from_secs(secs))
}

fn hash(number: u64) -> SeriesHash {
    SeriesHash(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number << 32)
}

const HOUR: u64 = 3600;
const SLOT_SECS: u64 = SLOT.as_secs();

#[test]
fn new_ones_are_refused_at_the_limit_and_active_ones_are_not() {
    let series = series(2);
    let seen = series.at(at(0));
    let touched: Vec<Touch> = [1, 2, 3, 1, 2, 3].map(|number| seen.touch(hash(number), None)).into();
    use Touch::{Active, New, Refused};
    assert_eq!(touched, [New, New, Refused, Active, Active, Refused]);
    assert_eq!(series.active(at(0)), 2);
    series.set_limit(3);
    assert_eq!(seen.touch(hash(3), None), New);
    series.set_limit(1);
    assert_eq!([1, 2, 3, 4].map(|number| seen.touch(hash(number), None)), [Active, Active, Active, Refused]);
    assert_eq!(series.active(at(0)), 3);
}

#[test]
fn a_series_leaves_after_12_hours_and_at_most_a_slot() {
    for seen_at in [0, 1, SLOT_SECS - 1, SLOT_SECS, 5 * HOUR + 17] {
        for (later, active) in [
            (0, true),
            (12 * HOUR - 1, true),
            (12 * HOUR, true),
            (12 * HOUR + SLOT_SECS, false),
            (13 * HOUR, false),
            (100 * HOUR, false),
            // 255 slots later marks repeat.
            (255 * SLOT_SECS, false),
            (254 * SLOT_SECS, false),
        ] {
            let series = series(1);
            assert_eq!(series.at(at(seen_at)).touch(hash(1), None), Touch::New);
            let now = at(seen_at + later);
            assert_eq!(series.active(now), u64::from(active), "{later} s after {seen_at}");
            let expected = if active { Touch::Refused } else { Touch::New };
            assert_eq!(series.at(now).touch(hash(2), None), expected, "{later} s after {seen_at}");
        }
    }
}

#[test]
fn writing_keeps_a_series() {
    let series = series(1);
    series.at(at(0)).touch(hash(1), None);
    for hours in (6..60).step_by(6) {
        assert_eq!(series.at(at(hours * HOUR)).touch(hash(1), None), Touch::Active);
    }
    assert_eq!(series.active(at(66 * HOUR)), 1);
}

#[test]
fn places_of_series_that_left_are_given_away_at_once() {
    let series = series(1000);
    (0..1000).for_each(|number| assert_eq!(series.at(at(0)).touch(hash(number), None), Touch::New));
    let later = series.at(at(13 * HOUR));
    // The first of them finds its own shard empty and 63 others still to be swept.
    (1000..2000).for_each(|number| assert_eq!(later.touch(hash(number), None), Touch::New));
    assert_eq!(later.touch(hash(2000), None), Touch::Refused);
    assert_eq!(series.active(at(13 * HOUR)), 1000);
}

/// Against a plain map, with everything mixed: times, limits, more series than may be active.
#[test]
fn agrees_with_a_plain_map() {
    for seed in 0..8 {
        let rng = SeededRng::new(seed);
        let (series, mut model) = (series(300), HashMap::<u64, u64>::new());
        let (mut limit, mut secs, mut refused, mut left) = (300, 0, 0, 0);
        let mut by_index = 0;
        for _ in 0..40_000 {
            match rng.next_u64() % 1000 {
                0..5 => secs += rng.next_u64() % (4 * HOUR),
                5 => secs += SLOT_SECS,
                6 if rng.next_u64().is_multiple_of(20) => secs += 200 * HOUR,
                7 => {
                    limit = rng.next_u64() % 400;
                    series.set_limit(limit);
                }
                _ => {}
            }
            let slot = secs / SLOT_SECS;
            let before = model.len();
            model.retain(|_, seen| *seen + SLOTS_ACTIVE >= slot);
            left += before - model.len();
            let number = rng.next_u64() % 500;
            let expected = match model.contains_key(&number) {
                true => Touch::Active,
                false if (model.len() as u64) < limit => Touch::New,
                false => Touch::Refused,
            };
            // Half of the series have an index; what is asked by it first must be as it is by the hash.
            let (seen, index) = (series.at(at(secs)), (number < 250).then_some(number as u32));
            let known = index.is_some_and(|index| seen.knows(index));
            assert!(!known || expected == Touch::Active, "seed {seed}");
            if !known {
                assert_eq!(seen.touch(hash(number), index), expected, "seed {seed}");
            }
            by_index += u64::from(known);
            match expected {
                Touch::Refused => refused += 1,
                _ => drop(model.insert(number, slot)),
            }
            if rng.next_u64().is_multiple_of(100) {
                assert_eq!(series.active(at(secs)), model.len() as u64, "seed {seed}");
            }
        }
        assert!(refused > 1000 && left > 100, "{refused} refused, {left} left");
        assert!(by_index > 5_000, "{by_index} known by index");
    }
}

#[test]
fn a_million_refused_series_cost_nothing() {
    let series = series(1000);
    let seen = series.at(at(0));
    (0..1000).for_each(|number| {
        seen.touch(hash(number), Some(number as u32));
    });
    let bytes = series.bytes();
    for number in 1000..1_001_000 {
        assert_eq!(seen.touch(hash(number), None), Touch::Refused);
    }
    assert_eq!(series.bytes(), bytes);
    assert_eq!(series.active(at(0)), 1000);
}

#[test]
fn memory_comes_back_when_series_leave() {
    let series = series(u64::MAX);
    (0..100_000).for_each(|number| {
        series.at(at(0)).touch(hash(number), None);
    });
    let full = series.bytes();
    assert_eq!(series.active(at(20 * HOUR)), 0);
    assert!(series.bytes() < 10_000, "{} of {full}", series.bytes());
    // Most leave, some stay.
    (0..100_000).for_each(|number| {
        series.at(at(20 * HOUR)).touch(hash(number), None);
    });
    (0..1000).for_each(|number| {
        series.at(at(26 * HOUR)).touch(hash(number), None);
    });
    assert_eq!(series.active(at(33 * HOUR)), 1000);
    assert!(series.bytes() < 60_000, "{} of {full}", series.bytes());
    (0..1000).for_each(|number| assert_eq!(series.at(at(33 * HOUR)).touch(hash(number), None), Touch::Active));
}

#[test]
fn bits_answer_for_the_table_within_a_slot() {
    let series = series(2);
    let seen = series.at(at(0));
    assert!(!seen.knows(7));
    assert_eq!(seen.touch(hash(1), Some(7)), Touch::New);
    assert!(seen.knows(7) && !seen.knows(8));
    assert_eq!(seen.touch(hash(2), Some(8)), Touch::New);
    assert_eq!(seen.touch(hash(3), Some(9)), Touch::Refused);
    assert!(!seen.knows(9), "a refused series must be asked for again");
    assert!(!seen.renew(hash(3), 9) && !seen.knows(9));
}

#[test]
fn a_known_index_keeps_its_series_active() {
    let series = series(10);
    series.at(at(0)).touch(hash(1), Some(7));
    series.at(at(0)).touch(hash(2), None);
    for hours in (6..=48).step_by(6) {
        assert!(series.at(at(hours * HOUR)).knows(7), "after {hours} h");
    }
    assert_eq!(series.active(at(48 * HOUR)), 1);
    // It left: its index alone does not bring it back, as there may be no place for it.
    let late = series.at(at(70 * HOUR));
    assert!(!late.knows(7));
    assert_eq!(late.touch(hash(1), Some(7)), Touch::New);
    assert!(late.knows(7));
}

#[test]
fn indices_of_before_a_refill_mean_nothing_after_it() {
    let series = series(10);
    let before = series.at(at(0));
    before.touch(hash(1), Some(7));
    series.refill([(hash(1), Duration::ZERO)], at(0));
    let after = series.at(at(0));
    assert!(!after.knows(7));
    // A request that began before goes on with its own indices, and leaves none behind.
    assert!(before.renew(hash(1), 8));
    assert!(!before.knows(8) && !after.knows(8));
}

#[test]
fn refilling_restores_what_storage_knows() {
    let series = series(3);
    let now = at(100);
    series.at(now).touch(hash(9), Some(0));
    let ages = [(1, 0), (2, 6 * HOUR), (3, 12 * HOUR), (4, 12 * HOUR + SLOT_SECS), (5, 300 * HOUR), (1, HOUR)];
    series.refill(ages.map(|(number, age)| (hash(number), Duration::from_secs(age))), now);
    assert!(!series.at(now).knows(0), "indices may mean other series now");
    assert_eq!(series.active(now), 4);
    use Touch::{Active, Refused};
    assert_eq!([1, 2, 3, 4].map(|number| series.at(now).touch(hash(number), None)), [Active, Active, Active, Refused]);
}

#[test]
fn refilled_series_leave_12_hours_after_their_last_sample() {
    let series = series(10);
    let now = at(100);
    series.refill([(hash(1), Duration::from_secs(6 * HOUR)), (hash(2), Duration::ZERO)], now);
    for (later, active) in [(6 * HOUR, 2), (6 * HOUR + SLOT_SECS, 1), (12 * HOUR, 1), (12 * HOUR + SLOT_SECS, 0)] {
        assert_eq!(series.active(at(100 + later)), active, "after {later}");
    }
}

#[test]
fn threads_together_never_exceed_the_limit() {
    const LIMIT: u64 = 5_000;
    for round in 0..4 {
        let series = series(LIMIT);
        // Slots change under way: some threads are already in the next one.
        let new: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8u64)
                .map(|thread| {
                    let series = &series;
                    scope.spawn(move || {
                        let touch = |number: u64| {
                            let secs = if number > 4_000 { SLOT_SECS } else { SLOT_SECS - 1 };
                            series.at(at(secs + round)).touch(hash(number * 8 + thread % 4), Some(number as u32))
                        };
                        (0..8_000).filter(|number| touch(*number) == Touch::New).count() as u64
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(new, LIMIT, "each place is given once");
        assert_eq!(series.active(at(SLOT_SECS + round)), LIMIT);
    }
}

#[test]
fn hashes_differ_by_key_and_by_label() {
    let labels = |job: &str| Labels::from_pairs([("__name__", "up"), ("job", job)]).unwrap();
    let (one, other) = (HashKey::random(), HashKey::random());
    assert_eq!(one.hash(&labels("a")), one.hash(&labels("a")));
    assert_ne!(one.hash(&labels("a")), one.hash(&labels("b")));
    assert_ne!(one.hash(&labels("a")), other.hash(&labels("a")));
    assert_eq!(format!("{one:?}"), "HashKey(***)");
}
