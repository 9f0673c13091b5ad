//! Runs a script from its first line to its last.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use environment::Clock;
use promql::{Engine, EngineOptions};
use promql_syntax::Options;

use crate::case::Case;
use crate::database::Database;
use crate::evaluation::check;
use crate::loading::load;
use crate::report::{Failure, Report};
use crate::script::{Command, parse};

/// What scripts are run with.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// What bounds and shapes evaluations.
    pub engine: EngineOptions,
    /// Which experimental parts of the grammar are accepted.
    pub grammar: Options,
    /// What ends a query after [`QUERY_TIME_MAX`]; without it a query takes its time.
    pub clock: Option<&'a dyn Clock>,
}

impl Default for Settings<'_> {
    /// What Prometheus runs its own scripts with; nothing ends a query.
    fn default() -> Self {
        let engine = EngineOptions {
            samples_max: 10_000,
            steps_max: STEPS_MAX,
            delayed_name_removal: true,
            use_start_timestamps: true,
            ..EngineOptions::default()
        };
        Self { engine, grammar: Options::all(), clock: None }
    }
}

/// The longest that a query may take.
pub const QUERY_TIME_MAX: Duration = Duration::from_secs(100);

/// The most steps of a range query in a script. Prometheus bounds them where queries come in, not in its engine.
const STEPS_MAX: usize = 1_000_000;

/// Runs a script.
pub fn run(script: &str, settings: &Settings<'_>) -> Report {
    let mut run =
        Run { engine: Engine::new(settings.engine), settings, database: Database::open(), report: Report::default() };
    for (line, command) in parse(script) {
        match command {
            Ok(command) => run.command(line, command),
            Err(error) => run.fail(error.line, error.what),
        }
    }
    run.report
}

struct Run<'a> {
    engine: Engine,
    settings: &'a Settings<'a>,
    database: Database,
    report: Report,
}

impl Run<'_> {
    fn command(&mut self, line: usize, command: Command) {
        match command {
            Command::Clear => self.database = Database::open(),
            Command::Load(load_command) => {
                if let Err(what) = load(&mut self.database, &load_command) {
                    self.fail(line, what);
                }
            }
            Command::Eval(case) => match self.eval(&case) {
                Ok(()) => self.report.passed += 1,
                Err(what) => self.fail(line, format!("{}: {what}", case.query)),
            },
        }
    }

    /// A panic of the engine fails the case that met it, and no other.
    fn eval(&self, case: &Case) -> Result<(), String> {
        let run = || check(case, &self.engine, &self.database, self.settings);
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(format!("the engine panics: {}", text(&*panic))))
    }

    fn fail(&mut self, line: usize, what: String) {
        self.report.failures.push(Failure { line, what });
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

#[cfg(test)]
mod tests;
