//! One case of a script: a query, its times, and what is expected of it.

use model::{GoRegex, Labels, TimestampMs};
use promql::{EvalTime, Severity};

use crate::series::Position;

/// A query with its expectations.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) query: String,
    pub(crate) time: EvalTime,
    pub(crate) expected: Expected,
}

/// What is expected of a query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    /// The query fails, with an error that meets all of these.
    pub(crate) failure: Option<Vec<Wanted>>,
    pub(crate) ordered: bool,
    pub(crate) warnings: Annotated,
    pub(crate) infos: Annotated,
    pub(crate) scalar: Option<f64>,
    pub(crate) text: Option<String>,
    /// Positions of a range vector that an instant query answers.
    pub(crate) range_vector: Option<Spacing>,
    /// In order of the lines, label sets once.
    pub(crate) series: Vec<ExpectedSeries>,
}

/// What is expected of annotations of one severity.
#[derive(Clone, Debug, Default)]
pub(crate) struct Annotated {
    /// At least one, without further conditions (`eval_warn`).
    pub(crate) some: bool,
    pub(crate) none: bool,
    /// Each is met by one, and each that there is meets one of these, if there are any of these.
    pub(crate) wanted: Vec<Wanted>,
}

/// What a text has to be.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Any,
    Exactly(String),
    /// Contains a match. The pattern as written, and made to match whole texts.
    Matching(String, GoRegex),
}

/// Times of positions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Spacing {
    pub(crate) start: TimestampMs,
    pub(crate) end: TimestampMs,
    pub(crate) step_ms: i64,
}

/// A line of expected values.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ExpectedSeries {
    pub(crate) labels: Labels,
    pub(crate) values: Vec<Position>,
}

impl Expected {
    pub(crate) fn annotated(&self, severity: Severity) -> &Annotated {
        match severity {
            Severity::Warning => &self.warnings,
            Severity::Info => &self.infos,
        }
    }

    pub(crate) fn annotated_mut(&mut self, severity: Severity) -> &mut Annotated {
        match severity {
            Severity::Warning => &mut self.warnings,
            Severity::Info => &mut self.infos,
        }
    }
}

impl Wanted {
    /// A pattern that is searched for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn matching(pattern: &str) -> Result<Self, String> {
        // A `GoRegex` matches whole texts.
        let search = format!("(?s:.*)(?:{pattern})(?s:.*)");
        let regex = GoRegex::new(pattern).and_then(|_| GoRegex::new(&search));
        regex.map(|regex| Self::Matching(pattern.to_owned(), regex)).map_err(|error| error.to_string())
    }

    pub(crate) fn is_met_by(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(wanted) => wanted == text,
            Self::Matching(_, regex) => regex.is_match(text),
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::Exactly(text) => write!(f, "{text:?}"),
            Self::Matching(pattern, _) => write!(f, "a match of {pattern:?}"),
        }
    }
}
