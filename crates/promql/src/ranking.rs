//! `topk` and `bottomk`: at each step the k extreme elements of each group, as they are.

use model::Labels;
use promql_syntax::AggregateOp;

use crate::EvalError;
use crate::aggregate::Groups;
use crate::column::{Cell, is_absent};
use crate::evaluate::{evaluate_scalar, evaluate_vector};
use crate::float_text::go_float;
use crate::grid::Grid;
use crate::plan::{Aggregate, AggregateParameter};
use crate::row::{Context, Row, Sink, hold_column};

impl Aggregate {
    /// Whether it gives series of its input rather than one a group.
    pub(crate) fn gives_its_input(&self) -> bool {
        matches!(self.op, AggregateOp::TopK | AggregateOp::BottomK | AggregateOp::LimitK | AggregateOp::LimitRatio)
    }

    pub(crate) fn evaluate_ranking(
        self,
        grid: Grid,
        context: &mut Context<'_>,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let Self { op, grouping, parameter: AggregateParameter::Scalar { value, .. }, input, position, .. } = self
        else {
            unreachable!("the planner gives rankings their number");
        };
        let top = op == AggregateOp::TopK;
        let counts = wanted(&evaluate_scalar(value, grid, context)?)?;
        let mut held = 2 * grid.steps;
        let mut series: Vec<(Labels, bool)> = Vec::new();
        let mut groups: Groups<Vec<Vec<Ranked>>> = Groups::default();
        evaluate_vector(*input, grid, context, &mut |context, row| {
            let ignores = |step: &usize| row.column.histogram(*step).is_some() && counts[*step] > 0;
            if row.column.has_histograms() && (0..grid.steps).any(|step| ignores(&step)) {
                context.annotations.inform(position, format!("ignored histogram in {} aggregation", op.as_str()));
            }
            let key = grouping.group(&row.labels);
            let group = groups.index(key, || vec![Vec::new(); grid.steps], grid.steps, context)?;
            let steps = &mut groups.list[group].state;
            let mut grown = 1;
            for (step, value) in row.column.floats().iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
                let ranked = Ranked { value: *value, series: series.len() };
                grown += usize::from(offer(&mut steps[step], ranked, counts[step], top));
            }
            series.push((row.labels.clone(), row.drop_name));
            held += grown;
            context.budget.hold(grown)
        })?;
        held += groups.list.len() * grid.steps;
        match grid.steps {
            1 => in_order(series, groups, top, grid, context, sink)?,
            _ => by_series(series, groups, grid, context, sink)?,
        }
        context.budget.release(held);
        Ok(())
    }
}

/// One element among the extreme ones.
#[derive(Clone, Copy, Debug)]
struct Ranked {
    value: f64,
    /// Which series, by order of arrival.
    series: usize,
}

/// How many elements are wanted at each step. Where none is wanted at any, nothing else is looked at.
pub(crate) fn wanted(parameters: &[f64]) -> Result<Vec<usize>, EvalError> {
    if parameters.iter().any(|value| value.is_nan()) {
        return Err(EvalError::Execution("Parameter value is NaN".into()));
    }
    let greatest = parameters.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if greatest < 1.0 {
        return Ok(vec![0; parameters.len()]);
    }
    let least = parameters.iter().copied().fold(f64::INFINITY, f64::min);
    if least <= -INT64_BOUND {
        return Err(EvalError::Execution(format!("Scalar value {} underflows int64", go_float(least))));
    }
    if greatest >= INT64_BOUND {
        return Err(EvalError::Execution(format!("Scalar value {} overflows int64", go_float(greatest))));
    }
    Ok(parameters.iter().map(|value| value.max(0.0) as usize).collect())
}

/// An instant query: elements of each group from the most extreme one on.
fn in_order(
    series: Vec<(Labels, bool)>,
    groups: Groups<Vec<Vec<Ranked>>>,
    top: bool,
    grid: Grid,
    context: &mut Context<'_>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let mut column = hold_column(context, grid)?;
    for mut group in groups.list {
        let mut ranked = std::mem::take(&mut group.state[0]);
        ranked.sort_by(|left, right| {
            let by_value =
                if top { right.value.partial_cmp(&left.value) } else { left.value.partial_cmp(&right.value) };
            by_value.unwrap_or_else(|| left.value.is_nan().cmp(&right.value.is_nan()))
        });
        for Ranked { value, series: index } in ranked {
            let (labels, drop_name) = series[index].clone();
            column.set(0, Cell::Float(value));
            sink(context, Row { labels, drop_name, column: &mut column })?;
        }
    }
    Ok(())
}

