//! When counters began to count: what newer versions of Prometheus can store beside each sample. Read past, not kept.
//!
//! A header byte says whether the first sample has a start time, and from which sample on each has one.

use super::varbit;
use crate::bits::{BitReader, OutOfBits};

/// Which samples of a chunk are followed by a start time.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartTimes {
    first: bool,
    /// The sample from which on there is one after each; 0 for none.
    from: u16,
}

impl StartTimes {
    pub(super) const NONE: Self = Self { first: false, from: 0 };

    pub(super) fn of_header(header: u8) -> Self {
        Self { first: header & 0x80 != 0, from: u16::from(header & 0x7f) }
    }

    /// Reads past the start time after the sample `index`, from 0. `Ok(false)` when it is no number.
    #[inline]
    pub(super) fn skip(self, reader: &mut BitReader<'_>, index: u16) -> Result<bool, OutOfBits> {
        if index == 0 {
            return Ok(!self.first || reader.uvarint()?.is_some());
        }
        if self.from > 0 && index >= self.from {
            varbit::int(reader)?;
        }
        Ok(true)
    }
}
