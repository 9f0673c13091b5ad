use super::*;
use crate::compose::{bytes, double, integer, label, packed, sample};
use crate::series_hash;

/// `"" __name__ up a b` and one that is no text.
fn symbols() -> Vec<u8> {
    ["".as_bytes(), b"__name__", b"up", b"a", b"b", b"\xff"].map(|symbol| bytes(4, symbol)).concat()
}

#[track_caller]
fn transcoded(series: &[Vec<u8>]) -> Transcoded {
    transcode_to_v1(&[symbols(), series.concat()].concat(), &Limits::default()).unwrap()
}

#[test]
fn everything_but_start_timestamps_is_said() {
    let histogram = |start: Vec<u8>| [integer(1, 3), start, double(3, 2.5), integer(15, 7)].concat();
    let exemplar = [packed(1, &[3, 4]), double(2, 0.5), integer(3, 9)].concat();
    let sample_with_start = bytes(2, [double(1, 1.5), integer(2, 7), integer(3, 5)].concat());
    let message = bytes(
        5,
        [
            bytes(4, exemplar),
            bytes(3, histogram(integer(17, 5))),
            sample_with_start,
            sample(8, -0.0),
            packed(1, &[1, 2, 3, 4]),
        ]
        .concat(),
    );
    let labels = [label("__name__", "up"), label("a", "b")].concat();
    let expected = bytes(
        1,
        [
            labels,
            sample(7, 1.5),
            sample(8, -0.0),
            bytes(3, [label("a", "b"), double(2, 0.5), integer(3, 9)].concat()),
            bytes(4, histogram(vec![])),
        ]
        .concat(),
    );
    assert_eq!(transcoded(&[message]), Transcoded { message: expected, refused: vec![] });
}

#[test]
fn what_cannot_be_said_is_told_and_the_rest_goes_on() {
    let lost_series = bytes(5, [packed(1, &[1, 9]), sample(1, 1.0), bytes(4, [])].concat());
    let lost_exemplar = bytes(5, [packed(1, &[1, 2]), sample(1, 1.0), bytes(4, packed(1, &[3, 5]))].concat());
    // Metadata that leads nowhere, and a series without samples: 1.0 has nothing against them.
    let bad_metadata = bytes(5, [packed(1, &[1, 3]), sample(1, 1.0), bytes(5, integer(3, 9))].concat());
    let no_data = bytes(5, packed(1, &[1, 4]));
    let Transcoded { message, refused } = transcoded(&[lost_series, lost_exemplar, bad_metadata, no_data]);
    let name = |name| label("__name__", name);
    let series = [[name("up"), sample(1, 1.0)].concat(), [name("a"), sample(1, 1.0)].concat(), name("b")];
    assert_eq!(message, series.map(|series| bytes(1, series)).concat());
    let said: Vec<String> = refused
        .iter()
        .map(|Refused { series, tally, error }| {
            format!("{series:?} {} {} {}: {error}", tally.samples, tally.histograms, tally.exemplars)
        })
        .collect();
    assert_eq!(
        said,
        [
            "Some(0) 1 0 1: label reference 9 is out of range: the request has 6 symbols",
            "Some(1) 0 0 1: label symbol 5 is not valid UTF-8",
        ]
    );
}

#[test]
fn metadata_is_said_once_a_family() {
    let table = ["", "__name__", "t_bucket", "t_sum", "t_count", "up", "help", "s"].map(|text| bytes(4, text)).concat();
    let series = |name, metric_type, help| {
        let metadata = bytes(5, [integer(1, metric_type), integer(3, help), integer(4, 7)].concat());
        bytes(5, [packed(1, &[1, name]), sample(1, 1.0), metadata].concat())
    };
    let message = [table, series(2, 3, 6), series(3, 3, 7), series(4, 3, 6), series(5, 2, 6), series(4, 1, 6)].concat();
    let Transcoded { message, .. } = transcode_to_v1(&message, &Limits::default()).unwrap();
    let family = |name: &str, metric_type| {
        bytes(3, [integer(1, metric_type), bytes(2, name), bytes(4, "help"), bytes(5, "s")].concat())
    };
    let expected = [family("t", 3), family("up", 2), family("t_count", 1)].concat();
    assert!(message.ends_with(&expected), "a histogram is one family, a counter keeps its name");
}

#[test]
fn names_of_families() {
    for (name, metric_type, family) in [
        ("x_bucket", MetricType::Histogram, "x"),
        ("x_total", MetricType::Counter, "x_total"),
        ("x_bucket", MetricType::Gauge, "x_bucket"),
        ("x_sum", MetricType::Summary, "x"),
        ("x", MetricType::Summary, "x"),
        ("x_gcount", MetricType::GaugeHistogram, "x"),
        ("_sum", MetricType::Summary, "_sum"),
    ] {
        assert_eq!(family_name(name, metric_type), family, "{name}");
    }
}

#[test]
fn series_keep_their_hash() {
    let Transcoded { message, .. } = transcoded(&[bytes(5, packed(1, &[3, 0, 1, 2]))]);
    let block = [bytes(1, bytes(1, "a")), label("__name__", "up")].concat();
    assert_eq!(message, bytes(1, &block));
    let mut unfolded = Vec::new();
    let request = symbols();
    let request = Request::parse(Version::V2, &request, &Limits::default()).unwrap();
    let refs = packed(1, &[3, 0, 1, 2]);
    let labels = v2::resolve_labels(Reader::new(&refs), &request.symbols, &request.limits.labels, &mut unfolded);
    assert_eq!(labels.unwrap(), Ok(()));
    assert_eq!(series_hash(&unfolded), series_hash(&block));
}

#[test]
fn unfolding_is_bounded() {
    let limits = Limits { unfolded_bytes_max: 40, ..Limits::default() };
    let table = ["", "__name__", "up", "0123456789012345678901234567890123456789"].map(|text| bytes(4, text)).concat();
    let up = packed(1, &[1, 2]);
    let exemplar = bytes(4, packed(1, &[2, 3]));
    let metadata = bytes(5, integer(3, 3));
    for part in [exemplar, metadata] {
        let message = [table.clone(), bytes(5, [up.clone(), part].concat())].concat();
        assert!(matches!(transcode_to_v1(&message, &limits).unwrap_err().fault, WireFault::LabelsTooLarge { max: 40 }));
        assert!(transcode_to_v1(&message, &Limits::default()).is_ok());
    }
}
