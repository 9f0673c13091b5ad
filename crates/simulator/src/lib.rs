//! Whole databases on a disk and a clock that do their worst, from one seed.
//!
//! [`run`] drives a database through days of writing: series that come and go, floats and histograms, in order and late,
//! repeated, contradicted and deleted; with faults of the [`disk`] at drawn calls, deaths of the process and power cuts in the
//! middle of any change. The [`ledger`] keeps what was answered; after every crash and in between, what queries find is
//! compared with it: nothing that was answered is gone, nothing is there that was not sent.
//!
//! Everything follows from the seed: `cargo run -p simulator -- --seed N --verbose` repeats a run that failed.
//!
//! Two kinds of crash. *Process*: everything written is there for the next one, so every answer is kept. *Power*: what was
//! synced is there, the rest in any part; every answer is kept when each commit is synced, else all that is older than
//! the interval of syncs, and of what is younger the first so many batches.

pub use testkit::chance;
pub mod disk;
pub mod kills;
pub mod ledger;
pub mod machine;
mod panics;
pub mod plan;
pub mod run;
pub mod value;
