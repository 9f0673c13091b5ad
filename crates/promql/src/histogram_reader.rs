//! Stored histograms on their way into an evaluation.
//!
//! That a stored sample comes after a reset is not believed, as in Prometheus: what came before it may have been deleted, or
//! have come later. Where only counts and sums are asked for, buckets are left out; what they would tell of resets is found
//! out before.

use std::sync::Arc;

use model::{NativeHistogram, ResetHint};

use crate::histogram::{Buckets, FloatHistogram};

/// What is needed of histograms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum HistogramParts {
    #[default]
    All,
    /// Count, sum, and what is known of resets.
    Statistics,
}

/// Reads the histograms of one series, oldest first.
#[derive(Default)]
pub(crate) struct HistogramReader {
    parts: HistogramParts,
    /// The one read last, with what was found out about it; only where that matters.
    last: Option<FloatHistogram>,
    /// Whether it was compared with the one before.
    compared: bool,
}

impl HistogramReader {
    pub(crate) fn new(parts: HistogramParts) -> Self {
        Self { parts, last: None, compared: false }
    }

    /// Forgets the one read last: another series begins, or samples are left out.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }

    /// Whether each histogram has to be read, not only those that are looked at.
    pub(crate) fn reads_all(&self) -> bool {
        self.parts == HistogramParts::Statistics
    }

    /// Whether what is known of the reset of the one read last comes from the one before.
    pub(crate) fn found_out(&self) -> bool {
        self.compared
    }

    /// The next one; no staleness marker.
    pub(crate) fn read(&mut self, native: &NativeHistogram) -> Arc<FloatHistogram> {
        let mut histogram = FloatHistogram::from(native);
        if histogram.reset_hint == ResetHint::Reset {
            histogram.reset_hint = ResetHint::Unknown;
        }
        if self.parts == HistogramParts::All {
            return Arc::new(histogram);
        }
        self.compared = false;
        if let (ResetHint::Unknown, Some(last)) = (histogram.reset_hint, &self.last) {
            self.compared = true;
            histogram.reset_hint = if histogram.is_reset_after(last) { ResetHint::Reset } else { ResetHint::NotReset };
        }
        let statistics = FloatHistogram {
            zero_threshold: 0.0,
            zero_count: 0.0,
            positive: Buckets::default(),
            negative: Buckets::default(),
            custom_values: Vec::new(),
            ..histogram
        };
        self.last = Some(histogram);
        Arc::new(statistics)
    }
}

#[cfg(test)]
mod tests {
    use model::{Counts, Span};

    use super::*;

    fn histogram(counts: &[f64], reset_hint: ResetHint) -> NativeHistogram {
        let length = counts.len() as u32;
        NativeHistogram {
            sum: 1.0,
            reset_hint,
            positive_spans: vec![Span { offset: 0, length }],
            counts: Counts::Float {
                count: counts.iter().sum(),
                zero_count: 0.0,
                positive: counts.to_vec(),
                negative: Vec::new(),
            },
            ..NativeHistogram::stale()
        }
    }

    #[test]
    fn resets_are_found_before_buckets_are_left_out() {
        let samples = [
            (&[1.0, 2.0][..], ResetHint::Reset, ResetHint::Unknown),
            (&[1.0, 3.0], ResetHint::NotReset, ResetHint::NotReset),
            (&[5.0, 0.0], ResetHint::Unknown, ResetHint::Reset),
            (&[6.0, 1.0], ResetHint::Reset, ResetHint::NotReset),
            (&[7.0], ResetHint::Gauge, ResetHint::Gauge),
        ];
        let mut statistics = HistogramReader::new(HistogramParts::Statistics);
        let mut whole = HistogramReader::new(HistogramParts::All);
        for (counts, stored, expected) in samples {
            let native = histogram(counts, stored);
            let read = statistics.read(&native);
            assert_eq!((read.reset_hint, read.count), (expected, counts.iter().sum()), "{counts:?}");
            assert!(read.positive.is_empty());
            let read = whole.read(&native);
            let unknown = stored == ResetHint::Reset;
            assert_eq!(read.reset_hint, if unknown { ResetHint::Unknown } else { stored });
            assert_eq!(read.positive.counts(), counts);
        }
        statistics.forget();
        assert_eq!(statistics.read(&histogram(&[9.0], ResetHint::Unknown)).reset_hint, ResetHint::Unknown);
    }
}
