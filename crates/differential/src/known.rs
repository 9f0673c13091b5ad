//! What is known to differ, and why: between versions of Prometheus, never between us and the version that we follow.
//!
//! That version lies between two releases, 3.14.0 and 3.15.0. What was mended between them is listed with the release that has
//! it, so that nothing of it is excused of a peer of 3.15.0.

use promql_syntax::{Expr, Options, parse_expr};

use crate::answer::{Answer, Point, PointValue};
use crate::comparison::Rules;
use crate::dialect::Dialect;
use crate::peer::Version;
use crate::shrink::parts;

/// A query that a peer does not answer as the compliance list says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAsListed {
    /// The query.
    pub query: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// Labels may have any name since 3.0, so that these do not fail any more.
pub const NOT_AS_LISTED: [NotAsListed; 2] = [
    NotAsListed {
        query: r#"label_replace(demo_num_cpus, "~invalid", "", "src", "(.*)")"#,
        reason: "any text may be the name of a label since 3.0",
    },
    NotAsListed {
        query: r#"label_join(demo_num_cpus, "~invalid", "-", "instance")"#,
        reason: "any text may be the name of a label since 3.0",
    },
];

/// A difference between versions, or of what Prometheus does by chance.
#[derive(Clone, Copy, Debug)]
pub struct VersionDifference {
    /// Which peers have it.
    pub peers: &'static [Dialect],
    /// From which version on it is gone.
    pub mended: Option<Version>,
    /// Why.
    pub reason: &'static str,
    /// Whether a difference on this query may be this one.
    explains: fn(query: &str, theirs: &Answer, ours: &Answer) -> bool,
}

/// Why answers may differ without anybody being wrong.
///
/// Sums are added in another order, libraries round the last digit otherwise. Mostly that is not seen, but a sine of a large
/// number or a comparison of two numbers that are almost equal makes much of it. Such a query is known by what becomes of our
/// own answer when the data change in the thirteenth digit, and series come in the opposite order: sums of native histograms
/// hang on that, too, where zero buckets have to be widened, and so does what is remarked last.
pub const ROUNDING: &str = "the answer hangs on the last digits of the data, or on the order of series";

/// A query that fails for two reasons is refused for the one that is met first. That a part of it fails for the peer's reason
/// on our side, too, is asked of our engine.
pub const TWO_REASONS: &str = "the query fails for two reasons, and each side meets another one first";

