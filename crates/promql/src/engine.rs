//! The way of a query: plan, select, evaluate.

use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use model::{Labels, NativeHistogram, TimestampMs};
use promql_syntax::{Expr, ExtendedRange, ValueType};
use storage::{Queryable, SelectHints, SeriesSet, TimeRange};

use crate::budget::Budget;
use crate::column::{Cell, Column, is_absent};
use crate::evaluate::{evaluate_scalar, evaluate_vector};
use crate::extended_range;
use crate::grid::Grid;
use crate::histogram::{FloatHistogram, stored_samples};
use crate::label_set::{METADATA_BESIDE_NAME, without_metadata};
use crate::narrowing::{self, Narrowing};
use crate::over_range::walk;
use crate::plan::{RangePlan, Root, VectorPlan};
use crate::planner::plan;
use crate::row::Context;
use crate::workers::{NoWorkers, Workers};
use crate::{Annotations, EvalError, FloatPoint, HistogramPoint, QueryResult, RangeSeries, Sample, SampleValue, Value};

/// What bounds and shapes evaluations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EngineOptions {
    /// How long a sample stands for its series when no newer one comes, milliseconds. Positive.
    pub lookback_delta_ms: i64,
    /// The most samples held in memory at a time by one query.
    pub samples_max: usize,
    /// The most steps of a range query, not counting the first.
    pub steps_max: usize,
    /// The step of subqueries that name none, milliseconds. Positive.
    pub subquery_step_ms: i64,
    /// Keep metric names on computed values until the query ends, so that label functions can use them.
    pub delayed_name_removal: bool,
    /// Let start timestamps tell of counter resets, and answer `start_timestamp`.
    pub use_start_timestamps: bool,
    /// Look at the label `__type__`, rather than at the metric's name, before saying that something may be no counter.
    pub type_and_unit_labels: bool,
}

impl Default for EngineOptions {
    /// Prometheus' defaults.
    fn default() -> Self {
        Self {
            lookback_delta_ms: 5 * 60 * 1000,
            samples_max: 50_000_000,
            steps_max: 11_000,
            subquery_step_ms: 60 * 1000,
            delayed_name_removal: false,
            use_start_timestamps: false,
            type_and_unit_labels: false,
        }
    }
}

/// When a query is evaluated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EvalTime {
    /// Once.
    Instant(TimestampMs),
    /// At `start`, and then every `step_ms` up to `end`.
    Range {
        /// The first time.
        start: TimestampMs,
        /// No time is after this one.
        end: TimestampMs,
        /// Distance of the times, milliseconds.
        step_ms: i64,
    },
}

/// Why a caller ends an evaluation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Nobody waits for the answer.
    Canceled,
    /// The answer would come too late.
    TimedOut,
}

/// Evaluates queries. Holds options only; one serves any number of storages and queries at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Engine {
    options: EngineOptions,
}

impl Engine {
    /// An engine with these options.
    ///
    /// # Panics
    /// When lookback or subquery step is not positive.
    pub fn new(options: EngineOptions) -> Self {
        assert!(
            options.lookback_delta_ms > 0 && options.subquery_step_ms > 0,
            "durations must be positive: {options:?}"
        );
        Self { options }
    }

    /// The options.
    pub fn options(&self) -> EngineOptions {
        self.options
    }

