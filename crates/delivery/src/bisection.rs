//! The search for what is bad in a request that was refused as a whole, within a bounded number of requests.
//!
//! Pure: it names the next part to send and is told what came of it. Parts are ranges of *units*, series that can be
//! sent apart.
//!
//! Every part is in one of three states: *open* (nobody knows; it is to be sent), *bad* (refused, or by inference: what was
//! refused as a whole and whose other half was taken), or done. Open parts go first; then the largest bad one is cut, so
//! that what remains undecided when the bound is reached is as small as can be. With a single bad unit among `n` this takes
//! at most two requests for each halving.

use std::collections::VecDeque;
use std::ops::Range;

/// One search. `N` is what is noted of each refusal.
#[derive(Debug)]
pub(crate) struct Bisection<N> {
    open: VecDeque<Open<N>>,
    bad: Vec<Bad<N>>,
    /// Requests that may still be sent.
    budget: u32,
}

#[derive(Debug)]
struct Open<N> {
    units: Range<usize>,
    /// The other half of what was refused, if nothing is known of it.
    other: Option<Range<usize>>,
    /// Of the last refusal of something with this in it.
    note: N,
}

#[derive(Debug)]
struct Bad<N> {
    units: Range<usize>,
    /// Where to cut first.
    cut_at: Option<usize>,
    note: N,
}

impl<N: Clone> Bisection<N> {
    /// The search in `units`, which were refused together. It starts with a cut at `cut_at`, behind which stands what is
    /// suspected; in the middle if there is none.
    pub(crate) fn new(units: Range<usize>, cut_at: Option<usize>, note: N) -> Self {
        let budget = requests_max(units.len());
        Self { open: VecDeque::new(), bad: vec![Bad { units, cut_at, note }], budget }
    }

    /// The part to be sent next, the same until it is answered; `None` at the end of the search.
    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        if self.budget == 0 {
            return None;
        }
        if self.open.is_empty() {
            let largest = (0..self.bad.len()).rev().max_by_key(|index| self.bad[*index].units.len())?;
            let Bad { units, cut_at, note } = self.bad.swap_remove(largest);
            let open = match cut_at.unwrap_or(units.start + units.len() / 2) {
                // A single one that is bad by inference is sent itself, for its own answer.
                _ if units.len() == 1 => Open { units, other: None, note },
                middle => Open { units: units.start..middle, other: Some(middle..units.end), note },
            };
            self.open.push_back(open);
        }
        self.open.front().map(|open| open.units.clone())
    }

    /// The part was taken.
    pub(crate) fn taken(&mut self) {
        if let Some(Open { other: Some(units), note, .. }) = self.answered() {
            self.bad.push(Bad { units, cut_at: None, note });
        }
    }

    /// The part was refused; it is to be cut further, first at `cut_at`.
    pub(crate) fn refused(&mut self, cut_at: Option<usize>, note: N) {
        if let Some(part) = self.answered() {
            self.bad.push(Bad { units: part.units.clone(), cut_at, note });
            self.nothing_known_of_other(part);
        }
    }

    /// The part held something bad, and it is known what becomes of all of it.
    pub(crate) fn settled(&mut self) {
        if let Some(part) = self.answered() {
            self.nothing_known_of_other(part);
        }
    }

    /// What was not told apart, in order, with what was noted of its last refusal.
    pub(crate) fn into_rest(self) -> Vec<(Range<usize>, N)> {
        let mut rest: Vec<_> = self.bad.into_iter().map(|bad| (bad.units, bad.note)).collect();
        for Open { units, other, note } in self.open {
            rest.extend(other.map(|other| (other, note.clone())));
            rest.push((units, note));
        }
        rest.sort_unstable_by_key(|(units, _)| units.start);
        rest
    }

    fn nothing_known_of_other(&mut self, part: Open<N>) {
        if let Some(units) = part.other {
            self.open.push_back(Open { units, other: None, note: part.note });
        }
    }

    /// Takes the part that was sent off the list.
    fn answered(&mut self) -> Option<Open<N>> {
        self.budget = self.budget.saturating_sub(1);
        self.open.pop_front()
    }
}

/// How many requests the search in `units` may take.
pub(crate) fn requests_max(units: usize) -> u32 {
    2 * units.max(1).ilog2() + 8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Found {
        requests: u32,
        delivered: Vec<usize>,
        quarantined: Vec<usize>,
        undecided: Vec<usize>,
    }

    /// A receiver that refuses everything with a bad unit in it.
    fn search(units: usize, bad: &[usize], cut_at: Option<usize>) -> Found {
        let mut bisection = Bisection::new(0..units, cut_at, ());
        let mut found = Found { requests: 0, delivered: vec![], quarantined: vec![], undecided: vec![] };
        while let Some(part) = bisection.next() {
            assert_eq!(bisection.next(), Some(part.clone()), "asked again, it says the same");
            found.requests += 1;
            if !bad.iter().any(|bad| part.contains(bad)) {
                found.delivered.extend(part);
                bisection.taken();
            } else if part.len() == 1 {
                found.quarantined.extend(part);
                bisection.settled();
            } else {
                bisection.refused(None, ());
            }
        }
        found.undecided.extend(bisection.into_rest().into_iter().flat_map(|(part, ())| part));
        found
    }

    proptest! {
        #[test]
        fn every_unit_has_one_fate_within_the_bound(
            units in 1usize..700,
            bad in prop::collection::vec(0usize..700, 0..12),
            cut in 0usize..700,
        ) {
            let bad: Vec<_> = bad.into_iter().filter(|bad| *bad < units).collect();
            let cut_at = (1..units).contains(&cut).then_some(cut);
            let found = search(units, &bad, cut_at);
            prop_assert!(found.requests <= requests_max(units));
            prop_assert!(found.delivered.iter().all(|unit| !bad.contains(unit)));
            prop_assert!(found.quarantined.iter().all(|unit| bad.contains(unit)));
            let mut all = [found.delivered, found.quarantined, found.undecided].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..units).collect::<Vec<_>>());
        }

        #[test]
        fn a_single_bad_unit_is_found_exactly(units in 1usize..5000, bad in 0usize..5000, cut in 0usize..5000) {
            let bad = bad % units;
            for cut_at in [None, (1..units).contains(&cut).then_some(cut)] {
                let found = search(units, &[bad], cut_at);
                prop_assert_eq!(found.quarantined, vec![bad]);
                prop_assert_eq!(found.delivered.len(), units - 1);
            }
        }
    }

    #[test]
    fn a_good_guess_is_cheap() {
        let found = search(2000, &[1999], Some(1999));
        assert_eq!((found.requests, found.quarantined), (2, vec![1999]));
    }

    #[test]
    fn when_the_bound_is_reached_little_is_undecided() {
        let found = search(2000, &[3, 700, 1500], None);
        assert!(found.requests <= requests_max(2000) && found.undecided.len() <= 200, "{}", found.undecided.len());
        // All bad: nothing can be delivered, and nothing is lost from the account.
        let found = search(64, &(0..64).collect::<Vec<_>>(), None);
        assert_eq!(found.delivered.len(), 0);
        assert_eq!(found.undecided.len() + found.quarantined.len(), 64);
    }
}
