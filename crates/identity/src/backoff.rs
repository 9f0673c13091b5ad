//! How long to wait after a failure: doubling, bounded, spread by chance.
//!
//! The only place that decides about retries. The managed identity endpoint wants to be left alone for at least a second
//! after a 500 and comes back within 70 s of a 410; the token endpoint throttles clients that hammer it.

use std::time::Duration;

use environment::Rng;

/// The longest wait between two attempts, unless the endpoint asked for more.
pub(crate) const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// The longest wait that an endpoint's `Retry-After` can ask for; a mistaken one must not stop refreshes for a day.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

const BACK_OFF_FIRST: Duration = Duration::from_secs(2);

/// The wait after a failure that `failures_before` failures preceded: 1–2 s, 2–4 s, 4–8 s … 30–60 s.
pub(crate) fn delay(failures_before: u64, rng: &dyn Rng) -> Duration {
    let doublings = u32::try_from(failures_before.min(16)).unwrap_or(16);
    let longest = BACK_OFF_FIRST.saturating_mul(1 << doublings).min(BACK_OFF_MAX);
    longest.mul_f64(0.5 + 0.5 * rng.next_f64())
}

#[cfg(test)]
mod tests {
    use testkit::SeededRng;

    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_differ() {
        let rng = SeededRng::new(5);
        for (failures, longest) in [(0, 2), (1, 4), (2, 8), (3, 16), (4, 32), (5, 60), (6, 60), (1_000_000, 60)] {
            let longest = Duration::from_secs(longest);
            let delays: Vec<_> = (0..100).map(|_| delay(failures, &rng)).collect();
            assert!(delays.iter().all(|delay| *delay >= longest / 2 && *delay <= longest), "{failures}: {delays:?}");
            assert!(delays.iter().any(|delay| *delay != delays[0]));
        }
    }
}
