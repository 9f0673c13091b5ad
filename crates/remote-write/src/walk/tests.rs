use std::fmt::Write;

use super::*;
use crate::compose::{bytes, double, integer, label, packed, sample};
use crate::{LabelLimits, Limits};

/// A request as text, one line an item.
fn describe(version: Version, body: &[u8], limits: &Limits) -> String {
    let mut out = String::new();
    if let Err(error) = try_describe(version, body, limits, &mut out) {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        writeln!(out, "{error}").unwrap();
    }
    out
}

fn try_describe(version: Version, body: &[u8], limits: &Limits, out: &mut String) -> Result<(), DecodeError> {
    let request = Request::parse(version, body, limits)?;
    let mut scratch = Vec::new();
    let mut walk = request.walk(&mut scratch);
    while let Some(item) = walk.next_item()? {
        match item {
            Item::Series(series) => {
                match series.labels() {
                    Ok(labels) => write!(out, "{}: {labels}", series.index()).unwrap(),
                    Err(error) => write!(out, "{}: {error}", series.index()).unwrap(),
                }
                for sample in series.samples() {
                    let sample = sample?;
                    write!(out, " {}@{}", sample.value, sample.timestamp).unwrap();
                    if let Some(start) = sample.start_timestamp {
                        write!(out, "<{start}").unwrap();
                    }
                }
                for histogram in series.histograms() {
                    let sample = histogram?;
                    write!(out, " h{}@{}", sample.histogram.sum, sample.timestamp).unwrap();
                    if let Some(start) = sample.start_timestamp {
                        write!(out, "<{start}").unwrap();
                    }
                }
                for exemplar in series.exemplars() {
                    let exemplar = exemplar?;
                    match exemplar.labels(&limits.labels) {
                        Ok(labels) => write!(out, " e{labels}{}@{}", exemplar.value, exemplar.timestamp).unwrap(),
                        Err(error) => write!(out, " e({error})").unwrap(),
                    }
                }
                if let Some(MetadataText { metric_type, help, unit }) = series.metadata() {
                    write!(out, " {} {help:?} {unit:?}", metric_type.as_str()).unwrap();
                }
                out.push('\n');
            }
            Item::Family(FamilyMetadata { name, metadata: MetadataText { metric_type, help, unit } }) => {
                writeln!(out, "{name}: {} {help:?} {unit:?}", metric_type.as_str()).unwrap();
            }
            Item::Refused(Refused { series, tally, error }) => {
                let place = series.map_or("metadata".to_owned(), |index| index.to_string());
                let lost = (tally.samples, tally.histograms, tally.exemplars);
                writeln!(out, "{place}: refused {lost:?}: {error}").unwrap();
            }
        }
    }
    Ok(())
}

#[track_caller]
fn check_v1(fields: &[Vec<u8>], expected: &[&str]) {
    let described = describe(Version::V1, &fields.concat(), &Limits::default());
    assert_eq!(described.lines().collect::<Vec<_>>(), expected);
}

/// With symbols `"" __name__ up a b` and one that is no text.
#[track_caller]
fn check_v2(fields: &[Vec<u8>], expected: &[&str]) {
    let symbols = ["".as_bytes(), b"__name__", b"up", b"a", b"b", b"\xff"].map(|symbol| bytes(4, symbol)).concat();
    let described = describe(Version::V2, &[symbols, fields.concat()].concat(), &Limits::default());
    assert_eq!(described.lines().collect::<Vec<_>>(), expected);
}

fn up() -> Vec<u8> {
    label("__name__", "up")
}

