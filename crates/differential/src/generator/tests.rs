use std::collections::BTreeSet;

use promql_syntax::{Expr, parse_expr};

use super::*;

const ALL: [Dialect; 3] = [Dialect::Old, Dialect::Stable, Dialect::Experimental];

#[test]
fn one_seed_gives_one_sequence() {
    let queries = |seed| {
        let mut generator = Generator::new(seed, Dialect::Experimental, false);
        (0..50).map(|_| generator.query().0).collect::<Vec<_>>()
    };
    assert_eq!(queries(1), queries(1));
    assert_ne!(queries(1), queries(2));
}

#[test]
fn queries_are_valid() {
    for dialect in ALL {
        let mut generator = Generator::new(7, dialect, false);
        for _ in 0..3000 {
            let (query, _) = generator.query();
            parse_expr(&query, dialect.grammar()).unwrap_or_else(|error| panic!("{query}: {error}"));
        }
    }
}

#[test]
fn every_function_is_called_sooner_or_later() {
    for dialect in ALL {
        let mut generator = Generator::new(11, dialect, false);
        let mut missing: BTreeSet<&str> = dialect.functions().iter().map(|function| function.name).collect();
        for _ in 0..20_000 {
            let (query, _) = generator.query();
            missing.retain(|name| !query.contains(&format!("{name}(")));
        }
        assert!(missing.is_empty(), "{dialect}: {missing:?}");
    }
}

#[test]
fn the_old_peer_is_asked_for_no_ranges_of_expressions_on_the_edge() {
    let mut generator = Generator::new(5, Dialect::Old, true);
    for _ in 0..2000 {
        let (query, time) = generator.query();
        let start = match time {
            EvalTime::Instant(at) | EvalTime::Range { start: at, .. } => at.0,
        };
        assert_eq!(start % 10_000, 7_000);
        assert!(!matches!(parse_expr(&query, Dialect::Old.grammar()), Ok(Expr::String(_))));
    }
}
