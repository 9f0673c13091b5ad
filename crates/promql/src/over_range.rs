//! Functions over ranges of samples, from selectors or subqueries.

use model::Labels;
use promql_syntax::ExtendedRange;
use storage::Series;

use crate::EvalError;
use crate::aggregate::warn_about_quantile;
use crate::annotation::Place;
use crate::column::{Cell, Column, Run, StepSet, is_absent};
use crate::evaluate::{evaluate_scalar, evaluate_vector, evaluate_whole_series};
use crate::extended_range::Reach;
use crate::float_windows::{self, FloatSeries, Windowing};
use crate::grid::Grid;
use crate::histogram_windows;
use crate::label_set::{ComputedLabels, LabelGuard};
use crate::notes::Notes;
use crate::plan::{Look, OverRange, RangePlan, Subquery};
use crate::range_function::RangeFunction;
use crate::row::{Context, Row, Sink, hold_column};
use crate::selected_rows::{SeriesState, each_row};
use crate::window::{SampleSource, SubqueryPoints, Window, WindowBuffer};

impl OverRange {
    pub(crate) fn evaluate(self, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
        let Self { function, range, arguments, place } = self;
        let extended = range.extended();
        let with_starts = context.use_start_timestamps && function.uses_start_timestamps();
        let held = arguments.len() * grid.steps;
        let arguments = arguments
            .into_iter()
            .map(|argument| evaluate_scalar(argument, grid, context))
            .collect::<Result<Vec<_>, _>>()?;
        let each = EachSeries { function, place, extended, arguments: &arguments, grid };
        let mut guard = LabelGuard::default();
        match range {
            RangePlan::Select { selection, look, range: length, one_metric, histogram_parts, .. } => {
                let distinct = function.keeps_name() || one_metric && context.has_only_names(selection);
                let reach = Reach::of(extended, context.lookback_ms);
                let buffer = || {
                    let buffer = WindowBuffer::with_starts(with_starts).with_histogram_parts(histogram_parts);
                    buffer.with_falls(function.looks_at_falls())
                };
                let state = || State { buffer: buffer(), ..State::default() };
                let compute = |context: &mut Context<'_>, state: &mut State, series: Series, column: &mut Column| {
                    let State { buffer, scratch, computed } = state;
                    buffer.reset();
                    let source = SampleSource::Stored(series.samples);
                    let mut windows = Windows { buffer, source, grid, look, length, reach };
                    let any = each.compute(context, &series.labels, &mut windows, scratch, column)?;
                    Ok(any.then(|| match function.keeps_name() {
                        true => (series.labels, false),
                        false => (computed.of(series.labels, context), true),
                    }))
                };
                each_row(selection, grid, context, &state, &compute, &mut |context, row| {
                    if !distinct {
                        guard.once_a_step(&row.labels, row.column)?;
                    }
                    sink(context, row)
                })?;
            }
            range @ RangePlan::Subquery(_) => {
                let mut column = hold_column(context, grid)?;
                let mut scratch = Scratch::default();
                walk(range, grid, with_starts, context, &mut |context, labels, drop_name, windows| {
                    column.clear();
                    if !each.compute(context, &labels, windows, &mut scratch, &mut column)? {
                        return Ok(());
                    }
                    let (labels, drop_name) = match function.keeps_name() {
                        true => (labels, drop_name),
                        false => (context.computed_labels(&labels), true),
                    };
                    guard.once_a_step(&labels, &column)?;
                    sink(context, Row { labels, drop_name, column: &mut column })
                })?;
                context.budget.release(grid.steps);
            }
        }
        context.budget.release(held);
        Ok(())
    }
}

/// What is kept from series to series.
#[derive(Default)]
struct State {
    buffer: WindowBuffer,
    scratch: Scratch,
    computed: ComputedLabels,
}

impl SeriesState for State {
    fn work(&self) -> usize {
        self.buffer.samples_read() + self.scratch.windows.work
    }
}

/// Memory to reuse.
#[derive(Default)]
struct Scratch {
    arguments: Vec<f64>,
    windows: float_windows::Scratch,
}

/// What is computed of each series.
struct EachSeries<'a> {
    function: RangeFunction,
    place: Place,
    extended: Option<ExtendedRange>,
    /// At each step.
    arguments: &'a [Vec<f64>],
    grid: Grid,
}

