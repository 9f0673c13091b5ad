//! What a plan looks at of the series that it selects: which labels, and whether more than the newest sample.
//!
//! A store may leave out the rest, which is most of the work of many queries: an aggregation by two labels has no use for
//! fifteen. Only what is certain is said; everything else is looked at whole.

use std::sync::Arc;

use model::METRIC_NAME;
use promql_syntax::AggregateOp;

use crate::grid::Grid;
use crate::histogram_estimate::HistogramEstimate;
use crate::histogram_reader::HistogramParts;
use crate::label_set::LabelNames;
use crate::matching::VectorMatch;
use crate::plan::{
    Aggregate, AggregateParameter, OverRange, RangePlan, Root, ScalarPlan, SelectionId, SetOperation, VectorPlan,
    VectorScalar,
};

/// What is looked at of the series of one selection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Narrowing {
    /// See [`storage::SelectHints::labels`].
    pub(crate) labels: Option<Arc<[String]>>,
    /// See [`storage::SelectHints::newest_only`].
    pub(crate) newest_only: bool,
    /// See [`storage::SelectHints::any_order`].
    pub(crate) any_order: bool,
    /// Label sets must stay distinct when the metric's name goes, which is known only of all labels: the store must have no
    /// labels that go with it.
    pub(crate) drops_name: bool,
}

/// For each of `count` selections.
pub(crate) fn of_selections(root: &Root, grid: Grid, count: usize) -> Vec<Narrowing> {
    let mut found = Narrowings { list: vec![Narrowing::default(); count] };
    match root {
        Root::Vector(vector) => found.vector(vector, None, grid.steps == 1),
        Root::Scalar(scalar) => found.scalar(scalar, grid.steps == 1),
        Root::Range(_) | Root::Text(_) => {}
    }
    found.list
}

struct Narrowings {
    list: Vec<Narrowing>,
}

impl Narrowings {
    fn at(&mut self, selection: SelectionId) -> &mut Narrowing {
        &mut self.list[selection.0]
    }

    fn scalar(&mut self, plan: &ScalarPlan, single: bool) {
        match plan {
            ScalarPlan::OfVector(input) => self.vector(input, None, single),
            ScalarPlan::Negate(input) => self.scalar(input, single),
            ScalarPlan::Binary { lhs, rhs, .. } => {
                self.scalar(lhs, single);
                self.scalar(rhs, single);
            }
            ScalarPlan::Once(input) => self.scalar(input, true),
            _ => {}
        }
    }

    /// `wanted` are the labels that the one above looks at; `single` says that there is one step.
    fn vector(&mut self, plan: &VectorPlan, wanted: Option<&[String]>, single: bool) {
        match plan {
            VectorPlan::Select(selector) => {
                let own = self.at(selector.selection);
                own.labels = wanted.map(Into::into);
                // What is known of resets may come from the samples before.
                own.newest_only = single && selector.histogram_parts == HistogramParts::All;
            }
            VectorPlan::OverRange(OverRange { range, function, arguments, .. }) => {
                arguments.iter().for_each(|argument| self.scalar(argument, single));
                if let (RangePlan::Select { selection, one_metric: true, .. }, Some(wanted), false) =
                    (range, wanted, function.keeps_name())
                {
                    let own = self.at(*selection);
                    own.labels = Some(wanted.into());
                    own.drops_name = true;
                }
            }
            VectorPlan::Aggregate(aggregate) => self.aggregate(aggregate, single),
            VectorPlan::Once(input) => self.vector(input, wanted, true),
            VectorPlan::OfScalar(scalar) => self.scalar(scalar, single),
            VectorPlan::VectorScalar(VectorScalar { vector, scalar, .. }) => {
                self.vector(vector, None, single);
                self.scalar(scalar, single);
            }
            VectorPlan::Map { input, arguments, .. } => {
                self.vector(input, None, single);
                arguments.iter().for_each(|argument| self.scalar(argument, single));
            }
            VectorPlan::Match(VectorMatch { lhs, rhs, .. }) | VectorPlan::Set(SetOperation { lhs, rhs, .. }) => {
                self.vector(lhs, None, single);
                self.vector(rhs, None, single);
            }
            VectorPlan::HistogramEstimate(HistogramEstimate { input, .. }) => self.vector(input, None, single),
            VectorPlan::Negate(input)
            | VectorPlan::Absent { input, .. }
            | VectorPlan::Relabel { input, .. }
            | VectorPlan::Sort { input, .. } => self.vector(input, None, single),
            _ => {}
        }
    }

