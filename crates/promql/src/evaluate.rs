//! Evaluates plans: one function per kind of node, each pushing its rows to the one above.

use model::Labels;

use crate::EvalError;
use crate::binary;
use crate::column::{ABSENT, Cell, Column, StepSet, is_absent};
use crate::function::ValueFunction;
use crate::grid::Grid;
use crate::histogram::FloatHistogram;
use crate::label_set::LabelGuard;
use crate::over_range;
use crate::plan::{HistogramPart, InstantSelector, ScalarPlan, VectorPlan};
use crate::row::{Context, Row, Rows, Sink, hold_column, restore};
use crate::selector::Gives;
use crate::sort;

/// The scalar at each step, counted as held.
pub(crate) fn evaluate_scalar(plan: ScalarPlan, grid: Grid, context: &mut Context<'_>) -> Result<Vec<f64>, EvalError> {
    match plan {
        ScalarPlan::Number(value) => {
            context.budget.hold(grid.steps)?;
            Ok(vec![value; grid.steps])
        }
        ScalarPlan::Time => {
            context.budget.hold(grid.steps)?;
            Ok(grid.times().map(|time| time as f64 / 1000.0).collect())
        }
        ScalarPlan::Negate(input) => {
            let mut values = evaluate_scalar(*input, grid, context)?;
            values.iter_mut().for_each(|value| *value = -*value);
            Ok(values)
        }
        ScalarPlan::Binary { op, lhs, rhs } => {
            let mut left = evaluate_scalar(*lhs, grid, context)?;
            let right = evaluate_scalar(*rhs, grid, context)?;
            for (left, right) in left.iter_mut().zip(right) {
                *left = binary::scalars(op, *left, right);
            }
            context.budget.release(grid.steps);
            Ok(left)
        }
        ScalarPlan::Pick { pick, lhs, rhs } => {
            let mut left = evaluate_scalar(*lhs, grid, context)?;
            let right = evaluate_scalar(*rhs, grid, context)?;
            left.iter_mut().zip(right).for_each(|(left, right)| *left = pick(*left, right));
            context.budget.release(grid.steps);
            Ok(left)
        }
        ScalarPlan::Once(input) => {
            let value = evaluate_scalar(*input, grid.first_only(), context)?[0];
            context.budget.release(1);
            context.budget.hold(grid.steps)?;
            Ok(vec![value; grid.steps])
        }
        ScalarPlan::OfVector(input) => only_float(*input, grid, context),
    }
}

/// Pushes the rows of a vector.
pub(crate) fn evaluate_vector(
    plan: VectorPlan,
    grid: Grid,
    context: &mut Context<'_>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    match plan {
        VectorPlan::Select(selector) => selector.evaluate(Gives::Value, grid, context, sink),
        VectorPlan::SampleTimes(selector) => sample_times(selector, Gives::Time, grid, context, sink),
        VectorPlan::StartTimes(selector) if context.use_start_timestamps => {
            sample_times(selector, Gives::StartTime, grid, context, sink)
        }
        VectorPlan::StartTimes(_) => Ok(()),
        VectorPlan::Nothing(input) => evaluate_vector(*input, grid, context, &mut |_, _| Ok(())),
        VectorPlan::Smooth(selector) => selector.evaluate(grid, context, sink),
        VectorPlan::StepTimes(input) => step_times(*input, grid, context, sink),
        VectorPlan::OverRange(over_range) => over_range.evaluate(grid, context, sink),
        VectorPlan::AbsentOverTime { range, labels } => over_range::evaluate_absent(range, labels, grid, context, sink),
        VectorPlan::OfScalar(scalar) => of_scalar(scalar, grid, context, sink),
        VectorPlan::Map { function, arguments, input } => map(function, arguments, *input, grid, context, sink),
        VectorPlan::Histogram { part, input } => histogram_part(part, *input, grid, context, sink),
        VectorPlan::Negate(input) => negate(*input, grid, context, sink),
        VectorPlan::Absent { input, labels } => absent(*input, labels, grid, context, sink),
        VectorPlan::Aggregate(aggregate) => aggregate.evaluate(grid, context, sink),
        VectorPlan::VectorScalar(operation) => operation.evaluate(grid, context, sink),
        VectorPlan::Match(operation) => operation.evaluate(grid, context, sink),
        VectorPlan::Set(operation) => operation.evaluate(grid, context, sink),
        VectorPlan::HistogramEstimate(estimate) => estimate.evaluate(grid, context, sink),
        VectorPlan::Relabel { relabel, input } => relabel.evaluate(*input, grid, context, sink),
        VectorPlan::Sort { input, descending, position } => {
            sort::by_value(*input, descending, position, grid, context, sink)
        }
        VectorPlan::SortByLabel { input, labels, descending, position } => {
            sort::by_label(*input, &labels, descending, position, grid, context, sink)
        }
        VectorPlan::Info(info) => info.evaluate(grid, context, sink),
        VectorPlan::Once(input) => once(*input, grid, context, sink),
    }
}

/// Pushes the rows of a vector, each series as one row: those that come in parts are put together first.
pub(crate) fn evaluate_whole_series(
    plan: VectorPlan,
    grid: Grid,
    context: &mut Context<'_>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let mut rows = Rows::default();
    evaluate_vector(plan, grid, context, &mut |context, row| rows.add(context, &row))?;
    hand_on(rows, grid, context, sink)
}

