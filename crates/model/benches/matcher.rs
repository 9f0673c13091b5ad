//! What asking a value costs, by the kind of matcher; and what making a matcher costs.
//!
//! `cargo bench -p model --bench matcher`. An iteration asks 1,000 values of a label, about as long as names of pods are, a tenth
//! of which meet the matcher. Instructions: `valgrind --tool=callgrind <binary> --test <name>` runs one iteration.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::{MatchOp, Matcher};

criterion_group!(benches, ask, make);
criterion_main!(benches);

/// Values of one iteration.
const VALUES: usize = 1000;

/// A name, and the pattern that is meant; ten workloads are asked for one of them.
const PATTERNS: [(&str, MatchOp, &str); 9] = [
    ("equal", MatchOp::Equal, "checkout-7d9f8b6c5-00010"),
    ("literal", MatchOp::Regex, "checkout-7d9f8b6c5-00010"),
    ("prefix", MatchOp::Regex, "checkout-.*"),
    ("suffix", MatchOp::Regex, ".*-00003"),
    ("contains", MatchOp::Regex, ".*7d9f8b6c5-000.*"),
    ("alternation_of_3_literals", MatchOp::Regex, "checkout-7d9f8b6c5-00010|cart-7d9f8b6c5-00011|none"),
    ("alternation_of_3_prefixes", MatchOp::Regex, "(checkout|cartography|none)-.*"),
    ("automaton_behind_a_prefix", MatchOp::Regex, "checkout-[0-9a-f]+-0[0-9]+0"),
    ("automaton", MatchOp::Regex, "[a-z]+-[0-9a-f]+-0[0-9]+3"),
];

fn values() -> Vec<String> {
    let workloads =
        ["checkout", "cart", "payment", "shipping", "currency", "catalog", "frontend", "email", "quote", "ad"];
    (0..VALUES).map(|index| format!("{}-7d9f8b6c5-{:05}", workloads[index % workloads.len()], index)).collect()
}

/// Alternatives as a dashboard's variable gives them when many are chosen.
fn many_alternatives() -> String {
    (0..200).map(|index| format!("checkout-7d9f8b6c5-{:05}", index * 10)).collect::<Vec<_>>().join("|")
}

fn ask(criterion: &mut Criterion) {
    let values = values();
    let many = many_alternatives();
    let mut group = criterion.benchmark_group("matches");
    group.throughput(Throughput::Elements(VALUES as u64));
    for (name, op, pattern) in PATTERNS.into_iter().chain([("alternation_of_200_literals", MatchOp::Regex, &*many)]) {
        let matcher = Matcher::new(op, "pod", pattern).unwrap();
        assert!(values.iter().any(|value| matcher.matches(value)), "{pattern} is met");
        group.bench_function(name, |bench| {
            bench.iter(|| values.iter().filter(|value| matcher.matches(black_box(value))).count());
        });
    }
    group.finish();
}

fn make(criterion: &mut Criterion) {
    let many = many_alternatives();
    let mut group = criterion.benchmark_group("new");
    for (name, op, pattern) in PATTERNS.into_iter().chain([("alternation_of_200_literals", MatchOp::Regex, &*many)]) {
        group.bench_function(name, |bench| bench.iter(|| Matcher::new(op, "pod", black_box(pattern)).unwrap()));
    }
    group.finish();
}
