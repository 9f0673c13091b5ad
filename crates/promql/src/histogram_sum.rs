//! Sums and averages of histograms: over the series of a group, or over the samples of a range.

use std::sync::Arc;

use model::ResetHint;

use crate::EvalError;
use crate::annotation::Place;
use crate::column::{ABSENT, Cell, Column, is_absent};
use crate::histogram::{Combined, FloatHistogram, Histogram, HistogramMean, IncompatibleBuckets};
use crate::notes::Notes;
use crate::row::Context;
use crate::statistics::KahanSum;

/// Which of both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Total {
    Sum,
    Average,
}

/// A total of histograms that come one by one, and what was odd about them.
struct RunningTotal {
    state: State,
    reset_seen: bool,
    not_reset_seen: bool,
    reconciled_bounds: bool,
}

enum State {
    Sum(Histogram<KahanSum>),
    Average(HistogramMean),
}

impl RunningTotal {
    fn starting_at(total: Total, histogram: &FloatHistogram) -> Self {
        let state = match total {
            Total::Sum => State::Sum(histogram.map(KahanSum::starting_at)),
            Total::Average => State::Average(HistogramMean::starting_at(histogram)),
        };
        let mut total = Self { state, reset_seen: false, not_reset_seen: false, reconciled_bounds: false };
        total.see(histogram.reset_hint);
        total
    }

    fn add(&mut self, histogram: &FloatHistogram) -> Result<(), IncompatibleBuckets> {
        // The hints of all parts matter, not those of sums of some.
        self.see(histogram.reset_hint);
        let Combined { reconciled_bounds, .. } = match &mut self.state {
            State::Sum(sum) => sum.add(histogram),
            State::Average(mean) => mean.add(histogram),
        }?;
        self.reconciled_bounds |= reconciled_bounds;
        Ok(())
    }

    fn see(&mut self, hint: ResetHint) {
        self.reset_seen |= hint == ResetHint::Reset;
        self.not_reset_seen |= hint == ResetHint::NotReset;
    }

    /// Samples that it takes the room of.
    fn samples(&self) -> usize {
        match &self.state {
            State::Sum(sum) => sum.samples(),
            State::Average(mean) => mean.samples(),
        }
    }

    fn tell(&self, place: Place, context: &mut Context<'_>) {
        if self.reset_seen && self.not_reset_seen {
            context.annotations.warn(place, CONFLICTING_RESETS);
        }
    }

    fn value(self) -> FloatHistogram {
        match self.state {
            State::Sum(sum) => sum.total(),
            State::Average(mean) => mean.value(),
        }
    }
}

/// The total of the samples of a range, which are histograms all. `None` when they do not go together.
pub(crate) fn over_time(
    total: Total,
    histograms: &[Arc<FloatHistogram>],
    notes: &Notes<'_>,
    context: &mut Context<'_>,
) -> Option<FloatHistogram> {
    let (first, rest) = histograms.split_first()?;
    let mut running = RunningTotal::starting_at(total, first);
    for histogram in rest {
        if running.add(histogram).is_err() {
            notes.incompatible(context);
            return None;
        }
    }
    running.tell(notes.place, context);
    if running.reconciled_bounds {
        context.annotations.inform(notes.place, RECONCILED_BOUNDS);
    }
    Some(running.value())
}

/// The totals of a group's histograms at each step. Floats at the same step make them void.
pub(crate) struct GroupTotals {
    total: Total,
    place: Place,
    steps: Vec<Option<GroupTotal>>,
    held: usize,
}

enum GroupTotal {
    /// Boxed, as most steps have none.
    Running(Box<RunningTotal>),
    /// There were floats before: whatever comes, there is no result.
    AfterFloats,
    /// Exponential and custom buckets.
    Incompatible,
    /// The same, and there had been floats as well.
    IncompatibleMix,
}

impl GroupTotals {
    pub(crate) fn new(total: Total, place: Place, steps: usize) -> Self {
        Self { total, place, steps: (0..steps).map(|_| None).collect(), held: 0 }
    }

    /// Samples held.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Adds the histograms of one series; `has_float` says where floats were added before.
    pub(crate) fn add(
        &mut self,
        column: &Column,
        metric: &str,
        has_float: impl Fn(usize) -> bool,
        context: &mut Context<'_>,
    ) -> Result<(), EvalError> {
        let mut grown = 0;
        for (step, slot) in self.steps.iter_mut().enumerate() {
            let Some(histogram) = column.histogram(step) else { continue };
            match slot {
                None if has_float(step) => *slot = Some(GroupTotal::AfterFloats),
                None => {
                    let running = RunningTotal::starting_at(self.total, histogram);
                    grown += running.samples();
                    *slot = Some(GroupTotal::Running(Box::new(running)));
                }
                Some(GroupTotal::Running(running)) => {
                    let before = running.samples();
                    if running.add(histogram).is_err() {
                        Notes { metric, place: self.place }.incompatible(context);
                        let mix = has_float(step);
                        *slot = Some(if mix { GroupTotal::IncompatibleMix } else { GroupTotal::Incompatible });
                        continue;
                    }
                    grown += running.samples().saturating_sub(before);
                    if std::mem::take(&mut running.reconciled_bounds) {
                        context.annotations.inform(self.place, RECONCILED_BOUNDS);
                    }
                }
                Some(GroupTotal::AfterFloats | GroupTotal::Incompatible | GroupTotal::IncompatibleMix) => {}
            }
        }
        self.held += grown;
        context.budget.hold(grown)
    }

    /// Puts the totals into a column that has the floats' already.
    pub(crate) fn finish(self, column: &mut Column, context: &mut Context<'_>) {
        for (step, slot) in self.steps.into_iter().enumerate() {
            let Some(slot) = slot else { continue };
            let has_float = !is_absent(column.floats()[step]);
            match slot {
                GroupTotal::Running(running) if !has_float => {
                    running.tell(self.place, context);
                    let mut value = running.value();
                    value.compact();
                    column.set(step, Cell::Histogram(Arc::new(value)));
                    continue;
                }
                // Whatever came after incompatible ones was not looked at.
                GroupTotal::Incompatible => {}
                GroupTotal::Running(_) | GroupTotal::AfterFloats | GroupTotal::IncompatibleMix => {
                    context.annotations.warn(self.place, MIX);
                }
            }
            column.floats_mut()[step] = ABSENT;
        }
    }
}

const CONFLICTING_RESETS: &str = "conflicting counter resets during histogram aggregation";
const RECONCILED_BOUNDS: &str = "mismatched custom buckets were reconciled during aggregation";
const MIX: &str = "encountered a mix of histograms and floats for aggregation";
