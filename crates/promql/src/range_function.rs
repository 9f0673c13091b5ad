//! Functions of a range of samples.

use std::sync::Arc;

use model::TimestampMs;
use promql_syntax::ExtendedRange;

use crate::column::Cell;
use crate::extended_range;
use crate::rate::{self, RateKind};
use crate::statistics::{self, Mean, Variance, linear_regression, quantile};
use crate::transitions;
use crate::window::Window;

/// A function of a range of samples of one series, with scalar arguments apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RangeFunction {
    Avg,
    Changes,
    Count,
    Deriv,
    DoubleExponentialSmoothing,
    First,
    InstantDelta,
    InstantRate,
    Last,
    MedianAbsoluteDeviation,
    Max,
    Min,
    PredictLinear,
    Present,
    Quantile,
    Rate(RateKind),
    Resets,
    Stddev,
    Stdvar,
    Sum,
    TimeOfFirst,
    TimeOfLast,
    TimeOfMax,
    TimeOfMin,
}

/// What a function makes of histograms in its window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HistogramUse {
    /// It takes them as samples like any other.
    Taken,
    /// It looks at floats only, and says so when there are both.
    Ignored,
    /// It computes with floats or with histograms, never a mix.
    Exclusive,
    /// The same, and it looks at the last two samples only.
    ExclusiveLastTwo,
    /// It computes with both.
    Computed,
}

impl RangeFunction {
    /// Whether it asks where a counter begins anew ([`Window::falls`]).
    pub(crate) fn looks_at_falls(self) -> bool {
        matches!(self, Self::Rate(RateKind { counter: true, .. }) | Self::InstantRate | Self::Resets)
    }

    /// What it takes for each sample of each window, about, in looks at a sample: those that sort take more.
    pub(crate) fn sample_work(self) -> usize {
        match self {
            Self::Quantile | Self::MedianAbsoluteDeviation => 4,
            _ => 1,
        }
    }

    /// The function of that name; `None` for one that is not of this kind or not known here.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let rate = |counter, per_second| Self::Rate(RateKind { counter, per_second });
        Some(match name {
            "avg_over_time" => Self::Avg,
            "changes" => Self::Changes,
            "count_over_time" => Self::Count,
            "delta" => rate(false, false),
            "deriv" => Self::Deriv,
            "double_exponential_smoothing" => Self::DoubleExponentialSmoothing,
            "first_over_time" => Self::First,
            "idelta" => Self::InstantDelta,
            "increase" => rate(true, false),
            "irate" => Self::InstantRate,
            "last_over_time" => Self::Last,
            "mad_over_time" => Self::MedianAbsoluteDeviation,
            "max_over_time" => Self::Max,
            "min_over_time" => Self::Min,
            "predict_linear" => Self::PredictLinear,
            "present_over_time" => Self::Present,
            "quantile_over_time" => Self::Quantile,
            "rate" => rate(true, true),
            "resets" => Self::Resets,
            "stddev_over_time" => Self::Stddev,
            "stdvar_over_time" => Self::Stdvar,
            "sum_over_time" => Self::Sum,
            "ts_of_first_over_time" => Self::TimeOfFirst,
            "ts_of_last_over_time" => Self::TimeOfLast,
            "ts_of_max_over_time" => Self::TimeOfMax,
            "ts_of_min_over_time" => Self::TimeOfMin,
            _ => return None,
        })
    }

    /// Whether the result is still a sample of the metric, and so keeps its name.
    pub(crate) fn keeps_name(self) -> bool {
        matches!(self, Self::First | Self::Last)
    }

    /// Whether it expects a counter, of whose name something is expected then.
    pub(crate) fn expects_counter(self) -> bool {
        matches!(self, Self::Rate(RateKind { counter: true, .. }))
    }

    /// Whether the same window can give another result at another time.
    pub(crate) fn depends_on_time(self) -> bool {
        self == Self::PredictLinear
    }

    /// Whether start timestamps have a say in the result.
    pub(crate) fn uses_start_timestamps(self) -> bool {
        matches!(self, Self::Rate(RateKind { counter: true, .. }) | Self::InstantRate | Self::Resets)
    }

    pub(crate) fn histogram_use(self) -> HistogramUse {
        match self {
            Self::Count | Self::First | Self::Last | Self::Present | Self::TimeOfFirst | Self::TimeOfLast => {
                HistogramUse::Taken
            }
            Self::Changes | Self::Resets => HistogramUse::Computed,
            Self::Avg | Self::Sum | Self::Rate(_) => HistogramUse::Exclusive,
            Self::InstantDelta | Self::InstantRate => HistogramUse::ExclusiveLastTwo,
            _ => HistogramUse::Ignored,
        }
    }

    /// The result for one window; histograms are looked at only where they are [`HistogramUse::Taken`].
    /// `arguments` are the scalar ones at this step; `scratch` is memory to reuse.
    pub(crate) fn evaluate(self, window: &Window<'_>, arguments: &[f64], scratch: &mut Vec<f64>) -> Option<Cell> {
        match self {
            Self::First => return Some(first(window)),
            Self::Last => return Some(last(window)),
            Self::Count => return Some(Cell::Float((window.floats.len() + window.histograms.len()) as f64)),
            Self::Present => return Some(Cell::Float(1.0)),
            Self::TimeOfFirst => {
                return outer_time(window, <[_]>::first, Ord::min);
            }
            Self::TimeOfLast => {
                return outer_time(window, <[_]>::last, Ord::max);
            }
            _ => {}
        }
        if window.floats.is_empty() {
            return None;
        }
        self.of_floats(window, arguments, scratch).map(Cell::Float)
    }

    /// The result for one window of a range that is `anchored` or `smoothed`, which holds samples beyond its ends.
    pub(crate) fn evaluate_extended(
        self,
        extended: ExtendedRange,
        window: &Window<'_>,
        scratch: &mut Vec<f64>,
    ) -> Option<Cell> {
        match self {
            Self::Rate(kind) => {
                extended_range::change(kind, extended == ExtendedRange::Smoothed, window).map(Cell::Float)
            }
            _ => self.evaluate(&extended_range::anchored(window)?, &[], scratch),
        }
    }

    /// There is at least one float.
    fn of_floats(self, window: &Window<'_>, arguments: &[f64], scratch: &mut Vec<f64>) -> Option<f64> {
        let floats = window.floats;
        match self {
            Self::Rate(kind) => rate::extrapolated(kind, window),
            Self::InstantRate => rate::instant(true, window),
            Self::InstantDelta => rate::instant(false, window),
            Self::Avg => Mean::of(floats),
            Self::Sum => Some(statistics::sum(floats)),
            Self::Max => Some(floats[extreme(floats, |value, best| value > best)]),
            Self::Min => Some(floats[extreme(floats, |value, best| value < best)]),
            Self::TimeOfMax => Some(seconds(window.times[extreme(floats, |value, best| value >= best)])),
            Self::TimeOfMin => Some(seconds(window.times[extreme(floats, |value, best| value <= best)])),
            Self::Stdvar => Some(Variance::of(floats)),
            Self::Stddev => Some(Variance::of(floats).sqrt()),
            Self::Quantile => {
                copy_to(scratch, floats.iter().copied());
                Some(quantile(arguments[0], scratch))
            }
            Self::MedianAbsoluteDeviation if floats.iter().any(|value| value.is_nan()) => Some(f64::NAN),
            Self::MedianAbsoluteDeviation => {
                copy_to(scratch, floats.iter().copied());
                let median = quantile(0.5, scratch);
                copy_to(scratch, floats.iter().map(|value| (value - median).abs()));
                Some(quantile(0.5, scratch))
            }
            Self::Changes => {
                Some(floats.windows(2).filter(|pair| transitions::differ(pair[0], pair[1])).count() as f64)
            }
            Self::Resets => Some(window.falls.iter().count() as f64),
            Self::Deriv => fit(window, window.times[0].0).map(|line| line.slope),
            Self::PredictLinear => fit(window, window.at).map(|line| line.slope * arguments[0] + line.intercept),
            Self::DoubleExponentialSmoothing => smooth(floats, arguments[0], arguments[1]),
            Self::First | Self::Last | Self::Count | Self::Present | Self::TimeOfFirst | Self::TimeOfLast => {
                unreachable!("answered for floats and histograms alike")
            }
        }
    }
}

