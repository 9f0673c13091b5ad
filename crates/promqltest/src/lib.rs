//! Prometheus' test scripts, run on our engine and our database in one process.
//!
//! A script loads series and states what queries answer (`crates/promql/tests/scripts` has many). On the command line:
//! `cargo run -p promqltest -- FILE…` prints every failing case with file and line, then `N passed, N failed`.
//!
//! The way of a script: [`script`] turns text into commands, [`loading`] puts series into a [`database`] on a disk in memory,
//! [`evaluation`] runs a case in all its forms (as written, with its times fixed by `@` at other times of evaluation, as the
//! middle step of a range query: [`variations`]), [`comparison`] tells a result from what the script expects.
//!
//! Any text is a script: what is wrong with one is a failed case, and the commands that follow are run. Series are bounded by
//! [`POSITIONS_MAX`], queries by [`Settings`].
//! Not here: services. A script knows one database, and times count from 1970.

mod case;
mod comparison;
mod custom_buckets;
mod database;
mod evaluation;
mod loading;
mod report;
mod run;
mod script;
mod series;
mod start_timestamps;
mod variations;

pub use report::{Failure, Report};
pub use run::{QUERY_TIME_MAX, Settings, run};
pub use series::POSITIONS_MAX;