/// Pushes rows that were kept.
pub(crate) fn hand_on(rows: Rows, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
    let mut column = hold_column(context, grid)?;
    for row in rows.into_rows() {
        restore(&row.run, &mut column);
        context.budget.release(row.run.len());
        sink(context, Row { labels: row.labels, drop_name: row.drop_name, column: &mut column })?;
    }
    context.budget.release(grid.steps);
    Ok(())
}

/// `scalar(v)`: NaN unless there is exactly one float.
fn only_float(input: VectorPlan, grid: Grid, context: &mut Context<'_>) -> Result<Vec<f64>, EvalError> {
    context.budget.hold(grid.steps)?;
    let mut values = vec![ABSENT; grid.steps];
    evaluate_vector(input, grid, context, &mut |_, row| {
        for (slot, value) in values.iter_mut().zip(row.column.floats()) {
            if !is_absent(*value) {
                *slot = if is_absent(*slot) { *value } else { f64::NAN };
            }
        }
        Ok(())
    })?;
    values.iter_mut().filter(|value| is_absent(**value)).for_each(|value| *value = f64::NAN);
    Ok(values)
}

fn of_scalar(scalar: ScalarPlan, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
    let values = evaluate_scalar(scalar, grid, context)?;
    let mut column = Column::from_floats(values);
    sink(context, Row { labels: Labels::empty(), drop_name: false, column: &mut column })?;
    context.budget.release(grid.steps);
    Ok(())
}

fn sample_times(
    selector: InstantSelector,
    gives: Gives,
    grid: Grid,
    context: &mut Context<'_>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let mut guard = LabelGuard::default();
    selector.evaluate(gives, grid, context, &mut |context, row| {
        guard.once_a_step(&row.labels, row.column)?;
        sink(context, row)
    })
}

fn step_times(input: VectorPlan, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
    computed(input, grid, context, sink, |_, column| {
        for step in 0..grid.steps {
            if column.is_present(step) {
                column.set(step, Cell::Float(grid.time(step) as f64 / 1000.0));
            }
        }
        Ok(())
    })
}

fn map(
    function: ValueFunction,
    arguments: Vec<ScalarPlan>,
    input: VectorPlan,
    grid: Grid,
    context: &mut Context<'_>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let held = arguments.len() * grid.steps;
    let arguments = arguments
        .into_iter()
        .map(|argument| evaluate_scalar(argument, grid, context))
        .collect::<Result<Vec<_>, _>>()?;
    let mut at_step = vec![0.0; arguments.len()];
    computed(input, grid, context, sink, |_, column| {
        column.drop_histograms();
        for step in 0..grid.steps {
            let value = column.floats()[step];
            if is_absent(value) {
                continue;
            }
            at_step.iter_mut().zip(&arguments).for_each(|(slot, values)| *slot = values[step]);
            match function.is_empty_for(&at_step) {
                true => column.remove(step),
                false => column.set(step, Cell::Float(function.of(value, &at_step))),
            }
        }
        Ok(())
    })?;
    context.budget.release(held);
    Ok(())
}

fn histogram_part(
    part: HistogramPart,
    input: VectorPlan,
    grid: Grid,
    context: &mut Context<'_>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    computed(input, grid, context, sink, |_, column| {
        for step in 0..grid.steps {
            let value = column.histogram(step).map(|histogram| part.of(histogram));
            match value {
                Some(value) => column.set(step, Cell::Float(value)),
                None => column.remove(step),
            }
        }
        column.drop_histograms();
        Ok(())
    })
}

fn negate(input: VectorPlan, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
    computed(input, grid, context, sink, |_, column| {
        column.map_floats(|_, value| -value);
        column.map_histograms(FloatHistogram::negate);
        Ok(())
    })
}

/// Changes each row in place; the results are no samples of their metric any more.
fn computed(
    input: VectorPlan,
    grid: Grid,
    context: &mut Context<'_>,
    sink: Sink<'_>,
    mut change: impl FnMut(&mut Context<'_>, &mut Column) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    let mut guard = LabelGuard::of_samples(grid, context);
    evaluate_vector(input, grid, context, &mut |context, row| {
        change(context, row.column)?;
        if !row.column.any_present() {
            return Ok(());
        }
        let labels = context.computed_labels(&row.labels);
        guard.once_a_step(&labels, row.column)?;
        sink(context, Row { labels, drop_name: true, column: row.column })
    })
}

fn absent(
    input: VectorPlan,
    labels: Labels,
    grid: Grid,
    context: &mut Context<'_>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let mut found = StepSet::empty(grid.steps);
    evaluate_vector(input, grid, context, &mut |_, row| {
        found.insert_all(&StepSet::present_in(row.column));
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

fn once(input: VectorPlan, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
    evaluate_vector(input, grid.first_only(), context, &mut |context, row| {
        if !row.column.any_present() {
            return Ok(());
        }
        context.budget.hold(grid.steps)?;
        let mut column = row.column.repeat(grid.steps);
        sink(context, Row { labels: row.labels, drop_name: row.drop_name, column: &mut column })?;
        context.budget.release(grid.steps);
        Ok(())
    })
}
