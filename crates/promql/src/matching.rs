//! Operators between the elements of two vectors.
//!
//! The side with one element per match group is held; the other side streams past it. What must be unique is checked
//! step by step, as series may come and go: at one step a group has at most one element on the held side, and a result
//! at most one element of each label set. What counts there is that two elements met, even if a comparison then filters
//! the result out.
//!
//! `fill` lets an element without partner meet a number: one of the streaming side as it passes, one of the held side
//! when all have passed and no one met it. As upstream has it, `fill_right` stands for the side with one element and
//! `fill_left` for the other one, also under `group_right`, where the sides are exchanged.

mod uniqueness;

use std::collections::BTreeMap;

use hashbrown::HashMap;
use model::{Labels, METRIC_NAME};
use promql_syntax::{BinaryOp, Cardinality, PositionRange};

use crate::EvalError;
use crate::binary;
use crate::column::{Cell, Column, Run, StepSet, is_absent};
use crate::element::{ElementResult, Remarks};
use crate::evaluate::evaluate_vector;
use crate::grid::Grid;
use crate::label_set::{LabelNames, in_braces, without_metadata};
use crate::plan::VectorPlan;
use crate::row::{Context, Row, Sink, hold_column};
use uniqueness::Uniqueness;

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
            false => labels.retain(|name, _| name != METRIC_NAME && !self.labels.contains(name)),
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
    pub(crate) fill: Fill,
    pub(crate) return_bool: bool,
    pub(crate) position: PositionRange,
}

/// What stands for elements that are not there.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Fill {
    /// On the side with one element per group.
    pub(crate) one: Option<f64>,
    /// On the other side.
    pub(crate) many: Option<f64>,
}

impl VectorMatch {
    pub(crate) fn evaluate(self, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
        let one_is_left = self.cardinality == Cardinality::OneToMany;
        let Self { op, lhs, rhs, pairing, cardinality, include, fill, return_bool, position } = self;
        let (many, one) = if one_is_left { (rhs, lhs) } else { (lhs, rhs) };
        let operation = Operation { op, pairing, cardinality, include, fill, return_bool, position };

        let mut held = OneSide::default();
        evaluate_vector(*one, grid, context, &mut |context, row| held.add(&operation, context, &row))?;
        held.find_duplicates(&operation, grid)?;

        let mut result = hold_column(context, grid)?;
        evaluate_vector(*many, grid, context, &mut |context, row| {
            held.pair(&operation, &row, context, &mut result, sink)
        })?;
        if let Some(fill) = operation.fill.many {
            held.fill_many(&operation, fill, context, &mut result, sink)?;
        }
        held.remarks.tell(operation.op, operation.position, context);
        context.budget.release(held.samples + grid.steps);
        Ok(())
    }
}

struct Operation {
    op: BinaryOp,
    pairing: Pairing,
    cardinality: Cardinality,
    include: Vec<String>,
    fill: Fill,
    return_bool: bool,
    position: PositionRange,
}

impl Operation {
    /// Whether elements may meet without giving a result.
    fn is_filter(&self) -> bool {
        self.op.is_comparison() && !self.return_bool
    }

    fn result_labels(&self, context: &Context<'_>, many: &Labels, one: &Labels) -> Labels {
        let drop_metadata = binary::changes_metric(self.op) || (self.return_bool && !context.delayed_name_removal);
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
    remarks: Remarks,
    groups: Vec<Group>,
    by_key: HashMap<Labels, usize>,
    samples: usize,
    /// Steps at which a group has two elements, with the error to answer if the other side has any there.
    duplicates: BTreeMap<usize, EvalError>,
    results: Uniqueness,
}

struct Group {
    /// The labels that agree.
    key: Labels,
    series: Vec<(Labels, Run)>,
    /// Steps at which elements met, as far as anybody asks.
    met: Option<StepSet>,
}

impl OneSide {
    fn add(&mut self, operation: &Operation, context: &mut Context<'_>, row: &Row<'_>) -> Result<(), EvalError> {
        let Some(run) = Run::of(row.column) else { return Ok(()) };
        context.budget.hold(run.len())?;
        self.samples += run.len();
        let group = self.group(operation.pairing.group(&row.labels));
        self.groups[group].series.push((row.labels.clone(), run));
        Ok(())
    }

