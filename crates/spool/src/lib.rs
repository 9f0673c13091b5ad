//! The sidecar's durable queue: write requests as they were received, on disk until it is settled what became of each,
//! and the account of every sample in it.
//!
//! One log of segments holds both the entries and their outcomes, so that after any crash the queue and its ledger agree:
//! `received = delivered + rejected{reason} + expired{reason} + queued`, to the sample. *Received* means kept as
//! [`Sync`] says. Beside the log stands a bounded ring of refused series ([`Refusal`]) for people to look at and to send
//! again.
//!
//! Not here: decoding of bodies (`remote-write`), sending (`delivery`).

mod cache;
mod entry;
mod fields;
mod files;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod ledger;
mod log;
mod open;
mod reader;
mod record;
mod recovery;
mod refusal;
mod ring;
mod segment;
mod settings;
mod shared;
mod spool;
mod state;
mod syncer;
mod ticket;
mod totals;
mod writer;

pub use entry::{Appended, Entry, EntryId, NewEntry};
pub use ledger::{Counts, Expiry, Ledger, Outcome, Rejection};
pub use refusal::Refusal;
pub use settings::{Settings, Sync, WhenFull};
pub use spool::{AppendError, OpenError, ReadError, Recovery, Spool, Stats, read_ledger, read_refusals};
