//! Aggregations whose groups give one series each: `sum`, `avg`, `min`, `max`, `count`, `group`, `stddev`, `stdvar`,
//! `quantile`, and `count_values` with one series for each value.
//!
//! Series stream by; held is one row of accumulators per group.

use hashbrown::HashMap;
use model::{Labels, METRIC_NAME};
use promql_syntax::AggregateOp;

use crate::EvalError;
use crate::annotation::Place;
use crate::column::{ABSENT, Column, is_absent};
use crate::evaluate::{evaluate_scalar, evaluate_vector};
use crate::float_text::{float_text, go_float};
use crate::grid::Grid;
use crate::histogram_sum::{GroupTotals, Total};
use crate::label_set::LabelNames;
use crate::plan::{Aggregate, AggregateParameter};
use crate::row::{Context, Row, Sink, hold_column};
use crate::statistics::{KahanSum, Mean, Variance, max_or_nan, min_or_nan, quantile};

impl Aggregate {
    pub(crate) fn evaluate(self, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
        match self.op {
            AggregateOp::TopK | AggregateOp::BottomK => self.evaluate_ranking(grid, context, sink),
            AggregateOp::CountValues => self.count_values(grid, context, sink),
            AggregateOp::LimitK | AggregateOp::LimitRatio => self.evaluate_limit(grid, context, sink),
            _ => self.fold(grid, context, sink),
        }
    }

    fn fold(self, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
        let Self { op, grouping, parameter, input, input_place, .. } = self;
        let quantiles = quantiles(parameter, grid, context)?;
        let mut groups = Groups::default();
        let mut last: Option<(Labels, usize)> = None;
        evaluate_vector(*input, grid, context, &mut |context, row| {
            // Neighbours are often of one group, all the more when other labels were not even read.
            let index = match &last {
                Some((labels, index)) if *labels == row.labels => *index,
                _ => {
                    let key = grouping.group(&row.labels);
                    groups.index(key, || Fold::new(op, grid.steps), grid.steps, context)?
                }
            };
            last = Some((row.labels.clone(), index));
            let group = &mut groups.list[index];
            group.drop_name |= row.drop_name;
            if row.column.has_histograms() {
                group.state.meet_histograms(&row, op, input_place, context)?;
            }
            context.budget.hold(group.state.floats.add(row.column))
        })?;

        let mut column = hold_column(context, grid)?;
        for group in groups.list {
            column.clear();
            let held = grid.steps + group.state.held();
            group.state.floats.finish(&quantiles, &mut column);
            if let Some(histograms) = group.state.histograms {
                histograms.finish(&mut column, context);
            }
            context.budget.release(held);
            if column.any_present() {
                sink(context, Row { labels: group.labels, drop_name: group.drop_name, column: &mut column })?;
            }
        }
        context.budget.release(grid.steps + quantiles.len());
        Ok(())
    }

    fn count_values(self, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
        let Self { grouping, parameter: AggregateParameter::Label(value_label), input, .. } = self else {
            unreachable!("the planner gives count_values its label");
        };
        let grouping = grouping.keeping(&value_label);
        let mut groups: Groups<Vec<f64>> = Groups::default();
        evaluate_vector(*input, grid, context, &mut |context, row| {
            if row.column.has_histograms() {
                for step in 0..grid.steps {
                    let Some(histogram) = row.column.histogram(step) else { continue };
                    let labels = with_value(&row.labels, &value_label, &histogram.to_string());
                    let index =
                        groups.index(grouping.group(&labels), || vec![ABSENT; grid.steps], grid.steps, context)?;
                    increment(&mut groups.list[index].state[step]);
                }
            }
            let mut last: Option<(f64, usize)> = None;
            for (step, value) in row.column.floats().iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
                // Values often stay for many steps: the group of the step before is likely the right one.
                let index = match last {
                    Some((before, index)) if before.to_bits() == value.to_bits() => index,
                    _ => {
                        let labels = with_value(&row.labels, &value_label, &float_text(*value));
                        groups.index(grouping.group(&labels), || vec![ABSENT; grid.steps], grid.steps, context)?
                    }
                };
                last = Some((*value, index));
                increment(&mut groups.list[index].state[step]);
            }
            Ok(())
        })?;
        for group in groups.list {
            let mut column = Column::from_floats(group.state);
            sink(context, Row { labels: group.labels, drop_name: false, column: &mut column })?;
            context.budget.release(grid.steps);
        }
        Ok(())
    }
}

fn with_value(labels: &Labels, label: &str, value: &str) -> Labels {
    let mut labels = labels.to_builder();
    labels.set(label, value);
    labels.build().expect("`set` leaves no name twice, and the label has a name")
}

