//! Values of one series over all steps.
//!
//! A column is dense: one slot per step. An absent value is the staleness marker, which can never be a value of an
//! expression: selectors drop it, every other NaN becomes the usual quiet one when it is set, and arithmetic on that gives
//! no signalling one, which the marker is. Invariant: a slot with a histogram has no float.

use std::sync::Arc;

use model::{is_stale_nan, stale_nan};

use crate::histogram::FloatHistogram;

/// No value here.
pub(crate) const ABSENT: f64 = stale_nan();

/// Whether a slot holds no float.
#[inline]
pub(crate) fn is_absent(value: f64) -> bool {
    is_stale_nan(value)
}

/// One value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Cell {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

/// Values of one series over all steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    floats: Vec<f64>,
    /// As long as `floats`, or empty while there is none: nearly all series are floats.
    histograms: Vec<Option<Arc<FloatHistogram>>>,
}

impl Column {
    /// All absent.
    pub(crate) fn absent(steps: usize) -> Self {
        Self { floats: vec![ABSENT; steps], histograms: Vec::new() }
    }

    /// From floats, absent ones among them.
    pub(crate) fn from_floats(floats: Vec<f64>) -> Self {
        Self { floats, histograms: Vec::new() }
    }

    /// Makes all slots absent, for the next series.
    pub(crate) fn clear(&mut self) {
        self.floats.fill(ABSENT);
        self.histograms.clear();
    }

    pub(crate) fn steps(&self) -> usize {
        self.floats.len()
    }

    /// Floats, absent ones among them.
    #[inline]
    pub(crate) fn floats(&self) -> &[f64] {
        &self.floats
    }

    /// Floats, absent ones among them. Whoever writes one to a slot with a histogram calls `drop_histograms` first.
    #[inline]
    pub(crate) fn floats_mut(&mut self) -> &mut [f64] {
        &mut self.floats
    }

    #[inline]
    pub(crate) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    #[inline]
    pub(crate) fn histogram(&self, step: usize) -> Option<&Arc<FloatHistogram>> {
        self.histograms.get(step).and_then(Option::as_ref)
    }

    #[inline]
    pub(crate) fn is_present(&self, step: usize) -> bool {
        !is_absent(self.floats[step]) || self.histogram(step).is_some()
    }

    pub(crate) fn cell(&self, step: usize) -> Option<Cell> {
        match self.histogram(step) {
            Some(histogram) => Some(Cell::Histogram(Arc::clone(histogram))),
            None if is_absent(self.floats[step]) => None,
            None => Some(Cell::Float(self.floats[step])),
        }
    }

    pub(crate) fn any_present(&self) -> bool {
        self.floats.iter().any(|value| !is_absent(*value)) || self.histograms.iter().any(Option::is_some)
    }

    /// Steps that hold a value.
    pub(crate) fn present(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.steps()).filter(|step| self.is_present(*step))
    }

    pub(crate) fn set(&mut self, step: usize, cell: Cell) {
        match cell {
            Cell::Float(value) => {
                // Stored samples may be NaN with any payload: changing its sign must not make it the marker.
                self.floats[step] = if value.is_nan() { f64::NAN } else { value };
                if let Some(slot) = self.histograms.get_mut(step) {
                    *slot = None;
                }
            }
            Cell::Histogram(histogram) => {
                if self.histograms.is_empty() {
                    self.histograms.resize(self.floats.len(), None);
                }
                self.floats[step] = ABSENT;
                self.histograms[step] = Some(histogram);
            }
        }
    }

    pub(crate) fn remove(&mut self, step: usize) {
        self.floats[step] = ABSENT;
        if let Some(slot) = self.histograms.get_mut(step) {
            *slot = None;
        }
    }

    pub(crate) fn drop_histograms(&mut self) {
        self.histograms.clear();
    }

    /// Samples it takes the room of. A histogram that stays for several steps is there once.
    pub(crate) fn samples(&self) -> usize {
        let mut samples = self.steps();
        let mut before: Option<&Arc<FloatHistogram>> = None;
        for histogram in self.histograms.iter().flatten() {
            if !before.is_some_and(|before| Arc::ptr_eq(before, histogram)) {
                samples += histogram.samples();
            }
            before = Some(histogram);
        }
        samples
    }

    /// Changes every float in place.
    #[inline]
    pub(crate) fn map_floats(&mut self, mut change: impl FnMut(usize, f64) -> f64) {
        for (step, value) in self.floats.iter_mut().enumerate() {
            if !is_absent(*value) {
                *value = change(step, *value);
            }
        }
    }

    /// Changes every histogram.
    pub(crate) fn map_histograms(&mut self, change: impl Fn(&mut FloatHistogram)) {
        for histogram in self.histograms.iter_mut().flatten() {
            change(Arc::make_mut(histogram));
        }
    }

    /// Repeats a column of one step over `steps`.
    pub(crate) fn repeat(&self, steps: usize) -> Self {
        debug_assert_eq!(self.steps(), 1);
        let histograms = match self.histograms.first() {
            Some(Some(histogram)) => vec![Some(Arc::clone(histogram)); steps],
            _ => Vec::new(),
        };
        Self { floats: vec![self.floats[0]; steps], histograms }
    }
}

