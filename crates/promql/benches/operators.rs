//! What each kind of operator costs, for a value of one of its series at one step.
//!
//! `cargo bench -p promql --bench operators [-- ROWS]`; `ROWS` is a part of the queries to run. Two metrics of 600 series, a
//! histogram of 40 × 12 buckets and 20 series that describe instances; a day of samples each 60 s, steps of 60 s, one
//! thread, of whose processor time the mean is shown. Storage is no part of it; reading a series (the first row) is in all.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

mod memory_store;

use memory_store::{SAMPLES, Store, evaluate, mean_cost};
use model::Labels;

/// Queries, and how many series they read.
const QUERIES: &[(&str, usize)] = &[
    ("x", SERIES),
    ("-x", SERIES),
    ("x * 2", SERIES),
    ("x > 1000", SERIES),
    ("abs(x)", SERIES),
    ("round(x, 5)", SERIES),
    ("timestamp(x)", SERIES),
    ("hour(x)", SERIES),
    ("x offset 1h", SERIES),
    ("x @ end()", SERIES),
    ("rate(x[5m])", SERIES),
    ("max_over_time(rate(x[5m])[10m:1m])", SERIES),
    ("absent(x)", SERIES),
    ("sort(x)", SERIES),
    ("label_replace(x, \"to\", \"$1\", \"instance\", \"(.*)\")", SERIES),
    ("label_join(x, \"to\", \"-\", \"job\", \"instance\")", SERIES),
    ("sum(x)", SERIES),
    ("sum by (job) (x)", SERIES),
    ("sum without (instance) (x)", SERIES),
    ("avg(x)", SERIES),
    ("max(x)", SERIES),
    ("count(x)", SERIES),
    ("group(x)", SERIES),
    ("stddev(x)", SERIES),
    ("topk(5, x)", SERIES),
    ("quantile(0.9, x)", SERIES),
    ("count_values(\"value\", round(x, 1e6))", SERIES),
    ("limitk(5, x)", SERIES),
    ("limit_ratio(0.5, x)", SERIES),
    ("x + y", 2 * SERIES),
    ("x > bool y", 2 * SERIES),
    ("x + on (job, instance, number) y", 2 * SERIES),
    ("x * on (instance) group_left (version) info_of_instance", SERIES + INSTANCES),
    ("x and y", 2 * SERIES),
    ("x or y", 2 * SERIES),
    ("x unless y", 2 * SERIES),
    ("histogram_quantile(0.9, b)", BUCKETS * HISTOGRAMS),
    ("histogram_quantile(0.9, sum by (le) (b))", BUCKETS * HISTOGRAMS),
];

const SERIES: usize = 600;
const INSTANCES: usize = 20;
const HISTOGRAMS: usize = 40;
const BUCKETS: usize = 12;

fn main() {
    let rows = std::env::args().skip(1).find(|argument| argument != "--bench").unwrap_or_default();
    let store = Store::new(fleet());
    for (query, series) in QUERIES.iter().filter(|(query, _)| query.contains(&rows)) {
        let mean = mean_cost(|| evaluate(&store, query));
        let values = series * SAMPLES as usize;
        println!("operators: {:5.1} ns a value: {query}", mean.as_nanos() as f64 / values as f64);
    }
}

fn fleet() -> Vec<Labels> {
    let labels =
        |pairs: &[(&str, String)]| Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, value))).unwrap();
    let instance = |number: usize| ("instance", format!("10.0.0.{}:9100", number % INSTANCES));
    let mut fleet = Vec::new();
    for name in ["x", "y"] {
        fleet.extend((0..SERIES).map(|number| {
            let job = ("job", format!("job-{}", number % 7));
            labels(&[("__name__", name.to_owned()), instance(number), job, ("number", number.to_string())])
        }));
    }
    fleet.extend((0..INSTANCES).map(|number| {
        labels(&[("__name__", "info_of_instance".to_owned()), instance(number), ("version", format!("1.{number}"))])
    }));
    for number in 0..HISTOGRAMS {
        fleet.extend((0..BUCKETS).map(|bucket| {
            let bound = if bucket + 1 == BUCKETS { "+Inf".to_owned() } else { (1 << bucket).to_string() };
            labels(&[("__name__", "b".to_owned()), ("le", bound), ("number", number.to_string())])
        }));
    }
    fleet
}
