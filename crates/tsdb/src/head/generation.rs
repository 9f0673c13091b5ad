//! Generations: who might still use a slot for the series that had it.
//!
//! Whoever keeps slots for longer than a lock holds the generation that was current before he looked them up: an appender and
//! its batch, a querier and its series. What happened before a generation began is known to all who hold it or a later one.
//! So once nobody holds an older one, what only older ones can know of may be used for something else.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

/// Held by whoever keeps slots.
#[derive(Debug)]
pub(crate) struct Generation(Era);

/// The number of a generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Era(u64);

pub(crate) struct Generations(Mutex<State>);

struct State {
    current: Arc<Generation>,
    /// Those before that somebody may still hold, oldest first.
    past: VecDeque<Arc<Generation>>,
}

impl Generations {
    /// To be held from before slots are looked up.
    pub(crate) fn current(&self) -> Arc<Generation> {
        Arc::clone(&self.0.lock().current)
    }

    /// The number of the current one.
    pub(crate) fn era(&self) -> Era {
        self.0.lock().current.0
    }

    /// Begins a generation; returns the one that ended.
    pub(crate) fn advance(&self) -> Era {
        let mut state = self.0.lock();
        let ended = state.current.0;
        let next = Arc::new(Generation(Era(ended.0 + 1)));
        let past = std::mem::replace(&mut state.current, next);
        state.past.push_back(past);
        ended
    }

    /// Whether it has ended and nobody holds it or an older one.
    pub(crate) fn is_over(&self, era: Era) -> bool {
        let mut state = self.0.lock();
        // Nobody else can come to the last reference. Taking it mutably makes what the last holder did happen before.
        while state.past.front_mut().is_some_and(|oldest| Arc::get_mut(oldest).is_some()) {
            state.past.pop_front();
        }
        era < state.current.0 && state.past.front().is_none_or(|oldest| era < oldest.0)
    }
}

impl Default for Generations {
    fn default() -> Self {
        Self(Mutex::new(State { current: Arc::new(Generation(Era(0))), past: VecDeque::new() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_era_is_over_when_nobody_holds_it_or_an_older_one() {
        let generations = Generations::default();
        let first = generations.current();
        assert!(!generations.is_over(first.0), "it has not ended");
        let (zero, second) = (generations.advance(), generations.current());
        let one = generations.advance();
        assert_eq!((zero, one, generations.era()), (Era(0), Era(1), Era(2)));
        assert!(!generations.is_over(zero) && !generations.is_over(one));
        drop(second);
        assert!(!generations.is_over(one), "somebody holds an older one");
        let again = Arc::clone(&first);
        drop(first);
        assert!(!generations.is_over(zero));
        drop(again);
        assert!(generations.is_over(one) && generations.is_over(zero));
        assert!(!generations.is_over(generations.era()));
    }
}
