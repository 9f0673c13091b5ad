//! Days of outages on a simulated clock: a queue in memory, delivery, and a target that misbehaves by script. After each
//! the audit compares every sample that was appended with what the target has and what the ledger says.

#![expect(clippy::unwrap_used, reason = "tests")]

mod audit;
mod authorization;
mod chaos;
mod faults;
mod restarts;
mod sizes_and_versions;
mod target;
mod world;
mod wrong_samples;
