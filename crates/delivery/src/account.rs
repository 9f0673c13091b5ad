//! What became of one entry so far, to the sample.

use spool::{Counts, Expiry, Outcome, Rejection};

use crate::counts::{is_none, less};

/// Grows into an [`Outcome`]. Invariant: what is in the outcome and what is `left` add up to the entry's tally.
#[derive(Debug)]
pub(crate) struct Account {
    outcome: Outcome,
    left: Counts,
}

impl Account {
    pub(crate) fn new(tally: Counts) -> Self {
        Self { outcome: Outcome::default(), left: tally }
    }

    /// What is not accounted for yet.
    pub(crate) fn left(&self) -> Counts {
        self.left
    }

    pub(crate) fn deliver(&mut self, counts: Counts) {
        let counts = self.take(counts);
        self.outcome.delivered += counts;
    }

    pub(crate) fn deliver_unconfirmed(&mut self, counts: Counts) {
        let counts = self.take(counts);
        self.outcome.delivered += counts;
        self.outcome.unconfirmed += counts;
    }

    pub(crate) fn reject(&mut self, reason: Rejection, counts: Counts) {
        let counts = self.take(counts);
        add(&mut self.outcome.rejected, reason, counts);
    }

    pub(crate) fn resent(&mut self, counts: Counts) {
        self.outcome.resent += counts;
    }

    /// The outcome, once nothing is left.
    ///
    /// # Panics
    /// When something is left.
    pub(crate) fn close(self) -> Outcome {
        assert!(is_none(self.left), "an entry is settled to the last sample: {:?} are left", self.left);
        self.outcome
    }

    /// The outcome, with all that is left rejected.
    pub(crate) fn close_rejected(mut self, reason: Rejection) -> Outcome {
        self.reject(reason, self.left);
        self.close()
    }

    /// The outcome, with all that is left expired.
    pub(crate) fn close_expired(mut self, reason: Expiry) -> Outcome {
        let counts = self.take(self.left);
        add(&mut self.outcome.expired, reason, counts);
        self.close()
    }

    /// Never more than is left: an entry cannot become more than it was, whatever the target says.
    fn take(&mut self, counts: Counts) -> Counts {
        let counts = counts.min(self.left);
        self.left = less(self.left, counts);
        counts
    }
}

fn add<R: PartialEq>(list: &mut Vec<(R, Counts)>, reason: R, counts: Counts) {
    if is_none(counts) {
        return;
    }
    match list.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, sum)) => *sum += counts,
        None => list.push((reason, counts)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(samples: u64) -> Counts {
        Counts { samples, ..Counts::default() }
    }

    #[test]
    fn everything_is_accounted_for_once() {
        let mut account = Account::new(samples(10));
        account.deliver(samples(4));
        account.deliver_unconfirmed(samples(1));
        account.reject(Rejection::Invalid, samples(1));
        account.reject(Rejection::Invalid, samples(1));
        account.reject(Rejection::TooLarge, samples(0));
        assert_eq!(account.left(), samples(3));
        let outcome = account.close_expired(Expiry::Age);
        assert_eq!((outcome.delivered, outcome.unconfirmed), (samples(5), samples(1)));
        assert_eq!(outcome.rejected, [(Rejection::Invalid, samples(2))]);
        assert_eq!(outcome.expired, [(Expiry::Age, samples(3))]);
    }

    #[test]
    fn an_entry_cannot_become_more_than_it_was() {
        let mut account = Account::new(samples(2));
        account.deliver(samples(5));
        assert_eq!(account.close_rejected(Rejection::NotWritten).delivered, samples(2));
    }

    #[test]
    #[should_panic(expected = "to the last sample")]
    fn nothing_is_forgotten() {
        Account::new(samples(1)).close();
    }
}
