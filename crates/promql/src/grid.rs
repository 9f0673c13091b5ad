//! The times at which an expression is evaluated.

/// Evenly spaced times, milliseconds. Invariant: `step > 0`, `steps > 0`, the last time fits an `i64`, an instant has one
/// step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Grid {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) steps: usize,
    instant: bool,
}

impl Grid {
    /// The one time `at`.
    pub(crate) const fn instant(at: i64) -> Self {
        Self { start: at, step: 1, steps: 1, instant: true }
    }

    /// From `start` up to `end` at most. `None` when no time lies in between.
    pub(crate) fn new(start: i64, end: i64, step: i64) -> Option<Self> {
        debug_assert!(step > 0);
        let span = u64::try_from(i128::from(end) - i128::from(start)).ok()?;
        let steps = usize::try_from(span / step.unsigned_abs()).ok()?.checked_add(1)?;
        Some(Self { start, step, steps, instant: span == 0 })
    }

    /// Whether it ends where it starts, rather than before a second step.
    pub(crate) const fn is_instant(&self) -> bool {
        self.instant
    }

    /// The time of a step.
    #[inline]
    pub(crate) const fn time(&self, step: usize) -> i64 {
        // From one end of time to the other the product alone does not fit; the sum does, and comes out right all the same.
        self.start.wrapping_add(self.step.wrapping_mul(step as i64))
    }

    /// The time of the last step.
    pub(crate) const fn last(&self) -> i64 {
        self.time(self.steps - 1)
    }

    /// The first time alone, where parts that do not depend on the step are evaluated.
    pub(crate) const fn first_only(&self) -> Self {
        Self { start: self.start, step: self.step, steps: 1, instant: true }
    }

    /// All times.
    pub(crate) fn times(&self) -> impl Iterator<Item = i64> + use<> {
        let grid = *self;
        (0..grid.steps).map(move |step| grid.time(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_start_to_end() {
        let grid = Grid::new(-5, 25, 10).unwrap();
        assert_eq!(grid.times().collect::<Vec<_>>(), [-5, 5, 15, 25]);
        assert_eq!(Grid::new(0, 9, 10).unwrap().last(), 0);
        assert!(!Grid::new(0, 9, 10).unwrap().is_instant());
        assert!(Grid::new(9, 9, 10).unwrap().is_instant());
        assert_eq!(Grid::new(9, 9, 1), Some(Grid::instant(9)));
        assert_eq!(Grid::new(1, 0, 10), None);
        let grid = Grid::new(i64::MIN, i64::MAX, i64::MAX).unwrap();
        assert_eq!(grid.times().collect::<Vec<_>>(), [i64::MIN, -1, i64::MAX - 1]);
    }
}
