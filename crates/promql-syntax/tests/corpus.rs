//! The fuzz corpus, replayed with the properties of its target.

use std::path::Path;

use promql_syntax::{Options, parse_expr, parse_metric_selector};

#[test]
fn promql_parse() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/promql_parse");
    let mut replayed = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let _ = parse_metric_selector(&text);
        let _ = parse_expr(&text, Options::default());
        match parse_expr(&text, Options::all()) {
            Ok(expr) => {
                let printed = expr.to_string();
                assert_eq!(parse_expr(&printed, Options::all()).unwrap().to_string(), printed, "{text:?}");
            }
            Err(error) => assert!(error.position.start as usize <= text.len(), "{text:?}"),
        }
        replayed += 1;
    }
    assert!(replayed >= 50, "the corpus is not where it was: {replayed} texts");
}
