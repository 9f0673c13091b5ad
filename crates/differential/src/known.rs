//! What is known to differ, and why: between versions of Prometheus, never between us and the version that we follow.

use crate::answer::Answer;
use crate::dialect::Dialect;

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

/// A difference between versions.
#[derive(Clone, Copy, Debug)]
pub struct VersionDifference {
    /// Which peers have it.
    pub peers: &'static [Dialect],
    /// Why.
    pub reason: &'static str,
    /// Whether a difference on this query may be this one.
    explains: fn(query: &str, theirs: &Answer, ours: &Answer) -> bool,
}

/// Why answers may differ without anybody being wrong.
///
/// Sums are added in another order, libraries round the last digit otherwise. Mostly that is not seen, but a sine of a large
/// number or a comparison of two numbers that are almost equal makes much of it. Such a query is known by what becomes of our
/// own answer when the data change in the thirteenth digit.
pub const ROUNDING: &str = "the answer hangs on the last digits of the data";

/// All of them.
pub const VERSION_DIFFERENCES: &[VersionDifference] = &[
    VersionDifference {
        peers: &[Dialect::Old],
        reason: "2.42 extrapolates rates of counters that start near zero further: it first asks for the zero, then whether \
                 the range's start is near",
        explains: |query, _, _| query.contains("rate(") || query.contains("increase("),
    },
    VersionDifference {
        peers: &[Dialect::Old],
        reason: "the deviation of a group whose first value is NaN or infinite is 0 from that value in 2.42, NaN since",
        explains: |query, _, _| ["stddev ", "stdvar ", "stddev(", "stdvar("].iter().any(|name| query.contains(name)),
    },
    VersionDifference {
        peers: &[Dialect::Old],
        reason: "2.42 averages by a running mean, so that the mean of equal numbers may not be that number",
        explains: |query, _, _| query.contains("avg_over_time("),
    },
    VersionDifference {
        peers: &[Dialect::Old],
        reason: "the range of predict_linear moves from step to step in 2.42 although it is fixed by @",
        explains: |query, _, _| query.contains("predict_linear(") && query.contains('@'),
    },
    VersionDifference {
        peers: &[Dialect::Experimental],
        reason: "upstream fails on some anchored and smoothed selectors with an index out of range",
        explains: |_, theirs, _| matches!(theirs, Answer::Error { text, .. } if text.starts_with("unexpected error: runtime error")),
    },
    VersionDifference {
        peers: &[Dialect::Experimental],
        reason: "in 3.14.0 info() keeps a name that was to be dropped later; since then it goes",
        explains: |query, theirs, ours| {
            let named = |answer: &Answer| answer.series().iter().any(|series| series.labels.contains_key("__name__"));
            query.contains("info(") && named(theirs) && !named(ours)
        },
    },
    VersionDifference {
        peers: &[Dialect::Experimental],
        reason: "info() of selectors with offset or @ selects information at those times, but looks it up without them: upstream \
                 finds what both have in common",
        explains: |query, _, _| query.contains("info(") && (query.contains('@') || query.contains("offset")),
    },
    VersionDifference {
        peers: &[Dialect::Old, Dialect::Stable, Dialect::Experimental],
        reason: "timestamp() of a selector fixed by @ forgets that selector's offset, and finds what happens to be read there",
        explains: |query, _, _| query.contains("timestamp(") && query.contains('@') && query.contains("offset"),
    },
];

/// Why the peer may answer otherwise, if that is known.
pub fn reason(dialect: Dialect, query: &str, theirs: &Answer, ours: &Answer) -> Option<&'static str> {
    let mut known = VERSION_DIFFERENCES.iter().filter(|known| known.peers.contains(&dialect));
    known.find(|known| (known.explains)(query, theirs, ours)).map(|known| known.reason)
}