#[test]
fn first_version_in_any_order() {
    let exemplar = bytes(3, [integer(3, 9), label("trace_id", "t"), double(2, 0.5)].concat());
    let histogram = bytes(4, [integer(15, 7), double(3, 2.5), integer(17, 99)].concat());
    let family = [integer(1, 1), bytes(2, "up"), bytes(4, "whether it is up"), bytes(5, "s")].concat();
    check_v1(&[], &[]);
    check_v1(
        &[
            bytes(1, [up(), label("a", "b"), sample(5, 1.5), sample(6, -0.0)].concat()),
            bytes(2, "the source of the request"),
            bytes(
                1,
                [sample(5, 1.0), label("z", "1"), histogram.clone(), up(), exemplar.clone(), label("a", "")].concat(),
            ),
            bytes(3, family),
            integer(99, 1),
            bytes(1, [histogram, sample(8, 3.0), up(), exemplar].concat()),
            bytes(1, up()),
            bytes(1, []),
        ],
        &[
            r#"0: up{a="b"} 1.5@5 -0@6"#,
            r#"1: up{z="1"} 1@5 h2.5@7 e{trace_id="t"}0.5@9"#,
            r#"up: counter "whether it is up" "s""#,
            r#"2: up 3@8 h2.5@7 e{trace_id="t"}0.5@9"#,
            "3: up",
            "4: series {} has no metric name (label __name__)",
        ],
    );
}

#[test]
fn label_blocks_are_the_run_as_it_stands_or_what_it_would_be() {
    let labels = [label("b", "2"), up(), label("a", "")].concat();
    let unknown = integer(77, 1);
    let orders = [
        [labels.clone(), sample(1, 1.0)].concat(),
        [sample(1, 1.0), labels.clone()].concat(),
        [label("b", "2"), sample(1, 1.0), up(), unknown.clone(), label("a", "")].concat(),
        [unknown, labels.clone(), sample(1, 1.0)].concat(),
    ];
    for series in orders {
        let body = bytes(1, &series);
        let request = Request::parse(Version::V1, &body, &Limits::default()).unwrap();
        let mut scratch = Vec::new();
        let mut walk = request.walk(&mut scratch);
        let Some(Item::Series(found)) = walk.next_item().unwrap() else { panic!("a series is there") };
        assert_eq!(found.label_block(), labels);
        assert_eq!(found.samples().count(), 1);
    }
}

