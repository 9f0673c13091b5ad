//! The state of delivery between two events: what is at hand, what is on its way, whether the target is asked.
//!
//! Synchronous. [`crate::Delivery::run`] waits, and tells the desk what happened; the desk decides. What an answer leads to
//! stands in `desk/answered.rs`.

use std::sync::Arc;
use std::time::Duration;

use environment::{Clock, Monotonic, Rng, UnixTime};
use identity::{AccessToken, TokenError};
use parking_lot::Mutex;
use spool::{Entry, EntryId, Outcome, ReadError, Rejection, Spool};

use crate::ages::Ages;
use crate::case::{Case, Parcel, Settled, Shape, Tried};
use crate::gate::{Admission, Gate};
use crate::known_bad::KnownBad;
use crate::message::{Cause, refusal};
use crate::quiet::Quiet;
use crate::window::Window;
use crate::{Answer, Policy, SendError, State};

mod answered;
mod report;
#[cfg(test)]
mod tests;

/// See the module.
pub(crate) struct Desk {
    pub(crate) clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    spool: Spool,
    policy: Policy,
    state: Arc<Mutex<State>>,
    window: Window,
    gate: Gate,
    ages: Ages,
    quiet: Quiet,
    /// The entry read last.
    read: Option<EntryId>,
    /// No entry is read before this.
    read_not_before: Option<Monotonic>,
    /// The queue gives no more entries.
    read_all: bool,
    in_flight: usize,
    /// The entry that tried last while the gate was closed.
    probed: Option<EntryId>,
    /// Counts targets.
    target: u64,
    learned: Learned,
    known_bad: KnownBad,
}

/// What is known of the target.
#[derive(Clone, Copy, Default)]
struct Learned {
    /// The largest body that it takes, once it refused one for its size, and when it did last.
    body_bytes_max: Option<(u64, Monotonic)>,
    /// The largest body that it took since it refused a smaller one.
    body_bytes_taken: u64,
    /// Whether it turned out not to take 2.0.
    transcode: bool,
    tried: Tried,
}

/// A request that leaves.
pub(crate) struct Departure {
    pub(crate) ticket: Ticket,
    pub(crate) parcel: Parcel,
}

/// By which an answer finds its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    id: EntryId,
    epoch: u64,
    target: u64,
    deliveries: u64,
}

/// What came of a departure.
pub(crate) enum Arrival {
    /// It did not leave.
    NoToken(TokenError),
    /// It left.
    Answered { answer: Result<Answer, SendError>, token: AccessToken, took: Duration, body_bytes: usize },
}

/// Both clocks at one moment.
#[derive(Clone, Copy)]
struct Now {
    wall: UnixTime,
    monotonic: Monotonic,
}