    fn aggregate(&mut self, aggregate: &Aggregate, single: bool) {
        let Aggregate { op, grouping, parameter, input, .. } = aggregate;
        if let AggregateParameter::Scalar { value, .. } = parameter {
            self.scalar(value, single);
        }
        let folds = matches!(
            op,
            AggregateOp::Sum
                | AggregateOp::Avg
                | AggregateOp::Min
                | AggregateOp::Max
                | AggregateOp::Count
                | AggregateOp::Group
                | AggregateOp::Stddev
                | AggregateOp::Stdvar
                | AggregateOp::Quantile
        );
        // Remarks tell of which metric they are.
        let wanted = (folds && !grouping.without).then(|| grouping.labels.clone().with(METRIC_NAME));
        self.vector(input, wanted.as_ref().map(LabelNames::as_slice), single);
        // Others add floats, whose last digits depend on the order.
        if matches!(op, AggregateOp::Count | AggregateOp::Group)
            && let Some(selection) = series_by_series(input)
        {
            self.at(selection).any_order = true;
        }
    }
}

/// The selection of which each series gives one row, whatever the others are.
fn series_by_series(plan: &VectorPlan) -> Option<SelectionId> {
    match plan {
        VectorPlan::Select(selector) => Some(selector.selection),
        VectorPlan::OverRange(OverRange { range: RangePlan::Select { selection, .. }, .. }) => Some(*selection),
        VectorPlan::VectorScalar(VectorScalar { vector: input, .. }) | VectorPlan::Once(input) => {
            series_by_series(input)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use model::TimestampMs;
    use promql_syntax::{Options, parse_expr};

    use super::*;
    use crate::EvalTime;
    use crate::planner::plan;

    /// The narrowings of an instant query, in order of its selectors: labels, `newest` where only that is looked at, `unordered` where
    /// series may come so.
    fn check(query: &str, expected: &[&str]) {
        let expr = parse_expr(query, Options::all()).unwrap();
        let grid = Grid::instant(1000);
        let plan = plan(&expr, grid, EvalTime::Instant(TimestampMs(1000)).into(), 300_000, 60_000).unwrap();
        let found = of_selections(&plan.root, grid, plan.selections.len());
        let texts: Vec<String> = found
            .iter()
            .map(|one| {
                let labels = one.labels.as_ref().map_or("all".to_owned(), |labels| labels.join(","));
                let newest = if one.newest_only { " newest" } else { "" };
                let any_order = if one.any_order { " unordered" } else { "" };
                format!("{labels}{newest}{any_order}")
            })
            .collect();
        assert_eq!(texts, expected, "{query}");
    }

    #[test]
    fn what_is_looked_at() {
        check("x", &["all newest"]);
        check("sum(x)", &["__name__ newest"]);
        check("sum by (b, a) (x) / 2", &["__name__,a,b newest"]);
        check("sum without (a) (x)", &["all newest"]);
        check("sum by (a) (rate(x[5m]))", &["__name__,a"]);
        check("sum by (a) (rate({__name__=~\"x|y\"}[5m]))", &["all"]);
        check("sum by (a) (last_over_time(x[5m]))", &["all"]);
        check("topk by (a) (1, x)", &["all newest"]);
        check("count_values by (a) (\"v\", x)", &["all newest"]);
        check("sum by (a) (-x)", &["all newest"]);
        check("sum by (a) (x) + on (a) group_left sum by (a) (rate(y[1m]))", &["__name__,a newest", "__name__,a"]);
        check("max_over_time(x[5m:1m])", &["all"]);
        check("histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))", &["__name__,le"]);
        check("count by (a) (x)", &["__name__,a newest unordered"]);
        check("count without (a) (x > 1)", &["all newest unordered"]);
        check("group by (a) (rate(x[5m]))", &["__name__,a unordered"]);
        check("count(x * on (a) y)", &["all newest", "all newest"]);
        check("quantile by (a) (scalar(y), x)", &["__name__,a newest", "all newest"]);
    }
}
