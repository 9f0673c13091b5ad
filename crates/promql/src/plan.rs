//! What is to be computed: the syntax tree with names resolved, times fixed and kinds apart.
//!
//! Scalars and vectors are different types, so that no operator meets the other kind. A plan is made for one grid; the
//! grids of parts (subqueries, parts that do not depend on the step) follow from it when it is evaluated, by the rules
//! in `grid` and [`Subquery::grid`].

use model::{Labels, TimestampMs};
use promql_syntax::{AggregateOp, BinaryOp, ExtendedRange, PositionRange};
use storage::TimeRange;

use crate::aggregate::Grouping;
use crate::annotation::Place;
use crate::function::ValueFunction;
use crate::grid::Grid;
use crate::histogram::FloatHistogram;
use crate::histogram_estimate::HistogramEstimate;
use crate::histogram_reader::HistogramParts;
use crate::info::Info;
use crate::matching::{Pairing, VectorMatch};
use crate::range_function::RangeFunction;
use crate::relabel::Relabel;

/// A number at each step.
#[derive(Debug)]
pub(crate) enum ScalarPlan {
    Number(f64),
    /// The step's own time, in seconds.
    Time,
    /// The value of a vector's only float.
    OfVector(Box<VectorPlan>),
    Negate(Box<ScalarPlan>),
    Binary {
        op: BinaryOp,
        lhs: Box<ScalarPlan>,
        rhs: Box<ScalarPlan>,
    },
    /// `min_of`, `max_of`.
    Pick {
        pick: fn(f64, f64) -> f64,
        lhs: Box<ScalarPlan>,
        rhs: Box<ScalarPlan>,
    },
    /// Does not depend on the step.
    Once(Box<ScalarPlan>),
}

/// A sample per series at each step.
#[derive(Debug)]
pub(crate) enum VectorPlan {
    Select(InstantSelector),
    /// `timestamp(selector)`: when the samples were taken.
    SampleTimes(InstantSelector),
    /// `timestamp` of anything else: the step's time.
    StepTimes(Box<VectorPlan>),
    /// `start_timestamp(selector)`: since when the samples were counted.
    StartTimes(InstantSelector),
    /// `start_timestamp` of anything else: evaluated for what it tells, and without a result.
    Nothing(Box<VectorPlan>),
    /// `selector smoothed`
    Smooth(SmoothedSelector),
    OverRange(OverRange),
    AbsentOverTime {
        range: RangePlan,
        labels: Labels,
    },
    OfScalar(ScalarPlan),
    Map {
        function: ValueFunction,
        arguments: Vec<ScalarPlan>,
        input: Box<VectorPlan>,
    },
    Histogram {
        part: HistogramPart,
        input: Box<VectorPlan>,
    },
    Negate(Box<VectorPlan>),
    Absent {
        input: Box<VectorPlan>,
        labels: Labels,
    },
    Aggregate(Aggregate),
    VectorScalar(VectorScalar),
    Match(VectorMatch),
    Set(SetOperation),
    HistogramEstimate(HistogramEstimate),
    Relabel {
        relabel: Relabel,
        input: Box<VectorPlan>,
    },
    Sort {
        input: Box<VectorPlan>,
        descending: bool,
        position: PositionRange,
    },
    SortByLabel {
        input: Box<VectorPlan>,
        labels: Vec<String>,
        descending: bool,
        position: PositionRange,
    },
    Info(Info),
    /// Does not depend on the step.
    Once(Box<VectorPlan>),
}

impl VectorPlan {
    /// Whether each series comes in one row, as far as can be told beforehand.
    ///
    /// What computes with samples gives a series in several rows when it makes label sets equal: by dropping names,
    /// mostly, unless all are of one metric.
    pub(crate) fn gives_whole_series(&self) -> bool {
        match self {
            Self::Select(_)
            | Self::Smooth(_)
            | Self::Nothing(_)
            | Self::AbsentOverTime { .. }
            | Self::OfScalar(_)
            | Self::Absent { .. } => true,
            Self::OverRange(OverRange { function, range, .. }) => function.keeps_name() || range.is_one_metric(),
            Self::Aggregate(aggregate) => !aggregate.gives_its_input() || aggregate.input.gives_whole_series(),
            Self::SampleTimes(selector) | Self::StartTimes(selector) => selector.one_metric,
            Self::Map { input, .. }
            | Self::Histogram { input, .. }
            | Self::Negate(input)
            | Self::StepTimes(input)
            | Self::VectorScalar(VectorScalar { vector: input, .. }) => {
                input.is_one_metric() && input.gives_whole_series()
            }
            Self::Sort { input, .. } | Self::SortByLabel { input, .. } | Self::Once(input) => {
                input.gives_whole_series()
            }
            Self::HistogramEstimate(_) | Self::Match(_) | Self::Set(_) | Self::Relabel { .. } | Self::Info(_) => false,
        }
    }

