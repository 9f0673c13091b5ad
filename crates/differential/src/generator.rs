//! Random valid queries over the metrics of a [`Dataset`](crate::dataset::Dataset).
//!
//! Queries are grown as text, by type: what takes a vector is given one. Operands of vector matching are mostly made so that
//! they fit, since random ones would match nothing or fail. The text is what both sides read, so that parsing is compared, too.

mod aggregation;
mod binary;
mod call;
mod scalar;
mod selector;

use promql::EvalTime;
use promql_syntax::Function;
use testkit::chance::Chance;

use crate::dataset::{SPAN_MS, START};
use crate::dialect::Dialect;
use model::TimestampMs;

/// Makes queries.
#[derive(Debug)]
pub struct Generator {
    chance: Chance,
    dialect: Dialect,
    functions: Vec<&'static Function>,
    /// Native histograms are among the data.
    histograms: bool,
    /// Subqueries that enclose what is made now.
    subqueries: usize,
}

impl Generator {
    /// Whose queries follow from `seed`; with `floats`, over floats alone.
    pub fn new(seed: u64, dialect: Dialect, floats: bool) -> Self {
        let histograms = dialect.has_histograms() && !floats;
        Self { chance: Chance::new(seed), dialect, functions: dialect.functions(), histograms, subqueries: 0 }
    }

    /// A query and when it is to be evaluated.
    pub fn query(&mut self) -> (String, EvalTime) {
        let time = self.time();
        let depth = *self.chance.one_of(&[1, 2, 2, 3, 3, 4]);
        let instant = matches!(time, EvalTime::Instant(_));
        let text = match self.chance.below(20) {
            0 => self.scalar(depth),
            1 if instant => self.matrix(depth),
            2 if instant => self.sorted(depth),
            _ => self.vector(depth),
        };
        (text, time)
    }

    /// A time or a range of times at and around the data. Whole seconds that are no multiple of any subquery's step.
    fn time(&mut self) -> EvalTime {
        let offset = match self.dialect {
            Dialect::Old => 7_000,
            Dialect::Stable | Dialect::Experimental => *self.chance.one_of(&[0, 0, 7_000, 250]),
        };
        let start = START.0 + offset + 10_000 * self.chance.between(-18, SPAN_MS / 10_000 + 30);
        if self.chance.one_in(3) {
            return EvalTime::Instant(TimestampMs(start));
        }
        let step_ms = *self.chance.one_of(&[10_000, 10_000, 30_000, 60_000, 130_000, 300_000]);
        let end = start + self.chance.between(0, 40) * step_ms + self.chance.between(0, step_ms / 2000) * 1000;
        EvalTime::Range { start: TimestampMs(start), end: TimestampMs(end), step_ms }
    }

    /// An instant vector.
    fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.selector();
        }
        match self.chance.below(26) {
            0..=2 => self.selector(),
            3..=8 => self.range_call(depth),
            9..=12 => self.vector_call(depth),
            13..=17 => self.aggregation(depth),
            18..=22 => self.binary(depth),
            23 => self.relabel(depth),
            24 => self.quantile_of_buckets(depth),
            _ => self.small_thing(depth),
        }
    }

    /// Order is of use at the top of an instant query alone.
    fn sorted(&mut self, depth: usize) -> String {
        let (order, inner) = (self.either("", "_desc"), self.vector(depth));
        match self.dialect.is_experimental() && self.chance.one_in(2) {
            true => format!("sort_by_label{order}({inner}, {})", self.pick(&["\"instance\"", "\"job\", \"path\""])),
            false => format!("sort{order}({inner})"),
        }
    }

    fn small_thing(&mut self, depth: usize) -> String {
        match self.chance.below(6) {
            0 => format!("-{}", self.operand(depth - 1)),
            1 => format!("({})", self.vector(depth - 1)),
            2 => format!("vector({})", self.scalar(depth - 1)),
            3 => format!("absent({})", self.vector(depth - 1)),
            4 => format!("timestamp({})", self.vector(depth - 1)),
            _ => format!("absent_over_time({})", self.matrix(depth - 1)),
        }
    }

    /// A vector that may stand beside an operator.
    fn operand(&mut self, depth: usize) -> String {
        let text = self.vector(depth);
        match text.contains(' ') || text.starts_with('-') {
            true => format!("({text})"),
            false => text,
        }
    }

    fn either<'a>(&mut self, one: &'a str, other: &'a str) -> &'a str {
        if self.chance.one_in(2) { one } else { other }
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        *self.chance.one_of(all)
    }
}

#[cfg(test)]
mod tests;
