//! Names for new blocks.

use std::path::Path;
use std::sync::Arc;

use environment::Clock;
use parking_lot::Mutex;
use tsdb_format::block::Ulid;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Makes names that rise: the next one is above all before it and above those that are there, also when the clock stands or
/// steps back.
///
/// What makes them unique is no secret. It is drawn from where and when the source was made, so that a run under a test's
/// clock and disk repeats, name by name.
pub(crate) struct UlidSource {
    clock: Arc<dyn Clock>,
    seed: u64,
    last: Mutex<Ulid>,
}

impl UlidSource {
    /// A source for blocks in `directory`, where the newest block is `newest`.
    pub(crate) fn new(clock: Arc<dyn Clock>, directory: &Path, newest: Option<Ulid>) -> Self {
        let opened = clock.now().since_epoch().as_nanos();
        let seed = xxh3_128_with_seed(directory.as_os_str().as_encoded_bytes(), opened as u64) as u64;
        Self { clock, seed, last: Mutex::new(newest.unwrap_or(Ulid::new(0, 0))) }
    }

    pub(crate) fn next(&self) -> Ulid {
        let now = self.clock.now().since_epoch();
        let drawn = Ulid::new(now.as_millis() as u64, xxh3_128_with_seed(&now.as_nanos().to_le_bytes(), self.seed));
        let mut last = self.last.lock();
        *last = drawn.max(last.next());
        *last
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use environment::UnixTime;
    use testkit::ManualClock;

    use super::*;

    #[test]
    fn names_rise_whatever_the_clock_does() {
        let clock = Arc::new(ManualClock::new(UnixTime::from_secs(1_700_000_000)));
        let source = UlidSource::new(clock.clone(), Path::new("a"), None);
        let (first, second) = (source.next(), source.next());
        assert_eq!(first.milliseconds(), 1_700_000_000_000);
        clock.advance(Duration::from_millis(5));
        let third = source.next();
        clock.set_wall(UnixTime::from_secs(1_600_000_000));
        assert!(first < second && second < third && third < source.next());
        assert_eq!(third.milliseconds(), 1_700_000_000_005);
        let opened = |name: &str, newest| UlidSource::new(clock.clone(), Path::new(name), newest);
        assert_ne!(opened("b", None).next(), opened("c", None).next());
        // The clock stands between two starts.
        let before = opened("b", None).next();
        assert!(opened("b", Some(before)).next() > before && opened("b", Some(third)).next() > third);
    }
}
