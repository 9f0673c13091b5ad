use super::*;
use crate::compose::{bytes, double, integer, label, packed, sample};

#[track_caller]
fn surveyed(version: Version, message: &[u8]) -> (WrittenCounts, usize, Vec<u32>) {
    let mut scratch = SurveyScratch::default();
    let Survey { tally, series, hashes } = survey(version, message, &Limits::default(), &mut scratch).unwrap();
    (tally, series, hashes.to_vec())
}

#[track_caller]
fn refused(version: Version, message: &[u8], limits: &Limits) -> String {
    survey(version, message, limits, &mut SurveyScratch::default()).unwrap_err().to_string()
}

fn up() -> Vec<u8> {
    [label("__name__", "up"), label("job", "node")].concat()
}

fn symbols(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| bytes(4, text)).collect()
}

/// The hash stands on disks: these values are for ever.
#[test]
fn hashes_never_change() {
    assert_eq!(series_hash(&up()), series_hash(b"\x0a\x0e\x0a\x08__name__\x12\x02up\x0a\x0b\x0a\x03job\x12\x04node"));
    assert_eq!(series_hash(&up()), UP_HASH);
}

const UP_HASH: u32 = 0x9934_700f;

#[test]
fn the_same_series_has_one_hash_in_both_versions() {
    let v1 = bytes(1, [up(), sample(1, 1.0)].concat());
    let v2 = [
        symbols(&["", "__name__", "up", "job", "node"]),
        bytes(5, [packed(1, &[1, 2, 3, 4]), sample(1, 1.0)].concat()),
    ];
    let (tally, series, hashes) = surveyed(Version::V1, &v1);
    assert_eq!((tally, series, hashes), (WrittenCounts { samples: 1, ..WrittenCounts::default() }, 1, vec![UP_HASH]));
    assert_eq!(surveyed(Version::V2, &v2.concat()), surveyed(Version::V1, &v1));
}

#[test]
fn everything_is_counted_once_and_each_series_has_its_hash() {
    let histogram = bytes(4, [integer(15, 7), double(3, 2.5)].concat());
    let exemplar = bytes(3, [label("trace_id", "t"), double(2, 0.5)].concat());
    let message = [
        bytes(1, [up(), sample(1, 1.0), sample(2, 1.0)].concat()),
        bytes(3, bytes(2, "up")),
        bytes(1, [label("__name__", "other"), histogram.clone(), exemplar.clone(), sample(1, 1.0)].concat()),
        // The same as the first one, with its labels scattered.
        bytes(1, [label("__name__", "up"), exemplar, label("job", "node"), histogram].concat()),
        bytes(1, []),
    ];
    let (tally, series, hashes) = surveyed(Version::V1, &message.concat());
    assert_eq!(tally, WrittenCounts { samples: 3, histograms: 2, exemplars: 2 });
    assert_eq!((series, hashes.len()), (4, 4));
    assert_eq!((hashes[0], hashes[2]), (UP_HASH, UP_HASH));
    assert!(hashes[1] != UP_HASH && hashes[3] != UP_HASH);
}

#[test]
fn nonsense_on_its_own_is_counted() {
    let not_text = [bytes(1, bytes(1, b"\xff")), sample(1, 1.0)].concat();
    let (tally, series, hashes) = surveyed(Version::V1, &bytes(1, not_text));
    assert_eq!((tally.samples, series, hashes.len()), (1, 1, 1));
    let nowhere = bytes(5, [packed(1, &[1, 9]), sample(1, 1.0)].concat());
    let no_data = bytes(5, packed(1, &[1, 1]));
    let (tally, series, hashes) = surveyed(Version::V2, &[symbols(&["", "a"]), nowhere, no_data].concat());
    assert_eq!((tally.samples, series, hashes.len()), (1, 2, 2));
}

/// What the walk leaves to those who decode is seen here.
#[test]
fn broken_parts_refuse_the_whole() {
    let good = bytes(1, [up(), sample(1, 1.0)].concat());
    let at = "prometheus.WriteRequest.timeseries[1], byte ";
    for (part, expected) in [
        (bytes(2, [0x09, 0, 0]), "the message ends in the middle of a value"),
        (bytes(2, integer(1, 5)), "field 1 has wire type 0, which is not its own"),
        (bytes(3, bytes(1, [0x0a, 9])), "a length of 9 bytes, but only 0 are left"),
        (bytes(3, integer(2, 5)), "field 2 has wire type 0, which is not its own"),
        (bytes(4, bytes(11, integer(2, 1 << 40))), "an integer that does not fit 32 bits"),
        (bytes(4, bytes(13, [0u8; 9])), "the message ends in the middle of a value"),
        (bytes(1, [0x0a, 9]), "a length of 9 bytes, but only 0 are left"),
    ] {
        let message = [good.clone(), bytes(1, [up(), part].concat())].concat();
        let error = refused(Version::V1, &message, &Limits::default());
        assert!(error.starts_with(at) && error.ends_with(expected), "{error} is not {expected}");
    }
    for part in [bytes(2, [0x09, 0]), bytes(3, [0x09, 0]), bytes(4, bytes(1, [0x80])), bytes(1, [0x80])] {
        let message = [symbols(&[""]), bytes(5, [packed(1, &[0, 0]), part].concat())].concat();
        refused(Version::V2, &message, &Limits::default());
    }
}

#[test]
fn bounds_hold() {
    let limits = Limits { series_max: 2, symbols_max: 2, unfolded_bytes_max: 30, ..Limits::default() };
    let (one_v1, one_v2) = (bytes(1, []), bytes(5, packed(1, &[1, 1, 1, 1])));
    assert!(survey(Version::V1, &one_v1.repeat(2), &limits, &mut SurveyScratch::default()).is_ok());
    assert!(refused(Version::V1, &one_v1.repeat(3), &limits).contains("more than 2 series"));
    assert!(refused(Version::V2, &bytes(5, []).repeat(3), &limits).contains("more than 2 series"));
    assert!(refused(Version::V2, &symbols(&["", "a", "b"]), &limits).contains("more than 2 symbols"));
    let folded = [symbols(&["", "abcd"]), one_v2.repeat(2)].concat();
    assert!(refused(Version::V2, &folded, &limits).contains("unfold to more than 30 bytes"));
}
