//! Why a text is not an expression.

use model::{ErrorKind, Kinded};

use crate::PositionRange;

/// A mistake in an expression, worded as Prometheus words it.
///
/// Displays as `line:column: parse error: message`, counting lines and bytes of the line from 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// The part of the text that the message is about.
    pub position: PositionRange,
    /// What is wrong.
    pub message: String,
    /// Line and column of the start of `position`; nothing for an empty text.
    pub location: Option<(u32, u32)>,
    /// The experimental part of the language that is used and not accepted, if that is the mistake. The message says so
    /// in Prometheus' words, which name switches of Prometheus; a caller that has none can word it by this.
    pub experimental: Option<&'static str>,
}

impl ParseError {
    pub(crate) fn new(input: &str, position: PositionRange, message: impl Into<String>) -> Self {
        let before = &input.as_bytes()[..position.start as usize];
        let line = before.iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline as u32 + 1);
        let location = (!input.is_empty()).then_some((line, position.start - line_start + 1));
        Self { position, message: message.into(), location, experimental: None }
    }

    pub(crate) fn of_experimental(self, part: &'static str) -> Self {
        Self { experimental: Some(part), ..self }
    }
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.location {
            Some((line, column)) => write!(f, "{line}:{column}: parse error: {}", self.message),
            None => write!(f, "unknown position: parse error: {}", self.message),
        }
    }
}

impl std::error::Error for ParseError {}

impl Kinded for ParseError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}
