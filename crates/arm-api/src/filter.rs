//! `$filter` → an expression, in the part of OData's grammar that management and directory clients send.
//!
//! Comparisons (`displayName eq 'x'`), calls (`atScope()`, `startswith(displayName,'x')`), `in` lists, lambdas
//! (`servicePrincipalNames/any(c:c eq 'x')`), `and`, `or`, `not`, parentheses. Who gets an expression says what it
//! understands; nothing is left out silently. Length, depth and number of terms are bounded.

mod parse;
mod value;

/// A condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Filter {
    /// `field op literal`.
    Compare { field: String, comparison: Comparison, literal: Literal },
    /// `field in ('a','b')`.
    In { field: String, literals: Vec<Literal> },
    /// `name(argument,…)`.
    Call { name: String, arguments: Vec<Argument> },
    /// `collection/any(variable:condition)`.
    Any { collection: String, variable: String, condition: Box<Filter> },
    /// All of them.
    And(Vec<Filter>),
    /// One of them at least.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
}

/// How a field is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// A value that stands in a filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Literal {
    /// `'it''s'`: a text.
    Text(String),
    /// Anything without quotes: `true`, `5`, `2026-11-23T00:00:00Z`, a GUID.
    Word(String),
}

/// What a call is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Argument {
    /// A literal with quotes.
    Text(String),
    /// A field's name, or a literal without quotes.
    Word(String),
}

/// Why a text is no filter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum FilterError {
    #[error("the filter is longer than {FILTER_BYTES_MAX} bytes")]
    TooLong,
    #[error("the filter is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    #[error("the filter has more than {TERMS_MAX} terms")]
    TooManyTerms,
    #[error("at character {at}: {expected} is expected{}", but(.found))]
    Unexpected { at: usize, expected: &'static str, found: Option<String> },
}

impl Filter {
    /// Reads a filter.
    pub(crate) fn parse(text: &str) -> Result<Self, FilterError> {
        parse::filter(text)
    }

    /// The terms that all must hold, if the filter is a plain conjunction.
    pub(crate) fn terms(&self) -> &[Self] {
        match self {
            Self::And(terms) => terms,
            other => std::slice::from_ref(other),
        }
    }

    /// The text that `field` must be equal to, if that is what this says.
    pub(crate) fn equals(&self, name: &str) -> Option<&str> {
        match self {
            Self::Compare { field, comparison: Comparison::Equal, literal } if field.eq_ignore_ascii_case(name) => {
                Some(literal.as_str())
            }
            _ => None,
        }
    }

    /// The arguments of a call of this name, if that is what this says.
    pub(crate) fn call(&self, called: &str) -> Option<&[Argument]> {
        match self {
            Self::Call { name, arguments } if name.eq_ignore_ascii_case(called) => Some(arguments),
            _ => None,
        }
    }
}

impl Literal {
    pub(crate) fn as_str(&self) -> &str {
        let (Self::Text(text) | Self::Word(text)) = self;
        text
    }
}

impl Argument {
    pub(crate) fn as_str(&self) -> &str {
        let (Self::Text(text) | Self::Word(text)) = self;
        text
    }
}

fn but(found: &Option<String>) -> String {
    found.as_ref().map_or_else(|| ", the filter ends".to_owned(), |found| format!(", found {found:?}"))
}

/// Bound on a filter's length.
pub(crate) const FILTER_BYTES_MAX: usize = 8 * 1024;
/// Bound on its nesting.
pub(crate) const DEPTH_MAX: usize = 16;
/// Bound on the comparisons, calls and listed literals in it.
pub(crate) const TERMS_MAX: usize = 200;

#[cfg(test)]
mod tests;
