//! Which metrics contribute most events, in bounded memory and time.
//!
//! Names are sampled: of every run of `step` events one is picked at random and counts for all of them, so that every
//! event is picked with the same chance, whatever the order of series. The step follows the limit: small workspaces are
//! counted exactly, large ones by several thousand picks a minute ([`PICKS_PER_LIMIT`]). Picks are counted in a
//! Space-Saving sketch of [`CONTRIBUTORS_KEPT`] names: a metric with more than one event in so many is always in it, and
//! counts are too high by no more than that share.

/// Metrics that are kept apart in a window.
pub const CONTRIBUTORS_KEPT: usize = 64;

/// Metrics that are named to a sender.
pub const CONTRIBUTORS_NAMED: usize = 5;

/// A metric and how many events of it were admitted, as estimated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contributor {
    /// Its name; a long one is cut.
    pub metric: Box<str>,
    /// Events in the window.
    pub events: u64,
}

/// Events of one request by metric, to be given to the workspace when the request is admitted.
///
/// Costs a subtraction per series; names are looked at only when they are picked.
#[derive(Debug)]
pub struct Contribution {
    events: u64,
    step: u64,
    /// Events until the next pick.
    skip: u64,
    /// Events of the current run behind the pick.
    behind: u64,
    random: u64,
    /// Names of picks, each after the other.
    names: String,
    picks: Vec<Pick>,
}

#[derive(Debug)]
struct Pick {
    name_end: usize,
    events: u64,
}

impl Contribution {
    pub(crate) fn new(step: u64, seed: u64) -> Self {
        let mut contribution = Self {
            events: 0,
            step: step.max(1),
            skip: 0,
            behind: 0,
            random: seed,
            names: String::new(),
            picks: Vec::new(),
        };
        contribution.next_run();
        contribution
    }

    /// Adds `events` of one series (or of a run of series) of a metric, whose name is asked for only if it is picked.
    #[inline]
    pub fn add<'n>(&mut self, events: u64, name: impl FnOnce() -> &'n str) {
        self.events += events;
        if events <= self.skip {
            self.skip -= events;
        } else {
            self.pick(events, name());
        }
    }

    /// All events that were added.
    pub fn events(&self) -> u64 {
        self.events
    }

    #[cold]
    fn pick(&mut self, mut events: u64, name: &str) {
        let mut picked = 0;
        while events > self.skip {
            events -= self.skip + 1;
            picked += self.step;
            self.skip = self.behind;
            self.next_run();
        }
        self.skip -= events;
        let start = self.picks.len().checked_sub(2).map_or(0, |before| self.picks[before].name_end);
        match self.picks.last_mut().filter(|last| self.names[start..last.name_end] == *name) {
            Some(last) => last.events += picked,
            None => {
                self.names.push_str(name);
                self.picks.push(Pick { name_end: self.names.len(), events: picked });
            }
        }
    }

    /// Chooses the place of the pick in the run that begins `skip` events from here.
    fn next_run(&mut self) {
        let place = if self.step == 1 { 0 } else { split_mix(&mut self.random) % self.step };
        self.skip += place;
        self.behind = self.step - 1 - place;
    }

    fn by_name(&self) -> impl Iterator<Item = (&str, u64)> {
        let starts = std::iter::once(0).chain(self.picks.iter().map(|pick| pick.name_end));
        self.picks.iter().zip(starts).map(|(pick, start)| (&self.names[start..pick.name_end], pick.events))
    }
}

/// Metrics of the current window and of the one before.
#[derive(Default, Debug)]
pub(crate) struct Contributors {
    window: u64,
    current: Sketch,
    before: Sketch,
}

impl Contributors {
    pub(crate) fn add(&mut self, contribution: &Contribution, window: u64) {
        self.turn(window);
        for (name, events) in contribution.by_name() {
            self.current.add(name, events);
        }
    }

    /// The largest of this window; of the one before, as long as this one has none.
    pub(crate) fn top(&mut self, window: u64) -> Vec<Contributor> {
        self.turn(window);
        let sketch = if self.current.counters.is_empty() { &self.before } else { &self.current };
        sketch.top()
    }

    fn turn(&mut self, window: u64) {
        match window.saturating_sub(self.window) {
            0 => return,
            1 => std::mem::swap(&mut self.current, &mut self.before),
            _ => self.before.clear(),
        }
        self.current.clear();
        self.window = window;
    }
}

/// A Space-Saving sketch: when it is full, a new name takes the place of the smallest and its count with it.
#[derive(Default, Debug)]
struct Sketch {
    /// Hashes of the names of `counters`, apart from them: they are all that most lookups read.
    hashes: Vec<u64>,
    counters: Vec<Counter>,
}

#[derive(Debug)]
struct Counter {
    events: u64,
    /// The name's first bytes.
    name: String,
}

impl Sketch {
    fn add(&mut self, name: &str, events: u64) {
        let hash = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
        if let Some(place) = self.hashes.iter().position(|known| *known == hash) {
            self.counters[place].events += events;
            return;
        }
        let name = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
        if self.counters.len() < CONTRIBUTORS_KEPT {
            self.hashes.push(hash);
            self.counters.push(Counter { events, name: name.to_owned() });
            return;
        }
        let by_events = self.counters.iter_mut().enumerate().min_by_key(|(_, counter)| counter.events);
        let (place, smallest) = by_events.expect("a full sketch is not empty");
        self.hashes[place] = hash;
        smallest.events += events;
        name.clone_into(&mut smallest.name);
    }

    fn clear(&mut self) {
        self.hashes.clear();
        self.counters.clear();
    }

    fn top(&self) -> Vec<Contributor> {
        let mut sorted: Vec<&Counter> = self.counters.iter().collect();
        sorted.sort_by(|left, right| right.events.cmp(&left.events).then_with(|| left.name.cmp(&right.name)));
        let named = sorted.into_iter().take(CONTRIBUTORS_NAMED);
        named.map(|counter| Contributor { metric: counter.name.as_str().into(), events: counter.events }).collect()
    }
}

/// The step between picks for a limit of events.
pub(crate) fn step(events_per_minute: u64) -> u64 {
    (events_per_minute / PICKS_PER_LIMIT).clamp(1, STEP_MAX)
}

/// The next of a sequence of numbers that look random (SplitMix64).
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Picks in a window that is used up, unless that would be too many or too few.
const PICKS_PER_LIMIT: u64 = 8192;
/// A request of the usual 2,000 samples still has some picks.
const STEP_MAX: u64 = 128;
/// What is kept of a metric's name.
const NAME_BYTES_MAX: usize = 120;

#[cfg(test)]
mod tests;
