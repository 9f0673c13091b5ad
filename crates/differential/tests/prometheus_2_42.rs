//! Our engine beside the distribution's Prometheus 2.42: floats, functions that both have, samples off the query grid.

use differential::campaign::{Report, Round};
use differential::{Dialect, compliance, peer};

#[test]
fn random_queries_are_answered_alike() {
    check(false, &SEEDS);
}

#[test]
fn it_answers_the_same_from_a_copy_of_our_directory() {
    check(true, &SEEDS[..1]);
}

fn check(carried: bool, seeds: &[u64]) {
    let mut report = Report::default();
    for &seed in seeds {
        let round = Round { seed, dialect: Dialect::Old, queries: QUERIES, floats: true, carried };
        report.add(round.run(&peer::program(Dialect::Old)).expect("the peer starts and answers"));
    }
    assert!(report.agrees(), "{report}");
    let known: usize = report.known.values().sum();
    assert!(known * 50 < report.queries, "known differences hide too much: {report}");
    assert!(report.values * 2 > report.queries, "most answers should have something in them: {report}");
}

#[test]
fn the_compliance_list_passes_whole() {
    let outcome = compliance::run(&peer::program(Dialect::Old), Dialect::Old).unwrap();
    assert_eq!(outcome.failed, []);
    assert_eq!((outcome.passed, outcome.cases), (2 * 537, 2 * 537));
    assert_eq!(outcome.not_comparable.len(), 2 * 2);
    assert!(outcome.empty < 160, "{} answers are empty", outcome.empty);
}

const SEEDS: [u64; 3] = [1, 2, 3];
const QUERIES: usize = 2000;