    /// Plans the query and selects all its series: all that may wait. Computing is up to [`Prepared::evaluate`].
    ///
    /// # Errors
    /// Times or parts of the expression that cannot be evaluated; data that cannot be read.
    pub async fn prepare(&self, storage: &dyn Queryable, expr: &Expr, time: EvalTime) -> Result<Prepared, EvalError> {
        let grid = self.grid(time)?;
        let is_range = matches!(time, EvalTime::Range { .. });
        if is_range && !matches!(expr.value_type(), ValueType::Scalar | ValueType::Vector) {
            return Err(EvalError::InvalidQuery(format!(
                "invalid expression type {:?} for range query, must be Scalar or instant Vector",
                expr.value_type().documented()
            )));
        }
        let plan = plan(expr, grid, time.into(), self.options.lookback_delta_ms, self.options.subquery_step_ms)?;
        let mut selected = Vec::with_capacity(plan.selections.len());
        if let Some(whole) = plan.selections.iter().map(|selection| selection.range).reduce(hull) {
            // One querier, so that all selectors see the same state of the data.
            let querier = storage.querier(whole);
            let narrowings = narrowing::of_selections(&plan.root, grid, plan.selections.len());
            for (selection, Narrowing { labels, newest_only, any_order, drops_name }) in
                plan.selections.iter().zip(narrowings)
            {
                let whole = SelectHints { newest_only, any_order, ..SelectHints::samples(selection.range) };
                let narrowed = labels.is_some();
                let mut set = querier.select(&selection.matchers, SelectHints { labels, ..whole.clone() }).await?;
                if narrowed && drops_name && METADATA_BESIDE_NAME.iter().any(|name| set.may_have_label(name)) {
                    set = querier.select(&selection.matchers, whole).await?;
                }
                selected.push(Some(set));
            }
        }
        Ok(Prepared { root: plan.root, selected, grid, is_range, options: self.options })
    }

    fn grid(&self, time: EvalTime) -> Result<Grid, EvalError> {
        match time {
            EvalTime::Instant(at) => Ok(Grid::instant(at.0)),
            EvalTime::Range { start, end, step_ms } => {
                if step_ms <= 0 {
                    return Err(EvalError::InvalidQuery(
                        "zero or negative query resolution step widths are not accepted. Try a positive integer".into(),
                    ));
                }
                if end < start {
                    return Err(EvalError::InvalidQuery("end timestamp must not be before start time".into()));
                }
                Grid::new(start.0, end.0, step_ms)
                    .filter(|grid| grid.steps - 1 <= self.options.steps_max)
                    .ok_or(EvalError::TooManySteps { limit: self.options.steps_max })
            }
        }
    }
}

/// A query whose series are selected. Evaluating it is CPU work only, for a thread that may be busy for a while.
pub struct Prepared {
    root: Root,
    selected: Vec<Option<Box<dyn SeriesSet>>>,
    grid: Grid,
    is_range: bool,
    options: EngineOptions,
}

impl Prepared {
    /// Computes the answer. `interrupt` is asked often, and ends the evaluation when it gives a reason.
    ///
    /// # Errors
    /// Data that do not allow the operation or cannot be read, limits, the interrupt's reason.
    pub fn evaluate(self, interrupt: &(dyn Fn() -> Option<Stop> + Sync)) -> Result<QueryResult, EvalError> {
        self.evaluate_with(&NoWorkers, interrupt)
    }

    /// The same with threads that help. The answer does not depend on them.
    ///
    /// # Errors
    /// As for [`Prepared::evaluate`].
    pub fn evaluate_with(
        self,
        workers: &dyn Workers,
        interrupt: &(dyn Fn() -> Option<Stop> + Sync),
    ) -> Result<QueryResult, EvalError> {
        let Self { root, selected, grid, is_range, options } = self;
        let mut context = Context {
            lookback_ms: options.lookback_delta_ms,
            delayed_name_removal: options.delayed_name_removal,
            use_start_timestamps: options.use_start_timestamps,
            type_and_unit_labels: options.type_and_unit_labels,
            budget: Budget::new(options.samples_max),
            annotations: Annotations::default(),
            selected,
            interrupt,
            workers,
        };
        context.check_interrupt()?;
        let value = match root {
            Root::Text(text) => Value::String { timestamp: TimestampMs(grid.start), text },
            Root::Range(range) => range_value(range, grid, &mut context)?,
            Root::Scalar(scalar) => {
                let values = evaluate_scalar(scalar, grid, &mut context)?;
                match is_range {
                    false => Value::Scalar(FloatPoint { timestamp: TimestampMs(grid.start), value: values[0] }),
                    true => Value::Matrix(vec![range_series(Labels::empty(), &Column::from_floats(values), grid)]),
                }
            }
            Root::Vector(vector) => {
                let distinct = vector.has_distinct_labels() && !options.delayed_name_removal;
                let mut labels = LabelIndex { distinct, ..LabelIndex::default() };
                match is_range {
                    true => matrix(vector, grid, &mut labels, &mut context)?,
                    false => instant_vector(vector, grid, &mut labels, &mut context)?,
                }
            }
        };
        debug_assert_eq!(context.budget.held(), held_by(&value), "operators give back what they hold");
        Ok(QueryResult { value, annotations: context.annotations, samples_peak: context.budget.peak() })
    }
}