impl Desk {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        spool: Spool,
        policy: Policy,
        state: Arc<Mutex<State>>,
    ) -> Self {
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        Self {
            clock,
            rng,
            spool,
            policy,
            state,
            window: Window::default(),
            gate: Gate::new(),
            ages: Ages::new(wall, monotonic),
            quiet: Quiet::default(),
            read: None,
            read_not_before: None,
            read_all: false,
            in_flight: 0,
            probed: None,
            target: 0,
            learned: Learned::default(),
            known_bad: KnownBad::default(),
        }
    }

    pub(crate) fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Another target: nothing that was learned of the old one holds.
    pub(crate) fn forget_target(&mut self) {
        self.gate.reset();
        self.target += 1;
        self.probed = None;
        self.known_bad.clear();
        // The counts go on, since requests on their way remember them.
        self.learned = Learned { tried: self.learned.tried, ..Learned::default() };
    }

    /// Where to read on in the queue, if there is room for an entry and one may be read now.
    pub(crate) fn wants_entry(&self) -> Option<Option<EntryId>> {
        // Behind a closed gate there is no use in having much at hand.
        let factor = if self.gate.is_closed() { 1 } else { ENTRIES_PER_REQUEST };
        let room = self.window.len() < self.policy.in_flight_max.max(1) * factor
            && self.window.bytes() < self.policy.window_bytes_max;
        let resting = self.read_not_before.is_some_and(|at| at > self.clock.monotonic());
        (room && !self.read_all && !resting).then_some(self.read)
    }

    /// The queue gave an entry, or failed to.
    pub(crate) fn entry(&mut self, read: Result<Option<Entry>, ReadError>) {
        let now = self.now();
        self.read_not_before = None;
        match read {
            Ok(Some(entry)) => {
                self.read = Some(entry.id);
                self.window.push(Case::new(entry));
            }
            Ok(None) => self.read_all = true,
            Err(ReadError::Settled(id)) => self.read = Some(id),
            Err(ReadError::Damaged(id)) => {
                self.read = Some(id);
                self.damaged(id, now);
            }
            Err(ReadError::Disk(error)) => {
                self.read_not_before = Some(now.monotonic.plus(READ_AGAIN_AFTER));
                self.say_queue_unreadable(&error, now);
            }
        }
    }

    /// The next request that may leave now.
    pub(crate) fn depart(&mut self) -> Option<Departure> {
        let now = self.now();
        loop {
            if self.in_flight >= self.policy.in_flight_max.max(1) {
                return None;
            }
            let id = match self.gate.admission(now.monotonic) {
                Admission::All => self.window.ready(None, now.monotonic)?,
                // Not always the same one: it might be the one that is the trouble.
                Admission::Probe => {
                    let next = self.window.ready(self.probed, now.monotonic);
                    next.or_else(|| self.window.ready(None, now.monotonic))?
                }
                Admission::NothingUntil(_) | Admission::Nothing => return None,
            };
            if self.spool.tally(id).is_none() {
                // The queue gave it up meanwhile, for want of room.
                self.window.remove(id);
                continue;
            }
            let shape = shape(&self.learned, &self.policy, &self.known_bad, now.wall);
            let parcel = self.window.get_mut(id).and_then(|case| case.parcel(shape));
            let Some(parcel) = parcel else {
                self.settle(id, now);
                continue;
            };
            if self.gate.is_closed() {
                self.probed = Some(id);
            }
            self.in_flight += 1;
            let (epoch, target, deliveries) = (self.gate.leave(), self.target, self.learned.tried.deliveries);
            let ticket = Ticket { id, epoch, target, deliveries };
            return Some(Departure { ticket, parcel });
        }
    }

    /// Gives up what has waited too long. Called before departures, so that nothing leaves that is too old.
    pub(crate) fn sweep(&mut self) {
        let now = self.now();
        // Whoever lowered the bound may have raised it again; one request an hour finds out.
        self.learned.body_bytes_max.take_if(|(_, at)| now.monotonic.since(*at) > BODY_LIMIT_FOR);
        let Policy { age_max, authorization_grace: grace, .. } = self.policy;
        let giving_up = self.gate.giving_up(grace, now.monotonic);
        let giving_up = giving_up.map(|refused| (refused.cause.clone(), now.monotonic.since(refused.at)));
        // Nothing is given up before something was tried when its time had come already.
        let patience = giving_up.as_ref().map_or(Duration::MAX, |(_, ago)| grace.saturating_add(*ago));
        let old: Vec<(EntryId, Duration)> = self
            .window
            .resting()
            .map(|case| (case.id, self.ages.of(case.received_at)))
            .filter(|(_, age)| *age > age_max || *age > patience)
            .collect();
        for (id, age) in old {
            match &giving_up {
                _ if age > age_max => self.expire(id, now),
                Some((cause, _)) => self.give_up(id, cause, now),
                None => {}
            }
        }
    }

    /// After how long to look again although nothing happens.
    pub(crate) fn wake_in(&self) -> Option<Duration> {
        let now = self.clock.monotonic();
        let gate = match self.gate.admission(now) {
            Admission::NothingUntil(at) => Some(at),
            _ => None,
        };
        let sweep = (!self.window.is_empty()).then(|| now.plus(SWEEP_INTERVAL));
        let ready = self.window.next_ready_at().filter(|at| *at > now);
        let wake = [gate, sweep, ready, self.read_not_before].into_iter().flatten().min()?;
        Some(wake.since(now).max(WAKE_MIN))
    }

    /// Shows how things are.
    pub(crate) fn publish(&self) {
        let mut state = self.state.lock();
        state.in_flight = self.in_flight as u64;
        state.blocked = self.gate.blocked();
        state.body_bytes_limit = self.learned.body_bytes_max.map(|(bytes, _)| bytes);
    }

    fn now(&mut self) -> Now {
        let now = Now { wall: self.clock.now(), monotonic: self.clock.monotonic() };
        self.ages.look(now.wall, now.monotonic);
        now
    }

    fn settle(&mut self, id: EntryId, now: Now) {
        if let Some(case) = self.window.remove(id) {
            self.put_down(id, case.settle(), now);
        }
    }

    fn expire(&mut self, id: EntryId, now: Now) {
        if let Some(case) = self.window.remove(id) {
            let settled = case.expire();
            self.say_expired(now);
            self.put_down(id, settled, now);
        }
    }

    fn give_up(&mut self, id: EntryId, cause: &Cause, now: Now) {
        if let Some(case) = self.window.remove(id) {
            let shape = shape(&self.learned, &self.policy, &self.known_bad, now.wall);
            let settled = case.give_up(cause, shape);
            self.put_down(id, settled, now);
        }
    }

    fn put_down(&mut self, id: EntryId, settled: Settled, now: Now) {
        for refusal in settled.refusals {
            self.say_refused(&refusal, now);
            self.spool.refuse(refusal);
        }
        self.spool.settle(id, settled.outcome);
    }

    /// An entry whose bytes are damaged: nobody can send it.
    fn damaged(&mut self, id: EntryId, now: Now) {
        let Some(tally) = self.spool.tally(id) else { return };
        let text = "the queue's own copy was damaged on disk".to_owned();
        let cause = Cause { reason: Rejection::Damaged, status: None, text, repetition: false };
        let refusal = refusal("(damaged)".to_owned(), bytes::Bytes::new(), tally, &cause, now.wall, id);
        let outcome = Outcome::rejected(Rejection::Damaged, tally);
        self.put_down(id, Settled { outcome, refusals: vec![refusal] }, now);
    }
}

