//! `promqltest FILE…`: runs test scripts, prints every failing case, and how many passed and failed.
#![allow(clippy::print_stdout, reason = "what is printed is what this program is for")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use environment::{BoxFuture, Clock, Monotonic, UnixTime};
use promqltest::{Settings, run};

fn main() -> ExitCode {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() || files.iter().any(|file| file.as_os_str().as_encoded_bytes().starts_with(b"-")) {
        eprintln!("usage: promqltest FILE…\nRuns Prometheus' PromQL test scripts; exits with 1 when a case fails.");
        return ExitCode::from(2);
    }
    // Panics of the engine fail the case that met them, with their text.
    std::panic::set_hook(Box::new(|_| {}));
    let clock = Stopwatch::start();
    let settings = Settings { clock: Some(&clock), ..Settings::default() };
    let (mut passed, mut failed) = (0, 0);
    for file in files {
        let name = file.display().to_string();
        match std::fs::read(&file) {
            Ok(script) => {
                let report = run(&String::from_utf8_lossy(&script), &settings);
                print!("{}", report.failure_lines(&name));
                passed += report.passed;
                failed += report.failures.len();
            }
            Err(error) => {
                println!("{name}: {error}");
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Real time, so that no query takes for ever.
struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a program on its own, for development")]
    fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Stopwatch {
    fn now(&self) -> UnixTime {
        UnixTime::EPOCH.plus(self.0.elapsed())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_duration(self.0.elapsed())
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        unreachable!("queries are computed, nobody sleeps")
    }
}
