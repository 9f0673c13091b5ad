//! One minute's budget.

use std::time::Duration;

use environment::Monotonic;

/// The length of a window.
pub const WINDOW: Duration = Duration::from_secs(60);

/// What is used of a limit in the current window. Windows begin at whole minutes of the monotonic clock.
///
/// A reading older than the newest one seen (threads overtake each other) counts for the newest one's window.
#[derive(Default, Debug)]
pub(crate) struct Minute {
    index: u64,
    used: u64,
    before: u64,
}

impl Minute {
    /// Whether `amount` may be used now; `Err` is the time to wait for that. Charges nothing.
    pub(crate) fn check(&mut self, amount: u64, limit: u64, now: Monotonic) -> Result<(), Duration> {
        self.turn(limit, now);
        match self.room(amount, limit) {
            true => Ok(()),
            false => Err(self.wait(amount, limit, now)),
        }
    }

    pub(crate) fn charge(&mut self, amount: u64) {
        self.used = self.used.saturating_add(amount);
    }

    /// Takes back what was charged at `now`. What another window has paid off meanwhile stays paid.
    pub(crate) fn give_back(&mut self, amount: u64, now: Monotonic) {
        if index_of(now) == self.index {
            self.used = self.used.saturating_sub(amount);
        }
    }

    /// Used in the current window, together with what earlier ones left over.
    pub(crate) fn used(&mut self, limit: u64, now: Monotonic) -> u64 {
        self.turn(limit, now);
        self.used
    }

    /// Used in the window before the current one.
    pub(crate) fn used_before(&mut self, limit: u64, now: Monotonic) -> u64 {
        self.turn(limit, now);
        self.before
    }

    /// Goes to the window of `now`; each window that passed has paid off one limit of the excess.
    fn turn(&mut self, limit: u64, now: Monotonic) {
        let index = index_of(now);
        let passed = index.saturating_sub(self.index);
        if passed == 0 {
            return;
        }
        self.index = index;
        let excess = self.used.saturating_sub(limit.saturating_mul(passed));
        self.before = if passed == 1 { self.used } else { 0 };
        self.used = excess;
    }

    fn room(&self, amount: u64, limit: u64) -> bool {
        // An amount above the limit would else never pass. A limit of nothing admits nothing.
        let alone = self.used == 0 && limit > 0;
        alone || self.used.saturating_add(amount) <= limit
    }

    /// Whole seconds to the end of the first window after which there is room; at least one.
    fn wait(&self, amount: u64, limit: u64, now: Monotonic) -> Duration {
        let over = if amount > limit { self.used } else { self.used.saturating_add(amount) - limit };
        let windows = over.div_ceil(limit.max(1)).clamp(1, WAIT_WINDOWS_MAX);
        let end = (self.index + windows) * WINDOW.as_secs();
        let left = Duration::from_secs(end).saturating_sub(since_start(now));
        let whole = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Duration::from_secs(whole.max(1))
    }
}

/// The time to the end of the window of `now`.
pub(crate) fn left_of_window(now: Monotonic) -> Duration {
    Duration::from_secs((index_of(now) + 1) * WINDOW.as_secs()).saturating_sub(since_start(now))
}

pub(crate) fn since_start(now: Monotonic) -> Duration {
    now.since(Monotonic::from_duration(Duration::ZERO))
}

pub(crate) fn index_of(now: Monotonic) -> u64 {
    since_start(now).as_secs() / WINDOW.as_secs()
}

/// Nobody is told to stay away for longer than a day: a limit may be raised before that.
const WAIT_WINDOWS_MAX: u64 = 24 * 60;

#[cfg(test)]
mod tests;
