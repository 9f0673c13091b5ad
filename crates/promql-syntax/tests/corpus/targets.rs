//! What the fuzz target `promql_parse` does with its input. Also compiled by `fuzz/`.

use promql_syntax::{Options, parse_expr, parse_metric_selector};

/// Deep trees take many blanks on several lines.
const PRETTY_BYTES_MAX: usize = 1 << 16;

/// PromQL texts: parsing never panics, errors point into the text, and what is printed, on one line or
/// several, parses to the same tree.
pub(crate) fn promql_parse(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let _ = parse_metric_selector(text);
    let _ = parse_expr(text, Options::default());
    match parse_expr(text, Options::all()) {
        Ok(expr) => {
            let printed = expr.to_string();
            let again = parse_expr(&printed, Options::all()).expect("what is printed can be parsed");
            assert_eq!(again.to_string(), printed);
            if let Some(pretty) = expr.pretty(PRETTY_BYTES_MAX) {
                let again = parse_expr(&pretty, Options::all()).expect("what is printed on lines can be parsed");
                assert_eq!(again.to_string(), printed);
            }
            true
        }
        Err(error) => {
            assert!(error.position.start as usize <= text.len());
            false
        }
    }
}
