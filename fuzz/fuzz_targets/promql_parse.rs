//! PromQL texts: parsing never panics, and what is printed parses to the same tree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use promql_syntax::{Options, parse_expr, parse_metric_selector};

fuzz_target!(|text: &str| {
    let _ = parse_metric_selector(text);
    let _ = parse_expr(text, Options::default());
    match parse_expr(text, Options::all()) {
        Ok(expr) => {
            let printed = expr.to_string();
            assert_eq!(parse_expr(&printed, Options::all()).unwrap().to_string(), printed);
        }
        Err(error) => assert!(error.position.start as usize <= text.len()),
    }
});