/// All of them.
pub const VERSION_DIFFERENCES: &[VersionDifference] = &[
    VersionDifference {
        peers: &[Dialect::Old],
        mended: None,
        reason: "2.42 extrapolates rates of counters that start near zero further: it first asks for the zero, then whether \
                 the range's start is near",
        explains: |query, _, _| query.contains("rate(") || query.contains("increase("),
    },
    VersionDifference {
        peers: &[Dialect::Old],
        mended: None,
        reason: "the deviation of a group whose first value is NaN or infinite is 0 from that value in 2.42, NaN since",
        explains: |query, _, _| ["stddev ", "stdvar ", "stddev(", "stdvar("].iter().any(|name| query.contains(name)),
    },
    VersionDifference {
        peers: &[Dialect::Old],
        mended: None,
        reason: "2.42 averages by a running mean, so that the mean of equal numbers may not be that number",
        explains: |query, _, _| query.contains("avg_over_time("),
    },
    VersionDifference {
        peers: &[Dialect::Old],
        mended: None,
        reason: "the range of predict_linear moves from step to step in 2.42 although it is fixed by @",
        explains: |query, _, _| query.contains("predict_linear(") && query.contains('@'),
    },
    VersionDifference {
        peers: &[Dialect::Stable, Dialect::Experimental],
        mended: Some(V3_15),
        reason: "3.14.0 finds nothing in a subquery fixed by @ where the function around it is not fixed",
        explains: |query, _, _| query.contains("predict_linear(") && query.contains('@') && query.contains(':'),
    },
    VersionDifference {
        peers: &[Dialect::Stable, Dialect::Experimental],
        mended: Some(V3_15),
        reason: "3.14.0 moves buckets of native histograms to wrong places when it closes gaps between them",
        explains: |_, theirs, ours| differs_in_buckets_only(theirs, ours),
    },
    VersionDifference {
        peers: &[Dialect::Stable, Dialect::Experimental],
        mended: Some(V3_15),
        reason: "3.14.0 does not see the reset of a native histogram when a bucket behind an empty one disappears",
        explains: |query, _, _| {
            query.contains("size_") && ["rate(", "increase(", "resets("].iter().any(|name| query.contains(name))
        },
    },
    VersionDifference {
        peers: &[Dialect::Stable, Dialect::Experimental],
        mended: Some(V3_15),
        reason: "3.14.0 reads no buckets for a deviation of histograms below histogram_count or its like",
        explains: |query, _, _| query.contains("histogram_std"),
    },
    VersionDifference {
        peers: &[Dialect::Experimental],
        mended: Some(V3_15),
        reason: "3.14.0 fails on some anchored and smoothed selectors with an index out of range",
        explains: |_, theirs, _| matches!(theirs, Answer::Error { text, .. } if text.starts_with("unexpected error: runtime error")),
    },
    VersionDifference {
        peers: &[Dialect::Experimental],
        mended: Some(V3_15),
        reason: "in 3.14.0 info() keeps a name that was to be dropped later",
        explains: |query, theirs, ours| query.contains("info(") && names(theirs) > names(ours),
    },
    VersionDifference {
        peers: &[Dialect::Experimental],
        mended: Some(V3_15),
        reason: "in 3.14.0 info() of selectors with offset or @ selects information at those times, but looks it up without \
                 them: it finds what both have in common",
        explains: |query, _, _| query.contains("info(") && (query.contains('@') || query.contains("offset")),
    },
    VersionDifference {
        peers: &[Dialect::Experimental],
        mended: None,
        reason: "a staleness marker of a histogram makes Prometheus refuse a smoothed or anchored range without histograms",
        explains: |_, theirs, ours| {
            matches!(theirs, Answer::Error { text, .. } if text.ends_with("modifier is not supported with histograms"))
                && matches!(ours, Answer::Value { .. })
        },
    },
    VersionDifference {
        peers: &[Dialect::Old, Dialect::Stable, Dialect::Experimental],
        mended: None,
        reason: "timestamp() of a selector fixed by @ forgets that selector's offset, and finds what happens to be read there",
        explains: |query, _, _| query.contains("timestamp(") && query.contains('@') && query.contains("offset"),
    },
    VersionDifference {
        peers: &[Dialect::Stable, Dialect::Experimental],
        mended: None,
        reason: "a selector fixed by @ in a subquery with an offset is read at that offset, too, when the subquery happens to \
                 start at the time of the query",
        explains: |query, _, _| {
            parse_expr(query, Options::all()).is_ok_and(|expr| has_fixed_part_in_shifted_subquery(&expr))
        },
    },
    VersionDifference {
        peers: &[Dialect::Stable, Dialect::Experimental],
        mended: None,
        reason: "a subquery fixed by @ is evaluated at later times, too, where the function around it is not fixed: what is \
                 remarked there is about nothing that the answer has",
        explains: |query, theirs, ours| {
            query.contains("predict_linear(")
                && query.contains('@')
                && query.contains(':')
                && differs_in_remarks_only(theirs, ours)
        },
    },
    VersionDifference {
        peers: &[Dialect::Stable, Dialect::Experimental],
        mended: None,
        reason: "over a range, the series of a union come in no order; what is remarked on a mix of floats and histograms hangs on \
                 it",
        explains: |query, theirs, ours| query.contains(" or ") && differs_in_remarks_only(theirs, ours),
    },
    VersionDifference {
        peers: &[Dialect::Experimental],
        mended: None,
        reason: "when names are dropped at the end of a query, a float and a histogram of equal labels pass as one series",
        explains: |query, theirs, ours| {
            query.contains("size_")
                && matches!(theirs, Answer::Value { .. })
                && matches!(ours, Answer::Error { text, .. } if text.ends_with("the same labelset"))
        },
    },
    VersionDifference {
        peers: &[Dialect::Old, Dialect::Stable, Dialect::Experimental],
        mended: None,
        reason: "count_values shows the last digit of a power or exponential, which Go has otherwise",
        explains: |query, _, _| {
            query.contains("count_values") && ["^", "exp(", "sinh(", "cosh("].iter().any(|name| query.contains(name))
        },
    },
    VersionDifference {
        peers: &[Dialect::Stable, Dialect::Experimental],
        mended: None,
        reason: "equal native histograms of two chunks, with other buckets that are empty, count as a change",
        explains: |query, _, _| query.contains("changes(") && query.contains("size_"),
    },
    VersionDifference {
        peers: &[Dialect::Old, Dialect::Stable, Dialect::Experimental],
        mended: None,
        reason: "Go's logarithms of subnormal numbers are wrong",
        explains: |query, _, ours| {
            let is_tiny = |value: f64| value.is_finite() && value < LOG10_OF_SUBNORMAL;
            ["ln(", "log2(", "log10("].iter().any(|name| query.contains(name)) && floats(ours).any(is_tiny)
        },
    },
    VersionDifference {
        peers: &[Dialect::Old, Dialect::Stable, Dialect::Experimental],
        mended: None,
        reason: "what the deviation of times is hangs on the order of adding, as they are large and close to each other",
        explains: |query, _, _| {
            ["stdvar", "stddev"].iter().any(|name| query.contains(name))
                && ["ts_of_", "timestamp(", "time()"].iter().any(|name| query.contains(name))
        },
    },
    VersionDifference {
        peers: &[Dialect::Old, Dialect::Stable, Dialect::Experimental],
        mended: None,
        reason: "of 0 and -0, the one that comes first is the least or greatest; dividing by it shows which that was",
        explains: |query, theirs, ours| {
            query.contains('/')
                && ["min", "max"].iter().any(|name| query.contains(name))
                && has_infinity(theirs)
                && has_infinity(ours)
        },
    },
    VersionDifference {
        peers: &[Dialect::Old, Dialect::Stable, Dialect::Experimental],
        mended: None,
        reason: "the remainder, or the sine, of a large number that is computed hangs on its last digit, which libraries have \
                 otherwise",
        explains: |query, theirs, ours| {
            let has_one_of = |names: &[&str]| names.iter().any(|name| query.contains(name));
            has_one_of(&["tan(", "sin(", "cos(", "%"])
                && has_one_of(&["cosh(", "sinh(", "exp(", "^", "histogram_quantile"])
                && has_same_points(theirs, ours)
        },
    },
    VersionDifference {
        peers: &[Dialect::Old, Dialect::Stable, Dialect::Experimental],
        mended: None,
        reason: "a fall by the last digit, in which Go's cosh and the order of adding to a deviation show, is the reset of a counter",
        explains: |query, _, _| {
            let has_one_of = |names: &[&str]| names.iter().any(|name| query.contains(name));
            has_one_of(&["cosh(", "stddev", "stdvar"]) && has_one_of(&["rate(", "increase(", "resets("])
        },
    },
];

