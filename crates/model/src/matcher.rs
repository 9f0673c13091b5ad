//! Label matchers: what a selector asks of one label.

use std::fmt;
use std::sync::Arc;

use crate::Labels;

/// How a matcher compares.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

impl MatchOp {
    /// As it is written in a selector.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// A condition on one label. An absent label has the empty value.
#[derive(Clone)]
pub struct Matcher {
    name: Arc<str>,
    op: MatchOp,
    value: Arc<str>,
    regex: Option<Arc<regex::Regex>>,
}

/// A pattern that is not a regular expression.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("error parsing regexp: {message}")]
pub struct MatcherError {
    /// What is wrong with the pattern.
    pub message: String,
}

impl Matcher {
    /// A matcher; compiles the pattern of a regular-expression one.
    ///
    /// # Errors
    /// A pattern that does not parse, or compiles to more than the size limit.
    pub fn new(op: MatchOp, name: &str, value: &str) -> Result<Self, MatcherError> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Arc::new(compile(value)?)),
        };
        Ok(Self { name: name.into(), op, value: value.into(), regex })
    }

    /// `name="value"`, which cannot fail.
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// The label's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or pattern as written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label value (empty for an absent label) meets the condition.
    pub fn matches(&self, value: &str) -> bool {
        match self.op {
            MatchOp::Equal => *self.value == *value,
            MatchOp::NotEqual => *self.value != *value,
            MatchOp::Regex => self.regex().is_match(value),
            MatchOp::NotRegex => !self.regex().is_match(value),
        }
    }

    /// Whether the set's label meets the condition.
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.get(&self.name).unwrap_or(""))
    }

    /// Whether an absent label meets the condition.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    fn regex(&self) -> &regex::Regex {
        self.regex.as_ref().expect("regular-expression matchers are built with their pattern compiled")
    }
}

fn compile(pattern: &str) -> Result<regex::Regex, MatcherError> {
    regex::RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|error| MatcherError { message: error.to_string() })
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.as_str(), self.value)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bound on a compiled pattern, bytes: a short text can ask for a huge automaton (`(a{1000}){1000}`).
const REGEX_BYTES_MAX: usize = 10 << 20;
