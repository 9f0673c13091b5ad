use std::collections::BTreeSet;

use model::{Labels, TimestampMs};
use remote_write::{Encoder, Sample};

use super::*;

fn message(version: Version, series: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(version);
    for number in 0..series {
        let number = number.to_string();
        let labels = Labels::from_pairs([("__name__", "m"), ("n", number.as_str())]).unwrap();
        encoder.series(&labels).sample(Sample { timestamp: TimestampMs(1), value: 1.0, start_timestamp: None });
    }
    encoder.finish()
}

#[test]
fn what_cannot_be_kept_is_told_apart() {
    let mut surveyor = Surveyor::default();
    let too_large = framing::encode(&vec![0; DECODED_BYTES_MAX + 1]);
    for (body, status, told) in [
        (b"".to_vec(), 400, "the body is empty"),
        (b"hello".to_vec(), 400, "no snappy block"),
        (b"\xff\x06\x00\x00sNaPpY".to_vec(), 400, "framed"),
        (framing::encode(b"\x0a\xff\xff"), 400, "prometheus.WriteRequest"),
        // A series cut off.
        (framing::encode(&message(Version::V1, 2)[..20]), 400, "prometheus.WriteRequest"),
        (too_large, 413, "decompressed"),
    ] {
        let refusal = surveyor.survey(Version::V1, &body, &Limits::default()).err().unwrap();
        assert_eq!(refusal.status, status, "{}", refusal.message);
        assert!(refusal.message.contains(told), "{}", refusal.message);
    }
    // To a reader of version 1.0 it consists of unknown fields, so all of it would be lost behind a 204.
    let body = framing::encode(&message(Version::V2, 1));
    let refusal = surveyor.survey(Version::V1, &body, &Limits::default()).err().unwrap();
    assert!(refusal.status == 400 && refusal.message.contains("2.0"), "{}", refusal.message);
}

#[test]
fn series_are_counted_and_hashed_in_their_order() {
    let mut surveyor = Surveyor::default();
    for version in [Version::V1, Version::V2] {
        let once = message(version, 50);
        let found = surveyor.survey(version, &framing::encode(&once), &Limits::default()).ok().unwrap();
        assert_eq!(found.tally, WrittenCounts { samples: 50, ..WrittenCounts::default() });
        assert_eq!(found.series.iter().collect::<BTreeSet<_>>().len(), 50);
        assert!(!found.is_empty);
    }
    // A series may stand in a message more than once.
    let twice = message(Version::V1, 50).repeat(2);
    let found = surveyor.survey(Version::V1, &framing::encode(&twice), &Limits::default()).ok().unwrap();
    assert_eq!(found.tally.samples, 100);
    assert_eq!((found.series.len(), &found.series[..50]), (100, &found.series[50..]));
}

#[test]
fn nothing_to_deliver_is_no_series_and_no_metadata() {
    let mut surveyor = Surveyor::default();
    let mut is_empty = |version, message: &[u8]| {
        surveyor.survey(version, &framing::encode(message), &Limits::default()).ok().unwrap().is_empty
    };
    assert!(is_empty(Version::V1, &message(Version::V1, 0)));
    assert!(is_empty(Version::V2, &message(Version::V2, 0)));
    let mut encoder = Encoder::new(Version::V1);
    let metadata = model::Metadata { help: "of m".to_owned(), ..model::Metadata::default() };
    encoder.family("m", &metadata);
    assert!(!is_empty(Version::V1, &encoder.finish()));
}

#[test]
fn memory_of_an_unusual_request_is_given_back() {
    let mut surveyor = Surveyor::default();
    let large = framing::encode(&vec![0; MESSAGE_BYTES_KEPT_MAX + 1]);
    // Zeros are no message, but they are decompressed first.
    assert!(surveyor.survey(Version::V1, &large, &Limits::default()).is_err());
    assert_eq!(surveyor.message.capacity(), 0);
    let usual = framing::encode(&message(Version::V1, 100));
    assert!(surveyor.survey(Version::V1, &usual, &Limits::default()).is_ok());
    assert!(surveyor.message.capacity() > 0);
}
