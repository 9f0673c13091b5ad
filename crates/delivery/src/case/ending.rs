//! How an entry ends: its outcome, and what of it goes to the ring of refused series.

use remote_write::Version;
use spool::{Counts, Expiry, Outcome, Refusal};

use super::{Case, Load, Shape};
use crate::message::{Cause, refusal, with_message};

/// What became of an entry.
pub(crate) struct Settled {
    pub(crate) outcome: Outcome,
    pub(crate) refusals: Vec<Refusal>,
}

impl Case {
    /// What became of it, once it is done.
    pub(crate) fn settle(self) -> Settled {
        Settled { outcome: self.account.close(), refusals: self.refusals }
    }

    /// Gives up what is left because of its age.
    pub(crate) fn expire(self) -> Settled {
        Settled { outcome: self.account.close_expired(Expiry::Age), refusals: self.refusals }
    }

    /// Gives up what is left because the target has refused everything for too long.
    pub(crate) fn give_up(mut self, cause: &Cause, shape: Shape<'_>) -> Settled {
        let left = self.account.left();
        let series = self.series_left();
        self.put_in_ring(series, left, cause, shape);
        Settled { outcome: self.account.close_rejected(cause.reason), refusals: self.refusals }
    }

    /// Remembers for the ring what of these series (all if none are given) was refused.
    pub(super) fn put_in_ring(&mut self, series: Option<Vec<u32>>, refused: Counts, cause: &Cause, shape: Shape<'_>) {
        let Load { version, body, .. } = &self.load;
        // The ring holds requests of 1.0; one that is refused as it stands need not be made anew.
        let as_it_is = (*version == Version::V1).then(|| body.clone());
        let whole = series.is_none();
        let refusals = with_message(*version, body, shape.limits, |message| {
            let series = series.unwrap_or_else(|| message.all());
            match &as_it_is {
                Some(body) if whole && message.tally(&series) == refused => {
                    vec![refusal(message.text(&series), body.clone(), refused, cause, shape.now, self.id)]
                }
                _ => message.refusals(&series, refused, cause, shape.now, self.id),
            }
        });
        self.refusals.extend(refusals.unwrap_or_else(|| {
            let body = as_it_is.unwrap_or_default();
            vec![refusal("(cannot be read)".to_owned(), body, refused, cause, shape.now, self.id)]
        }));
    }
}
