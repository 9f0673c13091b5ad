//! An entry that is answered 500 again and again: is it the target's trouble, or this entry's?

use std::sync::Arc;

use super::{Case, Flying, Parcel, Shape};
use crate::bisection::requests_max;
use crate::known_bad::KnownBad;

impl Case {
    /// A request with something that the target has taken before, when only what fails is left of an entry: everything else
    /// may be waiting behind it, so nothing but this can show whether the target is there at all.
    pub(super) fn canary(&mut self, shape: Shape<'_>) -> Option<Parcel> {
        let unit = self.taken?;
        let chunk = self.chunks.front()?;
        let cannot_be_cut = chunk.units.len() == 1 || self.cuts >= requests_max(self.series.len());
        let in_doubt = chunk.part_of_failing
            && chunk.search.is_none()
            && chunk.server_errors >= FAILURES_BEFORE_CANARY
            && chunk.deliveries_at_failure == Some(shape.deliveries);
        if !in_doubt || !cannot_be_cut {
            return None;
        }
        let units = unit..unit + 1;
        let (body, tally) = self.cut(units.clone(), shape.limits);
        let version = self.load.version;
        let bytes = body.len();
        self.flying = Some(Flying { units: Some(units), version, tally, bytes, divisible: false, canary: true });
        Some(Parcel { version, body })
    }

    /// Cuts the chunk at hand in two after it was answered 500, to see whether one of them gets through: at what is known to
    /// be poison, otherwise in the middle.
    pub(super) fn cut_failing(&mut self, shape: Shape<'_>) {
        let (Some(chunk), Some(sections)) = (self.chunks.front(), &mut self.sections) else { return };
        let known: Vec<bool> =
            (0..sections.series_count()).map(|series| shape.known_bad.poison.holds(sections.hash(series))).collect();
        let cut_at = sections.set_apart(chunk.units.clone(), |series| known[series as usize]);
        let halved = self.halve(cut_at, |half| {
            half.part_of_failing = true;
            // What is delivered after the last 500 of the whole shows that the target is not down.
            half.deliveries_at_failure = Some(shape.deliveries);
        });
        self.cuts += u32::from(halved);
    }

    /// Hashes of the series on their way.
    pub(crate) fn flying_hashes(&self) -> Arc<[u32]> {
        let units = self.flying.as_ref().and_then(|flying| flying.units.clone());
        let (Some(sections), Some(units)) = (&self.sections, units) else { return Arc::clone(&self.series) };
        sections.series(units).iter().map(|series| sections.hash(*series as usize)).collect()
    }

    pub(super) fn holds_poison(&self, known_bad: &KnownBad) -> bool {
        // The entry's own hashes say for nearly every entry that it holds none.
        known_bad.poison.holds_any(&self.series) && known_bad.poison.holds_any(&self.flying_hashes())
    }
}

/// So often what cannot be cut fails before anything else is asked.
const FAILURES_BEFORE_CANARY: u32 = 2;
