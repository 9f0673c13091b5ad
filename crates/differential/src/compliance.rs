//! The queries of the public compliance list, asked as its tester asks them, and as instant queries besides.
//!
//! Each query goes to both sides with the same start, end and step. Where the list says that a query must fail, any error
//! will do. Answers are compared by [`Rules::COMPLIANCE`].

use model::TimestampMs;
use promql::EvalTime;
use serde_json::Value as Json;

use crate::answer::Answer;
use crate::comparison::Rules;
use crate::dataset::{Dataset, demo};
use crate::dialect::Dialect;
use crate::known;
use crate::own::{Database, Own};
use crate::peer::Peer;

/// A query of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// Its text.
    pub query: String,
    /// Whether it must fail.
    pub should_fail: bool,
}

/// What became of the list.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// Comparable cases, range and instant.
    pub cases: usize,
    /// Of these, on how many the answers are the same.
    pub passed: usize,
    /// Of the passed ones, how many had an empty answer.
    pub empty: usize,
    /// Query and difference of the others.
    pub failed: Vec<(String, String)>,
    /// Queries that the peer itself does not answer as the list says, with the reason.
    pub not_comparable: Vec<(String, &'static str)>,
}

/// The list.
///
/// # Panics
/// When the file in this crate is not the list.
pub fn cases() -> Vec<Case> {
    let list: Json = serde_json::from_str(LIST).expect("the list is JSON");
    let list = list.as_array().expect("the list is one");
    let case = |case: &Json| Case {
        query: case["query"].as_str().expect("a case has a query").to_owned(),
        should_fail: case["should_fail"] == true,
    };
    list.iter().map(case).collect()
}

/// Asks both sides everything.
///
/// # Errors
/// A peer that does not answer.
pub fn run(program: &std::path::Path, dialect: Dialect) -> anyhow::Result<Outcome> {
    let data = demo::dataset(demo::Shape::default());
    let mut peer = Peer::start(program, dialect, &data)?;
    let own = Own::new(Box::new(Database::holding(&data)?), dialect);
    let mut outcome = Outcome::default();
    for case in cases() {
        for time in times(&data) {
            ask(&case, time, &mut peer, &own, &mut outcome)?;
        }
    }
    Ok(outcome)
}

/// Twelve minutes before the end of the data, over fifty minutes in steps of ten seconds; and at the end of that.
fn times(data: &Dataset) -> [EvalTime; 2] {
    // Whole seconds, and samples off them.
    let end = TimestampMs(data.end.0 / 1000 * 1000 - 12 * 60 * 1000);
    let start = end.plus(-50 * 60 * 1000);
    [EvalTime::Range { start, end, step_ms: 10_000 }, EvalTime::Instant(end)]
}

fn ask(case: &Case, time: EvalTime, peer: &mut Peer, own: &Own, outcome: &mut Outcome) -> anyhow::Result<()> {
    let theirs = peer.ask(&case.query, time)?;
    if matches!(theirs, Answer::Error { .. }) != case.should_fail {
        let why = known::NOT_AS_LISTED.iter().find(|entry| entry.query == case.query);
        match why {
            Some(entry) => outcome.not_comparable.push((case.query.clone(), entry.reason)),
            None => {
                outcome.cases += 1;
                outcome.failed.push((case.query.clone(), format!("the peer is not as listed: {theirs:?}")));
            }
        }
        return Ok(());
    }
    let ours = own.ask(&case.query, time);
    if let Some(entry) = known::NOT_AS_LISTED.iter().find(|entry| entry.query == case.query) {
        outcome.not_comparable.push((case.query.clone(), entry.reason));
        return Ok(());
    }
    outcome.cases += 1;
    match Rules::COMPLIANCE.compare(&theirs, &ours) {
        Ok(()) => {
            outcome.passed += 1;
            outcome.empty += usize::from(theirs.is_empty());
        }
        Err(difference) => outcome.failed.push((format!("{} {time:?}", case.query), difference.what)),
    }
    Ok(())
}

const LIST: &str = include_str!("../compliance/queries.json");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole() {
        let cases = cases();
        assert_eq!(cases.len(), 539);
        assert_eq!(cases.iter().filter(|case| case.should_fail).count(), 5);
        for entry in known::NOT_AS_LISTED {
            assert!(cases.iter().any(|case| case.query == entry.query), "{}", entry.query);
        }
    }
}
