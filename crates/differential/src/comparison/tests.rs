use serde_json::json;

use super::*;

fn vector(samples: &[(&str, &str)]) -> Answer {
    let result: Vec<_> =
        samples.iter().map(|(name, value)| json!({"metric": {"name": name}, "value": [10, value]})).collect();
    let body = json!({"status": "success", "data": {"resultType": "vector", "result": result}});
    Answer::from_json(&body).unwrap()
}

fn matrix(points: &[(i64, &str)]) -> Answer {
    let values: Vec<_> = points.iter().map(|(at, value)| json!([at, value])).collect();
    let result = json!([{"metric": {}, "values": values}]);
    Answer::from_json(&json!({"status": "success", "data": {"resultType": "matrix", "result": result}})).unwrap()
}

fn error(kind: &str, text: &str) -> Answer {
    Answer::Error { kind: kind.into(), text: text.into() }
}

#[track_caller]
fn check(rules: Rules, theirs: &Answer, ours: &Answer, expected: Result<(), &str>) {
    let found = rules.compare(theirs, ours).map_err(|difference| difference.what);
    match (&found, expected) {
        (Ok(()), Ok(())) => {}
        (Err(found), Err(expected)) if found.contains(expected) => {}
        _ => panic!("{found:?}, not {expected:?}"),
    }
}

#[test]
fn floats_may_differ_by_a_part_of_the_smaller_one() {
    for (theirs, ours, same) in [
        ("1", "1.000009", true),
        ("1", "1.00002", false),
        ("0", "1e-300", false),
        ("NaN", "NaN", true),
        ("NaN", "1", false),
        ("+Inf", "+Inf", true),
        ("+Inf", "-Inf", false),
        ("+Inf", "1e308", false),
    ] {
        let expected = if same { Ok(()) } else { Err("Float") };
        check(Rules::COMPLIANCE, &vector(&[("a", theirs)]), &vector(&[("a", ours)]), expected);
    }
}

#[test]
fn labels_times_and_points_are_exact() {
    let rules = Rules::COMPLIANCE;
    check(rules, &vector(&[("a", "1")]), &vector(&[("b", "1")]), Err("lacks 1 of 1 series"));
    check(rules, &vector(&[]), &vector(&[("b", "1")]), Err("1 series too many"));
    check(rules, &vector(&[("a", "1"), ("b", "2")]), &vector(&[("b", "2"), ("a", "1")]), Ok(()));
    let ordered = Rules { ordered: true, ..rules };
    check(ordered, &vector(&[("a", "1"), ("b", "2")]), &vector(&[("b", "2"), ("a", "1")]), Err("by order"));
    check(rules, &vector(&[("a", "1")]), &vector(&[("a", "1"), ("a", "1")]), Err("twice"));
    check(rules, &matrix(&[(1, "1"), (2, "2")]), &matrix(&[(1, "1")]), Err("at 2: ours lacks"));
    check(rules, &matrix(&[(1, "1")]), &matrix(&[(1, "1"), (2, "2")]), Err("at 2: ours has"));
    check(rules, &matrix(&[(1, "1"), (3, "1")]), &matrix(&[(2, "1"), (3, "1")]), Err("at 1: ours lacks"));
    check(rules, &matrix(&[(1, "1")]), &vector(&[("a", "1")]), Err("Matrix"));
}

#[test]
fn errors_meet_errors() {
    let rules = Rules { texts: true, ..Rules::COMPLIANCE };
    check(Rules::COMPLIANCE, &error("bad_data", "x"), &error("execution", "y"), Ok(()));
    check(rules, &error("bad_data", "x"), &error("execution", "x"), Err("fails with"));
    check(rules, &error("execution", "group {a=\"1\"}: x"), &error("execution", "group {b=\"2\"}: x"), Ok(()));
    check(rules, &error("bad_data", "x"), &vector(&[]), Err("ours does not"));
    check(rules, &vector(&[]), &error("bad_data", "x"), Err("the peer does not"));
}

#[test]
fn histograms_by_their_buckets() {
    let histogram = |upper: &str, bounds: u8| {
        let value = json!({"count": "3", "sum": "7.5", "buckets": [[bounds, "1", upper, "3"]]});
        let result = json!([{"metric": {}, "histogram": [1, value]}]);
        Answer::from_json(&json!({"status": "success", "data": {"resultType": "vector", "result": result}})).unwrap()
    };
    check(Rules::COMPLIANCE, &histogram("2", 0), &histogram("2.000001", 0), Ok(()));
    check(Rules::COMPLIANCE, &histogram("2", 0), &histogram("2.1", 0), Err("Histogram"));
    check(Rules::COMPLIANCE, &histogram("2", 0), &histogram("2", 3), Err("Histogram"));
    check(Rules::COMPLIANCE, &vector(&[("a", "1")]), &matrix(&[(1, "1")]), Err("Vector"));
}

#[test]
fn remarks_count_where_they_are_compared() {
    let with = |warnings: &[&str]| {
        let body = json!({
            "status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}, "warnings": warnings
        });
        Answer::from_json(&body).unwrap()
    };
    let rules = Rules { texts: true, ..Rules::COMPLIANCE };
    check(rules, &with(&["b", "a"]), &with(&["a", "b"]), Ok(()));
    check(rules, &with(&["a"]), &with(&[]), Err("warnings"));
    check(Rules::COMPLIANCE, &with(&["a"]), &with(&[]), Ok(()));
    check(rules, &with(&["a", "2 more warning annotations omitted"]), &with(&["a", "b", "c"]), Ok(()));
}
