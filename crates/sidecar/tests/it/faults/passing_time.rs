//! Real time, since real processes are at work: waiting for a condition, and the time as samples count it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Lets time pass.
#[expect(clippy::disallowed_methods, reason = "real time passes for real programs")]
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// A reading of the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "real time passes for real programs")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "real time passes for real programs")]
pub(crate) fn unix_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since_epoch.as_millis()).unwrap()
}

/// Asks `probe` until it gives something; fails the test after `at_most`, saying what was waited for.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, at_most: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(started.elapsed() < at_most, "waited {at_most:?} in vain for: {what}");
        pause(Duration::from_millis(20));
    }
}