fn copy_to(scratch: &mut Vec<f64>, values: impl Iterator<Item = f64>) {
    scratch.clear();
    scratch.extend(values);
}

fn first(window: &Window<'_>) -> Cell {
    match (window.times.first(), window.histogram_times.first()) {
        (Some(float), Some(histogram)) if histogram <= float => Cell::Histogram(Arc::clone(&window.histograms[0])),
        (None, _) => Cell::Histogram(Arc::clone(&window.histograms[0])),
        (Some(_), _) => Cell::Float(window.floats[0]),
    }
}

fn last(window: &Window<'_>) -> Cell {
    match (window.floats.last(), window.histograms.last()) {
        (Some(float), Some(_)) if window.histogram_times.last() < window.times.last() => Cell::Float(*float),
        (Some(float), None) => Cell::Float(*float),
        (_, Some(histogram)) => Cell::Histogram(Arc::clone(histogram)),
        (None, None) => unreachable!("a window is not empty"),
    }
}

fn outer_time(
    window: &Window<'_>,
    end_of: fn(&[TimestampMs]) -> Option<&TimestampMs>,
    choose: fn(TimestampMs, TimestampMs) -> TimestampMs,
) -> Option<Cell> {
    let ends = [end_of(window.times), end_of(window.histogram_times)];
    ends.into_iter().flatten().copied().reduce(choose).map(|time| Cell::Float(seconds(time)))
}

fn seconds(time: TimestampMs) -> f64 {
    time.0 as f64 / 1000.0
}

/// Index of the extreme value: NaN gives way to anything.
fn extreme(values: &[f64], replaces: impl Fn(f64, f64) -> bool) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if replaces(*value, values[best]) || values[best].is_nan() {
            best = index;
        }
    }
    best
}

fn fit(window: &Window<'_>, reference_ms: i64) -> Option<statistics::Line> {
    let times = window.times.iter().map(|time| time.0);
    (window.floats.len() >= 2).then(|| linear_regression(times, window.floats, reference_ms))
}

/// Holt's linear trend: `smoothing` weighs the newest value, `trend` the newest slope. Both lie between 0 and 1.
fn smooth(values: &[f64], smoothing: f64, trend: f64) -> Option<f64> {
    let [first, second, ..] = *values else { return None };
    let (mut level, mut slope) = (first, second - first);
    for (index, value) in values.iter().enumerate().skip(1) {
        let before = level;
        level = smoothing * value + (1.0 - smoothing) * (level + slope);
        if index + 1 < values.len() {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
    }
    Some(level)
}
