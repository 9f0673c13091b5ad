//! Which part of the language both sides have, and how a query is written for the peer.

use std::fmt;

use promql_syntax::{Function, Options, functions};

/// What a peer understands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum)]
pub enum Dialect {
    /// Prometheus 2.42: floats; ranges are closed on the left; no nested alignments of subqueries.
    Old,
    /// The version that ours follows, without experimental parts.
    Stable,
    /// The version that ours follows, with everything.
    Experimental,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Old => "old",
            Self::Stable => "stable",
            Self::Experimental => "experimental",
        })
    }
}

impl Dialect {
    /// Whether queries may use this function.
    pub fn has(self, function: &Function) -> bool {
        match self {
            Self::Old if function.name == SMOOTHING => true,
            Self::Old => !function.experimental && !NEWER_THAN_OLD.contains(&function.name),
            Self::Stable => !function.experimental,
            Self::Experimental => !LEFT_OUT.contains(&function.name),
        }
    }

    /// All functions that queries may use.
    pub fn functions(self) -> Vec<&'static Function> {
        functions().iter().filter(|function| self.has(function)).collect()
    }

    /// The query in the peer's words.
    pub fn translate(self, query: &str) -> String {
        match self {
            Self::Old => query.replace(&format!("{SMOOTHING}("), "holt_winters("),
            Self::Stable | Self::Experimental => query.to_owned(),
        }
    }

    /// What our parser takes.
    pub fn grammar(self) -> Options {
        match self {
            // Smoothing is experimental now.
            Self::Old => Options { experimental_functions: true, ..Options::default() },
            Self::Stable => Options::default(),
            Self::Experimental => Options::all(),
        }
    }

    /// The peer's switches.
    pub(crate) fn features(self) -> &'static str {
        match self {
            Self::Old | Self::Stable => "native-histograms",
            Self::Experimental => {
                "native-histograms,promql-experimental-functions,promql-delayed-name-removal,promql-duration-expr,\
                 promql-extended-range-selectors,promql-binop-fill-modifiers"
            }
        }
    }

    /// Whether native histograms are computed with.
    pub fn has_histograms(self) -> bool {
        self != Self::Old
    }

    /// Whether experimental syntax may be used.
    pub fn is_experimental(self) -> bool {
        self == Self::Experimental
    }
}

/// Had another name, and no switch.
const SMOOTHING: &str = "double_exponential_smoothing";

/// Came after 2.42, or compute with native histograms, which 2.42 does otherwise.
const NEWER_THAN_OLD: [&str; 8] = [
    "first_over_time",
    "histogram_avg",
    "histogram_count",
    "histogram_fraction",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
    "day_of_year",
];

/// Needs start timestamps, which are a switch of the storage.
const LEFT_OUT: [&str; 1] = ["start_timestamp"];