/// Why the peer may answer otherwise, if that is known.
pub fn reason(dialect: Dialect, version: Version, query: &str, theirs: &Answer, ours: &Answer) -> Option<&'static str> {
    let mut known = VERSION_DIFFERENCES.iter().filter(|known| known.applies_to(dialect, version));
    known.find(|known| (known.explains)(query, theirs, ours)).map(|known| known.reason)
}

impl VersionDifference {
    fn applies_to(&self, dialect: Dialect, version: Version) -> bool {
        self.peers.contains(&dialect) && self.mended.is_none_or(|mended| version < mended)
    }
}

fn has_fixed_part_in_shifted_subquery(expr: &Expr) -> bool {
    let has_fixed_part = |expr: &Expr| {
        let mut rest = vec![expr];
        while let Some(part) = rest.pop() {
            match part {
                Expr::Vector(selector) if selector.at.is_some() => return true,
                Expr::Matrix(matrix) if matrix.selector.at.is_some() => return true,
                Expr::Subquery(subquery) if subquery.at.is_some() => return true,
                part => rest.extend(parts(part)),
            }
        }
        false
    };
    match expr {
        Expr::Subquery(subquery) if !subquery.offset.is_zero() && has_fixed_part(&subquery.expr) => true,
        expr => parts(expr).into_iter().any(has_fixed_part_in_shifted_subquery),
    }
}