/// A range query: each series with the steps at which it is among the extreme ones.
fn by_series(
    series: Vec<(Labels, bool)>,
    groups: Groups<Vec<Vec<Ranked>>>,
    grid: Grid,
    context: &mut Context<'_>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let mut kept: Vec<Vec<(usize, f64)>> = vec![Vec::new(); series.len()];
    for group in groups.list {
        for (step, ranked) in group.state.into_iter().enumerate() {
            for Ranked { value, series } in ranked {
                kept[series].push((step, value));
            }
        }
    }
    let mut column = hold_column(context, grid)?;
    for ((labels, drop_name), cells) in series.into_iter().zip(kept).filter(|(_, cells)| !cells.is_empty()) {
        column.clear();
        for (step, value) in cells {
            column.set(step, Cell::Float(value));
        }
        sink(context, Row { labels, drop_name, column: &mut column })?;
    }
    Ok(())
}

/// Offers an element to a heap of at most `wanted`, whose root is the one to give way; says whether the heap grew.
///
/// Which of equal elements stays depends on the heap's steps, so these are the textbook ones that Prometheus uses too.
fn offer(heap: &mut Vec<Ranked>, element: Ranked, wanted: usize, top: bool) -> bool {
    let gives_way = |left: f64, right: f64| left.is_nan() || if top { left < right } else { left > right };
    if heap.len() < wanted {
        heap.push(element);
        sift_up(heap, gives_way);
        return true;
    }
    if let Some(root) = heap.first_mut() {
        let beaten = if top { root.value < element.value } else { root.value > element.value };
        if beaten || (root.value.is_nan() && !element.value.is_nan()) {
            *root = element;
            sift_down(heap, gives_way);
        }
    }
    false
}

fn sift_up(heap: &mut [Ranked], gives_way: impl Fn(f64, f64) -> bool) {
    let mut child = heap.len() - 1;
    while child > 0 {
        let parent = (child - 1) / 2;
        if !gives_way(heap[child].value, heap[parent].value) {
            break;
        }
        heap.swap(child, parent);
        child = parent;
    }
}

fn sift_down(heap: &mut [Ranked], gives_way: impl Fn(f64, f64) -> bool) {
    let mut parent = 0;
    loop {
        let left = 2 * parent + 1;
        if left >= heap.len() {
            break;
        }
        let right = left + 1;
        let child = match right < heap.len() && gives_way(heap[right].value, heap[left].value) {
            true => right,
            false => left,
        };
        if !gives_way(heap[child].value, heap[parent].value) {
            break;
        }
        heap.swap(child, parent);
        parent = child;
    }
}

/// 2^63.
const INT64_BOUND: f64 = 9_223_372_036_854_775_808.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(values: &[f64], wanted: usize, top: bool) -> Vec<usize> {
        let mut heap = Vec::new();
        for (series, value) in values.iter().enumerate() {
            offer(&mut heap, Ranked { value: *value, series }, wanted, top);
        }
        let mut kept: Vec<usize> = heap.iter().map(|ranked| ranked.series).collect();
        kept.sort_unstable();
        kept
    }

    #[test]
    fn keeps_the_extreme_ones_and_nan_last() {
        assert_eq!(keep(&[3.0, 1.0, 4.0, 1.5, 9.0], 2, true), [2, 4]);
        assert_eq!(keep(&[3.0, 1.0, 4.0, 1.5, 9.0], 2, false), [1, 3]);
        assert_eq!(keep(&[f64::NAN, 1.0, f64::NAN, 2.0], 3, true).len(), 3);
        assert_eq!(keep(&[f64::NAN, 1.0, 2.0], 2, true), [1, 2]);
        assert_eq!(keep(&[f64::NAN, 1.0, 2.0], 2, false), [1, 2]);
        assert_eq!(keep(&[1.0, 1.0], 1, true), [0], "the first of equals");
        assert_eq!(keep(&[1.0], 0, true), [] as [usize; 0]);
    }

    #[test]
    fn parameters() {
        assert_eq!(wanted(&[2.9, -1.0, 0.0]).unwrap(), [2, 0, 0]);
        assert_eq!(wanted(&[0.9, -f64::INFINITY]).unwrap(), [0, 0], "nothing is wanted anyway");
        for (bad, text) in [
            (vec![f64::NAN], "Parameter value is NaN"),
            (vec![f64::INFINITY], "Scalar value +Inf overflows int64"),
            (vec![1.0, 1e30], "Scalar value 1e+30 overflows int64"),
            (vec![1.0, -1e30], "Scalar value -1e+30 underflows int64"),
        ] {
            assert_eq!(wanted(&bad).unwrap_err().to_string(), text);
        }
    }
}
