//! `$filter` of the metrics API: which values of dimensions, and what to split by.
//!
//! The part of OData that Azure takes here: comparisons `Name eq 'value'` and `Name ne 'value'` joined by `and`, and
//! alternatives of one name joined by `or`, in parentheses or not. `*` stands for every value. Every dimension that is
//! named splits the answer.

use std::fmt;

use crate::definitions::{Definition, Dimension};

/// What a filter may be long.
pub const FILTER_BYTES_MAX: usize = 4096;

/// Which values of which dimensions. Empty: all of them, as one series.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// For every dimension that is named; all must hold.
    clauses: Vec<Clause>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Clause {
    dimension: Dimension,
    /// One of these, compared without regard to case. Empty: any value.
    wanted: Vec<String>,
    unwanted: Vec<String>,
}

/// Text that is no filter for a metric.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FilterError {
    /// Too long.
    #[error("the filter is longer than {FILTER_BYTES_MAX} bytes")]
    TooLong,
    /// Not of the form above.
    #[error("the filter is broken at byte {at}: expected {expected}")]
    Broken {
        /// Where.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// Not a dimension of the metric.
    #[error("the metric {metric} has no dimension {name:?}; it has: {known}")]
    UnknownDimension {
        /// The metric.
        metric: &'static str,
        /// What was named.
        name: String,
        /// The dimensions that there are.
        known: String,
    },
    /// Alternatives are values that one dimension may have.
    #[error("the filter joins by `or` what is not `eq` of one dimension; use `and`")]
    MixedAlternatives,
}

impl Filter {
    /// Reads a filter for a metric. Blank text is no filter.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str, definition: &'static Definition) -> Result<Self, FilterError> {
        if text.len() > FILTER_BYTES_MAX {
            return Err(FilterError::TooLong);
        }
        let mut parser = Parser { text, at: 0, definition };
        let mut filter = Self::default();
        parser.skip_spaces();
        if parser.rest().is_empty() {
            return Ok(filter);
        }
        loop {
            let clause = parser.alternatives()?;
            filter.join(clause);
            if parser.rest().is_empty() {
                return Ok(filter);
            }
            parser.keyword("and", "`and`, `or` or the end")?;
        }
    }

    /// The dimensions that the answer is split by.
    pub fn split(&self) -> impl Iterator<Item = Dimension> {
        self.clauses.iter().map(|clause| clause.dimension)
    }

    /// Whether a series belongs to the answer; `value` gives its labels.
    pub(crate) fn admits<'v>(&self, value: impl Fn(&str) -> &'v str) -> bool {
        self.clauses.iter().all(|clause| clause.admits(value(clause.dimension.label)))
    }

    fn join(&mut self, clause: Clause) {
        match self.clauses.iter_mut().find(|known| known.dimension == clause.dimension) {
            Some(known) => known.narrow(clause),
            None => self.clauses.push(clause),
        }
    }
}

impl Clause {
    fn admits(&self, value: &str) -> bool {
        let is = |other: &String| other.eq_ignore_ascii_case(value);
        (self.wanted.is_empty() || self.wanted.iter().any(is)) && !self.unwanted.iter().any(is)
    }

    /// Both clauses must hold.
    fn narrow(&mut self, other: Self) {
        self.unwanted.extend(other.unwanted);
        if self.wanted.is_empty() {
            self.wanted = other.wanted;
        } else if !other.wanted.is_empty() {
            let both = |value: &String| other.wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(value));
            let (common, alone) = std::mem::take(&mut self.wanted).into_iter().partition::<Vec<_>, _>(both);
            match common.is_empty() {
                false => self.wanted = common,
                // No value fits, which an empty list would not say.
                true => {
                    self.unwanted.extend(alone.iter().cloned());
                    self.wanted = alone;
                }
            }
        }
    }
}

