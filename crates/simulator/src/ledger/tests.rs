//! What is held against a database, by batches told and answered by hand.

use super::*;
use crate::chance::Chance;

const AT: i64 = 1_700_000_000_000;

fn found(sample: Option<&Sample>) -> Found {
    sample.map(|(series, at, value)| (*series, BTreeMap::from([(*at, value.clone())]))).into_iter().collect()
}

/// Two values were taken for one time, the second while the disk failed or not; then the process died.
#[test]
fn of_values_that_were_not_compared_each_may_be_found() {
    let (now, mut chance) = (Monotonic::from_duration(Duration::ZERO), Chance::new(1));
    let mut version = |version| -> Sample { (0, AT, Kind::Distinct.value(0, AT, version, &mut chance)) };
    let (first, second, third) = (version(0), version(1), version(2));
    for disturbed in [false, true] {
        let mut ledger = Ledger::default();
        ledger.add_series(SeriesPlan { labels: Labels::default(), kind: Kind::Distinct });
        for (sample, disturbed) in [(&first, false), (&second, disturbed)] {
            let batch = [sample.clone()];
            let begun = ledger.begin(&batch, false);
            ledger.acknowledge(begun, &batch, Refused::new(), disturbed, now).unwrap();
        }
        for after in ["the answer", "a crash", "another crash"] {
            for (sample, is_right) in [(&first, true), (&second, disturbed), (&third, false)] {
                let outcome = ledger.check(&[], TimeRange::ALL, &found(Some(sample)));
                assert_eq!(outcome.is_ok(), is_right, "{:?} after {after}, disturbed: {disturbed}", sample.2);
            }
            assert!(ledger.check(&[], TimeRange::ALL, &found(None)).is_err(), "one is there after {after}");
            ledger.settle(&found(Some(&first)), true).unwrap();
        }
    }
}

/// A batch has another value for a time that is in a block, and the stored one behind it: the first is taken, as blocks are not
/// asked, and the second refused.
#[test]
fn what_is_stored_may_be_refused_after_another_value_was_taken() {
    let (now, mut chance) = (Monotonic::from_duration(Duration::ZERO), Chance::new(1));
    let mut version = |version| -> Sample { (0, AT, Kind::Distinct.value(0, AT, version, &mut chance)) };
    let (stored, other) = (version(0), version(1));
    let mut ledger = Ledger::default();
    ledger.add_series(SeriesPlan { labels: Labels::default(), kind: Kind::Distinct });
    let refused = |count: usize| Refused::from([((0, AT), vec![Refusal::Duplicate; count])]);
    let mut send = |batch: &[Sample], count| {
        let begun = ledger.begin(batch, false);
        ledger.acknowledge(begun, batch, refused(count), false, now)
    };
    send(std::slice::from_ref(&stored), 0).unwrap();
    assert!(send(std::slice::from_ref(&stored), 1).is_err(), "nothing else was sent");
    send(&[other, stored.clone()], 1).unwrap();
    send(std::slice::from_ref(&stored), 1).unwrap();
    ledger.check(&[], TimeRange::ALL, &found(Some(&stored))).unwrap();
}

#[test]
fn of_two_power_cuts_each_leaves_a_prefix_of_its_own() {
    let (second, mut chance) = (Duration::from_secs(1), Chance::new(1));
    let mut now = Monotonic::from_duration(Duration::ZERO);
    for is_looked_at in [true, false] {
        let mut ledger = Ledger::default();
        ledger.add_series(SeriesPlan { labels: Labels::default(), kind: Kind::Distinct });
        let mut samples = Vec::new();
        for number in 0..2 {
            let at = AT + number;
            let sample: Sample = (0, at, Kind::Distinct.value(0, at, 0, &mut chance));
            let batch = [sample.clone()];
            let begun = ledger.begin(&batch, true);
            ledger.acknowledge(begun, &batch, Refused::new(), false, now).unwrap();
            samples.push(sample);
            ledger.cut_power(Some(second), now);
            // The first is gone; whether anybody has seen that or not, the second may be there.
            if is_looked_at || number == 1 {
                ledger.settle(&found(samples.get(1)), true).unwrap();
            }
            now = now.plus(second * 3600);
        }
        ledger.check(&[], TimeRange::ALL, &found(samples.get(1))).unwrap();
        ledger.check(&[], TimeRange::ALL, &found(samples.first())).unwrap_err();
    }
}
