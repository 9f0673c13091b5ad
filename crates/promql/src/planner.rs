//! Turns a syntax tree into a plan: names to kinds, times to numbers, selectors to selections.
//!
//! Parts that do not depend on the step (all their selectors are pinned by `@`) are marked to be computed once. Whatever
//! is not evaluated yet is refused here, before any data are read.

mod bounds;
mod extended;
mod info;

mod histogram;

use model::{Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher};
use promql_syntax::{
    Aggregation, At, Binary, Call, Duration, Expr, ExtendedRange, PositionRange, Unary, UnaryOp, ValueType,
    VectorSelector,
};

use crate::EvalError;
use crate::aggregate::Grouping;
use crate::annotation::Place;
use crate::binary::is_trim;
use crate::extended_range::Reach;
use crate::function::ValueFunction;
use crate::grid::Grid;
use crate::label_set::LabelNames;
use crate::matching::{Fill, Pairing, VectorMatch};
use crate::plan::{
    Aggregate, AggregateParameter, HistogramPart, InstantSelector, Look, OverRange, Plan, RangePlan, Root, ScalarPlan,
    Selection, SelectionId, SetOperation, Subquery, VectorPlan, VectorScalar, needed_range,
};
use crate::range_function::RangeFunction;
use crate::relabel::{Relabel, is_label_name};
use crate::statistics::{max_or_nan, min_or_nan};
pub(crate) use bounds::QueryBounds;

/// Plans a query over `grid`.
pub(crate) fn plan(
    expr: &Expr,
    grid: Grid,
    bounds: QueryBounds,
    lookback_ms: i64,
    subquery_step_ms: i64,
) -> Result<Plan, EvalError> {
    let mut planner = Planner {
        bounds,
        lookback_ms,
        subquery_step_ms,
        selections: Vec::new(),
        histogram_needs: histogram::HistogramNeeds::default(),
        refusal: None,
    };
    let root = match expr.value_type() {
        ValueType::Scalar => Root::Scalar(planner.scalar_once(expr, grid)?),
        ValueType::Vector => Root::Vector(planner.vector_once(expr, grid)?),
        ValueType::Matrix => Root::Range(planner.range(expr, grid)?.plan),
        ValueType::String => Root::Text(text(expr)?.to_owned()),
    };
    match planner.refusal {
        Some(refusal) => Err(refusal),
        None => Ok(Plan { root, selections: planner.selections }),
    }
}

struct Planner {
    bounds: QueryBounds,
    lookback_ms: i64,
    subquery_step_ms: i64,
    selections: Vec<Selection>,
    histogram_needs: histogram::HistogramNeeds,
    /// Why evaluation is bound to fail. All durations are looked at before that is said.
    refusal: Option<EvalError>,
}

/// A part of the plan, and whether its value is the same at all steps.
struct Planned<P> {
    plan: P,
    invariant: bool,
}

impl<P> Planned<P> {
    fn new(plan: P, invariant: bool) -> Self {
        Self { plan, invariant }
    }

    fn map<Q>(self, wrap: impl FnOnce(P) -> Q) -> Planned<Q> {
        Planned { plan: wrap(self.plan), invariant: self.invariant }
    }
}

impl Planned<ScalarPlan> {
    fn once(self) -> ScalarPlan {
        match (self.invariant, self.plan) {
            (true, plan) if !matches!(plan, ScalarPlan::Number(_)) => ScalarPlan::Once(Box::new(plan)),
            (_, plan) => plan,
        }
    }
}

impl Planned<VectorPlan> {
    fn once(self) -> VectorPlan {
        match self.invariant {
            true => VectorPlan::Once(Box::new(self.plan)),
            false => self.plan,
        }
    }
}

impl Planner {
    fn refuse(&mut self, reason: String) {
        self.refusal.get_or_insert(EvalError::Execution(reason));
    }

    fn scalar_once(&mut self, expr: &Expr, grid: Grid) -> Result<ScalarPlan, EvalError> {
        Ok(self.scalar(expr, grid)?.once())
    }

    fn vector_once(&mut self, expr: &Expr, grid: Grid) -> Result<VectorPlan, EvalError> {
        Ok(self.vector(expr, grid)?.once())
    }

