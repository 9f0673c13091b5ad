//! From text to commands.
//!
//! Lines are trimmed; one that begins with `#` is empty. The body of `load` and `eval` runs to the next empty line. What cannot
//! be understood is told with its line, and reading goes on after the next empty line.

mod eval;
mod expectation;
mod load;

use crate::case::Case;

pub(crate) use load::{Load, LoadedSeries};

/// A command of a script.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Forget all series.
    Clear,
    /// Store series.
    Load(Load),
    /// Evaluate a query.
    Eval(Box<Case>),
}

/// What is wrong with a script, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ScriptError {
    /// Where, from 1.
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// Lines of a script, read one after the other.
struct Lines<'a> {
    lines: Vec<&'a str>,
    /// The line to be read next.
    next: usize,
}

impl<'a> Lines<'a> {
    fn new(script: &'a str) -> Self {
        let content = |line: &'a str| {
            let line = line.trim();
            if line.starts_with('#') { "" } else { line }
        };
        Self { lines: script.split('\n').map(content).collect(), next: 0 }
    }

    /// The next line and its number, empty or not.
    fn take(&mut self) -> Option<(usize, &'a str)> {
        let line = *self.lines.get(self.next)?;
        self.next += 1;
        Some((self.next, line))
    }

    /// The next line of a block.
    fn take_of_block(&mut self) -> Option<(usize, &'a str)> {
        let line = *self.lines.get(self.next)?;
        if line.is_empty() { None } else { self.take() }
    }

    fn skip_block(&mut self) {
        while self.take_of_block().is_some() {}
    }
}

/// All commands with their lines.
pub(crate) fn parse(script: &str) -> Vec<(usize, Result<Command, ScriptError>)> {
    let mut lines = Lines::new(script);
    let mut commands = Vec::new();
    while let Some((line, text)) = lines.take() {
        if text.is_empty() {
            continue;
        }
        let word = text.split([' ', '\t']).next().unwrap_or("").to_lowercase();
        let command = if word == "clear" {
            Ok(Command::Clear)
        } else if word.starts_with("load") {
            load::parse(text, line, &mut lines).map(Command::Load)
        } else if word.starts_with("eval") {
            eval::parse(text, line, &mut lines).map(|case| Command::Eval(Box::new(case)))
        } else {
            Err(ScriptError { line, what: format!("no command: {text:?}") })
        };
        if command.is_err() {
            lines.skip_block();
        }
        commands.push((line, command));
    }
    commands
}