#[test]
fn first_version_metadata_alone_can_be_bad() {
    check_v1(
        &[bytes(3, bytes(4, b"\xff")), bytes(3, [bytes(2, "m"), integer(1, 200)].concat()), bytes(1, up())],
        &["metadata: refused (0, 0, 0): metadata help is not valid UTF-8", r#"m: unknown "" """#, "0: up"],
    );
}

#[test]
fn first_version_broken() {
    let at = "prometheus.WriteRequest";
    check_v1(&[vec![0x0a, 0xff]], &[&format!("{at}, byte 1: the message ends in the middle of a value")]);
    check_v1(
        &[bytes(1, up()), vec![0x0a, 0x05, 1]],
        &[&format!("{at}, byte 19: a length of 5 bytes, but only 1 are left")],
    );
    check_v1(&[integer(1, 1)], &[&format!("{at}, byte 1: field 1 has wire type 0, which is not its own")]);
    check_v1(&[vec![0x23, 0x24]], &[&format!("{at}, byte 1: field 4 is a group, which these messages do not have")]);
    // What is wrong inside of a series shows when it is reached; items before it are good.
    let good = bytes(1, [up(), sample(1, 1.0)].concat());
    check_v1(
        &[good.clone(), bytes(1, [up(), vec![0x12, 3, 0x09]].concat()), good.clone()],
        &["0: up 1@1", &format!("{at}.timeseries[1], byte 50: a length of 3 bytes, but only 1 are left")],
    );
    check_v1(
        &[good, bytes(1, [up(), bytes(2, [0x09, 0, 0])].concat())],
        &[
            "0: up 1@1",
            "1: up",
            &format!("{at}.timeseries[1].samples, byte 52: the message ends in the middle of a value"),
        ],
    );
    check_v1(
        &[bytes(1, [up(), bytes(4, bytes(8, integer(2, 1 << 32)))].concat())],
        &["0: up", &format!("{at}.timeseries[0].histograms, byte 23: an integer that does not fit 32 bits")],
    );
    check_v1(&[bytes(3, [0x08])], &[&format!("{at}.metadata, byte 3: the message ends in the middle of a value")]);
}

#[test]
fn nothing_comes_after_an_error() {
    let body = [bytes(1, [0x12]), bytes(1, up())].concat();
    let request = Request::parse(Version::V1, &body, &Limits::default()).unwrap();
    let mut scratch = Vec::new();
    let mut walk = request.walk(&mut scratch);
    assert!(walk.next_item().is_err());
    assert!(walk.next_item().unwrap().is_none());
}

#[test]
fn second_version_in_any_order() {
    let refs = packed(1, &[1, 2, 3, 4]);
    let unpacked = [integer(1, 1), sample(1, 1.0), packed(1, &[2, 3]), packed(1, &[]), integer(1, 4)].concat();
    let started = bytes(2, [integer(3, 3), double(1, 2.0), integer(2, 8)].concat());
    let histogram = bytes(3, [integer(15, 7), double(3, 2.5), integer(17, 4)].concat());
    let exemplar = bytes(4, [packed(1, &[3, 4]), double(2, 0.5), integer(3, 9)].concat());
    let metadata = bytes(5, [integer(1, 2), integer(3, 3), integer(4, 4)].concat());
    check_v2(
        &[
            bytes(5, [refs.clone(), sample(1, 1.0), started].concat()),
            bytes(5, unpacked),
            bytes(5, [histogram, exemplar, metadata, refs, integer(6, 12345)].concat()),
            bytes(9, "unknown"),
            // Metadata in two parts is one.
            bytes(5, [packed(1, &[1, 2]), sample(1, 1.0), bytes(5, integer(1, 1)), bytes(5, integer(3, 4))].concat()),
        ],
        &[
            r#"0: up{a="b"} 1@1 2@8<3"#,
            r#"1: up{a="b"} 1@1"#,
            r#"2: up{a="b"} h2.5@7<4 e{a="b"}0.5@9 gauge "a" "b""#,
            r#"3: up 1@1 counter "b" """#,
        ],
    );
}

#[test]
fn second_version_symbols_may_come_last() {
    let series = bytes(5, [packed(1, &[1, 2]), sample(1, 1.0)].concat());
    let symbols = ["", "__name__", "late"].map(|symbol| bytes(4, symbol)).concat();
    assert_eq!(describe(Version::V2, &[series, symbols].concat(), &Limits::default()), "0: late 1@1\n");
}

#[test]
fn second_version_refuses_series_by_series() {
    let with = |refs: &[u64]| bytes(5, [packed(1, refs), sample(1, 1.0)].concat());
    let help = |reference| bytes(5, [packed(1, &[1, 2]), sample(1, 1.0), bytes(5, integer(3, reference))].concat());
    check_v2(
        &[
            with(&[1, 2, 3]),
            with(&[1, 99]),
            with(&[1, 2]),
            with(&[1, 5]),
            with(&[1, u64::MAX]),
            with(&[3, 4]),
            with(&[1, 2, 0, 3]),
            with(&[1, 2, 3, 4, 3, 4]),
            with(&[]),
            help(77),
            help(5),
            bytes(5, [packed(1, &[1, 2]), bytes(4, double(2, 1.0))].concat()),
            bytes(
                5,
                [packed(1, &[1, 2]), sample(1, 1.0), bytes(4, packed(1, &[3])), bytes(4, packed(1, &[3, 6]))].concat(),
            ),
            with(&[1, 2, 3, 0]),
        ],
        &[
            "0: refused (1, 0, 0): odd number of label references: the last name has no value",
            "1: refused (1, 0, 0): label reference 99 is out of range: the request has 6 symbols",
            "2: up 1@1",
            "3: refused (1, 0, 0): label symbol 5 is not valid UTF-8",
            "4: refused (1, 0, 0): label reference 18446744073709551615 is out of range: the request has 6 symbols",
            r#"5: series {a="b"} has no metric name (label __name__) 1@1"#,
            r#"6: a label has an empty name (its value is "a") 1@1"#,
            r#"7: label name "a" appears twice 1@1"#,
            "8: series {} has no metric name (label __name__) 1@1",
            "9: refused (1, 0, 0): metadata help: reference 77 is out of range: the request has 6 symbols",
            "10: refused (1, 0, 0): metadata help: symbol 5 is not valid UTF-8",
            "11: refused (0, 0, 1): a series must have at least one sample or histogram",
            "12: up 1@1 e(odd number of label references: the last name has no value) \
             e(label reference 6 is out of range: the request has 6 symbols)",
            "13: up 1@1",
        ],
    );
}

#[test]
fn second_version_broken() {
    let at = "io.prometheus.write.v2.Request";
    check_v2(
        &[vec![0x2a, 0xff, 0xff, 0xff, 0xff]],
        &[&format!("{at}, byte 26: the message ends in the middle of a value")],
    );
    check_v2(
        &[bytes(5, [bytes(1, [0x80]), sample(1, 1.0)].concat())],
        &[&format!("{at}.timeseries[0], byte 29: the message ends in the middle of a value")],
    );
    check_v2(
        &[bytes(5, [packed(1, &[1, 2]), bytes(3, double(4, 1.0))].concat())],
        &["0: up", &format!("{at}.timeseries[0].histograms, byte 34: field 4 has wire type 1, which is not its own")],
    );
}

#[test]
fn blocks_of_both_versions_are_equal() {
    let long = "x".repeat(200);
    let pairs = [("__name__", "up"), ("job", long.as_str()), ("none", "")];
    let v1: Vec<u8> = pairs
        .iter()
        .flat_map(|(name, value)| {
            let value = if value.is_empty() { Vec::new() } else { bytes(2, value) };
            bytes(1, [bytes(1, name), value].concat())
        })
        .collect();
    let symbols = ["", "__name__", "up", "job", &long, "none"].map(|symbol| bytes(4, symbol)).concat();
    let body = [symbols, bytes(5, [packed(1, &[1, 2, 3, 4, 5, 0]), sample(1, 1.0)].concat())].concat();
    let request = Request::parse(Version::V2, &body, &Limits::default()).unwrap();
    let mut scratch = Vec::new();
    let mut walk = request.walk(&mut scratch);
    let Some(Item::Series(series)) = walk.next_item().unwrap() else { panic!("a series is there") };
    assert_eq!(series.label_block(), v1);
}

#[test]
fn limits_of_the_second_version() {
    let labels = LabelLimits { labels_max: 3, name_bytes_max: 8, value_bytes_max: 40, set_bytes_max: 100 };
    let limits = Limits { labels, symbols_max: 6, unfolded_bytes_max: 250, ..Limits::default() };
    let long = "v".repeat(41);
    let medium = "m".repeat(40);
    let symbols = ["", "__name__", "up", &medium, &long, "a"].map(|symbol| bytes(4, symbol)).concat();
    let with = |refs: &[u64]| bytes(5, [packed(1, refs), sample(1, 1.0)].concat());
    let refused = [
        (
            with(&[1, 2, 5, 2, 2, 2, 5, 2]),
            r#"more than 3 labels, the limit per series (label "a" is one too many)"#.to_owned(),
        ),
        (with(&[3, 2]), format!("label name {medium:?}… has 40 bytes, the limit is 8")),
        (with(&[5, 4]), r#"the value of label "a" has 41 bytes, the limit is 40"#.to_owned()),
        (with(&[1, 3, 2, 3, 5, 3]), "the labels have more than 100 bytes, the limit per series".to_owned()),
    ];
    for (series, text) in refused {
        let described = describe(Version::V2, &[symbols.clone(), series].concat(), &limits);
        assert_eq!(described, format!("0: refused (1, 0, 0): {text}\n"));
    }
    let one_more = describe(Version::V2, &[symbols.clone(), bytes(4, "b")].concat(), &limits);
    assert_eq!(
        one_more,
        "io.prometheus.write.v2.Request, byte 105: more than 6 symbols, the limit per request; send smaller requests\n"
    );
    // Each unfolds to 66 bytes: the fourth is too many.
    let many = with(&[1, 3, 5, 2]).repeat(4);
    let described = describe(Version::V2, &[symbols, many].concat(), &limits);
    assert_eq!(described.lines().count(), 4, "{described}");
    assert!(described.lines().last().unwrap().contains(".timeseries[3], byte"), "{described}");
    assert!(described.ends_with("unfold to more than 250 bytes, the limit per request; send smaller requests\n"));
}