    fn scalar(&mut self, expr: &Expr, grid: Grid) -> Result<Planned<ScalarPlan>, EvalError> {
        match expr {
            Expr::Number(number) => Ok(Planned::new(ScalarPlan::Number(number.value), true)),
            Expr::Paren(paren) => self.scalar(&paren.expr, grid),
            Expr::Unary(Unary { op: UnaryOp::Plus, expr, .. }) => self.scalar(expr, grid),
            Expr::Unary(Unary { op: UnaryOp::Minus, expr, .. }) => {
                Ok(self.scalar(expr, grid)?.map(|plan| ScalarPlan::Negate(Box::new(plan))))
            }
            Expr::Binary(binary) => self.scalar_binary(binary, grid),
            Expr::Call(call) => self.scalar_call(call, grid),
            other => Err(unexpected(other, "a scalar")),
        }
    }

    fn scalar_binary(&mut self, binary: &Binary, grid: Grid) -> Result<Planned<ScalarPlan>, EvalError> {
        if is_trim(binary.op) {
            let op = binary.op.as_str();
            self.refuse(format!("operator {op:?} not allowed for Scalar operations"));
        }
        let (lhs, rhs) = (self.scalar(&binary.lhs, grid)?, self.scalar(&binary.rhs, grid)?);
        let invariant = lhs.invariant && rhs.invariant;
        let side = |side: Planned<ScalarPlan>| Box::new(if invariant { side.plan } else { side.once() });
        Ok(Planned::new(ScalarPlan::Binary { op: binary.op, lhs: side(lhs), rhs: side(rhs) }, invariant))
    }

    fn scalar_pick(
        &mut self,
        pick: fn(f64, f64) -> f64,
        lhs: &Expr,
        rhs: &Expr,
        grid: Grid,
    ) -> Result<Planned<ScalarPlan>, EvalError> {
        let (lhs, rhs) = (self.scalar(lhs, grid)?, self.scalar(rhs, grid)?);
        let invariant = lhs.invariant && rhs.invariant;
        let side = |side: Planned<ScalarPlan>| Box::new(if invariant { side.plan } else { side.once() });
        Ok(Planned::new(ScalarPlan::Pick { pick, lhs: side(lhs), rhs: side(rhs) }, invariant))
    }

    fn scalar_call(&mut self, call: &Call, grid: Grid) -> Result<Planned<ScalarPlan>, EvalError> {
        match (call.function.name, call.args.as_slice()) {
            ("time", _) => Ok(Planned::new(ScalarPlan::Time, false)),
            ("pi", _) => Ok(Planned::new(ScalarPlan::Number(std::f64::consts::PI), true)),
            ("start" | "end" | "range" | "step", _) => {
                let value = self.bounds.named(call.function.name);
                Ok(Planned::new(ScalarPlan::Number(value), true))
            }
            ("min_of", [lhs, rhs]) => self.scalar_pick(min_or_nan, lhs, rhs, grid),
            ("max_of", [lhs, rhs]) => self.scalar_pick(max_or_nan, lhs, rhs, grid),
            ("scalar", [input]) => Ok(self.vector(input, grid)?.map(|plan| ScalarPlan::OfVector(Box::new(plan)))),
            (name, _) => Err(not_yet(name)),
        }
    }

    fn vector(&mut self, expr: &Expr, grid: Grid) -> Result<Planned<VectorPlan>, EvalError> {
        match expr {
            Expr::Vector(selector) if selector.extended == Some(ExtendedRange::Smoothed) => {
                self.smoothed(selector, grid)
            }
            Expr::Vector(selector) => Ok(self.instant_selector(selector, grid)?.map(VectorPlan::Select)),
            Expr::Paren(paren) => self.vector(&paren.expr, grid),
            Expr::Unary(Unary { op: UnaryOp::Plus, expr, .. }) => self.vector(expr, grid),
            Expr::Unary(Unary { op: UnaryOp::Minus, expr, .. }) => {
                Ok(self.vector(expr, grid)?.map(|plan| VectorPlan::Negate(Box::new(plan))))
            }
            Expr::Binary(binary) => self.vector_binary(binary, grid),
            Expr::Aggregation(aggregation) => self.aggregation(aggregation, grid),
            Expr::Call(call) => self.vector_call(call, grid),
            other => Err(unexpected(other, "an instant vector")),
        }
    }

