//! What became of a script's cases.

/// What became of the cases of a script.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Cases that came out as the script says.
    pub passed: usize,
    /// Cases that did not, and commands that could not be understood or carried out, in order of their lines.
    pub failures: Vec<Failure>,
}

/// A failed case or command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Its line, from 1.
    pub line: usize,
    /// What differs, or is wrong.
    pub what: String,
}

impl Report {
    /// All failures, a line for each: `name:line: what`.
    pub fn failure_lines(&self, name: &str) -> String {
        self.failures.iter().map(|failure| format!("{name}:{}: {}\n", failure.line, failure.what)).collect()
    }
}
