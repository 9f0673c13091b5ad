//! What it costs to slide a window over a series and to compute with what is inside, series by series.
//!
//! `cargo bench -p promql --bench windows [-- SERIES [ROWS]]`; the last is a part of the queries to run. A day of samples
//! each 60 s, steps of 60 s, one thread, of whose processor time the mean is shown. Storage is no part of it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

mod memory_store;

use memory_store::{SAMPLES, Store, evaluate, mean_cost};
use model::Labels;

const QUERIES: &[&str] = &[
    "sum(x)",
    "sum(rate(x[5m]))",
    "sum(rate(x[1h]))",
    "sum(irate(x[5m]))",
    "sum(delta(x[5m]))",
    "sum(resets(x[5m]))",
    "sum(changes(x[5m]))",
    "sum(avg_over_time(x[5m]))",
    "sum(avg_over_time(x[1h]))",
    "sum(sum_over_time(x[5m]))",
    "sum(max_over_time(x[5m]))",
    "sum(max_over_time(x[1h]))",
    "sum(count_over_time(x[5m]))",
    "sum(last_over_time(x[5m]))",
    "sum(quantile_over_time(0.9, x[5m]))",
    "sum(stddev_over_time(x[5m]))",
    "sum(deriv(x[5m]))",
    "sum(max_over_time(rate(x[5m])[10m:1m]))",
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let series = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(200);
    let rows = arguments.iter().find(|argument| argument.parse::<usize>().is_err()).map_or("", String::as_str);
    let labels =
        |number: usize| Labels::from_pairs([("__name__", "x".to_owned()), ("number", number.to_string())]).unwrap();
    let store = Store::new((0..series).map(labels));
    for query in QUERIES.iter().filter(|query| query.contains(rows)) {
        let mean = mean_cost(|| evaluate(&store, query));
        let windows = series * SAMPLES as usize;
        println!(
            "windows/{series}_series: {:.3} ms, {:.1} ns a window: {query}",
            mean.as_secs_f64() * 1e3,
            mean.as_nanos() as f64 / windows as f64
        );
    }
}