fn quantiles(parameter: AggregateParameter, grid: Grid, context: &mut Context<'_>) -> Result<Vec<f64>, EvalError> {
    let AggregateParameter::Scalar { value, place } = parameter else { return Ok(Vec::new()) };
    let quantiles = evaluate_scalar(value, grid, context)?;
    // Of many bad ones, the worst each way; beside NaN none is the worst.
    if quantiles.iter().any(|q| q.is_nan()) {
        warn_about_quantile(context, place, f64::NAN);
    }
    let worst = [quantiles.iter().copied().fold(0.0, max_or_nan), quantiles.iter().copied().fold(0.0, min_or_nan)];
    for q in worst.into_iter().filter(|q| !q.is_nan()) {
        warn_about_quantile(context, place, q);
    }
    Ok(quantiles)
}

/// The labels of `by` or `without`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Grouping {
    pub(crate) labels: LabelNames,
    pub(crate) without: bool,
}

impl Grouping {
    /// The labels of the group that a series is of.
    pub(crate) fn group(&self, labels: &Labels) -> Labels {
        match self.without {
            true => labels.retain(|name, _| name != METRIC_NAME && !self.labels.contains(name)),
            false if self.labels.is_empty() => Labels::empty(),
            false => labels.retain(|name, _| self.labels.contains(name)),
        }
    }

    /// The same, with `name` among what `by` keeps.
    fn keeping(mut self, name: &str) -> Self {
        if !self.without {
            self.labels = self.labels.with(name);
        }
        self
    }
}

/// Groups in the order in which they were first seen.
pub(crate) struct Groups<S> {
    pub(crate) list: Vec<Group<S>>,
    by_labels: HashMap<Labels, usize>,
}

pub(crate) struct Group<S> {
    pub(crate) labels: Labels,
    pub(crate) drop_name: bool,
    pub(crate) state: S,
}

impl<S> Default for Groups<S> {
    fn default() -> Self {
        Self { list: Vec::new(), by_labels: HashMap::new() }
    }
}

impl<S> Groups<S> {
    /// The group of these labels; makes it, `samples` large, when it is new.
    pub(crate) fn index(
        &mut self,
        labels: Labels,
        new: impl FnOnce() -> S,
        samples: usize,
        context: &mut Context<'_>,
    ) -> Result<usize, EvalError> {
        if let Some(index) = self.by_labels.get(&labels) {
            return Ok(*index);
        }
        context.budget.hold(samples)?;
        self.by_labels.insert(labels.clone(), self.list.len());
        self.list.push(Group { labels, drop_name: false, state: new() });
        Ok(self.list.len() - 1)
    }
}

/// The state of one group over all steps.
struct Fold {
    floats: Accumulator,
    /// Boxed, as most groups have none.
    histograms: Option<Box<GroupTotals>>,
}

impl Fold {
    fn new(op: AggregateOp, steps: usize) -> Self {
        Self { floats: Accumulator::new(op, steps), histograms: None }
    }

    /// Samples held beyond one a step.
    fn held(&self) -> usize {
        self.floats.held() + self.histograms.as_ref().map_or(0, |histograms| histograms.held())
    }

    fn meet_histograms(
        &mut self,
        row: &Row<'_>,
        op: AggregateOp,
        input_place: Place,
        context: &mut Context<'_>,
    ) -> Result<(), EvalError> {
        let steps = row.column.steps();
        let mut histograms = (0..steps).filter(|step| row.column.histogram(*step).is_some());
        let mut add = |total, has_float: &dyn Fn(usize) -> bool| {
            let totals = self.histograms.get_or_insert_with(|| Box::new(GroupTotals::new(total, input_place, steps)));
            totals.add(row.column, row.labels.metric_name(), has_float, context)
        };
        match &mut self.floats {
            Accumulator::Sum(sums) => return add(Total::Sum, &|step| !is_unset(&sums[step])),
            Accumulator::Avg(means) => return add(Total::Average, &|step| means[step].is_some()),
            Accumulator::Count(counts) => histograms.for_each(|step| increment(&mut counts[step])),
            Accumulator::Group(ones) => histograms.for_each(|step| ones[step] = 1.0),
            Accumulator::Min(_) | Accumulator::Max(_) | Accumulator::Variance(..) | Accumulator::Quantile(_) => {
                // An operator may have left out all that its operand had.
                if histograms.next().is_some() {
                    let text = format!("ignored histogram in {} aggregation", op.as_str());
                    context.annotations.inform(input_place, text);
                }
            }
        }
        Ok(())
    }
}

/// What the floats of one group come to.
enum Accumulator {
    /// `ABSENT` as the sum: nothing added yet.
    Sum(Vec<KahanSum>),
    Avg(Vec<Option<Mean>>),
    Min(Vec<f64>),
    Max(Vec<f64>),
    Count(Vec<f64>),
    Group(Vec<f64>),
    /// The standard deviation rather than the variance when the flag is set.
    Variance(Vec<Option<Variance>>, bool),
    Quantile(Vec<Vec<f64>>),
}

