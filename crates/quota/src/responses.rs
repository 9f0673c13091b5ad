//! Requests by the status of their answer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Statuses that are counted each by itself; anything else counts as [`OTHER_STATUS`].
pub const STATUSES: [u16; 16] =
    [200, 202, 204, 400, 401, 403, 404, 405, 408, 413, 415, 429, 499, 500, 503, OTHER_STATUS];

/// Stands for every status that is not in [`STATUSES`].
pub const OTHER_STATUS: u16 = 0;

/// Counts of all of them.
#[derive(Default, Debug)]
pub(crate) struct Responses([AtomicU64; STATUSES.len()]);

impl Responses {
    pub(crate) fn add(&self, status: u16) {
        let known = STATUSES.iter().position(|known| *known == status);
        self.0[known.unwrap_or(STATUSES.len() - 1)].fetch_add(1, Relaxed);
    }

    /// Statuses that were answered at least once, with how often.
    pub(crate) fn totals(&self) -> Vec<(u16, u64)> {
        let totals = self.0.iter().map(|total| total.load(Relaxed));
        STATUSES.into_iter().zip(totals).filter(|(_, total)| *total > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_status() {
        let responses = Responses::default();
        for status in [204, 429, 204, 418, 511, 0] {
            responses.add(status);
        }
        assert_eq!(responses.totals(), [(204, 2), (429, 1), (OTHER_STATUS, 3)]);
    }
}
