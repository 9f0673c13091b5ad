//! How long to wait after failures: doubling, bounded, spread by chance.

use std::time::Duration;

/// The wait after the `failures`th failure in a row, from 1: between half and all of `first`, doubled with each up to
/// `longest`. `chance` in `0.0..1.0` spreads those who started together.
pub(crate) fn delay((first, longest): (Duration, Duration), failures: u32, chance: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    first.saturating_mul(1 << doublings).min(longest).mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_spread() {
        let bounds = (Duration::from_secs(1), Duration::from_secs(10));
        for (failures, whole) in [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (u32::MAX, 10)] {
            let whole = Duration::from_secs(whole);
            assert_eq!(delay(bounds, failures, 1.0), whole, "{failures}");
            assert_eq!(delay(bounds, failures, 0.0), whole / 2, "{failures}");
        }
    }
}