impl EachSeries<'_> {
    /// Fills a column that is all absent; says whether there is any value.
    fn compute(
        &self,
        context: &mut Context<'_>,
        labels: &Labels,
        windows: &mut Windows<'_>,
        scratch: &mut Scratch,
        column: &mut Column,
    ) -> Result<bool, EvalError> {
        let whole = match self.extended.is_none() && self.arguments.is_empty() {
            true => windows.whole_floats(context)?,
            false => None,
        };
        let any = match whole {
            Some((windowing, series)) => windowing.fill(self.function, series, &mut scratch.windows, column),
            None => self.step_by_step(context, labels, windows, scratch, column)?,
        };
        if any && self.function.expects_counter() && column.floats().iter().any(|value| !is_absent(*value)) {
            expect_counter(labels, self.place, context);
        }
        Ok(any)
    }

    fn step_by_step(
        &self,
        context: &mut Context<'_>,
        labels: &Labels,
        windows: &mut Windows<'_>,
        scratch: &mut Scratch,
        column: &mut Column,
    ) -> Result<bool, EvalError> {
        let Self { function, place, extended, arguments, grid } = *self;
        let Scratch { arguments: step_arguments, windows: float_windows::Scratch { values, work, .. } } = scratch;
        step_arguments.resize(arguments.len(), 0.0);
        let mut any = false;
        for step in 0..grid.steps {
            let Some(window) = windows.at(step, context)? else { continue };
            for (argument, over_steps) in step_arguments.iter_mut().zip(arguments) {
                *argument = over_steps[step];
            }
            check_arguments(function, step_arguments)?;
            *work += function.sample_work() * (window.floats.len() + HISTOGRAM_WORK * window.histograms.len());
            let notes = Notes { metric: labels.metric_name(), place };
            if function == RangeFunction::Quantile && !window.floats.is_empty() {
                warn_about_quantile(context, place, step_arguments[0]);
            }
            if window.overlaps && extended.is_none() && matches!(function, RangeFunction::Rate(_)) {
                notes.overlap(context);
            }
            let cell = match extended {
                _ if !window.histograms.is_empty() => {
                    histogram_windows::evaluate(function, extended, &window, step_arguments, values, &notes, context)
                }
                None => function.evaluate(&window, step_arguments, values),
                Some(extended) => function.evaluate_extended(extended, &window, values),
            };
            if let Some(cell) = cell {
                column.set(step, cell);
                any = true;
            }
        }
        Ok(any)
    }
}

/// `absent_over_time`: 1 wherever no series has a sample in its range.
pub(crate) fn evaluate_absent(
    range: RangePlan,
    labels: Labels,
    grid: Grid,
    context: &mut Context<'_>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let mut found = StepSet::empty(grid.steps);
    walk(range, grid, false, context, &mut |context, _, _, windows| {
        for step in 0..grid.steps {
            if windows.at(step, context)?.is_some() {
                found.insert(step);
            }
        }
        Ok(())
    })?;
    let mut column = hold_column(context, grid)?;
    for step in (0..grid.steps).filter(|step| !found.contains(*step)) {
        column.set(step, Cell::Float(1.0));
    }
    if column.any_present() {
        sink(context, Row { labels, drop_name: false, column: &mut column })?;
    }
    context.budget.release(grid.steps);
    Ok(())
}

/// Takes one series: labels, whether its name is to go, and its windows.
type SeriesSink<'s> = &'s mut dyn FnMut(&mut Context<'_>, Labels, bool, &mut Windows<'_>) -> Result<(), EvalError>;

