//! What is known of resets where Prometheus leaves samples out between one window and the next.
//!
//! Where only counts and sums are asked for, resets are found by reading one histogram after the other. Upstream reads on
//! from window to window, unless it finds a sample after the one window that is before the next: then it looks for the next
//! window's first sample, and knows nothing of what came before that.

use std::sync::Arc;

use model::ResetHint;

use super::Lane;
use crate::histogram::FloatHistogram;

/// Histograms whose resets were found by reading.
#[derive(Default)]
pub(super) struct Sought {
    /// Their times, in milliseconds, rising.
    found: Vec<i64>,
    /// Where the window before ended.
    end: Option<i64>,
}

impl Sought {
    pub(super) fn clear(&mut self) {
        self.found.clear();
        self.end = None;
    }

    /// A histogram of this time is compared with the one read before.
    pub(super) fn add_found(&mut self, time: i64) {
        self.found.push(time);
    }

    /// Forgets what the first histogram of a window after `start` was found to be, where it is looked for.
    pub(super) fn advance(
        &mut self,
        start: i64,
        end: i64,
        floats: &Lane<f64>,
        histograms: &mut Lane<Arc<FloatHistogram>>,
    ) {
        let Some(end_before) = self.end.replace(end) else { return };
        let passed = self.found.partition_point(|time| *time < start);
        self.found.drain(..passed);
        let leaves_out = floats.has_sample(end_before, start) || histograms.has_sample(end_before, start);
        let has_edge = floats.has_sample(start, start + 1) || histograms.has_sample(start, start + 1);
        if !leaves_out || has_edge || histograms.first == histograms.end {
            return;
        }
        let first = histograms.first;
        if let Ok(index) = self.found.binary_search(&histograms.times[first].0) {
            self.found.remove(index);
            Arc::make_mut(&mut histograms.values[first]).reset_hint = ResetHint::Unknown;
        }
    }
}

impl<T> Lane<T> {
    /// Whether a sample before the window is at or after `from`, and before `until`.
    fn has_sample(&self, from: i64, until: i64) -> bool {
        let mut before = self.times[..self.first].iter().rev().map(|time| time.0);
        before.find(|time| *time < until).is_some_and(|time| time >= from)
    }
}
