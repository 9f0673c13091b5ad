//! What one workspace uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use environment::Monotonic;
use model::AccountId;
use parking_lot::Mutex;

use crate::active_series::{ActiveSeries, HashKey};
use crate::contributors::{self, Contribution, Contributor, Contributors};
use crate::drops::{Dropped, Drops};
use crate::limits::{LimitName, OverLimit, WorkspaceLimits};
use crate::minute::{Minute, index_of, left_of_window};

/// One workspace's budgets of events and active series, and what became of what it was sent.
#[derive(Debug)]
pub struct WorkspaceQuota {
    of: Arc<str>,
    events_max: AtomicU64,
    window: Mutex<Minute>,
    contributors: Mutex<Contributors>,
    /// Where the picks of the next request begin.
    seed: AtomicU64,
    active: ActiveSeries,
    received: AtomicU64,
    stored: AtomicU64,
    drops: Drops,
}

/// Use of a limit that holds for a minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Use {
    /// In the current minute; after a request that alone was larger than the limit, what is left to pay of it.
    pub used: u64,
    /// The limit.
    pub limit: u64,
    /// In the minute before.
    pub used_before: u64,
}

/// What a workspace uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkspaceUsage {
    /// Events admitted in the current minute.
    pub events: Use,
    /// Time left of the current minute.
    pub minute_left: Duration,
    /// Active series.
    pub active_series: u64,
    /// How many there may be.
    pub active_series_limit: u64,
    /// Events received since the start, admitted or not.
    pub received: u64,
    /// Events stored since the start.
    pub stored: u64,
    /// Events and samples dropped since the start, in the order of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
    /// The metrics that contribute most events.
    pub contributors: Vec<Contributor>,
}

impl Use {
    pub(crate) fn of(minute: &mut Minute, limit: u64, now: Monotonic) -> Self {
        Self { used: minute.used(limit, now), limit, used_before: minute.used_before(limit, now) }
    }
}

impl WorkspaceQuota {
    pub(crate) fn new(account: AccountId, limits: WorkspaceLimits, key: Arc<HashKey>) -> Self {
        Self {
            of: account.to_string().into(),
            events_max: AtomicU64::new(limits.events_per_minute),
            window: Mutex::default(),
            contributors: Mutex::default(),
            seed: AtomicU64::new(account.0.as_u64_pair().1),
            active: ActiveSeries::new(limits.active_series, key),
            received: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            drops: Drops::default(),
        }
    }

    /// Its limits.
    pub fn limits(&self) -> WorkspaceLimits {
        WorkspaceLimits { events_per_minute: self.events_max.load(Relaxed), active_series: self.active.limit() }
    }

    /// Changes its limits; what is used already stays used, also where it is more than the new limit.
    pub fn set_limits(&self, limits: WorkspaceLimits) {
        self.events_max.store(limits.events_per_minute, Relaxed);
        self.active.set_limit(limits.active_series);
    }

    /// Whether any event may come now: asked before a body is read.
    ///
    /// # Errors
    /// When the events of this minute are used up.
    pub fn check_events(&self, now: Monotonic) -> Result<(), OverLimit> {
        let limit = self.events_max.load(Relaxed);
        let mut window = self.window.lock();
        window.check(1, limit, now).map_err(|wait| {
            let used = window.used(limit, now);
            drop(window);
            self.over_events(limit, used, wait, now)
        })
    }

    /// Charges a request's events, all or none.
    ///
    /// # Errors
    /// When fewer are left in this minute; nothing is charged then.
    pub fn admit_events(&self, events: u64, now: Monotonic) -> Result<(), OverLimit> {
        let limit = self.events_max.load(Relaxed);
        let mut window = self.window.lock();
        match window.check(events, limit, now) {
            Ok(()) => {
                window.charge(events);
                Ok(())
            }
            Err(wait) => {
                let used = window.used(limit, now);
                drop(window);
                Err(self.over_events(limit, used, wait, now))
            }
        }
    }

    /// Takes back a charge of [`admit_events`](Self::admit_events) at the same time: the request is refused by another of
    /// its workspaces.
    pub fn give_back_events(&self, events: u64, now: Monotonic) {
        self.window.lock().give_back(events, now);
    }

    /// Charges as many of a request's events as are left in this minute, and says how many: for workspaces where the rest
    /// is dropped silently.
    pub fn admit_events_partly(&self, events: u64, now: Monotonic) -> u64 {
        let limit = self.events_max.load(Relaxed);
        let mut window = self.window.lock();
        let admitted = events.min(limit.saturating_sub(window.used(limit, now)));
        window.charge(admitted);
        admitted
    }

    /// Collects a request's events by metric.
    pub fn contribution(&self) -> Contribution {
        let seed = self.seed.fetch_add(1, Relaxed).wrapping_mul(SEED_FACTOR);
        Contribution::new(contributors::step(self.events_max.load(Relaxed)), seed)
    }

    /// Takes in the metrics of a request that was admitted.
    pub fn contributed(&self, contribution: &Contribution, now: Monotonic) {
        self.contributors.lock().add(contribution, index_of(now));
    }

    /// The metrics that contribute most events in this minute, or in the one before while this one has none.
    pub fn contributors(&self, now: Monotonic) -> Vec<Contributor> {
        self.contributors.lock().top(index_of(now))
    }

    /// Its active series.
    #[inline]
    pub fn active_series(&self) -> &ActiveSeries {
        &self.active
    }

    /// What is said of series refused because there are as many active ones as there may be.
    pub fn over_active_series(&self, now: Monotonic) -> OverLimit {
        OverLimit {
            limit: LimitName::WorkspaceActiveSeries,
            of: Arc::clone(&self.of),
            value: self.active.limit(),
            used: self.active.active(now),
            retry_after: None,
            contributors: self.contributors(now),
        }
    }

    /// Counts events that arrived, whatever becomes of them.
    pub fn received(&self, events: u64) {
        self.received.fetch_add(events, Relaxed);
    }

    /// Counts events that are stored.
    pub fn stored(&self, events: u64) {
        self.stored.fetch_add(events, Relaxed);
    }

    /// Counts what is not stored.
    pub fn dropped(&self, dropped: Dropped, count: u64) {
        self.drops.add(dropped, count);
    }

    /// What is used now.
    pub fn usage(&self, now: Monotonic) -> WorkspaceUsage {
        let limit = self.events_max.load(Relaxed);
        let events = Use::of(&mut self.window.lock(), limit, now);
        WorkspaceUsage {
            events,
            minute_left: left_of_window(now),
            active_series: self.active.active(now),
            active_series_limit: self.active.limit(),
            received: self.received.load(Relaxed),
            stored: self.stored.load(Relaxed),
            dropped: self.drops.totals(),
            contributors: self.contributors(now),
        }
    }

    #[cold]
    fn over_events(&self, value: u64, used: u64, wait: Duration, now: Monotonic) -> OverLimit {
        OverLimit {
            limit: LimitName::WorkspaceEvents,
            of: Arc::clone(&self.of),
            value,
            used,
            retry_after: Some(wait),
            contributors: self.contributors(now),
        }
    }
}

/// Spreads neighbouring seeds.
const SEED_FACTOR: u64 = 0xd134_2543_de82_ef95;

#[cfg(test)]
mod tests;
