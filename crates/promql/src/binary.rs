//! Binary operators between single values, and between a vector and a scalar.

use promql_syntax::BinaryOp;

use crate::EvalError;
use crate::column::{ABSENT, Cell, Column, is_absent};
use crate::element::{ElementResult, Remark, Remarks};
use crate::evaluate::{evaluate_scalar, evaluate_vector};
use crate::grid::Grid;
use crate::histogram_operator;
use crate::label_set::LabelGuard;
use crate::plan::VectorScalar;
use crate::row::{Context, Row, Sink};

/// Between two scalars, where a comparison gives 0 or 1.
pub(crate) fn scalars(op: BinaryOp, left: f64, right: f64) -> f64 {
    match compare(op, left, right) {
        Some(holds) => f64::from(u8::from(holds)),
        None => arithmetic(op, left, right),
    }
}

/// Between two elements of vectors (or an element and a scalar).
pub(crate) fn element(op: BinaryOp, left: &Cell, right: &Cell) -> ElementResult {
    match (left, right) {
        (Cell::Float(left), Cell::Float(right)) => match compare(op, *left, *right) {
            Some(holds) => ElementResult::Comparison { holds, kept: Cell::Float(*left) },
            None if is_trim(op) => ElementResult::Refused(Remark::IncompatibleTypes("float", "float")),
            None => ElementResult::value(Cell::Float(arithmetic(op, *left, *right))),
        },
        (Cell::Histogram(left), Cell::Histogram(right)) => histogram_operator::histograms(op, left, right),
        (Cell::Histogram(left), Cell::Float(right)) => histogram_operator::histogram_and_float(op, left, *right),
        (Cell::Float(left), Cell::Histogram(right)) => histogram_operator::float_and_histogram(op, *left, right),
    }
}

/// Whether an operator cuts histograms.
pub(crate) fn is_trim(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower)
}

/// Between two floats: the value, or for a comparison without `bool` the left one if it holds. `ABSENT` is no result.
#[inline]
pub(crate) fn floats(op: BinaryOp, return_bool: bool, left: f64, right: f64) -> f64 {
    match compare(op, left, right) {
        None => arithmetic(op, left, right),
        Some(holds) if return_bool => f64::from(u8::from(holds)),
        Some(true) => left,
        Some(false) => ABSENT,
    }
}

/// Whether the result is no value of the left metric any more. Filters and trimming keep what it is.
pub(crate) fn changes_metric(op: BinaryOp) -> bool {
    use BinaryOp::{Add, Atan2, Div, Mod, Mul, Pow, Sub};
    matches!(op, Add | Sub | Mul | Div | Mod | Pow | Atan2)
}

pub(crate) fn truth(holds: bool) -> Cell {
    Cell::Float(f64::from(u8::from(holds)))
}

impl VectorScalar {
    pub(crate) fn evaluate(self, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
        let scalars = evaluate_scalar(self.scalar, grid, context)?;
        let mut remarks = Remarks::default();
        let operation = Operation { op: self.op, scalar_left: self.scalar_left, return_bool: self.return_bool };
        let computed = changes_metric(self.op) || self.return_bool;
        let mut guard = LabelGuard::of_samples(grid, context);
        evaluate_vector(*self.vector, grid, context, &mut |context, row| {
            operation.apply(row.column, &scalars, &mut remarks);
            if !computed {
                return sink(context, row);
            }
            let labels = context.computed_labels(&row.labels);
            guard.once_a_step(&labels, row.column)?;
            sink(context, Row { labels, drop_name: true, column: row.column })
        })?;
        remarks.tell(self.op, self.position, context);
        context.budget.release(grid.steps);
        Ok(())
    }
}

struct Operation {
    op: BinaryOp,
    scalar_left: bool,
    return_bool: bool,
}

impl Operation {
    fn apply(&self, column: &mut Column, scalars: &[f64], remarks: &mut Remarks) {
        if !column.has_histograms() && !is_trim(self.op) {
            let keeps_element = self.op.is_comparison() && !self.return_bool;
            column.map_floats(|step, value| match (self.scalar_left, keeps_element) {
                (false, _) => floats(self.op, self.return_bool, value, scalars[step]),
                (true, false) => floats(self.op, self.return_bool, scalars[step], value),
                // A filter keeps the vector's element, on whichever side it stands.
                (true, true) if is_absent(floats(self.op, false, scalars[step], value)) => ABSENT,
                (true, true) => value,
            });
            return;
        }
        for (step, scalar) in scalars.iter().enumerate() {
            let Some(cell) = column.cell(step) else { continue };
            let scalar = Cell::Float(*scalar);
            let (left, right) = if self.scalar_left { (&scalar, &cell) } else { (&cell, &scalar) };
            match element(self.op, left, right) {
                ElementResult::Value { value, remark } => {
                    remarks.add(step, scalars.len(), remark);
                    column.set(step, value);
                }
                ElementResult::Comparison { holds, .. } if self.return_bool => column.set(step, truth(holds)),
                ElementResult::Comparison { holds: true, .. } => {}
                ElementResult::Comparison { holds: false, .. } => column.remove(step),
                ElementResult::Refused(remark) => {
                    remarks.add(step, scalars.len(), Some(remark));
                    column.remove(step);
                }
            }
        }
    }
}

fn compare(op: BinaryOp, left: f64, right: f64) -> Option<bool> {
    Some(match op {
        BinaryOp::Equal => left == right,
        BinaryOp::NotEqual => left != right,
        BinaryOp::Greater => left > right,
        BinaryOp::Less => left < right,
        BinaryOp::GreaterOrEqual => left >= right,
        BinaryOp::LessOrEqual => left <= right,
        _ => return None,
    })
}

#[inline]
fn arithmetic(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        _ => unreachable!("comparisons, set operators and trimming are handled before"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_scalars() {
        let cases = [
            (BinaryOp::Add, 1.0, 2.0, 3.0),
            (BinaryOp::Mod, -5.0, 3.0, -2.0),
            (BinaryOp::Pow, 2.0, -1.0, 0.5),
            (BinaryOp::Div, 1.0, 0.0, f64::INFINITY),
            (BinaryOp::Atan2, 1.0, 0.0, std::f64::consts::FRAC_PI_2),
            (BinaryOp::GreaterOrEqual, 2.0, 2.0, 1.0),
            (BinaryOp::NotEqual, f64::NAN, f64::NAN, 1.0),
            (BinaryOp::Equal, f64::NAN, f64::NAN, 0.0),
        ];
        for (op, left, right, expected) in cases {
            assert_eq!(scalars(op, left, right), expected, "{left} {} {right}", op.as_str());
        }
    }
}
