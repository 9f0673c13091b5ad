//! The account as the log carries it: one row of counts for every class of samples.

use crate::{Counts, Expiry, Ledger, Outcome, Rejection};

/// Everything a [`Ledger`] says but for what is queued, which follows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Totals(pub(crate) [Counts; Totals::ROWS]);

impl Totals {
    const RECEIVED: usize = 0;
    const DELIVERED: usize = 1;
    const UNCONFIRMED: usize = 2;
    const RESENT: usize = 3;
    const REJECTED: usize = 4;
    const EXPIRED: usize = Self::REJECTED + Rejection::ALL.len();
    pub(crate) const ROWS: usize = Self::EXPIRED + Expiry::ALL.len();

    pub(crate) fn received(&self) -> Counts {
        self.0[Self::RECEIVED]
    }

    pub(crate) fn receive(&mut self, tally: Counts) {
        self.add(Self::RECEIVED, tally);
    }

    pub(crate) fn settle(&mut self, outcome: &Outcome) {
        self.add(Self::DELIVERED, outcome.delivered);
        self.add(Self::UNCONFIRMED, outcome.unconfirmed);
        self.add(Self::RESENT, outcome.resent);
        outcome.rejected.iter().for_each(|(reason, counts)| self.add(Self::REJECTED + reason.number(), *counts));
        outcome.expired.iter().for_each(|(reason, counts)| self.add(Self::EXPIRED + reason.number(), *counts));
    }

    /// Received and given up at once.
    pub(crate) fn drop_newest(&mut self, tally: Counts) {
        self.receive(tally);
        self.add(Self::EXPIRED + Expiry::Space.number(), tally);
    }

    /// Sum of all that left the queue.
    pub(crate) fn settled(&self) -> Counts {
        Self::settled_rows().fold(Counts::default(), |sum, row| plus(sum, self.0[row]))
    }

    /// What must be queued.
    pub(crate) fn queued(&self) -> Counts {
        minus(self.received(), self.settled())
    }

    /// Adds what came between `opening` and `closing`.
    pub(crate) fn add_between(&mut self, opening: &Self, closing: &Self) {
        for (row, (opening, closing)) in opening.0.iter().zip(&closing.0).enumerate() {
            self.add(row, minus(*closing, *opening));
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let nonzero = |counts: &Counts| *counts != Counts::default();
        Ledger {
            received: self.received(),
            delivered: self.0[Self::DELIVERED],
            unconfirmed: self.0[Self::UNCONFIRMED],
            rejected: Rejection::ALL
                .map(|reason| (reason, self.0[Self::REJECTED + reason.number()]))
                .into_iter()
                .filter(|(_, counts)| nonzero(counts))
                .collect(),
            expired: Expiry::ALL
                .map(|reason| (reason, self.0[Self::EXPIRED + reason.number()]))
                .into_iter()
                .filter(|(_, counts)| nonzero(counts))
                .collect(),
            queued: self.queued(),
            resent: self.0[Self::RESENT],
        }
    }

    fn add(&mut self, row: usize, counts: Counts) {
        self.0[row] = plus(self.0[row], counts);
    }

    fn settled_rows() -> impl Iterator<Item = usize> {
        std::iter::once(Self::DELIVERED).chain(Self::REJECTED..Self::ROWS)
    }
}

/// Brings an account that was added up from what could be read of a log into agreement with the log's checkpoints and with
/// the entries that still wait. Where nothing was lost it changes nothing.
#[derive(Default)]
pub(crate) struct Reconciliation {
    /// By how much the checkpoints are ahead of what was read.
    ahead: Totals,
}

impl Reconciliation {
    /// A later checkpoint says `said` where `read` was added up.
    pub(crate) fn checkpoint(&mut self, read: &mut Totals, said: &Totals) {
        read.0[Totals::RECEIVED] = max(read.received(), said.received());
        for row in (0..Totals::ROWS).filter(|row| *row != Totals::RECEIVED) {
            self.ahead.0[row] = max(self.ahead.0[row], minus(said.0[row], read.0[row]));
        }
    }

    /// Makes `read` balance with `waiting`, the sum of the entries at hand. Says how much of what was received is lost
    /// without a trace and therefore counted as damaged.
    pub(crate) fn balance(mut self, read: &mut Totals, waiting: Counts) -> Counts {
        // Never less received than there is: a checkpoint may be what was lost.
        read.0[Totals::RECEIVED] = max(read.received(), plus(read.settled(), waiting));
        let missing = minus(read.queued(), waiting);
        // An outcome that was lost while its entry is still there will come again; it must not count twice.
        let mut excess = minus(self.ahead.settled(), missing);
        for row in Totals::settled_rows() {
            let less = min(self.ahead.0[row], excess);
            self.ahead.0[row] = minus(self.ahead.0[row], less);
            excess = minus(excess, less);
        }
        let lost = minus(missing, self.ahead.settled());
        for (row, ahead) in self.ahead.0.iter().enumerate() {
            read.add(row, *ahead);
        }
        read.add(Totals::REJECTED + Rejection::Damaged.number(), lost);
        lost
    }
}

/// Each of `left` and `right` together.
pub(crate) fn plus(left: Counts, right: Counts) -> Counts {
    // Saturating, since a forged file must not end the program.
    each(left, right, u64::saturating_add)
}

/// Each of `left` less that of `right`, at least zero.
pub(crate) fn minus(left: Counts, right: Counts) -> Counts {
    each(left, right, u64::saturating_sub)
}

fn max(left: Counts, right: Counts) -> Counts {
    each(left, right, u64::max)
}

fn min(left: Counts, right: Counts) -> Counts {
    each(left, right, u64::min)
}

fn each(left: Counts, right: Counts, of: impl Fn(u64, u64) -> u64) -> Counts {
    Counts {
        samples: of(left.samples, right.samples),
        histograms: of(left.histograms, right.histograms),
        exemplars: of(left.exemplars, right.exemplars),
    }
}