/// A column cut down to the steps between its first and its last value: what is held of a series that came and went.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    first: usize,
    column: Column,
    samples: usize,
}

impl Run {
    /// `None` when the column is all absent.
    pub(crate) fn of(column: &Column) -> Option<Self> {
        let first = (0..column.steps()).find(|step| column.is_present(*step))?;
        let last = (first..column.steps()).rev().find(|step| column.is_present(*step))?;
        let histograms = column.histograms.get(first..=last).map(<[_]>::to_vec).unwrap_or_default();
        let column = Column { floats: column.floats[first..=last].to_vec(), histograms };
        Some(Self { first, samples: column.samples(), column })
    }

    /// Samples held: one a slot, and what histograms take beyond that.
    pub(crate) fn len(&self) -> usize {
        self.samples
    }

    #[inline]
    pub(crate) fn float(&self, step: usize) -> f64 {
        step.checked_sub(self.first).and_then(|index| self.column.floats.get(index)).copied().unwrap_or(ABSENT)
    }

    /// The first step that holds a value.
    pub(crate) fn first_step(&self) -> usize {
        self.first
    }

    /// The first step and the floats from there on; `None` when there are histograms among them.
    pub(crate) fn only_floats(&self) -> Option<(usize, &[f64])> {
        (!self.column.has_histograms()).then(|| (self.first, self.column.floats()))
    }

    /// The step and the value of a slot; `None` after the last slot.
    pub(crate) fn slot(&self, index: usize) -> Option<(usize, Option<Cell>)> {
        (index < self.column.steps()).then(|| (self.first + index, self.column.cell(index)))
    }

    /// Steps that hold a value, with it.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (usize, Cell)> + '_ {
        (0..self.column.steps()).filter_map(|index| Some((self.first + index, self.column.cell(index)?)))
    }

    /// Writes the values into `column`, which keeps its own elsewhere. `false` when a slot is taken already.
    pub(crate) fn overlay(&self, column: &mut Column) -> bool {
        self.cells().all(|(step, cell)| {
            let free = !column.is_present(step);
            column.set(step, cell);
            free
        })
    }
}

/// A set of steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StepSet {
    words: Vec<u64>,
}

impl StepSet {
    pub(crate) fn empty(steps: usize) -> Self {
        Self { words: vec![0; steps.div_ceil(64)] }
    }

    pub(crate) fn present_in(column: &Column) -> Self {
        let mut set = Self::empty(column.steps());
        for step in column.present() {
            set.insert(step);
        }
        set
    }

    /// `false` when it was in already.
    pub(crate) fn insert(&mut self, step: usize) -> bool {
        let (word, bit) = (&mut self.words[step / 64], 1 << (step % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    pub(crate) fn contains(&self, step: usize) -> bool {
        self.words[step / 64] & (1 << (step % 64)) != 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Whether a step is in both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(left, right)| left & right != 0)
    }

    /// Adds all of `other`; `false` when some were in already.
    pub(crate) fn insert_all(&mut self, other: &Self) -> bool {
        let mut disjoint = true;
        for (word, added) in self.words.iter_mut().zip(&other.words) {
            disjoint &= *word & added == 0;
            *word |= added;
        }
        disjoint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_ever_the_absent_one() {
        let mut column = Column::absent(1);
        for nan in [f64::from_bits(ABSENT.to_bits() | 1 << 63), f64::from_bits(0x7ff0_0000_0000_0001), f64::NAN] {
            column.set(0, Cell::Float(nan));
            for change in [|value: f64| -value, f64::abs, |value| value - value, |value| value * 0.0] {
                column.map_floats(|_, value| change(value));
                assert!(column.is_present(0), "{:x}", nan.to_bits());
            }
        }
    }

    #[test]
    fn run_keeps_values_and_gaps() {
        let mut column = Column::absent(6);
        column.set(1, Cell::Float(1.0));
        let histogram = Arc::new(FloatHistogram::from(model::NativeHistogram::stale()));
        column.set(3, Cell::Histogram(Arc::clone(&histogram)));
        let run = Run::of(&column).unwrap();
        assert_eq!(run.len(), 3 + histogram.samples());
        column.set(4, Cell::Histogram(histogram));
        assert_eq!(Run::of(&column).unwrap().len(), run.len() + 1, "it is held once");
        assert_eq!(run.cells().map(|(step, _)| step).collect::<Vec<_>>(), [1, 3]);
        let mut restored = Column::absent(6);
        assert!(run.overlay(&mut restored));
        assert_eq!(restored.present().collect::<Vec<_>>(), [1, 3]);
        assert!(!run.overlay(&mut restored), "slots are taken");
        assert!(Run::of(&Column::absent(3)).is_none());
    }

    #[test]
    fn step_sets_tell_overlap() {
        let mut left = StepSet::empty(70);
        assert!(left.insert(69) && !left.insert(69));
        let mut right = StepSet::empty(70);
        right.insert(1);
        assert!(left.insert_all(&right));
        assert!(!left.insert_all(&right));
        assert!(left.contains(1) && left.contains(69) && !left.contains(2));
    }
}
