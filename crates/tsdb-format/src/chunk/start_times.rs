//! When counters began to count: what newer versions of Prometheus can store beside each sample.
//!
//! A header byte says whether the first sample has a start time, and from which sample on each has one. The first is stored
//! as its distance to its own sample; those that follow as distances to the sample before, and from the second of them on as
//! differences of those distances. Samples in between keep the start that was told last.

use super::varbit;
use crate::bits::{BitReader, OutOfBits};
use crate::bytes::unzigzag;

/// Reads the start times of a chunk, each after its sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartTimes {
    first: bool,
    /// The sample from which on there is one after each; 0 for none.
    from: u16,
    distance: i64,
    current: i64,
}

impl StartTimes {
    pub(super) const NONE: Self = Self { first: false, from: 0, distance: 0, current: 0 };

    pub(super) fn of_header(header: u8) -> Self {
        Self { first: header & 0x80 != 0, from: u16::from(header & 0x7f), ..Self::NONE }
    }

    /// Whether samples may have any.
    pub(super) fn may_be_known(self) -> bool {
        self.first || self.from > 0
    }

    /// That of the sample read last, milliseconds; 0 when it is not known.
    pub(super) fn current(self) -> i64 {
        self.current
    }

    /// Reads the start time after the sample `index`, from 0, which was taken at `at`, and the one before it at `before`.
    /// `Ok(false)` when it is no number.
    #[inline]
    pub(super) fn read(
        &mut self,
        reader: &mut BitReader<'_>,
        index: u16,
        at: i64,
        before: i64,
    ) -> Result<bool, OutOfBits> {
        if index == 0 {
            if self.first {
                let Some(distance) = reader.uvarint()? else { return Ok(false) };
                self.current = at.wrapping_sub(unzigzag(distance));
            }
        } else if self.from > 0 && index >= self.from {
            let distance = varbit::int(reader)?;
            self.distance = if index == self.from { distance } else { self.distance.wrapping_add(distance) };
            self.current = before.wrapping_sub(self.distance);
        }
        Ok(true)
    }
}
