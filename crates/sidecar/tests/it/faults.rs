//! Faults to survive: the real program between senders like Prometheus and a sink that records every sample, while one or
//! the other, the disk, the token endpoint or the program itself fails.
//!
//! After each fault the audit ([`audit`]) compares sets of (series, time, value): every acknowledged sample is at the sink
//! or stands refused in the ledger; repeats are bounded by what was on its way at a kill; without kills the numbers are
//! equal; first arrivals of a series ascend; the account balances at every reading of the metrics; memory stays bounded.
//!
//! `make soak` runs the long versions (see [`soak`]).

mod audit;
mod load;
mod passing_time;
mod points;
mod ports;
mod process;
mod scene;
mod sink;
mod tokens;
mod wire;

mod bounds;
mod clocks;
mod credentials;
mod damage;
mod disks;
mod harness;
mod hostile;
mod in_memory;
mod kills;
mod prometheus;
mod rotation;
mod soak;
mod target;
