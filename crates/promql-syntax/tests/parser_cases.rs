//! Prometheus' own parser cases: verdict, and the text of the first error.

use promql_syntax::{Options, parse_expr};

#[derive(serde::Deserialize)]
struct Case {
    input: String,
    fail: bool,
    /// All errors upstream collects, in its order; only the first is ever shown.
    errors: Vec<String>,
}

#[test]
fn prometheus_parser_cases() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("data/parser-cases.json")).unwrap();
    assert_eq!(cases.len(), 356);
    let mut wrong = Vec::new();
    for Case { input, fail, errors } in cases {
        match (parse_expr(&input, Options::all()), fail) {
            (Ok(_), false) => {}
            (Err(error), true) if errors.first().is_none_or(|expected| error.message.contains(expected)) => {}
            (result, _) => {
                wrong.push(format!("{input:?}: {:?}, expected {errors:?}", result.map(|expr| expr.to_string())));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
