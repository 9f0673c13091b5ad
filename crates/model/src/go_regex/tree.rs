//! What a pattern says, as a tree.

use regex_syntax::hir::ClassUnicode;

/// A part of a pattern. At most [`super::parse::NESTING_MAX`] groups deep, so recursion over it is safe.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Matches the empty text.
    Empty,
    /// One character.
    Literal(char),
    /// One character, whatever its case.
    LiteralAnyCase(char),
    /// One character of a set; cases are in it already.
    Class(ClassUnicode),
    /// `.` with the flag `s`
    AnyChar,
    /// `.` without the flag `s`
    AnyCharButNewline,
    /// An assertion about a place.
    Assertion(Assertion),
    /// A group in parentheses that captures; its name if it has one.
    Group(Option<String>, Box<Node>),
    /// A repetition.
    Repeat(Box<Node>, Repetition),
    /// One after the other.
    Concat(Vec<Node>),
    /// One of them, the first that fits.
    Alternate(Vec<Node>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Assertion {
    TextStart,
    TextEnd,
    LineStart,
    LineEnd,
    WordBoundary,
    NoWordBoundary,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Repetition {
    pub(crate) min: u32,
    /// Nothing: without end.
    pub(crate) max: Option<u32>,
    /// Takes as little as it can.
    pub(crate) is_lazy: bool,
    /// Written with numbers in braces.
    pub(crate) is_counted: bool,
}

impl Node {
    /// Adds the names of all groups, in their order.
    pub(crate) fn group_names(&self, names: &mut Vec<Option<String>>) {
        match self {
            Self::Group(name, inner) => {
                names.push(name.clone());
                inner.group_names(names);
            }
            Self::Repeat(inner, _) => inner.group_names(names),
            Self::Concat(parts) | Self::Alternate(parts) => {
                for part in parts {
                    part.group_names(names);
                }
            }
            _ => {}
        }
    }

    /// Whether counted repetitions inside each other make at most `copies` copies of anything.
    pub(crate) fn repeats_at_most(&self, mut copies: u32) -> bool {
        match self {
            Self::Repeat(inner, repetition) => {
                if repetition.is_counted {
                    match repetition.max.unwrap_or(repetition.min) {
                        0 if repetition.max.is_some() => return true,
                        0 => {}
                        times if times > copies => return false,
                        times => copies /= times,
                    }
                }
                inner.repeats_at_most(copies)
            }
            Self::Group(_, inner) => inner.repeats_at_most(copies),
            Self::Concat(parts) | Self::Alternate(parts) => parts.iter().all(|part| part.repeats_at_most(copies)),
            _ => true,
        }
    }
}