impl Accumulator {
    fn new(op: AggregateOp, steps: usize) -> Self {
        match op {
            AggregateOp::Sum => Self::Sum(vec![KahanSum::starting_at(ABSENT); steps]),
            AggregateOp::Avg => Self::Avg(vec![None; steps]),
            AggregateOp::Min => Self::Min(vec![ABSENT; steps]),
            AggregateOp::Max => Self::Max(vec![ABSENT; steps]),
            AggregateOp::Count => Self::Count(vec![ABSENT; steps]),
            AggregateOp::Group => Self::Group(vec![ABSENT; steps]),
            AggregateOp::Stddev => Self::Variance(vec![None; steps], true),
            AggregateOp::Stdvar => Self::Variance(vec![None; steps], false),
            AggregateOp::Quantile => Self::Quantile(vec![Vec::new(); steps]),
            AggregateOp::TopK
            | AggregateOp::BottomK
            | AggregateOp::CountValues
            | AggregateOp::LimitK
            | AggregateOp::LimitRatio => unreachable!("evaluated in other ways"),
        }
    }

    /// Samples held beyond one a step.
    fn held(&self) -> usize {
        match self {
            Self::Quantile(values) => values.iter().map(Vec::len).sum(),
            _ => 0,
        }
    }

    /// Adds the floats of one series; says how many samples are held more.
    fn add(&mut self, column: &Column) -> usize {
        let present = column.floats().iter().enumerate().filter(|(_, value)| !is_absent(**value));
        match self {
            Self::Sum(sums) => present.for_each(|(step, value)| add_to_sum(&mut sums[step], *value)),
            Self::Avg(means) => present.for_each(|(step, value)| match &mut means[step] {
                Some(mean) => mean.add(*value),
                empty => *empty = Some(Mean::starting_at(*value)),
            }),
            Self::Min(least) => present.for_each(|(step, value)| {
                // The empty slot is a NaN too, and any value replaces a NaN.
                if *value < least[step] || least[step].is_nan() {
                    least[step] = *value;
                }
            }),
            Self::Max(greatest) => present.for_each(|(step, value)| {
                if *value > greatest[step] || greatest[step].is_nan() {
                    greatest[step] = *value;
                }
            }),
            Self::Count(counts) => present.for_each(|(step, _)| increment(&mut counts[step])),
            Self::Group(ones) => present.for_each(|(step, _)| ones[step] = 1.0),
            Self::Variance(variances, _) => present.for_each(|(step, value)| {
                variances[step].get_or_insert_default().add(*value);
            }),
            Self::Quantile(values) => {
                let mut added = 0;
                present.for_each(|(step, value)| {
                    values[step].push(*value);
                    added += 1;
                });
                return added;
            }
        }
        0
    }

    fn finish(self, quantiles: &[f64], column: &mut Column) {
        let slots = column.floats_mut();
        match self {
            Self::Sum(sums) => {
                for (slot, sum) in slots.iter_mut().zip(sums) {
                    // Adding the compensation would make an empty slot an ordinary NaN.
                    *slot = if is_unset(&sum) { ABSENT } else { sum.total() };
                }
            }
            Self::Avg(means) => {
                for (slot, mean) in slots.iter_mut().zip(means) {
                    *slot = mean.map_or(ABSENT, |mean| mean.value());
                }
            }
            Self::Min(values) | Self::Max(values) | Self::Count(values) | Self::Group(values) => {
                slots.copy_from_slice(&values);
            }
            Self::Variance(variances, root) => {
                for (slot, variance) in slots.iter_mut().zip(variances) {
                    let variance = variance.map(|variance| variance.value());
                    *slot = variance.map_or(ABSENT, |variance| if root { variance.sqrt() } else { variance });
                }
            }
            Self::Quantile(values) => {
                for ((slot, mut values), q) in slots.iter_mut().zip(values).zip(quantiles) {
                    *slot = if values.is_empty() { ABSENT } else { quantile(*q, &mut values) };
                }
            }
        }
    }
}

fn add_to_sum(sum: &mut KahanSum, value: f64) {
    match is_unset(sum) {
        true => *sum = KahanSum::starting_at(value),
        false => sum.add(value),
    }
}

fn is_unset(sum: &KahanSum) -> bool {
    is_absent(sum.sum())
}

fn increment(count: &mut f64) {
    *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
}

/// Tells the user when a quantile lies outside 0 to 1.
pub(crate) fn warn_about_quantile(context: &mut Context<'_>, place: Place, q: f64) {
    if !(0.0..=1.0).contains(&q) {
        let text = format!("quantile value should be between 0 and 1, got {}", go_float(q));
        context.annotations.warn(place, text);
    }
}