/// Whether both have the same series with the same values.
fn differs_in_remarks_only(theirs: &Answer, ours: &Answer) -> bool {
    let values = Rules { fraction: 1e-6, margin: 1e-12, texts: false, ordered: false };
    matches!((theirs, ours), (Answer::Value { .. }, Answer::Value { .. })) && values.compare(theirs, ours).is_ok()
}

fn floats(answer: &Answer) -> impl Iterator<Item = f64> {
    answer.series().iter().flat_map(|series| &series.points).filter_map(|point| match &point.value {
        PointValue::Float(value) => Some(*value),
        PointValue::Histogram(_) => None,
    })
}

/// Whether there are values of the same series at the same times.
fn has_same_points(theirs: &Answer, ours: &Answer) -> bool {
    let times = |answer: &Answer| -> Vec<_> {
        let series = answer.series().iter();
        let mut times: Vec<_> = series
            .map(|series| (series.labels.clone(), series.points.iter().map(|point| point.at).collect::<Vec<_>>()))
            .collect();
        times.sort();
        times
    };
    times(theirs) == times(ours)
}

fn has_infinity(answer: &Answer) -> bool {
    answer.series().iter().flat_map(|series| &series.points).any(|point| match &point.value {
        PointValue::Float(value) => value.is_infinite(),
        PointValue::Histogram(histogram) => histogram.count.is_infinite() || histogram.sum.is_infinite(),
    })
}

/// Series that have a name.
fn names(answer: &Answer) -> usize {
    answer.series().iter().filter(|series| series.labels.contains_key("__name__")).count()
}

/// Whether points differ, but in no float, and in no count or sum of a histogram.
fn differs_in_buckets_only(theirs: &Answer, ours: &Answer) -> bool {
    let points = |answer: &Answer| -> Vec<Point> {
        let mut series = answer.series().to_vec();
        series.sort_by(|left, right| left.labels.cmp(&right.labels));
        series.into_iter().flat_map(|series| series.points).collect()
    };
    let (theirs, ours) = (points(theirs), points(ours));
    let same = |left: f64, right: f64| left == right || (left - right).abs() <= 1e-9 * left.abs();
    theirs.len() == ours.len()
        && theirs != ours
        && theirs.iter().zip(&ours).all(|(theirs, ours)| match (&theirs.value, &ours.value) {
            (PointValue::Histogram(theirs), PointValue::Histogram(ours)) => {
                same(theirs.count, ours.count) && same(theirs.sum, ours.sum)
            }
            (PointValue::Float(theirs), PointValue::Float(ours)) => {
                same(*theirs, *ours) || theirs.is_nan() && ours.is_nan()
            }
            _ => false,
        })
}

/// Logarithms of subnormal numbers are below it, whatever their base.
const LOG10_OF_SUBNORMAL: f64 = -307.6;

/// The first release that has all of the version that ours follows.
const V3_15: Version = Version { major: 3, minor: 15 };