    fn instant_selector(
        &mut self,
        selector: &VectorSelector,
        grid: Grid,
    ) -> Result<Planned<InstantSelector>, EvalError> {
        let look = self.selector_look(selector)?;
        let selection = self.select(selector, needed_range(look, self.lookback_ms, grid));
        let one_metric = is_one_metric(&selector.matchers);
        Ok(Planned::new(
            InstantSelector { selection, look, one_metric, histogram_parts: self.histogram_parts() },
            look.at.is_some(),
        ))
    }

    fn selector_look(&self, selector: &VectorSelector) -> Result<Look, EvalError> {
        self.look(selector.at, &selector.offset)
    }

    fn look(&self, at: Option<At>, offset: &Duration) -> Result<Look, EvalError> {
        let at = at.map(|at| match at {
            At::Timestamp(time) => time.0,
            At::Start => self.bounds.start,
            At::End => self.bounds.end,
        });
        Ok(Look { at, offset: self.milliseconds(offset, true)? })
    }

    fn milliseconds(&self, duration: &Duration, is_offset: bool) -> Result<i64, EvalError> {
        let times = self.bounds.of_durations();
        duration.resolve_ms(times, is_offset).map_err(|error| EvalError::InvalidQuery(error.to_string()))
    }

    fn select(&mut self, selector: &VectorSelector, range: storage::TimeRange) -> SelectionId {
        self.selections.push(Selection { matchers: selector.matchers.clone(), range });
        SelectionId(self.selections.len() - 1)
    }

    fn range(&mut self, expr: &Expr, grid: Grid) -> Result<Planned<RangePlan>, EvalError> {
        match expr {
            Expr::Matrix(matrix) => {
                let look = self.selector_look(&matrix.selector)?;
                let range = self.milliseconds(&matrix.range, false)?;
                let extended = matrix.selector.extended;
                let reach = Reach::of(extended, self.lookback_ms);
                let selection = self.select(&matrix.selector, reach.around(needed_range(look, range, grid)));
                let one_metric = is_one_metric(&matrix.selector.matchers);
                Ok(Planned::new(
                    RangePlan::Select {
                        selection,
                        look,
                        range,
                        one_metric,
                        histogram_parts: self.histogram_parts(),
                        extended,
                    },
                    look.at.is_some(),
                ))
            }
            Expr::Subquery(subquery) => {
                let look = self.look(subquery.at, &subquery.offset)?;
                let range = self.milliseconds(&subquery.range, false)?;
                let step = match &subquery.step {
                    Some(step) => self.milliseconds(step, false)?,
                    None => self.subquery_step_ms,
                };
                if step <= 0 || range <= 0 {
                    return Err(EvalError::InvalidQuery("range and step of a subquery must be positive".into()));
                }
                // Without any time inside, nothing is evaluated; the plan only has to be well-formed.
                let inner = Subquery::grid(look, range, step, grid).unwrap_or(Grid::instant(look.from(grid.start)));
                let input = Box::new(self.needing_buckets(|planner| planner.vector_once(&subquery.expr, inner))?);
                Ok(Planned::new(RangePlan::Subquery(Subquery { input, look, range, step }), look.at.is_some()))
            }
            Expr::Paren(paren) => self.range(&paren.expr, grid),
            other => Err(unexpected(other, "a range vector")),
        }
    }

    fn vector_binary(&mut self, binary: &Binary, grid: Grid) -> Result<Planned<VectorPlan>, EvalError> {
        match is_trim(binary.op) {
            true => self.needing_buckets(|planner| planner.vector_operator(binary, grid)),
            false => self.vector_operator(binary, grid),
        }
    }

    fn vector_operator(&mut self, binary: &Binary, grid: Grid) -> Result<Planned<VectorPlan>, EvalError> {
        match (binary.lhs.value_type(), binary.rhs.value_type()) {
            (ValueType::Vector, ValueType::Vector) => self.vector_vector(binary, grid),
            (ValueType::Vector, _) => self.vector_scalar(binary, &binary.lhs, &binary.rhs, false, grid),
            _ => self.vector_scalar(binary, &binary.rhs, &binary.lhs, true, grid),
        }
    }

