//! What a database does to itself, a round at a time.

use std::sync::Arc;
use std::time::Duration;

use environment::UnixTime;

use crate::committer::Shared;

/// One round, under the lock `maintenance`. Returns after how long the next one should begin, if nobody asks for it before.
pub(crate) fn round(shared: &Arc<Shared>, now: UnixTime) -> Duration {
    let _ = (shared, now);
    INTERVAL
}

/// Between two rounds of a database that has nothing to do.
pub(crate) const INTERVAL: Duration = Duration::from_secs(60);