impl Learned {
    /// A body was taken.
    fn taken(&mut self, bytes: u64) {
        self.body_bytes_taken = self.body_bytes_taken.max(bytes);
        if let Some((max, _)) = &mut self.body_bytes_max {
            *max = bytes.max(*max);
        }
    }

    /// A body was refused for its size, perhaps with a word on what may be sent. Answers what is believed now. A little less
    /// than what was refused would likely be refused, too.
    fn refused_for_size(&mut self, bytes: u64, named: Option<u64>, now: Monotonic) -> u64 {
        if bytes <= self.body_bytes_taken {
            // The bound was lowered, or it is not one on these bytes.
            self.body_bytes_taken = 0;
        }
        let smaller = named.unwrap_or(bytes - bytes / 8).max(self.body_bytes_taken);
        let max = self.body_bytes_max.map_or(smaller, |(known, _)| known.min(smaller));
        self.body_bytes_max = Some((max, now));
        max
    }
}

fn shape<'a>(learned: &Learned, policy: &'a Policy, known_bad: &'a KnownBad, now: UnixTime) -> Shape<'a> {
    Shape {
        body_bytes_max: learned.body_bytes_max.map(|(bytes, _)| bytes),
        transcode: learned.transcode || policy.transcode,
        limits: &policy.limits,
        now,
        deliveries: learned.tried.deliveries,
        known_bad,
    }
}

/// How many entries are at hand for each request that may be on its way: some wait for others.
const ENTRIES_PER_REQUEST: usize = 8;
/// How long a bound on bodies is believed.
const BODY_LIMIT_FOR: Duration = Duration::from_secs(3600);
/// How often ages and clocks are looked at while entries wait.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
/// The shortest sleep, so that rounding never makes a loop spin.
const WAKE_MIN: Duration = Duration::from_millis(1);
/// How long to wait after the disk failed.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);
