use super::*;
use crate::compose::{bytes, double, integer, label};

#[track_caller]
fn check(block: &[&[u8]], expected: &str) {
    let limits = LabelLimits { labels_max: 5, name_bytes_max: 20, value_bytes_max: 30, set_bytes_max: 120 };
    let result = labels_of_block(&block.concat(), &limits);
    assert_eq!(result.map_or_else(|error| error.to_string(), |labels| labels.to_string()), expected);
}

#[test]
fn sets() {
    let name = &label("__name__", "up");
    check(&[name], "up");
    check(&[&label("z", "1"), name, &label("a", "2")], r#"up{a="2", z="1"}"#);
    check(&[name, &label("gone", "")], "up");
    check(&[name, &bytes(1, bytes(1, "gone"))], "up");
    check(&[name, &label("job name", "ü\n")], r#"up{job name="ü\n"}"#);
    check(&[&bytes(1, [bytes(2, "first"), bytes(1, "__name__"), bytes(9, "?"), bytes(2, "last")].concat())], "last");
}

#[test]
fn not_sets() {
    let name = &label("__name__", "up");
    check(&[], "series {} has no metric name (label __name__)");
    check(&[&label("job", "x")], r#"series {job="x"} has no metric name (label __name__)"#);
    check(&[&label("__name__", ""), &label("a", "b")], r#"series {a="b"} has no metric name (label __name__)"#);
    check(&[name, &label("", "x")], r#"a label has an empty name (its value is "x")"#);
    check(&[name, &label("", "")], r#"a label has an empty name (its value is "")"#);
    check(&[name, &bytes(1, [])], r#"a label has an empty name (its value is "")"#);
    check(&[name, &label("a", "1"), &label("b", "2"), &label("a", "1")], r#"label name "a" appears twice"#);
    check(&[name, &label("a", "1"), &label("a", "")], r#"label name "a" appears twice"#);
    check(
        &[name, &bytes(1, [bytes(1, b"a\xff"), bytes(2, "x")].concat())],
        "label name \"a\u{fffd}\" is not valid UTF-8",
    );
    check(
        &[name, &bytes(1, [bytes(1, "instance"), bytes(2, b"\xc3(")].concat())],
        r#"the value of label "instance" is not valid UTF-8"#,
    );
}

#[test]
fn limits() {
    let labels: Vec<Vec<u8>> = ["__name__", "a", "b", "c", "d", "e"].iter().map(|name| label(name, "v")).collect();
    check(&[&labels[..5].concat()], r#"v{a="v", b="v", c="v", d="v"}"#);
    check(&[&labels.concat()], r#"more than 5 labels, the limit per series (label "e" is one too many)"#);
    let name = &label("__name__", "up");
    check(&[name, &label(&"n".repeat(20), "1")], &format!("up{{{}=\"1\"}}", "n".repeat(20)));
    check(
        &[name, &label(&"n".repeat(21), "1")],
        &format!("label name \"{}\"… has 21 bytes, the limit is 20", "n".repeat(21)),
    );
    check(&[name, &label("a", &"v".repeat(30))], &format!("up{{a=\"{}\"}}", "v".repeat(30)));
    check(&[name, &label("a", &"v".repeat(31))], r#"the value of label "a" has 31 bytes, the limit is 30"#);
    check(&[name, &[0; 200]], "the labels have more than 120 bytes, the limit per series");
}

#[test]
fn broken_blocks_say_where() {
    let name = &label("__name__", "up");
    check(&[name, &[0x0a, 5, 1]], "broken label at byte 17 of the labels: a length of 5 bytes, but only 1 are left");
    check(
        &[name, &bytes(1, integer(1, 7))],
        "broken label at byte 19 of the labels: field 1 has wire type 0, which is not its own",
    );
    check(
        &[name, &bytes(1, [0x0b])],
        "broken label at byte 19 of the labels: field 1 is a group, which these messages do not have",
    );
    check(
        &[name, &bytes(1, &double(9, 1.0)[..5])],
        "broken label at byte 19 of the labels: the message ends in the middle of a value",
    );
    check(
        &[name, &integer(2, 1)],
        "broken label at byte 17 of the labels: field 2 has wire type 0, which is not its own",
    );
}

#[test]
fn texts_in_errors_are_cut() {
    let long = "n".repeat(5000);
    let block = label(&long, "x");
    let error = labels_of_block(&block, &LabelLimits::default()).unwrap_err();
    assert!(error.to_string().len() < 300, "{error}");
    let many: Vec<u8> = (0..100).flat_map(|index| label(&format!("label{index}"), "some value")).collect();
    let error = labels_of_block(&many, &LabelLimits::default()).unwrap_err();
    assert!(matches!(error, LabelError::NoMetricName { .. }));
    assert!(error.to_string().len() < 300, "{error}");
}

#[test]
fn written_as_senders_write() {
    let mut out = Vec::new();
    put_label("__name__", "up", &mut out);
    put_label("empty", "", &mut out);
    put_label("long", &"x".repeat(300), &mut out);
    let expected = [
        label("__name__", "up"),
        bytes(1, bytes(1, "empty")),
        bytes(1, [bytes(1, "long"), bytes(2, "x".repeat(300))].concat()),
    ];
    assert_eq!(out, expected.concat());
}
