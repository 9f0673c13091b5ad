//! Something that there is little of, shared so that nobody keeps the others out.
//!
//! Takers are rules, grouped by the workspace they write to. With [`Sharing::KeepRoom`] a taker holds at most what leaves as
//! much free as its workspace and it hold together: one rule that wants all gets a third, several of one workspace less than
//! half between them, and however many want all, there is room for one more at once, as long as what it wants is small
//! beside the whole. With [`Sharing::UseAll`] nothing is
//! kept free, which is right where a share is given back soon. In both, of those who wait the one is next whose workspace,
//! then whose rule, holds least; of one rule, who came first.
//!
//! Invariants: what is free and what is held is the total; a share given to somebody who went away is given back.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use model::AccountId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Who takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Taker {
    pub(crate) workspace: AccountId,
    /// The rule's immutable id, as a number.
    pub(crate) rule: u128,
}

/// How much of it may be held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sharing {
    /// Some is always kept for those who hold nothing yet.
    KeepRoom,
    /// All of it.
    UseAll,
}

/// What is shared.
#[derive(Clone)]
pub(crate) struct FairShare(Arc<Mutex<State>>);

/// Units that are held until this is dropped.
pub(crate) struct Share {
    state: Arc<Mutex<State>>,
    taker: Taker,
    units: u64,
}

struct State {
    sharing: Sharing,
    total: u64,
    free: u64,
    by_workspace: HashMap<AccountId, u64>,
    by_taker: HashMap<Taker, u64>,
    waiting: HashMap<Taker, VecDeque<Waiting>>,
    /// Number of the next one who waits.
    next: u64,
}

struct Waiting {
    number: u64,
    units: u64,
    answer: oneshot::Sender<Share>,
}

impl FairShare {
    /// So many units, nothing of them held.
    pub(crate) fn new(total: u64, sharing: Sharing) -> Self {
        Self(Arc::new(Mutex::new(State {
            sharing,
            total,
            free: total,
            by_workspace: HashMap::new(),
            by_taker: HashMap::new(),
            waiting: HashMap::new(),
            next: 0,
        })))
    }

    /// Waits for a share: at least one unit, and of more than there is in all, all of it. Dropping the future ends the waiting.
    pub(crate) async fn take(&self, taker: Taker, units: u64) -> Share {
        let (mut place, share) = {
            let mut state = self.0.lock();
            let units = units.clamp(1, state.total);
            if !state.waiting.contains_key(&taker) && state.fits(taker, units) {
                state.hold(taker, units);
                return Share { state: Arc::clone(&self.0), taker, units };
            }
            let (answer, share) = oneshot::channel();
            let number = state.next;
            state.next += 1;
            state.waiting.entry(taker).or_default().push_back(Waiting { number, units, answer });
            (Place { state: &self.0, taker, number: Some(number) }, share)
        };
        let share = share.await.expect("who waits is answered as long as there is what it waits for");
        place.number = None;
        share
    }

    #[cfg(test)]
    fn free(&self) -> u64 {
        self.0.lock().free
    }
}

impl Share {
    /// Gives back what is more than `units`, but for one.
    pub(crate) fn keep(&mut self, units: u64) {
        let excess = self.units.saturating_sub(units.max(1));
        if excess > 0 {
            self.units -= excess;
            release(&self.state, self.taker, excess);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        release(&self.state, self.taker, self.units);
    }
}

/// A place among those who wait. Dropped before there was an answer, it is given up.
struct Place<'s> {
    state: &'s Mutex<State>,
    taker: Taker,
    number: Option<u64>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.state.lock().forget(self.taker, number);
        }
    }
}

fn release(state: &Arc<Mutex<State>>, taker: Taker, units: u64) {
    let granted = {
        let mut locked = state.lock();
        locked.give_back(taker, units);
        locked.grant(state)
    };
    // Behind the lock: a share that nobody waits for any more comes back here.
    for (answer, share) in granted {
        drop(answer.send(share));
    }
}

impl State {
    fn fits(&self, taker: Taker, units: u64) -> bool {
        if units > self.free {
            return false;
        }
        let (of_workspace, of_taker) = self.held(taker);
        match self.sharing {
            Sharing::UseAll => true,
            Sharing::KeepRoom => {
                let held_then = (of_workspace + units) + (of_taker + units);
                self.free == self.total || held_then <= self.free - units
            }
        }
    }

    fn held(&self, taker: Taker) -> (u64, u64) {
        let of_workspace = self.by_workspace.get(&taker.workspace).copied().unwrap_or(0);
        (of_workspace, self.by_taker.get(&taker).copied().unwrap_or(0))
    }

    fn hold(&mut self, taker: Taker, units: u64) {
        self.free -= units;
        *self.by_workspace.entry(taker.workspace).or_default() += units;
        *self.by_taker.entry(taker).or_default() += units;
    }

    fn give_back(&mut self, taker: Taker, units: u64) {
        self.free += units;
        subtract(&mut self.by_workspace, &taker.workspace, units);
        subtract(&mut self.by_taker, &taker, units);
    }

    /// Gives shares to all for whom there is one now.
    fn grant(&mut self, state: &Arc<Mutex<Self>>) -> Vec<(oneshot::Sender<Share>, Share)> {
        let mut granted = Vec::new();
        while let Some(taker) = self.next_taker() {
            let queue = self.waiting.get_mut(&taker).expect("it was just found there");
            let Waiting { units, answer, .. } = queue.pop_front().expect("empty queues are taken out");
            if queue.is_empty() {
                self.waiting.remove(&taker);
            }
            self.hold(taker, units);
            granted.push((answer, Share { state: Arc::clone(state), taker, units }));
        }
        granted
    }

