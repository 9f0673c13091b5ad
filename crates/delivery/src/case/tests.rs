//! Entries against receivers that refuse whole requests, store parts, or lie; without time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{Exemplar, Labels, NativeHistogram, TimestampMs};
use proptest::prelude::*;
use remote_write::{Encoder, Item, Request, Sample, SurveyScratch, framing, survey};

use spool::Outcome;

use super::*;
use crate::{Policy, judge};

const NOW: UnixTime = UnixTime::from_millis(1_800_000_000_000);

fn labels(series: usize) -> Labels {
    let text = series.to_string();
    Labels::from_pairs([("__name__", "up"), ("i", text.as_str())]).unwrap()
}

/// An entry with one sample for each of these series; a number that stands twice is a series that stands twice.
fn entry(version: Version, series: &[usize]) -> Entry {
    let mut encoder = Encoder::new(version);
    for (at, number) in series.iter().enumerate() {
        encoder.series(&labels(*number)).sample(Sample::new(TimestampMs(NOW.as_millis() + at as i64), 1.0));
    }
    of_message(version, &encoder.finish())
}

fn of_message(version: Version, message: &[u8]) -> Entry {
    let mut scratch = SurveyScratch::default();
    let survey = survey(version, message, &Limits::default(), &mut scratch).unwrap();
    Entry {
        id: EntryId(1),
        received_at: NOW,
        version,
        body: Bytes::from(framing::encode(message)),
        tally: survey.tally,
        series: survey.hashes.into(),
        recovered: false,
    }
}

/// Series numbers and times in a body.
fn decode(version: Version, body: &[u8]) -> Vec<(usize, i64)> {
    let mut message = Vec::new();
    framing::decode(body, 64 << 20, &mut message).unwrap();
    let limits = Limits::default();
    let request = Request::parse(version, &message, &limits).unwrap();
    let (mut scratch, mut all) = (Vec::new(), Vec::new());
    let mut walk = request.walk(&mut scratch);
    while let Some(item) = walk.next_item().unwrap() {
        let Item::Series(series) = item else { continue };
        let number = series.labels().unwrap().get("i").unwrap().parse().unwrap();
        all.extend(series.samples().map(|sample| (number, sample.unwrap().timestamp.0)));
    }
    all
}

struct Ran {
    settled: Settled,
    requests: usize,
    stored: Vec<(usize, i64)>,
}

/// Sends an entry until it is done. The receiver says what it answers and stores.
fn run(entry: Entry, mut receiver: impl FnMut(&[(usize, i64)], Version) -> (Answer, Vec<(usize, i64)>)) -> Ran {
    let policy = Policy::default();
    let known_bad = KnownBad::default();
    let shape = Shape {
        body_bytes_max: None,
        transcode: false,
        limits: &policy.limits,
        now: NOW,
        deliveries: 0,
        known_bad: &known_bad,
    };
    let around = Circumstances {
        tried: Tried::default(),
        deliveries_before: 0,
        target_failures: 1,
        refusals: 1,
        refused_for: Duration::ZERO,
        token_fresh: false,
        chance: 0.0,
    };
    let mut case = Case::new(entry);
    let (mut requests, mut stored) = (0, Vec::new());
    while let Some(parcel) = case.parcel(shape) {
        requests += 1;
        let (answer, kept) = receiver(&decode(parcel.version, &parcel.body), parcel.version);
        stored.extend(kept);
        let answer = Ok(answer);
        let attempt = case.attempt(&answer, around, &known_bad);
        let verdict = judge(&answer, &attempt, Duration::ZERO, &policy);
        case.follow(&verdict, &answer, shape);
    }
    assert!(case.is_done());
    Ran { settled: case.settle(), requests, stored }
}

fn answer(status: u16) -> Answer {
    Answer { status, ..Answer::default() }
}

