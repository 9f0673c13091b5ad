//! The hash that names a series in queues.
//!
//! Stands on disks, so it never changes. It is no map's hash and need not withstand an attacker: whoever makes his own series
//! collide only has them sent one after the other.

/// The hash of a [label block](crate::Series::label_block).
///
/// The same labels in the same order have the same hash in both versions. Of labels in another order, or with empty values
/// that another sender leaves out, it is another; a sender writes a series the same way each time. Of a series in a 2.0
/// request whose labels cannot be resolved, or not within the limits, it is the hash of what comes before that point.
///
/// Two lanes each take 16 bytes of 32 at a time: the two little-endian words are mixed with the lane and with a constant, and
/// the halves of their product are folded together. The length is mixed in first. A block that is not a multiple of
/// 32 bytes ends with its last 32 once more; one shorter than that is filled up with zeros.
pub fn series_hash(label_block: &[u8]) -> u32 {
    SeriesHasher::new(label_block).finish()
}

/// The hash as it is being made. Whoever has other work that waits for memory makes a step in between.
pub(crate) struct SeriesHasher<'b> {
    block: &'b [u8],
    rest: &'b [u8],
    lanes: [u64; 2],
}

impl<'b> SeriesHasher<'b> {
    #[inline(always)]
    pub(crate) fn new(block: &'b [u8]) -> Self {
        Self { block, rest: block, lanes: [MIX[0] ^ block.len() as u64, MIX[3]] }
    }

    /// Takes the next 32 bytes, if there are as many.
    #[inline(always)]
    pub(crate) fn step(&mut self) -> bool {
        let Some((stripe, rest)) = self.rest.split_first_chunk::<STRIPE_BYTES>() else { return false };
        self.lanes = mix(self.lanes, stripe);
        self.rest = rest;
        true
    }

    #[inline(always)]
    pub(crate) fn finish(mut self) -> u32 {
        while self.step() {}
        if !self.rest.is_empty() {
            self.lanes = match self.block.last_chunk::<STRIPE_BYTES>() {
                Some(last) => mix(self.lanes, last),
                None => {
                    let mut filled_up = [0; STRIPE_BYTES];
                    filled_up[..self.rest.len()].copy_from_slice(self.rest);
                    mix(self.lanes, &filled_up)
                }
            };
        }
        fold(self.lanes[0] ^ MIX[2], self.lanes[1] ^ MIX[1]) as u32
    }
}

#[inline(always)]
fn mix(lanes: [u64; 2], stripe: &[u8; STRIPE_BYTES]) -> [u64; 2] {
    let (words, _) = stripe.as_chunks::<8>();
    let word = |index: usize| u64::from_le_bytes(words[index]);
    [fold(word(0) ^ lanes[0], word(1) ^ MIX[1]), fold(word(2) ^ lanes[1], word(3) ^ MIX[2])]
}

#[inline(always)]
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    product as u64 ^ (product >> 64) as u64
}

const STRIPE_BYTES: usize = 32;
/// The first digits of π behind the point, in hexadecimal; odd, as multipliers should be.
const MIX: [u64; 4] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1, 0x082e_fa98_ec4e_6c89];

#[cfg(test)]
mod tests;
