//! Counts of classic histograms that had to be mended, gathered over steps: what the user is told of them.

use std::fmt;

use crate::calendar::rfc3339;
use crate::classic_histogram::Mended;
use crate::float_text::{go_float, go_float_of_two_digits};

/// Counts that were mended at several steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct MendedOverSteps {
    all: Mended,
    samples: usize,
    first_ms: i64,
    last_ms: i64,
}

impl MendedOverSteps {
    /// Those of one histogram at one step.
    pub(crate) fn at(mended: Mended, time_ms: i64) -> Self {
        Self { all: mended, samples: 1, first_ms: time_ms, last_ms: time_ms }
    }

    /// Takes over those of other steps or histograms.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.all = Mended {
            lowest: self.all.lowest.min(other.all.lowest),
            highest: self.all.highest.max(other.all.highest),
            most: self.all.most.max(other.all.most),
        };
        self.samples += other.samples;
        (self.first_ms, self.last_ms) = (self.first_ms.min(other.first_ms), self.last_ms.max(other.last_ms));
    }
}

impl fmt::Display for MendedOverSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [lowest, highest] = [self.all.lowest, self.all.highest].map(go_float);
        let most = go_float_of_two_digits(self.all.most);
        // Go's division, which goes towards zero.
        let [first, last] = [self.first_ms, self.last_ms].map(|time| rfc3339(time / 1000));
        let samples = self.samples;
        write!(
            f,
            "from buckets {lowest} to {highest}, with a max diff of {most}, over {samples} samples from {first} to {last}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_mended() {
        let mut mended = MendedOverSteps::at(Mended { lowest: 2.0, highest: 4.0, most: 0.123 }, 60_000);
        mended.absorb(&MendedOverSteps::at(Mended { lowest: 3.0, highest: f64::INFINITY, most: 0.1 }, 0));
        assert_eq!(
            mended.to_string(),
            "from buckets 2 to +Inf, with a max diff of 0.12, over 2 samples from 1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z"
        );
    }
}