    /// Whether no two rows have equal labels, for certain.
    pub(crate) fn has_distinct_labels(&self) -> bool {
        match self {
            Self::Select(_)
            | Self::Smooth(_)
            | Self::Nothing(_)
            | Self::OfScalar(_)
            | Self::Absent { .. }
            | Self::AbsentOverTime { .. } => true,
            Self::Aggregate(aggregate) => !aggregate.gives_its_input() || aggregate.input.has_distinct_labels(),
            Self::Once(input) | Self::Sort { input, .. } | Self::SortByLabel { input, .. } => {
                input.has_distinct_labels()
            }
            _ => false,
        }
    }

    /// Whether label sets stay distinct without the metric's name, as far as can be told beforehand.
    fn is_one_metric(&self) -> bool {
        match self {
            Self::Select(selector)
            | Self::SampleTimes(selector)
            | Self::StartTimes(selector)
            | Self::Smooth(SmoothedSelector { selector, .. }) => selector.one_metric,
            Self::OverRange(OverRange { range, .. }) => range.is_one_metric(),
            Self::Map { input, .. }
            | Self::Histogram { input, .. }
            | Self::Negate(input)
            | Self::StepTimes(input)
            | Self::Sort { input, .. }
            | Self::SortByLabel { input, .. }
            | Self::Once(input)
            | Self::VectorScalar(VectorScalar { vector: input, .. }) => input.is_one_metric(),
            Self::Nothing(_) | Self::AbsentOverTime { .. } | Self::OfScalar(_) | Self::Absent { .. } => true,
            Self::Aggregate(_)
            | Self::HistogramEstimate(_)
            | Self::Match(_)
            | Self::Set(_)
            | Self::Relabel { .. }
            | Self::Info(_) => false,
        }
    }
}

/// When a selector (or subquery) looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Look {
    /// `@`, resolved.
    pub(crate) at: Option<i64>,
    /// `offset`, milliseconds back.
    pub(crate) offset: i64,
}

impl Look {
    /// The time looked at from the time `time`.
    #[inline]
    pub(crate) fn from(&self, time: i64) -> i64 {
        self.at.unwrap_or(time).saturating_sub(self.offset)
    }
}

/// One of the plan's selections, by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SelectionId(pub(crate) usize);

/// Series to be selected before evaluation.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) matchers: Vec<model::Matcher>,
    pub(crate) range: TimeRange,
}

#[derive(Debug)]
pub(crate) struct InstantSelector {
    pub(crate) selection: SelectionId,
    pub(crate) look: Look,
    /// All series have the same metric name.
    pub(crate) one_metric: bool,
    /// What is needed of histograms.
    pub(crate) histogram_parts: HistogramParts,
}

/// At each step the value that the samples around it show.
#[derive(Debug)]
pub(crate) struct SmoothedSelector {
    pub(crate) selector: InstantSelector,
    pub(crate) position: PositionRange,
}

/// A function of ranges.
#[derive(Debug)]
pub(crate) struct OverRange {
    pub(crate) function: RangeFunction,
    pub(crate) range: RangePlan,
    pub(crate) arguments: Vec<ScalarPlan>,
    /// The first argument, of this call.
    pub(crate) place: Place,
}

/// Several samples per series at each step.
#[derive(Debug)]
pub(crate) enum RangePlan {
    Select {
        selection: SelectionId,
        look: Look,
        range: i64,
        one_metric: bool,
        histogram_parts: HistogramParts,
        /// Samples beyond the ends count, too.
        extended: Option<ExtendedRange>,
    },
    Subquery(Subquery),
}

impl RangePlan {
    pub(crate) fn look(&self) -> Look {
        match self {
            Self::Select { look, .. } | Self::Subquery(Subquery { look, .. }) => *look,
        }
    }

    fn is_one_metric(&self) -> bool {
        match self {
            Self::Select { one_metric, .. } => *one_metric,
            Self::Subquery(subquery) => subquery.input.is_one_metric(),
        }
    }

    /// How its ends are treated.
    pub(crate) fn extended(&self) -> Option<ExtendedRange> {
        match self {
            Self::Select { extended, .. } => *extended,
            Self::Subquery(_) => None,
        }
    }