    fn vector_scalar(
        &mut self,
        binary: &Binary,
        vector: &Expr,
        scalar: &Expr,
        scalar_left: bool,
        grid: Grid,
    ) -> Result<Planned<VectorPlan>, EvalError> {
        let (vector, scalar) = (self.vector(vector, grid)?, self.scalar(scalar, grid)?);
        let invariant = vector.invariant && scalar.invariant;
        let operation = VectorScalar {
            op: binary.op,
            vector: Box::new(if invariant { vector.plan } else { vector.once() }),
            scalar: if invariant { scalar.plan } else { scalar.once() },
            scalar_left,
            return_bool: binary.return_bool,
            position: binary.position,
        };
        Ok(Planned::new(VectorPlan::VectorScalar(operation), invariant))
    }

    fn vector_vector(&mut self, binary: &Binary, grid: Grid) -> Result<Planned<VectorPlan>, EvalError> {
        let matching = binary
            .matching
            .as_ref()
            .ok_or_else(|| EvalError::InvalidQuery("an operator between vectors has no matching".into()))?;
        let (lhs, rhs) = (self.vector(&binary.lhs, grid)?, self.vector(&binary.rhs, grid)?);
        let invariant = lhs.invariant && rhs.invariant;
        let side = |side: Planned<VectorPlan>| Box::new(if invariant { side.plan } else { side.once() });
        let (lhs, rhs) = (side(lhs), side(rhs));
        let pairing = Pairing { on: matching.on, labels: LabelNames::new(&matching.labels) };
        let plan = match binary.op.is_set() {
            true => VectorPlan::Set(SetOperation { op: binary.op, lhs, rhs, pairing }),
            false => VectorPlan::Match(VectorMatch {
                op: binary.op,
                lhs,
                rhs,
                pairing,
                cardinality: matching.cardinality,
                include: matching.include.clone(),
                fill: Fill { one: matching.fill_right, many: matching.fill_left },
                return_bool: binary.return_bool,
                position: binary.position,
            }),
        };
        Ok(Planned::new(plan, invariant))
    }

    fn aggregation(&mut self, aggregation: &Aggregation, grid: Grid) -> Result<Planned<VectorPlan>, EvalError> {
        let input = self.vector(&aggregation.expr, grid)?;
        // As upstream has it, the parameter has no say in this: over a fixed input it is taken at the first step.
        let invariant = input.invariant;
        let parameter = match (&aggregation.param, aggregation.op.param_type()) {
            (Some(param), Some(ValueType::String)) => AggregateParameter::Label(value_label(param)?),
            (Some(param), _) => {
                let value = self.scalar(param, grid)?;
                AggregateParameter::Scalar {
                    value: if invariant { value.plan } else { value.once() },
                    place: Place::of(param.without_parens().position(), aggregation.position),
                }
            }
            (None, Some(_)) => {
                return Err(EvalError::InvalidQuery(format!("{} has no parameter", aggregation.op.as_str())));
            }
            (None, None) => AggregateParameter::None,
        };
        let aggregate = Aggregate {
            op: aggregation.op,
            grouping: Grouping { labels: LabelNames::new(&aggregation.grouping), without: aggregation.without },
            parameter,
            input: Box::new(if invariant { input.plan } else { input.once() }),
            position: aggregation.position,
            input_place: Place::of(aggregation.expr.without_parens().position(), aggregation.position),
        };
        Ok(Planned::new(VectorPlan::Aggregate(aggregate), invariant))
    }

