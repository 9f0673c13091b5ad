//! Operators between the elements of two vectors.
//!
//! The side with one element per match group is held; the other side streams past it. What must be unique is checked
//! step by step, as series may come and go: at one step a group has at most one element on the held side, and a result
//! at most one element of each label set.

use hashbrown::HashMap;
use model::Labels;
use promql_syntax::{BinaryOp, Cardinality, PositionRange};

use crate::EvalError;
use crate::binary::{self, ElementResult};
use crate::column::{Column, Run, StepSet, is_absent};
use crate::evaluate::evaluate_vector;
use crate::grid::Grid;
use crate::label_set::{LabelGuard, LabelNames, in_braces, is_metadata, without_metadata};
use crate::plan::VectorPlan;
use crate::row::{Context, Row, Sink, hold_column};

/// Which labels must agree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pairing {
    /// Those named, rather than all but those.
    pub(crate) on: bool,
    pub(crate) labels: LabelNames,
}

impl Pairing {
    /// The labels that must agree. Series with equal ones are of one match group.
    pub(crate) fn group(&self, labels: &Labels) -> Labels {
        match self.on {
            true => labels.retain(|name, _| self.labels.contains(name)),
            false => labels.retain(|name, _| !is_metadata(name) && !self.labels.contains(name)),
        }
    }
}

/// An operator between two vectors.
#[derive(Debug)]
pub(crate) struct VectorMatch {
    pub(crate) op: BinaryOp,
    pub(crate) lhs: Box<VectorPlan>,
    pub(crate) rhs: Box<VectorPlan>,
    pub(crate) pairing: Pairing,
    pub(crate) cardinality: Cardinality,
    /// Labels copied from the side with one element.
    pub(crate) include: Vec<String>,
    pub(crate) return_bool: bool,
    pub(crate) position: PositionRange,
}

impl VectorMatch {
    pub(crate) fn evaluate(self, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
        let one_is_left = self.cardinality == Cardinality::OneToMany;
        let Self { op, lhs, rhs, pairing, cardinality, include, return_bool, position } = self;
        let (many, one) = if one_is_left { (rhs, lhs) } else { (lhs, rhs) };
        let operation = Operation { op, pairing, cardinality, include, return_bool, position };

        let mut held = OneSide::default();
        evaluate_vector(*one, grid, context, &mut |context, row| held.add(&operation, context, &row))?;
        held.find_duplicates(&operation, grid);

        let mut result = hold_column(context, grid)?;
        let mut guard = LabelGuard::default();
        evaluate_vector(*many, grid, context, &mut |context, row| {
            held.pair(&operation, &row, context, &mut result, &mut guard, sink)
        })?;
        context.budget.release(held.samples + grid.steps);
        Ok(())
    }
}

struct Operation {
    op: BinaryOp,
    pairing: Pairing,
    cardinality: Cardinality,
    include: Vec<String>,
    return_bool: bool,
    position: PositionRange,
}

impl Operation {
    fn result_labels(&self, context: &Context<'_>, many: &Labels, one: &Labels) -> Labels {
        let drop_metadata = !self.op.is_comparison() || (self.return_bool && !context.delayed_name_removal);
        let base = if drop_metadata { without_metadata(many) } else { many.clone() };
        if self.cardinality == Cardinality::OneToOne {
            return match self.pairing.on {
                true => base.retain(|name, _| self.pairing.labels.contains(name)),
                false => base.retain(|name, _| !self.pairing.labels.contains(name)),
            };
        }
        if self.include.is_empty() {
            return base;
        }
        let mut builder = base.to_builder();
        for name in &self.include {
            builder.set(name, one.get(name).unwrap_or(""));
        }
        builder.build().expect("`set` leaves no name twice and label names are not empty")
    }
}

/// The side with one element per match group and step.
#[derive(Default)]
struct OneSide {
    groups: HashMap<Labels, Group>,
    samples: usize,
    /// Steps at which a group has two elements, with the error to answer if the other side has any there.
    duplicates: HashMap<usize, EvalError>,
}

#[derive(Default)]
struct Group {
    series: Vec<(Labels, Run)>,
    /// Steps at which a result was given (one to one).
    matched: Option<StepSet>,
}

impl OneSide {
    fn add(&mut self, operation: &Operation, context: &mut Context<'_>, row: &Row<'_>) -> Result<(), EvalError> {
        let Some(run) = Run::of(row.column) else { return Ok(()) };
        context.budget.hold(run.len())?;
        self.samples += run.len();
        let group = self.groups.entry(operation.pairing.group(&row.labels)).or_default();
        group.series.push((row.labels.clone(), run));
        Ok(())
    }

