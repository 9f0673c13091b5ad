//! An open database as it is lent: whoever holds it keeps it open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::{Matcher, Metadata, TimestampMs};
use storage::{Administer, Appender, LeftOut, Querier, Queryable, SeriesExemplars, Statistics, Storage, TimeRange};
use tsdb::{Db, Settings};

/// See the module's text.
pub(crate) struct Open {
    pub(crate) db: Arc<Db>,
    /// What was written before is known.
    writable: AtomicBool,
    /// What it was opened with.
    pub(super) settings: Settings,
}

impl Open {
    pub(super) fn new(db: Arc<Db>, settings: Settings) -> Self {
        Self { db, writable: AtomicBool::new(false), settings }
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writable.load(Ordering::Acquire)
    }

    pub(super) fn set_writable(&self) {
        self.writable.store(true, Ordering::Release);
    }
}

impl Storage for Open {
    fn appender(&self, now: TimestampMs) -> Box<dyn Appender> {
        self.db.appender(now)
    }

    fn administration(&self) -> Option<&dyn Administer> {
        Some(&*self.db)
    }

    fn statistics(&self, limit: usize) -> Option<Statistics> {
        self.db.statistics(limit)
    }
}

impl Queryable for Open {
    fn querier(&self, range: TimeRange) -> Box<dyn Querier> {
        self.db.querier(range)
    }

    fn querier_with(&self, range: TimeRange, left_out: Arc<LeftOut>) -> Box<dyn Querier> {
        self.db.querier_with(range, left_out)
    }

    fn metadata(&self) -> Vec<(String, Metadata)> {
        self.db.metadata()
    }

    fn exemplars(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Vec<SeriesExemplars> {
        self.db.exemplars(selectors, range)
    }
}