impl fmt::Display for Filter {
    /// As it could have been written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, clause) in self.clauses.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { " and " })?;
            clause.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.dimension.name;
        let compare = |operator: &str, value: &String| format!("{name} {operator} '{}'", value.replace('\'', "''"));
        let wanted: Vec<String> = self.wanted.iter().map(|value| compare("eq", value)).collect();
        let mut parts: Vec<String> = self.unwanted.iter().map(|value| compare("ne", value)).collect();
        match wanted.is_empty() {
            false => parts.insert(0, format!("({})", wanted.join(" or "))),
            true if parts.is_empty() => parts.push(format!("{name} eq '*'")),
            true => {}
        }
        f.write_str(&parts.join(" and "))
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    definition: &'static Definition,
}

impl<'t> Parser<'t> {
    /// `Name eq 'a' or Name eq 'b'`, or the same in parentheses.
    fn alternatives(&mut self) -> Result<Clause, FilterError> {
        let parenthesis = self.symbol('(');
        let (dimension, equal, value) = self.comparison()?;
        let mut values = vec![value];
        while self.is_keyword("or") {
            self.keyword("or", "`or`")?;
            let (other, is_equal, value) = self.comparison()?;
            if !(equal && is_equal && other == dimension) {
                return Err(FilterError::MixedAlternatives);
            }
            values.push(value);
        }
        if parenthesis && !self.symbol(')') {
            return Err(self.broken("`)`, or `or` and another value of the same dimension"));
        }
        let clause = Clause { dimension, wanted: Vec::new(), unwanted: Vec::new() };
        Ok(match equal {
            true if values.iter().any(|value| value == "*") => clause,
            true => Clause { wanted: values, ..clause },
            false => Clause { unwanted: values, ..clause },
        })
    }

    /// The dimension, whether it is to be equal, and to what.
    fn comparison(&mut self) -> Result<(Dimension, bool, String), FilterError> {
        let dimension = self.dimension()?;
        let equal = self.is_keyword("eq");
        self.keyword(if equal { "eq" } else { "ne" }, "`eq` or `ne`")?;
        Ok((dimension, equal, self.value()?))
    }

    fn dimension(&mut self) -> Result<Dimension, FilterError> {
        let rest = self.rest();
        let quoted = rest.starts_with('\'');
        let name = if quoted { self.value()? } else { self.word().to_owned() };
        if name.is_empty() {
            return Err(self.broken("the name of a dimension"));
        }
        let dimensions = self.definition.dimensions;
        dimensions.iter().find(|dimension| dimension.name.eq_ignore_ascii_case(&name)).copied().ok_or_else(|| {
            let known: Vec<&str> = dimensions.iter().map(|dimension| dimension.name).collect();
            let name = name.chars().take(64).collect();
            FilterError::UnknownDimension { metric: self.definition.name, name, known: known.join(", ") }
        })
    }

    /// A text in single quotes; two of them stand for one inside.
    fn value(&mut self) -> Result<String, FilterError> {
        if !self.rest().starts_with('\'') {
            return Err(self.broken("a value in single quotes"));
        }
        self.at += 1;
        let mut value = String::new();
        loop {
            let Some(end) = self.rest().find('\'') else { return Err(self.broken("a closing quote")) };
            value.push_str(&self.rest()[..end]);
            self.at += end + 1;
            if !self.rest().starts_with('\'') {
                break;
            }
            value.push('\'');
            self.at += 1;
        }
        self.skip_spaces();
        Ok(value)
    }

    fn word(&mut self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|char: char| !(char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '/')));
        let word = &rest[..end.unwrap_or(rest.len())];
        self.at += word.len();
        self.skip_spaces();
        word
    }

    fn is_keyword(&self, word: &str) -> bool {
        let rest = self.rest();
        let ends = || rest[word.len()..].starts_with(|char: char| !char.is_ascii_alphanumeric());
        rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)) && ends()
    }

    fn keyword(&mut self, word: &str, expected: &'static str) -> Result<(), FilterError> {
        if !self.is_keyword(word) {
            return Err(self.broken(expected));
        }
        self.at += word.len();
        self.skip_spaces();
        Ok(())
    }

    fn symbol(&mut self, symbol: char) -> bool {
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len_utf8();
            self.skip_spaces();
        }
        found
    }

    fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn broken(&self, expected: &'static str) -> FilterError {
        FilterError::Broken { at: self.at, expected }
    }
}

#[cfg(test)]
mod tests;
