//! Databases that nobody uses: closed after a while, and seen to now and then.

use std::sync::Arc;
use std::time::Duration;

use environment::Monotonic;
use model::AccountId;
use storage::Purpose;

use super::place::State;
use super::{Databases, Wanted};

/// When databases rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resting {
    /// After how much time without reads and writes a database is closed.
    pub(crate) close_after_idle: Duration,
    /// How often one that is closed is opened for what is due: retention, compaction.
    pub(crate) visit_interval: Duration,
}

impl Default for Resting {
    fn default() -> Self {
        Self { close_after_idle: Duration::from_secs(30 * 60), visit_interval: Duration::from_secs(6 * 3600) }
    }
}

impl Databases {
    /// Closes, for ever, what nobody has used for a while. `kept_open` names the one that never is.
    pub(crate) async fn close_idle(self: Arc<Self>, kept_open: impl Fn() -> Option<AccountId>) {
        let pause = (self.resting.close_after_idle / 4).clamp(PAUSE_MIN, PAUSE_MAX);
        loop {
            self.opener.clock.sleep(pause).await;
            for account in self.leave_idle(self.opener.clock.monotonic(), kept_open()) {
                self.start_work(account);
            }
        }
    }

    /// Those that nobody needs any more.
    pub(super) fn leave_idle(&self, now: Monotonic, kept_open: Option<AccountId>) -> Vec<AccountId> {
        let mut places = self.places.lock();
        let mut left = Vec::new();
        for (account, place) in &mut places.by_account {
            let is_idle = now.since(place.used_at) >= self.resting.close_after_idle;
            if is_idle && !place.busy && Some(*account) != kept_open && place.is_unused() {
                place.needed = false;
                left.push(*account);
            }
        }
        left
    }

    /// Sees, for ever, to databases that are closed: opens each once in the interval, does what is due, closes it again. They
    /// are spread over the interval, so that a thousand of them are no burden at any moment.
    pub(crate) async fn visit_closed(self: Arc<Self>) {
        loop {
            let pause = self.resting.visit_interval / u32::try_from(self.count().max(1)).unwrap_or(u32::MAX);
            self.opener.clock.sleep(pause.clamp(PAUSE_MIN, self.resting.visit_interval)).await;
            if let Some(account) = self.longest_unseen(self.opener.clock.monotonic()) {
                self.visit(account).await;
            }
        }
    }

    /// The closed one whose last visit is the longest ago, if it is due.
    fn longest_unseen(&self, now: Monotonic) -> Option<AccountId> {
        let mut places = self.places.lock();
        let closed = places.by_account.iter_mut().filter(|(_, place)| {
            let is_closed = matches!(place.state, State::Closed) && place.wanted == Wanted::Available;
            is_closed && !place.busy && place.failure.is_none()
        });
        let (account, place) = closed.min_by_key(|(_, place)| place.visited_at)?;
        let is_due = place.visited_at.is_none_or(|at| now.since(at) >= self.resting.visit_interval);
        is_due.then(|| {
            place.visited_at = Some(now);
            *account
        })
    }

    async fn visit(self: &Arc<Self>, account: AccountId) {
        // What has no data needs no care, and opening it would make a directory.
        if self.opener.is_new(account) {
            return;
        }
        match self.find(account, Purpose::Write).await {
            Ok(open) => {
                self.opener.maintain(account, open).await;
                self.counts.visits.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            Err(reason) => tracing::debug!(workspace = %account, %reason, "A workspace at rest was not seen to"),
        }
        if let Some(place) = self.places.lock().by_account.get_mut(&account)
            && place.is_unused()
        {
            place.needed = false;
        }
        self.start_work(account);
    }
}

const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(60);
