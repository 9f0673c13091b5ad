//! Plans `info`: what it selects, and at which times.
//!
//! Series of information are selected by metric and data labels alone, before anything is known of the series they are to
//! enrich. So all waiting stays in front of the evaluation; samples are unpacked of those only that are looked for.

use model::{METRIC_NAME, MatchOp, Matcher};
use promql_syntax::{Binary, Expr, Paren, Subquery, Unary, ValueType, VectorSelector};

use super::{Planned, Planner};
use crate::EvalError;
use crate::grid::Grid;
use crate::histogram_reader::HistogramParts;
use crate::info::Info;
use crate::plan::{InstantSelector, Look, Selection, SelectionId, VectorPlan, needed_range};

impl Planner {
    pub(super) fn info(
        &mut self,
        input: &Expr,
        selector: Option<&VectorSelector>,
        grid: Grid,
    ) -> Result<Planned<VectorPlan>, EvalError> {
        let mut references = References::default();
        self.find_references(input, &mut Vec::new(), &mut references)?;
        let shared = references.shared();
        let planned = self.vector(input, grid)?;
        let invariant = planned.invariant && shared.is_some();
        let input = Box::new(if invariant { planned.plan } else { planned.once() });

        let matchers = selector.map_or(&[][..], |selector| &selector.matchers);
        let (names, data): (Vec<Matcher>, Vec<Matcher>) =
            matchers.iter().cloned().partition(|matcher| matcher.name() == METRIC_NAME);
        let names = effective_names(names);
        let look = shared.unwrap_or(Look { at: None, offset: 0 });
        self.selections.push(Selection {
            matchers: names.iter().chain(&data).cloned().collect(),
            range: needed_range(look, self.lookback_ms, grid),
        });
        let selector = InstantSelector {
            selection: SelectionId(self.selections.len() - 1),
            look,
            one_metric: false,
            histogram_parts: HistogramParts::All,
        };
        Ok(Planned::new(VectorPlan::Info(Info { input, selector, names, data }), invariant))
    }

    /// Finds the times at which the selectors of a vector look, those of enclosing subqueries included; says whether
    /// there is any selector.
    fn find_references<'e>(
        &self,
        expr: &'e Expr,
        enclosing: &mut Vec<&'e Subquery>,
        references: &mut References,
    ) -> Result<bool, EvalError> {
        if !matches!(expr.value_type(), ValueType::Vector | ValueType::Matrix) {
            return Ok(false);
        }
        let parts: Vec<&Expr> = match expr {
            Expr::Vector(selector) => return self.add_reference(selector, enclosing, references),
            Expr::Matrix(matrix) => return self.add_reference(&matrix.selector, enclosing, references),
            Expr::Subquery(subquery) => {
                enclosing.push(subquery);
                let found = self.find_references(&subquery.expr, enclosing, references)?;
                enclosing.pop();
                references.is_free |= !found;
                return Ok(found);
            }
            // What stands second selects by labels and is no vector itself.
            Expr::Call(call) if call.function.name == "info" => {
                return self.find_references(&call.args[0], enclosing, references);
            }
            Expr::Call(call) => call.args.iter().collect(),
            Expr::Aggregation(aggregation) => vec![&aggregation.expr],
            Expr::Binary(Binary { lhs, rhs, .. }) => vec![lhs, rhs],
            Expr::Unary(Unary { expr, .. }) | Expr::Paren(Paren { expr, .. }) => vec![expr],
            Expr::Number(_) | Expr::String(_) => Vec::new(),
        };
        let mut found = false;
        for part in parts {
            found |= self.find_references(part, enclosing, references)?;
        }
        references.is_free |= !found;
        Ok(found)
    }

    fn add_reference(
        &self,
        selector: &VectorSelector,
        enclosing: &[&Subquery],
        references: &mut References,
    ) -> Result<bool, EvalError> {
        let mut look = self.look(selector.at, &selector.offset)?;
        // Offsets add up until an `@` fixes the time.
        for subquery in enclosing.iter().rev().take_while(|_| look.at.is_none()).collect::<Vec<_>>() {
            let outer = self.look(subquery.at, &subquery.offset)?;
            look = Look { at: look.at.or(outer.at), offset: look.offset.saturating_add(outer.offset) };
        }
        match references.first {
            None => references.first = Some(look),
            Some(first) => references.differ |= !same_time(first, look),
        }
        Ok(true)
    }
}

/// When the parts of a vector look at the data.
#[derive(Default)]
struct References {
    first: Option<Look>,
    differ: bool,
    /// A part looks at no data at all.
    is_free: bool,
}

impl References {
    /// The time at which all parts look; the step's own when they do not agree.
    fn shared(&self) -> Option<Look> {
        self.first.filter(|_| !self.differ && !self.is_free)
    }
}

fn same_time(left: Look, right: Look) -> bool {
    match (left.at, right.at) {
        (Some(_), Some(_)) => left.from(0) == right.from(0),
        (left_at, right_at) => left_at == right_at && left.offset == right.offset,
    }
}

/// The conditions on metrics of information: `target_info` when there are none; with negative ones only, those that go
/// by the usual name.
fn effective_names(mut names: Vec<Matcher>) -> Vec<Matcher> {
    let is_positive = |matcher: &Matcher| matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex);
    if names.is_empty() {
        return vec![Matcher::equal(METRIC_NAME, "target_info")];
    }
    if !names.iter().any(is_positive) {
        let usual = Matcher::new(MatchOp::Regex, METRIC_NAME, ".+_info").expect("the pattern is a valid one");
        names.insert(0, usual);
    }
    names
}

#[cfg(test)]
mod tests {
    use promql_syntax::{Options, parse_expr};

    use super::*;
    use crate::EvalTime;
    use model::TimestampMs;

    #[test]
    fn parts_share_a_time_or_not() {
        let planner = Planner {
            bounds: EvalTime::Instant(TimestampMs(60_000)).into(),
            lookback_ms: 300_000,
            subquery_step_ms: 60_000,
            selections: Vec::new(),
            histogram_needs: Default::default(),
            refusal: None,
        };
        let fixed = |at, offset| Some(Look { at, offset });
        for (text, expected) in [
            ("m", fixed(None, 0)),
            ("m offset 5s", fixed(None, 5000)),
            ("m @ 10 + m2 @ 10", fixed(Some(10_000), 0)),
            ("m @ 10 offset 5s + m2 @ 5", fixed(Some(10_000), 5000)),
            ("m @ 10 + m2", None),
            ("m + vector(1)", None),
            ("vector(1)", None),
            ("vector(scalar(m))", None),
            ("sum by (job) (rate(m[5m] offset 1m))", fixed(None, 60_000)),
            ("last_over_time((m offset 1m)[10m:1m] @ 180)", fixed(Some(180_000), 60_000)),
            ("last_over_time(last_over_time(m[5m:1m] offset 2s)[10m:1m] offset 1s)", fixed(None, 3000)),
            ("last_over_time((m @ 7)[10m:1m] offset 9s)", fixed(Some(7000), 0)),
            ("info(m offset 1s, {a=\"b\"})", fixed(None, 1000)),
            ("topk(scalar(m @ 3), m @ end())", fixed(Some(60_000), 0)),
        ] {
            let expr = parse_expr(text, Options::all()).unwrap();
            let mut references = References::default();
            planner.find_references(&expr, &mut Vec::new(), &mut references).unwrap();
            assert_eq!(references.shared(), expected, "{text}");
        }
    }
}