    fn find_duplicates(&mut self, operation: &Operation, grid: Grid) {
        for (key, group) in self.groups.iter().filter(|(_, group)| group.series.len() > 1) {
            let mut owners: Vec<Option<usize>> = vec![None; grid.steps];
            for (index, (labels, run)) in group.series.iter().enumerate() {
                for (step, _) in run.cells() {
                    match owners[step] {
                        None => owners[step] = Some(index),
                        Some(owner) => {
                            self.duplicates
                                .entry(step)
                                .or_insert_with(|| duplicate(operation, key, labels, &group.series[owner].0));
                        }
                    }
                }
            }
        }
    }

    /// Pairs one series of the many side and hands on what comes of it.
    fn pair(
        &mut self,
        operation: &Operation,
        row: &Row<'_>,
        context: &mut Context<'_>,
        result: &mut Column,
        guard: &mut LabelGuard,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        if !self.duplicates.is_empty()
            && let Some(error) = row.column.present().find_map(|step| self.duplicates.get(&step))
        {
            return Err(error.clone());
        }
        let Some(group) = self.groups.get_mut(&operation.pairing.group(&row.labels)) else { return Ok(()) };
        let Group { series, matched } = group;
        for (one_labels, one) in series.iter() {
            result.clear();
            let any = combine(operation, row.column, one, context, result)?;
            if !any {
                continue;
            }
            let labels = operation.result_labels(context, &row.labels, one_labels);
            match operation.cardinality {
                Cardinality::OneToOne => {
                    let steps = StepSet::present_in(result);
                    if !matched.get_or_insert_with(|| StepSet::empty(result.steps())).insert_all(&steps) {
                        return Err(EvalError::Execution(
                            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                                .into(),
                        ));
                    }
                    guard.once_a_step(&labels, result)?;
                }
                _ => guard.once_a_step(&labels, result).map_err(|_| {
                    EvalError::Execution(
                        "multiple matches for labels: grouping labels must ensure unique matches".into(),
                    )
                })?,
            }
            sink(context, Row { labels, drop_name: operation.return_bool, column: result })?;
        }
        Ok(())
    }
}

/// Computes the results of one pair of series; says whether there is any.
fn combine(
    operation: &Operation,
    many: &Column,
    one: &Run,
    context: &mut Context<'_>,
    result: &mut Column,
) -> Result<bool, EvalError> {
    let one_is_left = operation.cardinality == Cardinality::OneToMany;
    if let (false, Some((first, ones))) = (many.has_histograms(), one.only_floats()) {
        return Ok(combine_floats(
            operation,
            one_is_left,
            &many.floats()[first..],
            ones,
            &mut result.floats_mut()[first..],
        ));
    }
    let mut any = false;
    for (step, one_cell) in one.cells() {
        let Some(many_cell) = many.cell(step) else { continue };
        let (left, right) = if one_is_left { (&one_cell, &many_cell) } else { (&many_cell, &one_cell) };
        match binary::element(operation.op, left, right)? {
            ElementResult::Incompatible(left, right) => {
                binary::annotate_incompatible(context, operation.position, operation.op, left, right);
            }
            ElementResult::Value(cell) => {
                result.set(step, cell);
                any = true;
            }
            ElementResult::Comparison { holds, .. } if operation.return_bool => {
                result.set(step, binary::truth(holds));
                any = true;
            }
            ElementResult::Comparison { holds: true, kept } => {
                result.set(step, kept);
                any = true;
            }
            ElementResult::Comparison { holds: false, .. } => {}
        }
    }
    Ok(any)
}

fn combine_floats(operation: &Operation, one_is_left: bool, many: &[f64], one: &[f64], result: &mut [f64]) -> bool {
    let mut any = false;
    for ((slot, many), one) in result.iter_mut().zip(many).zip(one) {
        if is_absent(*many) || is_absent(*one) {
            continue;
        }
        let (left, right) = if one_is_left { (*one, *many) } else { (*many, *one) };
        *slot = binary::floats(operation.op, operation.return_bool, left, right);
        any |= !is_absent(*slot);
    }
    any
}

fn duplicate(operation: &Operation, group: &Labels, second: &Labels, first: &Labels) -> EvalError {
    let side = if operation.cardinality == Cardinality::OneToMany { "left" } else { "right" };
    EvalError::Execution(format!(
        "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}]\
         ;many-to-many matching not allowed: matching labels must be unique on one side",
        in_braces(group),
        in_braces(second),
        in_braces(first)
    ))
}
