//! How much a query may hold in memory.

use crate::EvalError;

/// Counts samples held at a time. A dense row counts with all its steps, since that is the memory it takes.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    held: usize,
    /// The most that was held so far.
    peak: usize,
    limit: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { held: 0, peak: 0, limit }
    }

    /// Takes room for `samples`; ask before the memory is allocated.
    pub(crate) fn hold(&mut self, samples: usize) -> Result<(), EvalError> {
        self.held = self.held.saturating_add(samples);
        self.peak = self.peak.max(self.held);
        self.check(0)
    }

    /// Whether `samples` more would fit for a moment.
    pub(crate) fn check(&self, samples: usize) -> Result<(), EvalError> {
        match self.held.saturating_add(samples) > self.limit {
            true => Err(EvalError::TooManySamples { limit: self.limit }),
            false => Ok(()),
        }
    }

    /// What may be held more.
    pub(crate) fn left(&self) -> usize {
        self.limit.saturating_sub(self.held)
    }

    /// Gives room back. Not needed on the way out with an error: the query ends there.
    pub(crate) fn release(&mut self, samples: usize) {
        debug_assert!(samples <= self.held, "released {samples} of {}", self.held);
        self.held = self.held.saturating_sub(samples);
    }

    /// The most samples that were held at a time.
    pub(crate) fn peak(&self) -> usize {
        self.peak
    }

    /// Samples held now.
    pub(crate) fn held(&self) -> usize {
        self.held
    }
}
