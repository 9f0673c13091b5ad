//! `rate` and its like over the windows of a series of floats, quickly.
//!
//! How far a change is extrapolated depends on where the samples lie between the ends of the window, and nearly all of the
//! divisions are spent on that. Series that are scraped in a rhythm have few such shapes over all their windows, so the
//! factors of the last ones are kept. The values are those of [`rate::extrapolated`].

use crate::rate::{self, RateKind, Reach, SampledSpan};
use crate::window::Window;

/// Shapes of windows of one length, without start timestamps, that were met lately.
#[derive(Debug)]
pub(crate) struct RateShapes {
    of: Option<(RateKind, i64)>,
    shapes: [Shape; SHAPES],
}

/// A window's shape, and what follows from it.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    to_start_ms: i64,
    sampled_ms: i64,
    /// Samples inside; 0 for no shape yet.
    samples: usize,
    reach: Reach,
    factor: f64,
}

impl Default for RateShapes {
    fn default() -> Self {
        Self { of: None, shapes: [Shape::default(); SHAPES] }
    }
}

impl RateShapes {
    /// To be called before windows of this length, in milliseconds, are looked at.
    pub(crate) fn begin(&mut self, kind: RateKind, length: i64) {
        if self.of != Some((kind, length)) {
            *self = Self { of: Some((kind, length)), ..Self::default() };
        }
    }

    /// The change over the window, extrapolated to its ends; `None` for too few samples.
    #[inline]
    pub(crate) fn extrapolated(&mut self, kind: RateKind, window: &Window<'_>) -> Option<f64> {
        debug_assert!(self.of == Some((kind, window.end - window.start)) && window.starts.is_empty());
        let [from, .., until] = window.times else { return None };
        let (to_start_ms, sampled_ms) = (from.0 - window.start, until.0 - from.0);
        let samples = window.times.len();
        let mixed = (to_start_ms ^ sampled_ms << 32) as u64;
        let shape = &mut self.shapes[(mixed.wrapping_mul(MIXER) >> (u64::BITS - SHAPES.ilog2())) as usize];
        if (shape.to_start_ms, shape.sampled_ms, shape.samples) != (to_start_ms, sampled_ms, samples) {
            let reach = SampledSpan::of(kind, window, window.times, &[])?.reach(window);
            *shape = Shape { to_start_ms, sampled_ms, samples, reach, factor: reach.factor(kind) };
        }
        let (change, first) = (rate::seen(kind, window), window.floats[0]);
        // From twice the change on, zero is further away than the start of any window is taken to be.
        if kind.counter && change > 0.0 && first >= 0.0 && first < change * 2.0 {
            let mut reach = shape.reach;
            reach.stay_above_zero(first / change);
            return Some(change * reach.factor(kind));
        }
        Some(change * shape.factor)
    }
}

/// A power of two. Steps and scrapes that share a divisor give as many shapes as fit into the one and the other.
const SHAPES: usize = 16;

/// Odd, its bits evenly spread: the golden ratio's.
const MIXER: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use model::TimestampMs;
    use proptest::prelude::*;

    use super::*;
    use crate::window::Falls;

    proptest! {
        #[test]
        fn values_are_those_of_the_general_way(
            counter in any::<bool>(),
            per_second in any::<bool>(),
            length in 1i64..100,
            windows in prop::collection::vec((0i64..20, prop::collection::btree_map(1i64..=100, 0u8..30, 0..6)), 0..60),
        ) {
            let kind = RateKind { counter, per_second };
            let mut shapes = RateShapes::default();
            shapes.begin(kind, length * 10);
            for (start, samples) in windows {
                let samples: Vec<_> = samples.into_iter().filter(|(at, _)| *at <= length).collect();
                let times: Vec<_> = samples.iter().map(|(at, _)| TimestampMs((start + at) * 10)).collect();
                let floats: Vec<f64> = samples.iter().map(|(_, value)| f64::from(*value) - 5.0).collect();
                let falls: Vec<usize> = (1..floats.len()).filter(|index| floats[*index] < floats[index - 1]).collect();
                let (start, end) = (start * 10, (start + length) * 10);
                let falls = Falls::new(&falls, 0);
                let window = Window { times: &times, floats: &floats, falls, start, end, at: end, ..Window::EMPTY };
                let expected = rate::extrapolated(kind, &window).map(f64::to_bits);
                prop_assert_eq!(shapes.extrapolated(kind, &window).map(f64::to_bits), expected);
            }
        }
    }
}