    /// Length, milliseconds.
    pub(crate) fn range(&self) -> i64 {
        match self {
            Self::Select { range, .. } | Self::Subquery(Subquery { range, .. }) => *range,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Subquery {
    pub(crate) input: Box<VectorPlan>,
    pub(crate) look: Look,
    pub(crate) range: i64,
    pub(crate) step: i64,
}

impl Subquery {
    /// The times at which the inside is evaluated: multiples of the step, from after the start of the first range to
    /// the end of the last one. `None` when no multiple lies there.
    pub(crate) fn grid(look: Look, range: i64, step: i64, outer: Grid) -> Option<Grid> {
        let before = look.from(outer.start).saturating_sub(range);
        let start = before.div_euclid(step).checked_add(1)?.checked_mul(step)?;
        Grid::new(start, look.from(outer.last()), step)
    }
}

/// What a function takes out of a native histogram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HistogramPart {
    Avg,
    Count,
    StandardDeviation,
    Sum,
    Variance,
}

impl HistogramPart {
    pub(crate) fn of(self, histogram: &FloatHistogram) -> f64 {
        match self {
            Self::Avg => histogram.sum / histogram.count,
            Self::Count => histogram.count,
            Self::StandardDeviation => histogram.variance().sqrt(),
            Self::Sum => histogram.sum,
            Self::Variance => histogram.variance(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Aggregate {
    pub(crate) op: AggregateOp,
    pub(crate) grouping: Grouping,
    pub(crate) parameter: AggregateParameter,
    pub(crate) input: Box<VectorPlan>,
    /// Of the aggregation.
    pub(crate) position: PositionRange,
    /// What is aggregated.
    pub(crate) input_place: Place,
}

#[derive(Debug)]
pub(crate) enum AggregateParameter {
    None,
    Scalar { value: ScalarPlan, place: Place },
    Label(String),
}

/// An operator between a vector's elements and a scalar.
#[derive(Debug)]
pub(crate) struct VectorScalar {
    pub(crate) op: BinaryOp,
    pub(crate) vector: Box<VectorPlan>,
    pub(crate) scalar: ScalarPlan,
    /// Whether the scalar is the left operand.
    pub(crate) scalar_left: bool,
    pub(crate) return_bool: bool,
    pub(crate) position: PositionRange,
}

/// `and`, `or`, `unless`.
#[derive(Debug)]
pub(crate) struct SetOperation {
    pub(crate) op: BinaryOp,
    pub(crate) lhs: Box<VectorPlan>,
    pub(crate) rhs: Box<VectorPlan>,
    pub(crate) pairing: Pairing,
}

/// What the whole query is.
#[derive(Debug)]
pub(crate) enum Root {
    Scalar(ScalarPlan),
    Vector(VectorPlan),
    /// Instant queries only.
    Range(RangePlan),
    /// Instant queries only.
    Text(String),
}

/// A query ready to select its series.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) root: Root,
    pub(crate) selections: Vec<Selection>,
}

/// The closed range of times from which a selector needs samples: windows are open on the left.
pub(crate) fn needed_range(look: Look, window: i64, grid: Grid) -> TimeRange {
    let start = look.from(grid.start).saturating_sub(window).saturating_add(1);
    TimeRange { start: TimestampMs(start), end: TimestampMs(look.from(grid.last())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Look = Look { at: None, offset: 0 };

    #[test]
    fn subqueries_start_at_the_first_multiple_inside_their_range() {
        let cases = [(0, 100, 30, -90, 0), (90, 90, 30, 30, 90), (95, 90, 30, 30, 90), (-5, 60, 30, -60, -30)];
        for (at, range, step, first, last) in cases {
            let grid = Subquery::grid(NOW, range, step, Grid::instant(at)).unwrap();
            assert_eq!((grid.start, grid.last()), (first, last), "{range}:{step} at {at}");
        }
        assert_eq!(Subquery::grid(NOW, 5, 30, Grid::instant(29)), None);
    }

    #[test]
    fn a_fixed_time_is_looked_at_from_everywhere() {
        let look = Look { at: Some(1000), offset: 300 };
        let range = needed_range(look, 100, Grid::new(0, 5000, 10).unwrap());
        assert_eq!(range, TimeRange { start: TimestampMs(601), end: TimestampMs(700) });
        let range = needed_range(Look { at: None, offset: -50 }, 100, Grid::new(0, 5000, 10).unwrap());
        assert_eq!(range, TimeRange { start: TimestampMs(-49), end: TimestampMs(5050) });
    }
}