    fn vector_call(&mut self, call: &Call, grid: Grid) -> Result<Planned<VectorPlan>, EvalError> {
        let name = call.function.name;
        if let Some(function) = ValueFunction::named(name) {
            return self.value_function(function, call, grid);
        }
        if let Some(function) = RangeFunction::named(name) {
            return self.range_function(function, call, grid);
        }
        match (name, call.args.as_slice()) {
            ("vector", [scalar]) => Ok(self.scalar(scalar, grid)?.map(VectorPlan::OfScalar)),
            ("timestamp", [input]) => self.timestamp(input, grid),
            ("start_timestamp", [input]) => self.start_timestamp(input, grid),
            ("absent", [input]) => {
                let labels = absent_labels(input);
                Ok(self.vector(input, grid)?.map(|plan| VectorPlan::Absent { input: Box::new(plan), labels }))
            }
            ("absent_over_time", [range]) => {
                let labels = absent_labels(range);
                self.check_extended(name, range);
                Ok(self.range(range, grid)?.map(|range| VectorPlan::AbsentOverTime { range, labels }))
            }
            ("sort" | "sort_desc", [input]) => {
                let (descending, position) = (name == "sort_desc", call.position);
                let sort = |plan| VectorPlan::Sort { input: Box::new(plan), descending, position };
                Ok(self.vector(input, grid)?.map(sort))
            }
            ("sort_by_label" | "sort_by_label_desc", [input, labels @ ..]) => {
                let labels =
                    labels.iter().map(|label| text(label).map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
                let (descending, position) = (name == "sort_by_label_desc", call.position);
                let sort = |plan| VectorPlan::SortByLabel { input: Box::new(plan), labels, descending, position };
                Ok(self.vector(input, grid)?.map(sort))
            }
            ("info", [input]) => self.info(input, None, grid),
            ("info", [input, Expr::Vector(selector)]) => self.info(input, Some(selector), grid),
            ("histogram_avg", [input]) => self.histogram_part(HistogramPart::Avg, input, grid),
            ("histogram_count", [input]) => self.histogram_part(HistogramPart::Count, input, grid),
            ("histogram_stddev", [input]) => self.histogram_part(HistogramPart::StandardDeviation, input, grid),
            ("histogram_stdvar", [input]) => self.histogram_part(HistogramPart::Variance, input, grid),
            ("histogram_sum", [input]) => self.histogram_part(HistogramPart::Sum, input, grid),
            ("histogram_quantile", [quantile, input]) => self.histogram_quantile(call, quantile, input, grid),
            ("histogram_quantiles", [input, label, quantiles @ ..]) => {
                self.histogram_quantiles(call, input, label, quantiles, grid)
            }
            ("histogram_fraction", [lower, upper, input]) => self.histogram_fraction(call, lower, upper, input, grid),
            ("label_replace", [input, target, replacement, source, pattern]) => {
                let relabel = Relabel::replace(text(target)?, text(replacement)?, text(source)?, text(pattern)?)?;
                self.relabel(relabel, input, grid)
            }
            ("label_join", [input, target, separator, sources @ ..]) => {
                let sources = sources.iter().map(text).collect::<Result<Vec<_>, _>>()?;
                let relabel = Relabel::join(text(target)?, text(separator)?, &sources)?;
                self.relabel(relabel, input, grid)
            }
            _ => Err(not_yet(name)),
        }
    }

    fn value_function(
        &mut self,
        function: ValueFunction,
        call: &Call,
        grid: Grid,
    ) -> Result<Planned<VectorPlan>, EvalError> {
        let Some((input, arguments)) = call.args.split_first() else {
            // Only parts of the calendar may leave out their argument: the step's time then.
            let input = Box::new(VectorPlan::OfScalar(ScalarPlan::Time));
            return Ok(Planned::new(VectorPlan::Map { function, arguments: Vec::new(), input }, false));
        };
        let input = self.vector(input, grid)?;
        let arguments = arguments.iter().map(|argument| self.scalar(argument, grid)).collect::<Result<Vec<_>, _>>()?;
        let invariant = input.invariant && arguments.iter().all(|argument| argument.invariant);
        let plan = VectorPlan::Map {
            function,
            arguments: arguments
                .into_iter()
                .map(|argument| if invariant { argument.plan } else { argument.once() })
                .collect(),
            input: Box::new(if invariant { input.plan } else { input.once() }),
        };
        Ok(Planned::new(plan, invariant))
    }

    fn range_function(
        &mut self,
        function: RangeFunction,
        call: &Call,
        grid: Grid,
    ) -> Result<Planned<VectorPlan>, EvalError> {
        let is_range = |expr: &&Expr| expr.value_type() == ValueType::Matrix;
        let range_argument =
            call.args.iter().find(is_range).ok_or_else(|| unexpected_call(call, "has no range argument"))?;
        self.check_extended(call.function.name, range_argument);
        let range = self.range(range_argument, grid)?;
        let others = call.args.iter().filter(|expr| !is_range(expr));
        let arguments = others.map(|argument| self.scalar(argument, grid)).collect::<Result<Vec<_>, _>>()?;
        let invariant =
            range.invariant && !function.depends_on_time() && arguments.iter().all(|argument| argument.invariant);
        let plan = VectorPlan::OverRange(OverRange {
            function,
            range: range.plan,
            arguments: arguments
                .into_iter()
                .map(|argument| if invariant { argument.plan } else { argument.once() })
                .collect(),
            place: Place::of(noted_position(&call.args[0]), call.position),
        });
        Ok(Planned::new(plan, invariant))
    }

    /// Of a selector, the samples' own times; of anything else, the step's.
    fn timestamp(&mut self, input: &Expr, grid: Grid) -> Result<Planned<VectorPlan>, EvalError> {
        let plan = match input.without_parens() {
            Expr::Vector(selector) => VectorPlan::SampleTimes(self.instant_selector(selector, grid)?.plan),
            other => VectorPlan::StepTimes(Box::new(self.vector_once(other, grid)?)),
        };
        Ok(Planned::new(plan, false))
    }

    /// Known of a selector's samples only.
    fn start_timestamp(&mut self, input: &Expr, grid: Grid) -> Result<Planned<VectorPlan>, EvalError> {
        match input.without_parens() {
            Expr::Vector(selector) => Ok(self.instant_selector(selector, grid)?.map(VectorPlan::StartTimes)),
            other => Ok(self.vector(other, grid)?.map(|plan| VectorPlan::Nothing(Box::new(plan)))),
        }
    }

    fn relabel(&mut self, relabel: Relabel, input: &Expr, grid: Grid) -> Result<Planned<VectorPlan>, EvalError> {
        Ok(self.vector(input, grid)?.map(|plan| VectorPlan::Relabel { relabel, input: Box::new(plan) }))
    }
}

/// Where annotations point when they are about this argument. As upstream, which evaluates a subquery before the function
/// and loses its place, at the query's beginning then.
fn noted_position(argument: &Expr) -> PositionRange {
    match argument.without_parens() {
        Expr::Subquery(_) => PositionRange::default(),
        other => other.position(),
    }
}

/// Whether all series have the same metric name.
fn is_one_metric(matchers: &[Matcher]) -> bool {
    matchers
        .iter()
        .any(|matcher| matcher.name() == METRIC_NAME && matcher.op() == MatchOp::Equal && !matcher.value().is_empty())
}

fn text(expr: &Expr) -> Result<&str, EvalError> {
    match expr.without_parens() {
        Expr::String(literal) => Ok(&literal.value),
        other => Err(unexpected(other, "a string literal")),
    }
}

fn value_label(param: &Expr) -> Result<String, EvalError> {
    let Expr::String(literal) = param.without_parens() else { return Err(unexpected(param, "a string literal")) };
    match is_label_name(&literal.value) {
        true => Ok(literal.value.clone()),
        false => Err(EvalError::Execution(format!("invalid label name {}", literal.quoted()))),
    }
}

/// Labels that the selector pins to one value: those that an absent series would have. A label with two conditions is
/// not pinned.
fn absent_labels(expr: &Expr) -> Labels {
    let matchers: &[Matcher] = match expr.without_parens() {
        Expr::Vector(selector) => &selector.matchers,
        Expr::Matrix(matrix) => &matrix.selector.matchers,
        _ => &[],
    };
    let mut builder = LabelsBuilder::default();
    for matcher in matchers.iter().filter(|matcher| matcher.name() != METRIC_NAME) {
        let conditions = matchers.iter().filter(|other| other.name() == matcher.name()).count();
        if conditions == 1 && matcher.op() == MatchOp::Equal {
            builder.set(matcher.name(), matcher.value());
        }
    }
    builder.build().expect("`set` leaves no name twice, and matchers have names")
}

fn not_yet(what: &str) -> EvalError {
    EvalError::NotYetSupported(what.to_owned())
}

/// For trees that were not type-checked: those of the parser never get here.
fn unexpected(expr: &Expr, wanted: &str) -> EvalError {
    let PositionRange { start, .. } = expr.position();
    EvalError::InvalidQuery(format!("expected {wanted} at offset {start}, found {}", expr.value_type().documented()))
}

fn unexpected_call(call: &Call, what: &str) -> EvalError {
    EvalError::InvalidQuery(format!("the call of {} {what}", call.function.name))
}
