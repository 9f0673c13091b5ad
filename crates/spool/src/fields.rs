//! Little-endian fields of records.

use crate::Counts;

pub(crate) fn put_counts(out: &mut Vec<u8>, counts: Counts) {
    for number in [counts.samples, counts.histograms, counts.exemplars] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// A text or bytes with their length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).expect("bounded by its writer").to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Takes fields off the front of a slice; `None` when it ends too early.
#[derive(Clone)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn counts(&mut self) -> Option<Counts> {
        let counts = Counts { samples: self.u64()?, histograms: self.u64()?, exemplars: self.u64()? };
        (counts.samples.max(counts.histograms).max(counts.exemplars) <= COUNT_MAX).then_some(counts)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }

    /// A number of items that follow, each of so many bytes; `None` if they cannot all be there.
    pub(crate) fn count(&mut self, item_bytes: usize) -> Option<usize> {
        let count = usize::try_from(self.u32()?).ok()?;
        (count <= self.0.len() / item_bytes).then_some(count)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// More samples than anybody sends in a thousand years, and few enough to be added up.
const COUNT_MAX: u64 = 1 << 56;
