//! How the values of series go from one scrape to the next.

/// What a series measures. The number says how much comes or changes in a scrape, in the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Stays what it is.
    Constant(u64),
    /// A counter of whole things; does not move in one scrape of four.
    Events(u32),
    /// A counter of seconds, kept in hundredths.
    Seconds(u32),
    /// A whole number that wanders.
    Level(u32),
    /// Bytes in pages of 4 KiB, wandering.
    Bytes,
    /// A fraction with two digits, wandering.
    Load,
}

impl Behaviour {
    /// The value at the first scrape; `random` is another for each series.
    pub(crate) fn first(self, random: u64) -> f64 {
        match self {
            Self::Constant(value) => value as f64,
            Self::Events(mean) => (random % (u64::from(mean) * 100_000)) as f64,
            Self::Seconds(mean) => (random % (u64::from(mean) * 100_000)) as f64 / 100.0,
            Self::Level(mean) => (u64::from(mean) * 20 + random % 100) as f64,
            Self::Bytes => ((random % 2_000_000 + 1000) * 4096) as f64,
            Self::Load => (random % 400) as f64 / 100.0,
        }
    }

    /// The value after `value`; `random` is another for each series and scrape.
    pub(crate) fn next(self, value: f64, random: u64) -> f64 {
        let step = |mean: u32| (random >> 8) % (u64::from(mean) + 1) + u64::from(mean).div_ceil(2);
        let signed = |most: i64| (random >> 8) as i64 % (2 * most + 1) - most;
        match self {
            Self::Constant(_) => value,
            Self::Events(_) if random.is_multiple_of(4) => value,
            Self::Events(mean) => value + step(mean) as f64,
            Self::Seconds(mean) => ((value * 100.0).round() + step(mean) as f64) / 100.0,
            Self::Level(mean) => (value + signed(i64::from(mean)) as f64).max(0.0),
            Self::Bytes => (value + (signed(500) * 4096) as f64).max(4096.0),
            Self::Load => (((value * 100.0).round() + signed(30) as f64) / 100.0).max(0.0),
        }
    }
}

/// Mixes bits: near inputs give outputs that look random (splitmix64's finisher).
pub(crate) fn scatter(of: u64) -> u64 {
    let mut bits = of.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_never_fall_and_constants_stay() {
        for (behaviour, falls) in [
            (Behaviour::Constant(7), false),
            (Behaviour::Events(12), false),
            (Behaviour::Seconds(3), false),
            (Behaviour::Level(5), true),
            (Behaviour::Bytes, true),
            (Behaviour::Load, true),
        ] {
            let mut value = behaviour.first(scatter(1));
            let (mut fell, mut moved) = (false, false);
            for scrape in 0..1000 {
                let next = behaviour.next(value, scatter(scrape));
                assert!(next >= 0.0 && next.is_finite(), "{behaviour:?}: {next}");
                fell |= next < value;
                moved |= next != value;
                value = next;
            }
            assert_eq!((fell, moved), (falls, behaviour != Behaviour::Constant(7)), "{behaviour:?}");
        }
    }
}
