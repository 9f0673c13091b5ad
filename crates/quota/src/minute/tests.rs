use super::*;

fn at(secs: f64) -> Monotonic {
    Monotonic::from_duration(Duration::from_secs_f64(secs))
}

/// Steps of `(time, amount, wait)`: what is asked for when, and the seconds to wait if it is refused.
#[track_caller]
fn check(limit: u64, steps: &[(f64, u64, Option<u64>)]) {
    let mut minute = Minute::default();
    for (secs, amount, wait) in steps.iter().copied() {
        let answer = minute.check(amount, limit, at(secs));
        assert_eq!(answer.err(), wait.map(Duration::from_secs), "{amount} of {limit} at {secs}");
        if answer.is_ok() {
            minute.charge(amount);
        }
    }
}

#[test]
fn a_window_admits_its_limit() {
    check(10, &[(60.0, 6, None), (61.0, 4, None), (62.0, 1, Some(58)), (119.9, 1, Some(1)), (120.0, 10, None)]);
}

#[test]
fn a_burst_at_the_edge_gets_two_windows_and_no_more() {
    check(
        10,
        &[(119.5, 10, None), (119.9, 1, Some(1)), (120.0, 10, None), (120.1, 1, Some(60)), (179.999, 1, Some(1))],
    );
}

#[test]
fn what_is_refused_is_not_charged() {
    check(10, &[(0.0, 9, None), (1.0, 2, Some(59)), (1.0, 2, Some(59)), (2.0, 1, None)]);
}

#[test]
fn a_request_above_the_limit_passes_alone_and_pays_later() {
    // 35 of 10: the windows from 60 and 120 pay for it, the one from 180 has 5 left.
    check(
        10,
        &[
            (0.0, 35, None),
            (1.0, 1, Some(179)),
            (60.0, 1, Some(120)),
            (120.5, 1, Some(60)),
            (180.0, 20, Some(60)),
            (180.0, 5, None),
            (181.0, 1, Some(59)),
            (240.0, 20, None),
        ],
    );
    check(10, &[(0.0, 1, None), (1.0, 11, Some(59)), (60.0, 11, None)]);
}

#[test]
fn nothing_is_admitted_of_a_limit_of_nothing() {
    check(0, &[(0.0, 1, Some(60)), (59.5, 1, Some(1)), (60.0, 0, None)]);
}

#[test]
fn readings_that_overtake_each_other_count_once() {
    check(10, &[(60.0, 10, None), (59.9, 1, Some(61)), (119.0, 1, Some(1)), (120.0, 10, None), (119.0, 10, Some(61))]);
}

#[test]
fn long_silence_pays_everything() {
    check(10, &[(0.0, u64::MAX, None), (1.0, 1, Some(24 * 3600 - 1)), (1e12, 1, Some(24 * 3600 - 40))]);
    check(10, &[(0.0, 1_000, None), (1e6, 10, None)]);
}

#[test]
fn a_limit_may_be_lowered_below_what_is_used() {
    let mut minute = Minute::default();
    minute.check(100, 100, at(0.0)).unwrap();
    minute.charge(100);
    assert_eq!(minute.check(1, 30, at(1.0)), Err(Duration::from_secs(179)));
    assert_eq!(minute.used(30, at(60.0)), 70);
    assert_eq!(minute.used_before(30, at(60.0)), 100);
    assert_eq!(minute.check(1, 1000, at(61.0)), Ok(()));
}
