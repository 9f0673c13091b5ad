use super::*;
use crate::compose::{bytes, double, integer, label, packed, sample};
use crate::{WireFault, framing};

fn series_v1(name: &str) -> Vec<u8> {
    bytes(1, [label("__name__", name), sample(1, 1.0)].concat())
}

fn cut(index: &SeriesIndex<'_>, series: Range<usize>, with_metadata: bool) -> Vec<u8> {
    let mut out = Vec::new();
    index.cut(series, with_metadata, &mut out);
    out
}

#[test]
fn parts_of_the_first_version_are_the_bytes_received() {
    let family = bytes(3, bytes(2, "a"));
    let unknown = integer(99, 1);
    let message = [series_v1("a"), family.clone(), series_v1("b"), unknown, series_v1("c")].concat();
    let index = SeriesIndex::of(Version::V1, &message, &Limits::default()).unwrap();
    assert_eq!(index.len(), 3);
    assert_eq!(cut(&index, 1..3, false), [series_v1("b"), series_v1("c")].concat());
    assert_eq!(cut(&index, 0..1, true), [series_v1("a"), family.clone()].concat());
    assert_eq!(cut(&index, 0..0, true), family);
    let mut out = Vec::new();
    index.cut([2, 0], false, &mut out);
    assert_eq!(out, [series_v1("c"), series_v1("a")].concat(), "any set, in the order given");
    assert_eq!(index.encoded_bytes(0..3), 3 * series_v1("a").len());
}

#[test]
fn symbols_keep_their_numbers_and_only_those_needed_their_texts() {
    let symbols = |texts: [&str; 8]| texts.map(|text| bytes(4, text));
    let table = symbols(["", "__name__", "a", "b", "trace_id", "t", "the help", "never needed"]);
    let exemplar = bytes(4, packed(1, &[4, 5]));
    let metadata = bytes(5, [integer(1, 1), integer(3, 6)].concat());
    let first = bytes(5, [packed(1, &[1, 2]), sample(1, 1.0)].concat());
    // References one by one, as some encoders write them.
    let second = bytes(5, [integer(1, 1), integer(1, 3), sample(1, 1.0), exemplar, metadata].concat());
    let message = [table.concat(), first.clone(), second.clone()].concat();
    let index = SeriesIndex::of(Version::V2, &message, &Limits::default()).unwrap();
    assert_eq!(cut(&index, 0..1, false), [table[..3].concat(), first].concat());
    let needed = symbols(["", "__name__", "", "b", "trace_id", "t", "the help", ""]);
    assert_eq!(cut(&index, 1..2, false), [needed[..7].concat(), second].concat());
    assert_eq!(cut(&index, 0..0, false), table[0], "the empty text is always there");
}

#[test]
fn series_are_shown_as_people_write_them() {
    let limits = LabelLimits::default();
    let unsorted = bytes(1, [label("b", "2"), label("__name__", "up"), sample(1, 1.0), label("a", "1")].concat());
    let not_text = bytes(1, bytes(1, bytes(1, b"\xff")));
    let message = [unsorted, not_text].concat();
    let index = SeriesIndex::of(Version::V1, &message, &Limits::default()).unwrap();
    assert_eq!(index.text(0, &limits), r#"up{a="1", b="2"}"#);
    assert!(index.text(1, &limits).contains("is not valid UTF-8"), "{}", index.text(1, &limits));

    let table = ["", "__name__", "up"].map(|text| bytes(4, text)).concat();
    let message = [bytes(5, packed(1, &[1, 2])), bytes(5, packed(1, &[1, 7])), table].concat();
    let index = SeriesIndex::of(Version::V2, &message, &Limits::default()).unwrap();
    assert_eq!(index.text(0, &limits), "up");
    assert!(index.text(1, &limits).contains("reference 7 is out of range"), "{}", index.text(1, &limits));
}

#[test]
fn broken_messages_and_too_many_series_have_no_index() {
    let broken = bytes(1, bytes(2, double(2, 1.0)));
    assert!(SeriesIndex::of(Version::V1, &broken, &Limits::default()).is_err());
    let limits = Limits { series_max: 1, ..Limits::default() };
    let error = SeriesIndex::of(Version::V1, &series_v1("a").repeat(2), &limits).err().unwrap();
    assert_eq!(error.fault, WireFault::TooManySeries { max: 1 });
    // The smallest of all messages is one, too.
    let mut empty = vec![1];
    framing::decode(&framing::encode(&[]), 10, &mut empty).unwrap();
    assert!(SeriesIndex::of(Version::V1, &empty, &Limits::default()).unwrap().is_empty());
}
