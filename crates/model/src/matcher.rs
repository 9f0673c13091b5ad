//! Label matchers: what a selector asks of one label.

use std::fmt;
use std::sync::Arc;

use crate::Labels;
use crate::go_regex::{self, GoRegex, Shortcut};

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
    pattern: Option<Arc<Pattern>>,
}

/// A compiled pattern.
struct Pattern {
    /// What every match begins with; may be empty.
    prefix: String,
    test: Test,
}

enum Test {
    Shortcut(Shortcut),
    Automaton(GoRegex),
}

/// A pattern that is not a regular expression, worded as Go words it.
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
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Arc::new(Pattern::new(value)?)),
        };
        Ok(Self { name: name.into(), op, value: value.into(), pattern })
    }

    /// `name="value"`, which cannot fail.
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), pattern: None }
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
            MatchOp::Regex => self.pattern().is_match(value),
            MatchOp::NotRegex => !self.pattern().is_match(value),
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

    /// Whether every value meets the condition, as far as that can be seen without trying: `=~".*"`.
    pub fn matches_all(&self) -> bool {
        let is_all = |pattern: &Arc<Pattern>| matches!(&pattern.test, Test::Shortcut(shortcut) if shortcut.is_all());
        self.op == MatchOp::Regex && self.pattern.as_ref().is_some_and(is_all)
    }

    /// All values that the pattern of a regular-expression matcher matches, sorted, when they are few or written out; `""`,
    /// which stands for an absent label, may be one. For `!~` these are the values that do *not* meet the condition.
    pub fn set_matches(&self) -> Option<&[String]> {
        match &self.pattern.as_ref()?.test {
            Test::Shortcut(Shortcut::Set(texts)) => Some(texts),
            _ => None,
        }
    }

    /// What every value begins with that the pattern of a regular-expression matcher matches, if there is such a beginning.
    /// For `!~` a value that begins otherwise meets the condition.
    pub fn prefix(&self) -> Option<&str> {
        Some(self.pattern.as_ref()?.prefix.as_str()).filter(|prefix| !prefix.is_empty())
    }

    /// Whether matching runs an automaton, which costs memory: up to a few MiB for patterns made to cost.
    pub fn has_automaton(&self) -> bool {
        self.pattern.as_ref().is_some_and(|pattern| matches!(pattern.test, Test::Automaton(_)))
    }

    fn pattern(&self) -> &Pattern {
        self.pattern.as_ref().expect("regular-expression matchers are built with their pattern compiled")
    }
}

impl Pattern {
    fn new(pattern: &str) -> Result<Self, MatcherError> {
        let node = go_regex::trimmed(go_regex::read(pattern)?);
        let prefix = go_regex::prefix(&node);
        let test = match Shortcut::of(&node) {
            Some(shortcut) => Test::Shortcut(shortcut),
            None => Test::Automaton(GoRegex::compile(pattern, &node)?),
        };
        Ok(Self { prefix, test })
    }

    fn is_match(&self, value: &str) -> bool {
        match &self.test {
            Test::Shortcut(shortcut) => shortcut.is_match(value),
            Test::Automaton(regex) => value.starts_with(&self.prefix) && regex.is_match(value),
        }
    }
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

#[cfg(test)]
mod tests;