/// Where the answer holds which label set.
#[derive(Default)]
struct LabelIndex {
    /// No label set comes twice, so none need be remembered.
    distinct: bool,
    by_labels: HashMap<Labels, usize>,
}

impl LabelIndex {
    /// The place of these labels if they came before; otherwise `next` becomes it.
    fn find(&mut self, labels: &Labels, next: usize) -> Option<usize> {
        if self.distinct {
            return None;
        }
        match self.by_labels.entry(labels.clone()) {
            Entry::Occupied(entry) => Some(*entry.get()),
            Entry::Vacant(entry) => {
                entry.insert(next);
                None
            }
        }
    }
}

/// The labels under which a row is answered.
fn final_labels(labels: Labels, drop_name: bool, context: &Context<'_>) -> Labels {
    match drop_name && context.delayed_name_removal {
        true => without_metadata(&labels),
        false => labels,
    }
}

fn instant_vector(
    plan: VectorPlan,
    grid: Grid,
    index: &mut LabelIndex,
    context: &mut Context<'_>,
) -> Result<Value, EvalError> {
    let mut samples: Vec<Sample> = Vec::new();
    evaluate_vector(plan, grid, context, &mut |context, row| {
        let Some(cell) = row.column.cell(0) else { return Ok(()) };
        let labels = final_labels(row.labels, row.drop_name, context);
        if index.find(&labels, samples.len()).is_some() {
            return Err(EvalError::same_labelset());
        }
        let value = match cell {
            Cell::Float(value) => SampleValue::Float(value),
            Cell::Histogram(histogram) => SampleValue::Histogram(Arc::new(histogram.to_native())),
        };
        let sample = Sample { labels, timestamp: TimestampMs(grid.start), value };
        context.budget.hold(sample_samples(&sample))?;
        samples.push(sample);
        Ok(())
    })?;
    Ok(Value::Vector(samples))
}

/// Series of equal labels become one.
fn matrix(plan: VectorPlan, grid: Grid, index: &mut LabelIndex, context: &mut Context<'_>) -> Result<Value, EvalError> {
    let mut series: Vec<RangeSeries> = Vec::new();
    evaluate_vector(plan, grid, context, &mut |context, row| {
        let added = range_series(row.labels, row.column, grid);
        let samples = series_samples(&added);
        if samples == 0 {
            return Ok(());
        }
        context.budget.hold(samples)?;
        let added = RangeSeries { labels: final_labels(added.labels, row.drop_name, context), ..added };
        match index.find(&added.labels, series.len()) {
            None => series.push(added),
            Some(place) => merge(&mut series[place], added)?,
        }
        Ok(())
    })?;
    series.sort_by(|left, right| left.labels.cmp(&right.labels));
    Ok(Value::Matrix(series))
}

/// Joins two parts of one series; two samples at one time are an error.
fn merge(series: &mut RangeSeries, added: RangeSeries) -> Result<(), EvalError> {
    series.floats.extend(added.floats);
    series.floats.sort_by_key(|point| point.timestamp);
    series.histograms.extend(added.histograms);
    series.histograms.sort_by_key(|point| point.timestamp);
    let mut times: Vec<TimestampMs> = series.floats.iter().map(|point| point.timestamp).collect();
    times.extend(series.histograms.iter().map(|point| point.timestamp));
    times.sort_unstable();
    match times.windows(2).any(|pair| pair[0] == pair[1]) {
        true => Err(EvalError::same_labelset()),
        false => Ok(()),
    }
}

