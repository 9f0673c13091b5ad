//! Binary operators with native histograms.

use std::sync::Arc;

use model::ResetHint;
use promql_syntax::BinaryOp;

use crate::column::Cell;
use crate::element::{ElementResult, Remark};
use crate::histogram::{Combined, FloatHistogram, Keep};

/// Between two histograms: sum, difference, equality.
pub(crate) fn histograms(op: BinaryOp, left: &Arc<FloatHistogram>, right: &FloatHistogram) -> ElementResult {
    let combine = match op {
        BinaryOp::Add => FloatHistogram::add::<f64>,
        BinaryOp::Sub => FloatHistogram::subtract,
        BinaryOp::Equal | BinaryOp::NotEqual => {
            let holds = left.is_same(right) == (op == BinaryOp::Equal);
            return ElementResult::Comparison { holds, kept: Cell::Histogram(Arc::clone(left)) };
        }
        _ => return ElementResult::Refused(Remark::IncompatibleTypes("histogram", "histogram")),
    };
    let mut result = FloatHistogram::clone(left);
    match combine(&mut result, right) {
        Err(_) => ElementResult::Refused(Remark::IncompatibleBuckets),
        Ok(Combined { conflicting_resets: true, .. }) => ElementResult::Refused(Remark::ConflictingResets),
        Ok(Combined { reconciled_bounds, .. }) => {
            if op == BinaryOp::Sub {
                result.reset_hint = ResetHint::Gauge;
            }
            let remark = reconciled_bounds.then_some(Remark::ReconciledBounds);
            ElementResult::Value { value: compacted(result), remark }
        }
    }
}

/// Between a histogram and a float: scaling, trimming.
pub(crate) fn histogram_and_float(op: BinaryOp, left: &FloatHistogram, right: f64) -> ElementResult {
    let mut result = left.clone();
    match op {
        BinaryOp::Mul => result.multiply(right),
        BinaryOp::Div => result.divide(right),
        BinaryOp::TrimUpper | BinaryOp::TrimLower => {
            result.trim(right, if op == BinaryOp::TrimUpper { Keep::Below } else { Keep::Above });
            return ElementResult::value(Cell::Histogram(Arc::new(result)));
        }
        _ => return ElementResult::Refused(Remark::IncompatibleTypes("histogram", "float")),
    }
    ElementResult::value(compacted(result))
}

/// Between a float and a histogram: scaling.
pub(crate) fn float_and_histogram(op: BinaryOp, left: f64, right: &FloatHistogram) -> ElementResult {
    if op != BinaryOp::Mul {
        return ElementResult::Refused(Remark::IncompatibleTypes("float", "histogram"));
    }
    let mut result = right.clone();
    result.multiply(left);
    ElementResult::value(compacted(result))
}

fn compacted(mut histogram: FloatHistogram) -> Cell {
    histogram.compact();
    Cell::Histogram(Arc::new(histogram))
}
