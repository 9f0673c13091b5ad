//! What a duration comes to, once the query's step and range are known.

use crate::ast::{BinaryOp, Duration, DurationExpr, PositionRange};

/// The times of a query that durations may refer to, milliseconds. An instant query has neither: both are 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueryTimes {
    /// `step()`
    pub step_ms: i64,
    /// `range()`: from the first to the last time.
    pub range_ms: i64,
}

/// An expression that comes to no duration. Worded as Prometheus words it, with byte offsets in front.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}:{}: {reason}", position.start, position.end)]
pub struct DurationError {
    /// The part of the text that is wrong.
    pub position: PositionRange,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// More seconds than Go's 64 bits of nanoseconds hold.
const SECONDS_MAX: f64 = 9_223_372_036.854_776;

impl Duration {
    /// Milliseconds; greater than zero unless it is an `offset`.
    ///
    /// # Errors
    /// Division by zero, and values that are no duration.
    pub fn resolve_ms(&self, times: QueryTimes, is_offset: bool) -> Result<i64, DurationError> {
        let expr = match self {
            Self::Ms(ms) => return Ok(*ms),
            Self::Expr(expr) => expr,
        };
        let fail = |reason| Err(DurationError { position: expr.position(), reason });
        let seconds = expr.seconds(times)?;
        if !seconds.is_finite() {
            return fail("duration is NaN or infinite");
        }
        if seconds <= 0.0 && !is_offset {
            return fail("duration must be greater than 0");
        }
        if seconds.abs() > SECONDS_MAX {
            return fail("duration is out of range");
        }
        let ms = (seconds * 1e3) as i64;
        // As with literals, nothing is shorter than a millisecond.
        Ok(if is_offset { ms } else { ms.max(1) })
    }
}

impl DurationExpr {
    fn seconds(&self, times: QueryTimes) -> Result<f64, DurationError> {
        Ok(match self {
            Self::Number(number) => number.value,
            Self::Step(_) => times.step_ms as f64 / 1e3,
            Self::Range(_) => times.range_ms as f64 / 1e3,
            Self::MinOf(left, right, _) => extreme(left.seconds(times)?, right.seconds(times)?, f64::min),
            Self::MaxOf(left, right, _) => extreme(left.seconds(times)?, right.seconds(times)?, f64::max),
            Self::Negative(operand, _) => -operand.seconds(times)?,
            Self::Paren(inner, _) => inner.seconds(times)?,
            Self::Binary(op, left, right, position) => {
                let (left, right) = (left.seconds(times)?, right.seconds(times)?);
                match op {
                    BinaryOp::Add => left + right,
                    BinaryOp::Sub => left - right,
                    BinaryOp::Mul => left * right,
                    BinaryOp::Div if right == 0.0 => {
                        return Err(DurationError { position: *position, reason: "division by zero" });
                    }
                    BinaryOp::Div => left / right,
                    BinaryOp::Mod if right == 0.0 => {
                        return Err(DurationError { position: *position, reason: "modulo by zero" });
                    }
                    BinaryOp::Mod => left % right,
                    BinaryOp::Pow => left.powf(right),
                    other => unreachable!("the parser puts no {} between durations", other.as_str()),
                }
            }
        })
    }
}

/// Not a number spreads, as in Go.
fn extreme(left: f64, right: f64, pick: fn(f64, f64) -> f64) -> f64 {
    if left.is_nan() || right.is_nan() { f64::NAN } else { pick(left, right) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Expr, Options, parse_expr};

    #[test]
    fn expressions_come_to_durations() {
        let times = QueryTimes { step_ms: 15_000, range_ms: 3_600_000 };
        for (text, expected) in [
            ("5m", Ok(300_000)),
            ("5m + 2 * 3s", Ok(306_000)),
            ("step() * 4", Ok(60_000)),
            ("range() / 7", Ok(514_285)),
            ("-(2 - 5) ^ 2 + 10", Ok(1_000)),
            ("max_of(step(), min_of(20, range()))", Ok(20_000)),
            ("100 % 30", Ok(10_000)),
            ("0.0001 + 0.0001", Ok(1)),
            ("1 / (step() - 15)", Err("2:18: division by zero")),
            ("1 % (step() - 15)", Err("2:18: modulo by zero")),
            ("step() - 15", Err("2:13: duration must be greater than 0")),
            ("9e9 + 9e9", Err("2:11: duration is out of range")),
            ("9e9 ^ 9e9", Err("2:11: duration is NaN or infinite")),
        ] {
            let parsed = parse_expr(&format!("a[{text}]"), Options::all());
            let Ok(Expr::Matrix(matrix)) = parsed else {
                assert!(expected.is_err(), "{text}: {parsed:?}");
                continue;
            };
            let resolved = matrix.range.resolve_ms(times, false).map_err(|error| error.to_string());
            assert_eq!(resolved, expected.map_err(str::to_owned), "{text}");
        }
        let Expr::Vector(selector) = parse_expr("a offset (step() - 20)", Options::all()).unwrap() else { panic!() };
        assert_eq!(selector.offset.resolve_ms(times, true), Ok(-5_000));
    }
}
