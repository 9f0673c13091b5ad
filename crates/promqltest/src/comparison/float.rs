//! When two floats are the same.

use model::is_stale_nan;

/// The relative difference that is none.
const EPSILON: f64 = 1e-6;

/// Equal, or as good as: up to a millionth. A staleness marker is like no other NaN.
pub(super) fn close(left: f64, right: f64) -> bool {
    if is_stale_nan(left) || is_stale_nan(right) {
        return is_stale_nan(left) && is_stale_nan(right);
    }
    if (left.is_nan() && right.is_nan()) || left == right {
        return true;
    }
    let (sum, difference) = (left.abs() + right.abs(), (left - right).abs());
    // Relative differences mean little near zero.
    if left == 0.0 || right == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}