    /// Of those for whom there is a share, the one who holds least.
    fn next_taker(&self) -> Option<Taker> {
        let heads = self.waiting.iter().filter_map(|(taker, queue)| Some((*taker, queue.front()?)));
        let fitting = heads.filter(|(taker, head)| self.fits(*taker, head.units));
        fitting.min_by_key(|(taker, head)| (self.held(*taker), head.number)).map(|(taker, _)| taker)
    }

    fn forget(&mut self, taker: Taker, number: u64) {
        let Some(queue) = self.waiting.get_mut(&taker) else { return };
        queue.retain(|waiting| waiting.number != number);
        if queue.is_empty() {
            self.waiting.remove(&taker);
        }
    }
}

fn subtract<K: std::hash::Hash + Eq + Copy>(held: &mut HashMap<K, u64>, key: &K, units: u64) {
    let left = held.get_mut(key).expect("who gives back holds");
    *left -= units;
    if *left == 0 {
        held.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn taker(workspace: u128, rule: u128) -> Taker {
        Taker { workspace: format!("{workspace:032x}").parse().unwrap(), rule }
    }

    fn poll(future: Pin<&mut impl Future<Output = Share>>) -> Option<Share> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(share) => Some(share),
            Poll::Pending => None,
        }
    }

    /// Takes units one by one until it has to wait.
    fn flood(shared: &FairShare, taker: Taker, units: u64) -> Vec<Share> {
        std::iter::from_fn(|| poll(pin!(shared.take(taker, units)))).collect()
    }

    #[test]
    fn however_many_want_all_there_is_room_for_one_more() {
        for units in [1, 3] {
            let shared = FairShare::new(1000, Sharing::KeepRoom);
            let one = flood(&shared, taker(1, 1), units);
            let held = one.len() as u64 * units;
            assert!((300..=334).contains(&held), "one rule holds {held}");
            let mut all = one;
            for rule in 2..6 {
                let more = flood(&shared, taker(1, rule), units);
                assert!(!more.is_empty(), "rule {rule} of the same workspace gets some");
                all.extend(more);
            }
            let held = all.len() as u64 * units;
            assert!(held <= 500, "one workspace holds {held}");
            for workspace in 2..6 {
                let more = flood(&shared, taker(workspace, 1), units);
                assert!(!more.is_empty(), "workspace {workspace} gets some");
                all.extend(more);
            }
            drop(all);
            assert_eq!(shared.free(), 1000);
        }
    }

    #[test]
    fn what_is_larger_than_a_fair_share_gets_in_alone() {
        let shared = FairShare::new(10, Sharing::KeepRoom);
        let all = poll(pin!(shared.take(taker(1, 1), 50))).expect("nothing else is held");
        assert_eq!(shared.free(), 0);
        let mut second = pin!(shared.take(taker(2, 1), 1));
        assert!(poll(second.as_mut()).is_none());
        drop(all);
        assert!(poll(second.as_mut()).is_some());
    }

    #[test]
    fn who_holds_least_is_next() {
        let shared = FairShare::new(2, Sharing::UseAll);
        let mut held = flood(&shared, taker(1, 1), 1);
        assert_eq!(held.len(), 2, "nothing is kept free");
        let mut first = pin!(shared.take(taker(1, 1), 1));
        let mut other_rule = pin!(shared.take(taker(1, 2), 1));
        let mut other_workspace = pin!(shared.take(taker(2, 1), 1));
        for waiting in [first.as_mut(), other_rule.as_mut(), other_workspace.as_mut()] {
            assert!(poll(waiting).is_none());
        }
        held.pop();
        assert!(poll(first.as_mut()).is_none() && poll(other_rule.as_mut()).is_none());
        let _kept = poll(other_workspace.as_mut()).expect("its workspace holds nothing");
        held.pop();
        assert!(poll(other_rule.as_mut()).is_none(), "the noisy rule holds nothing any more and came first");
        assert!(poll(first.as_mut()).is_some());
    }

    #[test]
    fn of_one_rule_who_came_first_is_first() {
        let shared = FairShare::new(10, Sharing::KeepRoom);
        let all = poll(pin!(shared.take(taker(1, 1), 10)));
        let mut large = pin!(shared.take(taker(1, 1), 9));
        let mut small = pin!(shared.take(taker(1, 1), 1));
        assert!(poll(large.as_mut()).is_none() && poll(small.as_mut()).is_none());
        drop(all);
        let large = poll(large.as_mut()).expect("nothing else is held");
        assert!(poll(small.as_mut()).is_none());
        drop(large);
        assert!(poll(small.as_mut()).is_some());
    }

    #[test]
    fn those_who_go_away_take_nothing() {
        let shared = FairShare::new(3, Sharing::UseAll);
        let mut all = poll(pin!(shared.take(taker(1, 1), 3))).unwrap();
        {
            let mut granted = pin!(shared.take(taker(2, 1), 1));
            let mut waiting = pin!(shared.take(taker(2, 2), 3));
            assert!(poll(granted.as_mut()).is_none() && poll(waiting.as_mut()).is_none());
            all.keep(2);
            assert_eq!(shared.free(), 0, "given to the first, who has not looked yet");
        }
        assert_eq!(shared.free(), 1);
        assert!(shared.0.lock().waiting.is_empty());
        drop(all);
        assert_eq!(shared.free(), 3);
        let state = shared.0.lock();
        assert!(state.by_taker.is_empty() && state.by_workspace.is_empty());
    }
}