    /// The group of a key; makes it when it is new.
    fn group(&mut self, key: Labels) -> usize {
        let groups = &mut self.groups;
        *self.by_key.entry(key).or_insert_with_key(|key| {
            groups.push(Group { key: key.clone(), series: Vec::new(), met: None });
            groups.len() - 1
        })
    }

    fn find_duplicates(&mut self, operation: &Operation, grid: Grid) -> Result<(), EvalError> {
        for group in self.groups.iter().filter(|group| group.series.len() > 1) {
            let mut owners: Vec<Option<usize>> = vec![None; grid.steps];
            for (index, (labels, run)) in group.series.iter().enumerate() {
                for (step, _) in run.cells() {
                    match owners[step] {
                        None => owners[step] = Some(index),
                        Some(owner) => {
                            self.duplicates
                                .entry(step)
                                .or_insert_with(|| duplicate(operation, group, labels, &group.series[owner].0));
                        }
                    }
                }
            }
        }
        // With a filling, every element has a partner.
        match self.duplicates.first_key_value() {
            Some((_, error)) if operation.fill != Fill::default() => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Pairs one series of the many side and hands on what comes of it.
    fn pair(
        &mut self,
        operation: &Operation,
        row: &Row<'_>,
        context: &mut Context<'_>,
        result: &mut Column,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        if !self.duplicates.is_empty()
            && let Some(error) = row.column.present().find_map(|step| self.duplicates.get(&step))
        {
            return Err(error.clone());
        }
        let key = operation.pairing.group(&row.labels);
        let index = match operation.fill.one {
            Some(_) => self.group(key),
            None => match self.by_key.get(&key) {
                Some(index) => *index,
                None => return Ok(()),
            },
        };
        let (group, results, remarks) = (&mut self.groups[index], &mut self.results, &mut self.remarks);
        for (one_labels, one) in &group.series {
            result.clear();
            let met = combine(operation, row.column, one, remarks, result);
            let met = Met { group: index, steps: met };
            met.check(operation, &mut group.met)?;
            met.hand_on(operation, &row.labels, one_labels, context, result, results, sink)?;
        }
        let Some(fill) = operation.fill.one else { return Ok(()) };
        let mut alone = row.column.clone();
        for (_, one) in &group.series {
            one.cells().for_each(|(step, _)| alone.remove(step));
        }
        let Some(alone) = Run::of(&alone) else { return Ok(()) };
        result.clear();
        let met = Met { group: index, steps: combine_filled(operation, &alone, fill, true, remarks, result) };
        met.check(operation, &mut group.met)?;
        met.hand_on(operation, &row.labels, &group.key, context, result, results, sink)
    }

    /// Gives those elements of the held side a partner that met none.
    fn fill_many(
        &mut self,
        operation: &Operation,
        fill: f64,
        context: &mut Context<'_>,
        result: &mut Column,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let (results, remarks) = (&mut self.results, &mut self.remarks);
        for (index, group) in self.groups.iter_mut().enumerate() {
            for (labels, one) in &group.series {
                context.check_interrupt()?;
                let mut alone = Column::absent(result.steps());
                let met = group.met.as_ref();
                for (step, cell) in one.cells().filter(|(step, _)| !met.is_some_and(|met| met.contains(*step))) {
                    alone.set(step, cell);
                }
                let Some(alone) = Run::of(&alone) else { continue };
                result.clear();
                let met = Met { group: index, steps: combine_filled(operation, &alone, fill, false, remarks, result) };
                met.hand_on(operation, &group.key, labels, context, result, results, sink)?;
            }
        }
        Ok(())
    }
}

/// Steps at which elements of a group met.
struct Met {
    group: usize,
    steps: StepSet,
}

impl Met {
    /// One to one, an element of the held side may meet one other at a step.
    fn check(&self, operation: &Operation, before: &mut Option<StepSet>) -> Result<(), EvalError> {
        let one_to_one = operation.cardinality == Cardinality::OneToOne;
        if !one_to_one && operation.fill.many.is_none() {
            return Ok(());
        }
        let disjoint = match before {
            Some(before) => before.insert_all(&self.steps),
            None => {
                *before = Some(self.steps.clone());
                true
            }
        };
        match disjoint || !one_to_one {
            true => Ok(()),
            false => Err(EvalError::Execution(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)".into(),
            )),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what two sides and their results are made of")]
    fn hand_on(
        self,
        operation: &Operation,
        many_labels: &Labels,
        one_labels: &Labels,
        context: &mut Context<'_>,
        result: &mut Column,
        results: &mut Uniqueness,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        if self.steps.is_empty() {
            return Ok(());
        }
        let labels = operation.result_labels(context, many_labels, one_labels);
        let kept = operation.is_filter().then(|| StepSet::present_in(result));
        results.check(&labels, self.group, self.steps, kept)?;
        if !result.any_present() {
            return Ok(());
        }
        sink(context, Row { labels, drop_name: operation.return_bool, column: result })
    }
}

/// Computes the results of one pair of series; says at which steps elements met.
fn combine(operation: &Operation, many: &Column, one: &Run, remarks: &mut Remarks, result: &mut Column) -> StepSet {
    let one_is_left = operation.cardinality == Cardinality::OneToMany;
    let mut met = StepSet::empty(many.steps());
    let is_plain = !many.has_histograms() && !binary::is_trim(operation.op);
    if let (true, Some((first, ones))) = (is_plain, one.only_floats()) {
        let slots = result.floats_mut()[first..].iter_mut().zip(&many.floats()[first..]).zip(ones);
        for (offset, ((slot, many), one)) in slots.enumerate() {
            if is_absent(*many) || is_absent(*one) {
                continue;
            }
            met.insert(first + offset);
            let (left, right) = if one_is_left { (*one, *many) } else { (*many, *one) };
            *slot = binary::floats(operation.op, operation.return_bool, left, right);
        }
        return met;
    }
    for (step, one) in one.cells() {
        let Some(many) = many.cell(step) else { continue };
        let (left, right) = if one_is_left { (&one, &many) } else { (&many, &one) };
        if combine_cells(operation, step, left, right, remarks, result) {
            met.insert(step);
        }
    }
    met
}

/// The same between one series and a number, which stands for elements of the side with one element (`fills_one`) or of
/// the other one.
fn combine_filled(
    operation: &Operation,
    series: &Run,
    fill: f64,
    fills_one: bool,
    remarks: &mut Remarks,
    result: &mut Column,
) -> StepSet {
    let one_is_left = operation.cardinality == Cardinality::OneToMany;
    let fill = Cell::Float(fill);
    let mut met = StepSet::empty(result.steps());
    for (step, cell) in series.cells() {
        let (left, right) = if fills_one == one_is_left { (&fill, &cell) } else { (&cell, &fill) };
        if combine_cells(operation, step, left, right, remarks, result) {
            met.insert(step);
        }
    }
    met
}

/// Computes one result; says whether the operator is defined for these elements.
fn combine_cells(
    operation: &Operation,
    step: usize,
    left: &Cell,
    right: &Cell,
    remarks: &mut Remarks,
    result: &mut Column,
) -> bool {
    match binary::element(operation.op, left, right) {
        ElementResult::Refused(remark) => {
            remarks.add(step, result.steps(), Some(remark));
            return false;
        }
        ElementResult::Value { value, remark } => {
            remarks.add(step, result.steps(), remark);
            result.set(step, value);
        }
        ElementResult::Comparison { holds, .. } if operation.return_bool => result.set(step, binary::truth(holds)),
        ElementResult::Comparison { holds: true, kept } => result.set(step, kept),
        ElementResult::Comparison { holds: false, .. } => {}
    }
    true
}

fn duplicate(operation: &Operation, group: &Group, second: &Labels, first: &Labels) -> EvalError {
    let side = if operation.cardinality == Cardinality::OneToMany { "left" } else { "right" };
    // In order of their texts, so that the message is the same each time.
    let mut series = [in_braces(first), in_braces(second)];
    series.sort_unstable();
    EvalError::Execution(format!(
        "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}]\
         ;many-to-many matching not allowed: matching labels must be unique on one side",
        in_braces(&group.key),
        series.join(", "),
    ))
}
