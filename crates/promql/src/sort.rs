//! `sort`, `sort_desc`, `sort_by_label`, `sort_by_label_desc`.
//!
//! An order has a meaning at a single step only; over several, rows pass as they come and the user is told so.

use std::cmp::Ordering;

use model::Labels;
use promql_syntax::PositionRange;

use crate::EvalError;
use crate::column::{Cell, Column, is_absent};
use crate::evaluate::evaluate_vector;
use crate::grid::Grid;
use crate::natural_order::{sort_unsteadily, upstream_less};
use crate::plan::VectorPlan;
use crate::row::{Context, Row, Sink};

/// Floats only, NaN last whichever way.
pub(crate) fn by_value(
    input: VectorPlan,
    descending: bool,
    position: PositionRange,
    grid: Grid,
    context: &mut Context<'_>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    if !grid.is_instant() {
        context.annotations.warn(position, IN_RANGE);
        return evaluate_vector(input, grid, context, &mut |context, row| {
            row.column.drop_histograms();
            if row.column.any_present() { sink(context, row) } else { Ok(()) }
        });
    }
    let mut rows: Vec<(f64, Labels, bool)> = Vec::new();
    evaluate_vector(input, grid, context, &mut |context, row| {
        let value = row.column.floats()[0];
        if !is_absent(value) {
            context.budget.hold(1)?;
            rows.push((value, row.labels, row.drop_name));
        }
        Ok(())
    })?;
    rows.sort_by(|(left, ..), (right, ..)| {
        let by_value = if descending { right.partial_cmp(left) } else { left.partial_cmp(right) };
        by_value.unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
    });
    hand_on(rows.into_iter().map(|(value, labels, drop_name)| (Cell::Float(value), labels, drop_name)), context, sink)
}

/// In natural order of the values of `labels`, one label after the other, then of all labels.
pub(crate) fn by_label(
    input: VectorPlan,
    labels: &[String],
    descending: bool,
    position: PositionRange,
    grid: Grid,
    context: &mut Context<'_>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    if !grid.is_instant() {
        context.annotations.warn(position, IN_RANGE);
        return evaluate_vector(input, grid, context, sink);
    }
    let mut rows: Vec<(Cell, Labels, bool)> = Vec::new();
    evaluate_vector(input, grid, context, &mut |context, row| {
        if let Some(cell) = row.column.cell(0) {
            context.budget.hold(1)?;
            rows.push((cell, row.labels, row.drop_name));
        }
        Ok(())
    })?;
    sort_unsteadily(&mut rows, |(_, left, _), (_, right, _)| {
        let order = by_labels(left, right, labels);
        if descending { order.reverse() } else { order }
    });
    hand_on(rows.into_iter(), context, sink)
}

fn by_labels(left: &Labels, right: &Labels, names: &[String]) -> Ordering {
    let values = names.iter().map(|name| (left.get(name).unwrap_or(""), right.get(name).unwrap_or("")));
    match values.into_iter().find(|(left, right)| left != right) {
        Some((left, right)) if upstream_less(left, right) => Ordering::Less,
        Some(_) => Ordering::Greater,
        None => left.cmp(right),
    }
}

fn hand_on(
    rows: impl ExactSizeIterator<Item = (Cell, Labels, bool)>,
    context: &mut Context<'_>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    context.budget.release(rows.len());
    let mut column = Column::absent(1);
    for (cell, labels, drop_name) in rows {
        column.set(0, cell);
        sink(context, Row { labels, drop_name, column: &mut column })?;
        column.clear();
    }
    Ok(())
}

const IN_RANGE: &str = "sort is ineffective for range queries since results are always ordered by labels";
