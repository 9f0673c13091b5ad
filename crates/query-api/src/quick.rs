//! What was quick the last time.
//!
//! Dashboards ask the same again and again. Handing work to another thread and its outcome back takes three changes of
//! threads, which is more than many of their queries take. So who was quick stays where he is asked ([`crate::slots`]).
//!
//! A table of fixed size: what falls on another's place takes it. Nothing depends on it but where work is done.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// See the module's text.
pub(crate) struct Quick {
    places: Box<[AtomicU64]>,
    /// Keyed, so that nobody can choose who falls on whose place.
    hashes: RandomState,
}

/// What is asked, but for when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asked(u64);

impl Quick {
    pub(crate) fn new() -> Self {
        Self { places: (0..PLACES).map(|_| AtomicU64::new(NOBODY)).collect(), hashes: RandomState::new() }
    }

    /// The same for what is equal.
    pub(crate) fn asked(&self, what: impl Hash) -> Asked {
        Asked(self.hashes.hash_one(what).max(NOBODY + 1))
    }

    pub(crate) fn was_quick(&self, asked: Asked) -> bool {
        self.place(asked).load(Ordering::Relaxed) == asked.0
    }

    /// Remembers how long it took.
    pub(crate) fn note(&self, asked: Asked, took: Duration) {
        if took <= QUICK_MAX {
            self.place(asked).store(asked.0, Ordering::Relaxed);
        } else {
            self.forget(asked);
        }
    }

    /// It was not quick.
    pub(crate) fn forget(&self, asked: Asked) {
        // If another has taken the place meanwhile, it keeps it.
        let _ = self.place(asked).compare_exchange(asked.0, NOBODY, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn place(&self, Asked(hash): Asked) -> &AtomicU64 {
        &self.places[hash as usize % PLACES]
    }
}

/// Some hundred dashboards; 16 KiB.
const PLACES: usize = 2048;

const NOBODY: u64 = 0;

/// Several times what it takes to change threads, and no longer than others on a serving thread may be kept waiting.
const QUICK_MAX: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_quick_is_known_until_he_is_not() {
        let quick = Quick::new();
        let asked = quick.asked(("query", "up", 60));
        assert_eq!(asked, quick.asked(("query", "up", 60)));
        assert!(!quick.was_quick(asked));
        quick.note(asked, QUICK_MAX);
        assert!(quick.was_quick(asked));
        quick.note(asked, QUICK_MAX + Duration::from_nanos(1));
        assert!(!quick.was_quick(asked));
        quick.note(asked, Duration::ZERO);
        quick.forget(asked);
        assert!(!quick.was_quick(asked));
    }

    #[test]
    fn the_last_one_has_the_place() {
        let quick = Quick::new();
        let asked: Vec<Asked> = (0..3 * PLACES).map(|number| quick.asked(number)).collect();
        asked.iter().for_each(|asked| quick.note(*asked, Duration::ZERO));
        assert!(quick.was_quick(asked[asked.len() - 1]));
        let known = asked.iter().filter(|asked| quick.was_quick(**asked)).count();
        assert!((1..=PLACES).contains(&known), "{known}");
        // One that lost its place does not take it from whom it belongs to now.
        asked.iter().filter(|asked| !quick.was_quick(**asked)).for_each(|asked| quick.forget(*asked));
        assert_eq!(asked.iter().filter(|asked| quick.was_quick(**asked)).count(), known);
    }
}