fn rejected(settled: &Settled) -> BTreeMap<Rejection, u64> {
    settled.outcome.rejected.iter().map(|(reason, counts)| (*reason, counts.samples)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_bad_the_account_is_whole_and_the_bound_is_kept(
        series in prop::collection::vec(0usize..300, 1..300),
        bad in prop::collection::btree_set(0usize..300, 0..8),
        v2 in any::<bool>(),
        names_one in any::<bool>(),
    ) {
        let version = if v2 { Version::V2 } else { Version::V1 };
        let bad: BTreeSet<usize> = bad.into_iter().filter(|bad| series.contains(bad)).collect();
        let entry = entry(version, &series);
        let tally = entry.tally;
        let units = entry.series.len();
        let ran = run(entry, |samples, version| {
            let first = samples.iter().find(|(series, _)| bad.contains(series));
            match first {
                Some((series, _)) if names_one => {
                    let body = Bytes::from(format!("bad series {}", labels(*series)));
                    (Answer { body, ..answer(400) }, vec![])
                }
                Some(_) => (answer(422), vec![]),
                None => {
                    let written = Counts { samples: samples.len() as u64, ..Counts::default() };
                    let written = (version == Version::V2).then_some(written);
                    (Answer { written, ..answer(204) }, samples.to_vec())
                }
            }
        });
        prop_assert!(ran.requests as u32 <= 1 + requests_max(units), "{} requests for {units}", ran.requests);
        let outcome = &ran.settled.outcome;
        let refused: u64 = rejected(&ran.settled).values().sum();
        prop_assert_eq!(outcome.delivered.samples, ran.stored.len() as u64);
        prop_assert_eq!(outcome.delivered.samples + refused, tally.samples);
        let in_ring: u64 = ran.settled.refusals.iter().map(|refusal| refusal.tally.samples).sum();
        prop_assert_eq!(in_ring, refused);
        for refusal in &ran.settled.refusals {
            prop_assert_eq!(decode(Version::V1, &refusal.body).len() as u64, refusal.tally.samples);
        }
        if bad.len() <= 1 {
            let expected = series.iter().filter(|series| bad.contains(series)).count() as u64;
            prop_assert_eq!(rejected(&ran.settled).get(&Rejection::Invalid).copied().unwrap_or(0), expected);
            prop_assert_eq!(refused, expected);
        }
        // Samples of one series stay in their order.
        let mut newest = BTreeMap::new();
        for (series, at) in ran.stored {
            prop_assert!(newest.insert(series, at).is_none_or(|before| before < at));
        }
    }
}

#[test]
fn other_kinds_are_counted_too() {
    for version in [Version::V1, Version::V2] {
        let mut encoder = Encoder::new(version);
        for number in 0..6 {
            let (at, labels) = (TimestampMs(NOW.as_millis()), labels(number));
            let exemplar = Exemplar { labels: Labels::empty(), value: 1.0, timestamp: at };
            let mut series = encoder.series(&labels);
            match number % 2 {
                0 => series.sample(Sample::new(at, 1.0)).exemplar(&exemplar),
                _ => series.histogram(at, None, &NativeHistogram::stale()).exemplar(&exemplar),
            };
        }
        let entry = of_message(version, &encoder.finish());
        let all = Counts { samples: 3, histograms: 3, exemplars: 6 };
        assert_eq!(entry.tally, all);
        // A receiver that takes no exemplars and says so.
        let written = Counts { exemplars: 0, ..all };
        let ran = run(entry, |_, _| (Answer { written: Some(written), ..answer(200) }, vec![]));
        assert_eq!(ran.settled.outcome.delivered, written);
        let missing = Counts { exemplars: 6, ..Counts::default() };
        assert_eq!(ran.settled.outcome.rejected, [(Rejection::NotWritten, missing)]);
    }
}

#[test]
fn a_request_without_samples_is_sent_and_done() {
    for status in [204, 400] {
        let ran = run(of_message(Version::V1, &[]), |_, _| (answer(status), vec![]));
        assert_eq!((ran.requests, ran.settled.outcome), (1, Outcome::default()));
    }
}

#[test]
fn a_body_that_cannot_be_opened_is_refused_as_a_whole() {
    let mut damaged = entry(Version::V1, &[1, 2, 3]);
    damaged.body = Bytes::from_static(b"no snappy");
    let policy = Policy::default();
    let known_bad = KnownBad::default();
    let shape = Shape {
        body_bytes_max: Some(3),
        transcode: false,
        limits: &policy.limits,
        now: NOW,
        deliveries: 0,
        known_bad: &known_bad,
    };
    let cause = Cause { reason: Rejection::Forbidden, status: Some(403), text: "no".to_owned(), repetition: false };
    let mut case = Case::new(damaged);
    assert_eq!(case.parcel(shape).unwrap().body, "no snappy");
    case.take_back();
    let settled = case.give_up(&cause, shape);
    assert_eq!(rejected(&settled), BTreeMap::from([(Rejection::Forbidden, 3)]));
    assert_eq!((&*settled.refusals[0].series, &settled.refusals[0].body[..]), ("(cannot be read)", &b"no snappy"[..]));
}

#[test]
fn a_series_that_cannot_be_said_in_1_0_is_refused_alone() {
    let mut encoder = Encoder::new(Version::V2);
    for number in 0..3 {
        encoder.series(&labels(number)).sample(Sample::new(TimestampMs(NOW.as_millis()), 1.0));
    }
    let mut message = encoder.finish();
    // A fourth series whose labels refer to symbols that are not there: field 5, labels_refs [90, 91], one sample.
    message.extend_from_slice(&[0x2a, 15, 0x0a, 2, 90, 91, 0x12, 9, 9, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
    let ran = run(of_message(Version::V2, &message), |samples, version| match version {
        Version::V2 => (answer(415), vec![]),
        Version::V1 => (answer(204), samples.to_vec()),
    });
    assert_eq!((ran.requests, ran.stored.len()), (2, 3));
    assert_eq!(rejected(&ran.settled), BTreeMap::from([(Rejection::Unsupported, 1)]));
}

#[test]
fn answers_that_contradict_themselves_do_not_break_the_account() {
    // More written than sent; a bad part that is taken in the end.
    let written = Some(Counts { samples: 99, histograms: 9, exemplars: 9 });
    let ran = run(entry(Version::V2, &[1, 2]), |_, _| (Answer { written, ..answer(200) }, vec![]));
    assert_eq!(ran.settled.outcome.delivered.samples, 2);
    let mut answers = [400, 400, 204, 204, 204].into_iter();
    let ran = run(entry(Version::V1, &[1, 2, 3, 4]), |samples, _| (answer(answers.next().unwrap()), samples.to_vec()));
    assert_eq!((ran.settled.outcome.delivered.samples, ran.requests), (4, 5));
}

/// A kept connection that was closed without an answer may have brought the request all the same.
#[test]
fn what_went_out_twice_counts_as_resent_and_may_be_called_a_duplicate() {
    for (status, body) in [(204, ""), (400, "duplicate sample for timestamp")] {
        let entry = entry(Version::V1, &[7]);
        let tally = entry.tally;
        let twice = Answer { body: Bytes::from_static(body.as_bytes()), sent_twice: true, ..answer(status) };
        let outcome = run(entry, |_, _| (twice.clone(), vec![])).settled.outcome;
        let unconfirmed = if status == 204 { Counts::default() } else { tally };
        assert_eq!((outcome.delivered, outcome.unconfirmed, outcome.resent), (tally, unconfirmed, tally), "{status}");
    }
}
