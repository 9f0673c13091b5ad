//! The query's own times: what `start()`, `end()`, `range()` and `step()` say, and `@ start()` and `@ end()` mean.

use promql_syntax::QueryTimes;

use crate::EvalTime;

/// The times of a query as they were asked for, milliseconds. The last step may lie before the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct QueryBounds {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// 0 for an instant query.
    step: i64,
}

impl QueryBounds {
    /// The value of the function of that name, in seconds. A query of one time has no step.
    pub(super) fn named(self, function: &str) -> f64 {
        let ms = match function {
            "start" => self.start,
            "end" => self.end,
            "range" => self.end.saturating_sub(self.start),
            _ if self.start == self.end => 0,
            _ => self.step,
        };
        ms as f64 / 1000.0
    }

    /// The same for expressions over durations, where a range query of one time does have its step.
    pub(super) fn of_durations(self) -> QueryTimes {
        QueryTimes { step_ms: self.step, range_ms: self.end.saturating_sub(self.start) }
    }
}

impl From<EvalTime> for QueryBounds {
    fn from(time: EvalTime) -> Self {
        match time {
            EvalTime::Instant(at) => Self { start: at.0, end: at.0, step: 0 },
            EvalTime::Range { start, end, step_ms } => Self { start: start.0, end: end.0, step: step_ms },
        }
    }
}

#[cfg(test)]
mod tests {
    use model::TimestampMs;

    use super::*;

    #[test]
    fn functions_tell_what_was_asked_for() {
        let at = |time: i64| QueryBounds::from(EvalTime::Instant(TimestampMs(time)));
        let over = |start, end, step_ms| {
            QueryBounds::from(EvalTime::Range { start: TimestampMs(start), end: TimestampMs(end), step_ms })
        };
        let cases = [
            (at(1500), [1.5, 1.5, 0.0, 0.0]),
            (over(0, 100_500, 60_000), [0.0, 100.5, 100.5, 60.0]),
            (over(7000, 7000, 60_000), [7.0, 7.0, 0.0, 0.0]),
        ];
        for (bounds, expected) in cases {
            assert_eq!(["start", "end", "range", "step"].map(|name| bounds.named(name)), expected, "{bounds:?}");
        }
        assert_eq!(over(7000, 7000, 60_000).of_durations().step_ms, 60_000);
    }
}