fn range_series(labels: Labels, column: &Column, grid: Grid) -> RangeSeries {
    if column.has_histograms() {
        return series_of(labels, column.present().filter_map(|step| Some((grid.time(step), column.cell(step)?))));
    }
    let present = column.floats().iter().filter(|value| !is_absent(**value)).count();
    let mut floats = Vec::with_capacity(present);
    for (time, value) in grid.times().zip(column.floats()) {
        if !is_absent(*value) {
            floats.push(FloatPoint { timestamp: TimestampMs(time), value: *value });
        }
    }
    RangeSeries { labels, floats, histograms: Vec::new() }
}

fn series_of(labels: Labels, cells: impl Iterator<Item = (i64, Cell)>) -> RangeSeries {
    let mut series = RangeSeries { labels, floats: Vec::new(), histograms: Vec::new() };
    // Steps may share a histogram: so do the points.
    let mut converted: Option<(Arc<FloatHistogram>, Arc<NativeHistogram>)> = None;
    for (time, cell) in cells {
        let timestamp = TimestampMs(time);
        match cell {
            Cell::Float(value) => series.floats.push(FloatPoint { timestamp, value }),
            Cell::Histogram(histogram) => {
                let native = match &converted {
                    Some((from, native)) if Arc::ptr_eq(from, &histogram) => Arc::clone(native),
                    _ => Arc::new(histogram.to_native()),
                };
                series.histograms.push(HistogramPoint { timestamp, histogram: Arc::clone(&native) });
                converted = Some((histogram, native));
            }
        }
    }
    series
}

/// What of the budget the answer itself takes.
fn held_by(value: &Value) -> usize {
    match value {
        Value::Scalar(_) => 1,
        Value::String { .. } => 0,
        Value::Vector(samples) => samples.iter().map(sample_samples).sum(),
        Value::Matrix(series) => series.iter().map(series_samples).sum(),
    }
}

fn sample_samples(sample: &Sample) -> usize {
    match &sample.value {
        SampleValue::Float(_) => 1,
        SampleValue::Histogram(histogram) => stored_samples(histogram),
    }
}

fn series_samples(series: &RangeSeries) -> usize {
    series.floats.len() + series.histograms.iter().map(|point| stored_samples(&point.histogram)).sum::<usize>()
}

/// A range vector as the answer: samples at their own times.
fn range_value(range: RangePlan, grid: Grid, context: &mut Context<'_>) -> Result<Value, EvalError> {
    let mut matrix = Vec::new();
    let extended = range.extended();
    walk(range, grid, false, context, &mut |context, labels, drop_name, windows| {
        let Some(window) = windows.at(0, context)? else { return Ok(()) };
        let labels = final_labels(labels, drop_name, context);
        let series = match extended {
            None => series_of(labels, window.cells()),
            Some(extended) if window.histograms.is_empty() => {
                let samples = extended_range::samples(extended == ExtendedRange::Smoothed, &window);
                series_of(labels, samples.into_iter().map(|(at, value)| (at, Cell::Float(value))))
            }
            Some(extended) => {
                let text = format!("{} modifier is not supported with histograms", extended.as_str());
                return Err(EvalError::Execution(text));
            }
        };
        let samples = series_samples(&series);
        if samples > 0 {
            context.budget.hold(samples)?;
            matrix.push(series);
        }
        Ok(())
    })?;
    matrix.sort_by(|left, right| left.labels.cmp(&right.labels));
    match matrix.windows(2).any(|pair| pair[0].labels == pair[1].labels) {
        true => Err(EvalError::same_labelset()),
        false => Ok(Value::Matrix(matrix)),
    }
}

/// The range that covers both.
fn hull(left: TimeRange, right: TimeRange) -> TimeRange {
    TimeRange { start: left.start.min(right.start), end: left.end.max(right.end) }
}
