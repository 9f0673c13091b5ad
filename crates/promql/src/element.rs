//! What operators make of two elements, and what the user is told about it.

use promql_syntax::{BinaryOp, PositionRange};

use crate::column::Cell;
use crate::row::Context;

/// What an operator makes of two elements.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum ElementResult {
    Value {
        value: Cell,
        remark: Option<Remark>,
    },
    /// A comparison: the element that a filter keeps.
    Comparison {
        holds: bool,
        kept: Cell,
    },
    /// There is no result.
    Refused(Remark),
}

impl ElementResult {
    pub(crate) fn value(value: Cell) -> Self {
        Self::Value { value, remark: None }
    }
}

/// What is odd about two elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Remark {
    /// The operator is not defined for a left and a right side of these kinds.
    IncompatibleTypes(&'static str, &'static str),
    /// Exponential and custom buckets.
    IncompatibleBuckets,
    /// One side comes after a counter reset, the other does not.
    ConflictingResets,
    /// Custom buckets with different bounds.
    ReconciledBounds,
}

/// Remarks on one operator: of those on the elements of one step, the last one is told.
#[derive(Default)]
pub(crate) struct Remarks {
    /// As many as there are steps, or none at all.
    by_step: Vec<Option<Remark>>,
}

impl Remarks {
    pub(crate) fn add(&mut self, step: usize, steps: usize, remark: Option<Remark>) {
        if let Some(remark) = remark {
            self.by_step.resize(steps, None);
            self.by_step[step] = Some(remark);
        }
    }

    pub(crate) fn tell(self, op: BinaryOp, position: PositionRange, context: &mut Context<'_>) {
        let mut last = None;
        for remark in self.by_step.into_iter().flatten() {
            // They mostly stay the same from step to step.
            if last != Some(remark) {
                remark.tell(op, position, context);
                last = Some(remark);
            }
        }
    }
}

impl Remark {
    fn tell(self, op: BinaryOp, position: PositionRange, context: &mut Context<'_>) {
        let annotations = &mut context.annotations;
        let symbol = op.as_str();
        let operation = if op == BinaryOp::Sub { "subtraction" } else { "addition" };
        match self {
            Self::IncompatibleTypes(left, right) => annotations.inform(
                position,
                format!(
                    "incompatible sample types encountered for binary operator {symbol:?}: {left} {symbol} {right}"
                ),
            ),
            Self::IncompatibleBuckets => annotations
                .warn(position, format!("incompatible bucket layout encountered for binary operator {symbol}")),
            Self::ConflictingResets => {
                annotations.warn(position, format!("conflicting counter resets during histogram {operation}"));
            }
            Self::ReconciledBounds => {
                annotations.inform(position, format!("mismatched custom buckets were reconciled during {operation}"));
            }
        }
    }
}
