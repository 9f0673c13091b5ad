//! What range functions and smoothed selectors tell the user about a series.

use crate::annotation::Place;
use crate::histogram::{Combined, FloatHistogram, IncompatibleBuckets};
use crate::row::Context;

/// About which metric, and where in the query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notes<'a> {
    pub(crate) metric: &'a str,
    pub(crate) place: Place,
}

/// An operation in the course of which histograms are combined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Combining {
    Addition,
    Subtraction,
}

impl Notes<'_> {
    /// There is no result for a mix of floats and histograms.
    pub(crate) fn mix(&self, context: &mut Context<'_>) {
        self.warn(context, "encountered a mix of histograms and floats for metric name");
    }

    /// There is no result for a mix of histograms with exponential and custom buckets.
    pub(crate) fn incompatible(&self, context: &mut Context<'_>) {
        self.warn(
            context,
            "vector contains a mix of histograms with exponential and custom buckets schemas for metric name",
        );
    }

    /// A function of counters meets a gauge.
    pub(crate) fn not_a_counter(&self, context: &mut Context<'_>) {
        self.warn(context, "this native histogram metric is not a counter:");
    }

    /// A function of gauges meets a counter.
    pub(crate) fn not_a_gauge(&self, context: &mut Context<'_>) {
        self.warn(context, "this native histogram metric is not a gauge:");
    }

    /// A function of floats leaves histograms out.
    pub(crate) fn histograms_ignored(&self, context: &mut Context<'_>) {
        let text = "ignored histograms in a range containing both floats and histograms for metric name";
        context.annotations.inform(self.place, format!("{text} {:?}", self.metric));
    }

    /// Samples start inside what the ones before them counted.
    pub(crate) fn overlap(&self, context: &mut Context<'_>) {
        let text = "sample has start time that overlaps with previous sample timestamp for metric";
        context.annotations.warn_each_time(self.place, format!("{text} {:?}", self.metric));
    }

    /// Adds to or subtracts from `histogram`, and tells what is odd about it. `None` when they do not go together. That one
    /// hint contradicts the other is not told: functions over ranges look at resets themselves.
    pub(crate) fn combine(
        &self,
        combining: Combining,
        histogram: &mut FloatHistogram,
        other: &FloatHistogram,
        context: &mut Context<'_>,
    ) -> Option<()> {
        let (combined, what) = match combining {
            Combining::Addition => (histogram.add(other), "addition"),
            Combining::Subtraction => (histogram.subtract(other), "subtraction"),
        };
        match combined {
            Ok(Combined { reconciled_bounds, .. }) => {
                if reconciled_bounds {
                    let text = format!("mismatched custom buckets were reconciled during {what}");
                    context.annotations.inform(self.place, text);
                }
                Some(())
            }
            Err(IncompatibleBuckets) => {
                self.incompatible(context);
                None
            }
        }
    }

    fn warn(&self, context: &mut Context<'_>, text: &str) {
        context.annotations.warn(self.place, format!("{text} {:?}", self.metric));
    }
}
