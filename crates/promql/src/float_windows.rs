//! Functions over the windows of a series that is all floats: the way of nearly all series.
//!
//! All samples lie in memory, both ends of the window go over them once, and what could be different from step to step has
//! been found out before. The values are those that the general way gives.

use model::TimestampMs;

use crate::column::{ABSENT, Cell, Column};
use crate::grid::Grid;
use crate::plan::Look;
use crate::range_function::RangeFunction;
use crate::rate;
use crate::rate_shapes::RateShapes;
use crate::window::{Falls, Window};

/// A series of floats.
#[derive(Clone, Copy)]
pub(crate) struct FloatSeries<'a> {
    pub(crate) times: &'a [TimestampMs],
    pub(crate) floats: &'a [f64],
    /// Indices of floats that begin a counter anew, rising.
    pub(crate) falls: &'a [usize],
}

/// What is kept from series to series.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) values: Vec<f64>,
    /// What was done so far beyond one look at each sample, as that many looks.
    pub(crate) work: usize,
    shapes: RateShapes,
}

/// The windows that are looked at.
#[derive(Clone, Copy)]
pub(crate) struct Windowing {
    pub(crate) grid: Grid,
    pub(crate) look: Look,
    pub(crate) length: i64,
}

impl Windowing {
    /// Fills all slots of a column. `false` when there is no value.
    pub(crate) fn fill(
        &self,
        function: RangeFunction,
        series: FloatSeries<'_>,
        scratch: &mut Scratch,
        column: &mut Column,
    ) -> bool {
        let Scratch { values, work, shapes } = scratch;
        column.drop_histograms();
        let slots = column.floats_mut();
        // A loop for each of the usual ones, so that nothing is decided inside.
        match function {
            RangeFunction::Rate(kind) => {
                shapes.begin(kind, self.length);
                self.each(series, slots, |window| shapes.extrapolated(kind, window))
            }
            RangeFunction::InstantRate => self.each(series, slots, |window| rate::instant(true, window)),
            RangeFunction::Count => self.each(series, slots, |window| Some(window.floats.len() as f64)),
            RangeFunction::Last => self.each(series, slots, |window| window.floats.last().copied()),
            _ => {
                let each = function.sample_work();
                self.each(series, slots, |window| {
                    *work += each * window.floats.len();
                    match function.evaluate(window, &[], values) {
                        Some(Cell::Float(value)) => Some(value),
                        _ => None,
                    }
                })
            }
        }
    }

    #[inline(always)]
    fn each(
        &self,
        series: FloatSeries<'_>,
        slots: &mut [f64],
        mut compute: impl FnMut(&Window<'_>) -> Option<f64>,
    ) -> bool {
        let FloatSeries { times, floats, falls } = series;
        let (mut first, mut until) = (Edge::default(), Edge::default());
        let (mut fall_first, mut fall_until) = (0, 0);
        let mut any = false;
        for (step, slot) in slots.iter_mut().enumerate() {
            let at = self.grid.time(step);
            let end = self.look.from(at);
            let start = end.saturating_sub(self.length);
            until.pass(times, end);
            first.pass(&times[..until.place], start);
            let (first, until) = (first.place, until.place);
            *slot = ABSENT;
            if first == until {
                continue;
            }
            while fall_until < falls.len() && falls[fall_until] < until {
                fall_until += 1;
            }
            while fall_first < fall_until && falls[fall_first] <= first {
                fall_first += 1;
            }
            let window = Window {
                times: &times[first..until],
                floats: &floats[first..until],
                falls: Falls::new(&falls[fall_first..fall_until], first),
                start,
                end,
                at,
                ..Window::EMPTY
            };
            if let Some(value) = compute(&window) {
                *slot = if value.is_nan() { f64::NAN } else { value };
                any = true;
            }
        }
        any
    }
}

/// One end of the window: the first sample after it. Most series are scraped in a rhythm, so from step to step it passes as many samples
/// as it did the step before.
#[derive(Default)]
struct Edge {
    place: usize,
    passed: usize,
}

impl Edge {
    /// Passes the samples up to `at`, which rises from call to call.
    #[inline(always)]
    fn pass(&mut self, times: &[TimestampMs], at: i64) {
        let guess = self.place + self.passed;
        let is_passed = |place: usize| times.get(place).is_some_and(|time| time.0 <= at);
        if guess <= times.len() && !is_passed(guess) && (self.passed == 0 || is_passed(guess - 1)) {
            self.place = guess;
            return;
        }
        let before = self.place;
        while is_passed(self.place) {
            self.place += 1;
        }
        self.passed = self.place - before;
    }
}