/// Hands on each series of a range vector, with its start timestamps or without.
pub(crate) fn walk(
    range: RangePlan,
    grid: Grid,
    with_starts: bool,
    context: &mut Context<'_>,
    sink: SeriesSink<'_>,
) -> Result<(), EvalError> {
    let (look, length) = (range.look(), range.range());
    let reach = Reach::of(range.extended(), context.lookback_ms);
    let mut buffer = WindowBuffer::with_starts(with_starts);
    match range {
        RangePlan::Select { selection, histogram_parts, .. } => {
            buffer = buffer.with_histogram_parts(histogram_parts);
            let mut selected = context.take_selected(selection);
            while let Some(series) = selected.next()? {
                context.check_interrupt()?;
                buffer.reset();
                let source = SampleSource::Stored(series.samples);
                let mut windows = Windows { buffer: &mut buffer, source, grid, look, length, reach };
                sink(context, series.labels, false, &mut windows)?;
            }
            Ok(())
        }
        RangePlan::Subquery(Subquery { input, step, .. }) => {
            let Some(inner) = Subquery::grid(look, length, step, grid) else { return Ok(()) };
            context.budget.check(inner.steps)?;
            let mut guard = LabelGuard::default();
            let each = &mut |context: &mut Context<'_>, row: Row<'_>| {
                context.check_interrupt()?;
                // Windows over a part of a series would give wrong values.
                guard.once(&row.labels)?;
                let Some(run) = Run::of(row.column) else { return Ok(()) };
                let source = SampleSource::Subquery(SubqueryPoints::new(inner, run));
                buffer.reset();
                let mut windows = Windows { buffer: &mut buffer, source, grid, look, length, reach };
                sink(context, row.labels, row.drop_name, &mut windows)
            };
            match input.gives_whole_series() {
                true => evaluate_vector(*input, inner, context, each),
                false => evaluate_whole_series(*input, inner, context, each),
            }
        }
    }
}

/// The windows of one series, to be asked for in order of steps.
pub(crate) struct Windows<'a> {
    buffer: &'a mut WindowBuffer,
    source: SampleSource,
    grid: Grid,
    look: Look,
    length: i64,
    reach: Reach,
}

impl Windows<'_> {
    /// All samples, if they are floats without start timestamps, and few enough to lie in memory together. To be called before
    /// any window is asked for.
    fn whole_floats(&mut self, context: &Context<'_>) -> Result<Option<(Windowing, FloatSeries<'_>)>, EvalError> {
        let Self { grid, look, length, .. } = *self;
        let whole = self.buffer.whole_floats(&mut self.source)?;
        if let Some(series) = &whole {
            context.budget.check(series.floats.len())?;
        }
        Ok(whole.map(|series| (Windowing { grid, look, length }, series)))
    }

    /// The window at a step, with samples beyond its ends as far as they are wanted; `None` when there are none.
    #[inline]
    pub(crate) fn at(&mut self, step: usize, context: &Context<'_>) -> Result<Option<Window<'_>>, EvalError> {
        if step % STEPS_PER_CHECK == STEPS_PER_CHECK - 1 {
            context.check_interrupt()?;
        }
        let time = self.grid.time(step);
        let end = self.look.from(time);
        let start = end.saturating_sub(self.length);
        let (from, until) = (start.saturating_sub(self.reach.before), end.saturating_add(self.reach.after));
        context.budget.check(self.buffer.len())?;
        let window = self.buffer.advance(&mut self.source, from, until, time)?;
        Ok(window.map(|window| Window { start, end, ..window }))
    }
}

fn check_arguments(function: RangeFunction, arguments: &[f64]) -> Result<(), EvalError> {
    let (RangeFunction::DoubleExponentialSmoothing, [smoothing, trend]) = (function, arguments) else { return Ok(()) };
    for (what, factor) in [("smoothing", *smoothing), ("trend", *trend)] {
        if factor <= 0.0 || factor >= 1.0 {
            let initial = &what[..1];
            // As Go writes it.
            let got = if factor == f64::INFINITY { "+Inf".to_owned() } else { format!("{factor:.6}") };
            let got = got.replace("-inf", "-Inf");
            return Err(EvalError::Execution(format!(
                "invalid {what} factor. Expected: 0 < {initial}f < 1, got: {got}"
            )));
        }
    }
    Ok(())
}

fn expect_counter(labels: &Labels, place: Place, context: &mut Context<'_>) {
    let metric = labels.metric_name();
    if metric.is_empty() {
        return;
    }
    if context.type_and_unit_labels {
        let kind = labels.get("__type__").unwrap_or_default();
        if !matches!(kind, "counter" | "histogram") {
            context.annotations.inform(
                place,
                format!(
                    "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {kind:?}: {metric:?}"
                ),
            );
        }
    } else if !["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| metric.ends_with(suffix)) {
        context.annotations.inform(
            place,
            format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric:?}"),
        );
    }
}

/// How many windows are computed between two looks at the caller's interrupt.
const STEPS_PER_CHECK: usize = 256;

/// What it takes to look at a histogram, in looks at a float.
const HISTOGRAM_WORK: usize = 20;
