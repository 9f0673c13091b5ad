//! Changes of the delayed policy that wait for their time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use catalog::Assignment;
use environment::Monotonic;
use model::ResourceId;
use parking_lot::Mutex;

/// What happens to an assignment when its time has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) enum Step {
    Assign,
    Revoke,
}

/// In the order in which they are due; each step of an assignment waits once at most.
#[derive(Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number keeps the order of those that are due at one time.
    by_due: BTreeMap<(Monotonic, u64), (Step, Arc<Assignment>)>,
    places: HashMap<(Step, ResourceId), (Monotonic, u64)>,
    next_number: u64,
}

impl Waiting {
    pub(super) fn add(&self, due: Monotonic, step: Step, assignment: &Arc<Assignment>) {
        let mut state = self.state.lock();
        let place = (due, state.next_number);
        state.next_number += 1;
        if let Some(earlier) = state.places.insert((step, assignment.id.clone()), place) {
            state.by_due.remove(&earlier);
        }
        state.by_due.insert(place, (step, Arc::clone(assignment)));
    }

    /// Forgets a step that waits, if it is of an assignment with the same contents; whether there was one.
    pub(super) fn cancel(&self, step: Step, assignment: &Assignment) -> bool {
        let mut state = self.state.lock();
        let key = (step, assignment.id.clone());
        let Some(place) = state.places.get(&key).copied() else { return false };
        let waits = &state.by_due[&place].1;
        if super::granted(waits) != super::granted(assignment) {
            return false;
        }
        state.places.remove(&key);
        state.by_due.remove(&place);
        true
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Monotonic> {
        self.state.lock().by_due.first_key_value().map(|((due, _), _)| *due)
    }

    /// Those that are due at `now`, in order; they wait no more.
    pub(super) fn take_due(&self, now: Monotonic) -> Vec<(Step, Arc<Assignment>)> {
        let mut state = self.state.lock();
        let mut due = Vec::new();
        while let Some(first) = state.by_due.first_entry().filter(|first| first.key().0 <= now) {
            let (step, assignment) = first.remove();
            state.places.remove(&(step, assignment.id.clone()));
            due.push((step, assignment));
        }
        due
    }
}
