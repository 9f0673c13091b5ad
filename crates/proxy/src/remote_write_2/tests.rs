use delivery::Answer;
use remote_write::WrittenCounts;

use super::*;

#[test]
fn only_written_headers_prove_that_a_target_takes_it() {
    let none = WrittenCounts::default();
    for (status, written, expected) in [
        (204, Some(none), Some(true)),
        (200, Some(none), Some(true)),
        (200, None, Some(false)),
        (204, None, Some(false)),
        (415, None, Some(false)),
        (415, Some(none), Some(false)),
        (406, None, Some(false)),
        (501, None, Some(false)),
        (400, None, Some(false)),
        (400, Some(none), Some(true)),
        (422, None, Some(false)),
        // About us, the rule or the moment, not about the version.
        (401, None, None),
        (403, None, None),
        (404, None, None),
        (413, None, None),
        (429, None, None),
        (500, None, None),
        (503, Some(none), None),
        (302, None, None),
    ] {
        let answer = Ok(Answer { status, written, ..Answer::default() });
        assert_eq!(takes_version_2(&answer), expected, "{status} {written:?}");
    }
    let unreachable =
        SendError { message: String::new(), kind: "unreachable", may_have_arrived: false, sent_twice: false };
    assert_eq!(takes_version_2(&Err(unreachable)), None);
}

fn at(secs: u64) -> Monotonic {
    Monotonic::from_duration(Duration::from_secs(secs))
}

#[test]
fn the_setting_decides_without_asking() {
    for (setting, admission) in [
        (RemoteWrite2::Accept, Admission::Taken),
        (RemoteWrite2::Transcode, Admission::Taken),
        (RemoteWrite2::Refuse, Admission::Refused),
    ] {
        assert_eq!(Gate::new(setting).step(at(0)), Step::Decided(admission));
    }
}

#[test]
fn an_unclear_answer_is_asked_for_again_after_a_while() {
    let gate = Gate::new(RemoteWrite2::Probe);
    assert_eq!(gate.step(at(0)), Step::Ask(0));
    assert_eq!(gate.step(at(1)), Step::Wait);
    gate.learn(0, None);
    assert_eq!(gate.step(at(2)), Step::Decided(Admission::Unknown));
    assert_eq!(gate.step(at(59)), Step::Decided(Admission::Unknown));
    assert_eq!(gate.step(at(60)), Step::Ask(0));
    gate.learn(0, Some(true));
    assert_eq!(gate.step(at(61)), Step::Decided(Admission::Taken));
    assert_eq!(gate.step(at(1_000_000)), Step::Decided(Admission::Taken));
}

#[test]
fn a_target_that_refuses_is_asked_again_beside_the_answer_and_unclear_ones_change_nothing() {
    let gate = Gate::new(RemoteWrite2::Probe);
    assert_eq!(gate.step(at(0)), Step::Ask(0));
    gate.learn(0, Some(false));
    assert_eq!(gate.step(at(3599)), Step::Decided(Admission::TargetRefuses));
    assert_eq!(gate.step(at(3600)), Step::AskAgain(Admission::TargetRefuses, 0));
    assert_eq!(gate.step(at(3601)), Step::Decided(Admission::TargetRefuses), "one asks at a time");
    gate.learn(0, None);
    assert_eq!(gate.step(at(3602)), Step::Decided(Admission::TargetRefuses));
    assert_eq!(gate.step(at(7200)), Step::AskAgain(Admission::TargetRefuses, 0));
    gate.learn(0, Some(true));
    assert_eq!(gate.step(at(7201)), Step::Decided(Admission::Taken));
}

#[test]
fn another_target_is_asked_anew_and_the_answer_of_the_old_one_does_not_count() {
    let gate = Gate::new(RemoteWrite2::Probe);
    assert_eq!(gate.step(at(0)), Step::Ask(0));
    gate.forget();
    assert_eq!(gate.step(at(1)), Step::Ask(1));
    gate.learn(0, Some(true));
    assert_eq!(gate.step(at(2)), Step::Wait);
    gate.learn(1, Some(false));
    assert_eq!(gate.step(at(3)), Step::Decided(Admission::TargetRefuses));
    gate.set(RemoteWrite2::Transcode);
    assert_eq!(gate.step(at(4)), Step::Decided(Admission::Taken));
}
