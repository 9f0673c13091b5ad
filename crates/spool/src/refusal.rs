//! The ring of refused series.

use bytes::Bytes;
use environment::UnixTime;

use crate::{Counts, EntryId, Rejection};

/// One series of one request that was refused for good, with all that is needed to understand it and to send it again.
#[derive(Clone, PartialEq, Debug)]
pub struct Refusal {
    /// When it was given up.
    pub at: UnixTime,
    /// The request that it came in.
    pub entry: EntryId,
    /// Why.
    pub reason: Rejection,
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
    /// The whole answer, up to a bound.
    pub answer: String,
    /// Labels as Prometheus writes them, `name{a="b"}`; for several series that were not told apart, of the first of them,
    /// separated by `, `, and how many more.
    pub series: String,
    /// What it holds.
    pub tally: Counts,
    /// A compressed request of version 1.0 with just this.
    pub body: Bytes,
}

impl Refusal {
    /// Bytes of what varies in size.
    pub(crate) fn bytes(&self) -> usize {
        self.answer.len() + self.series.len() + self.body.len()
    }
}
