//! `and`, `or`, `unless`: which elements are there decides, not what they are.

use hashbrown::HashMap;
use model::Labels;
use promql_syntax::BinaryOp;

use crate::EvalError;
use crate::column::{Column, StepSet};
use crate::evaluate::{evaluate_vector, hand_on};
use crate::grid::Grid;
use crate::matching::Pairing;
use crate::plan::{SetOperation, VectorPlan};
use crate::row::{Context, Rows, Sink};

impl SetOperation {
    pub(crate) fn evaluate(self, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
        let Self { op, lhs, rhs, pairing } = self;
        match op {
            // Names that stay until the end may go on the left only: what is one series then goes by its first sample.
            BinaryOp::Or if context.delayed_name_removal && !grid.is_instant() => {
                let mut rows = Rows::default();
                union(*lhs, *rhs, &pairing, grid, context, &mut |context, row| rows.add(context, &row))?;
                hand_on(rows, grid, context, sink)
            }
            BinaryOp::Or => union(*lhs, *rhs, &pairing, grid, context, sink),
            _ => filter(op == BinaryOp::And, *lhs, *rhs, &pairing, grid, context, sink),
        }
    }
}

/// The left side, and those elements of the right one whose group has no element on the left.
fn union(
    lhs: VectorPlan,
    rhs: VectorPlan,
    pairing: &Pairing,
    grid: Grid,
    context: &mut Context<'_>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let mut left = Groups::default();
    evaluate_vector(lhs, grid, context, &mut |context, row| {
        left.add(context, pairing.group(&row.labels), row.column)?;
        sink(context, row)
    })?;
    evaluate_vector(rhs, grid, context, &mut |context, row| {
        left.restrict(&pairing.group(&row.labels), row.column, false);
        if row.column.any_present() { sink(context, row) } else { Ok(()) }
    })?;
    left.release(context);
    Ok(())
}

/// Elements of the left side whose group has (`present`) or has no element on the right.
fn filter(
    present: bool,
    lhs: VectorPlan,
    rhs: VectorPlan,
    pairing: &Pairing,
    grid: Grid,
    context: &mut Context<'_>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let mut right = Groups::default();
    evaluate_vector(rhs, grid, context, &mut |context, row| {
        right.add(context, pairing.group(&row.labels), row.column)
    })?;
    evaluate_vector(lhs, grid, context, &mut |context, row| {
        right.restrict(&pairing.group(&row.labels), row.column, present);
        if row.column.any_present() { sink(context, row) } else { Ok(()) }
    })?;
    right.release(context);
    Ok(())
}

/// At which steps each match group has an element.
#[derive(Default)]
struct Groups {
    steps: HashMap<Labels, StepSet>,
    held: usize,
}

impl Groups {
    fn add(&mut self, context: &mut Context<'_>, group: Labels, column: &Column) -> Result<(), EvalError> {
        let present = StepSet::present_in(column);
        match self.steps.get_mut(&group) {
            Some(steps) => {
                steps.insert_all(&present);
            }
            None => {
                // One bit a step.
                let words = column.steps().div_ceil(64);
                context.budget.hold(words)?;
                self.held += words;
                self.steps.insert(group, present);
            }
        }
        Ok(())
    }

    /// Keeps of `column` the steps at which the group is there, or those at which it is not.
    fn restrict(&self, group: &Labels, column: &mut Column, present: bool) {
        let steps = self.steps.get(group);
        for step in 0..column.steps() {
            if steps.is_some_and(|steps| steps.contains(step)) != present {
                column.remove(step);
            }
        }
    }

    fn release(self, context: &mut Context<'_>) {
        context.budget.release(self.held);
    }
}
