//! Bit streams, most significant bit first.

/// Appends the low `count` (0..=64) bits of `value`. `free` is the number of unused low bits of the last byte.
///
/// The two halves of the writer's state are separate so that a chunk can keep them next to its other small fields.
#[inline]
pub(crate) fn write_bits(bytes: &mut Vec<u8>, free: &mut u8, value: u64, count: u8) {
    debug_assert!(count <= 64);
    let mut left = count;
    if *free > 0 && left > 0 {
        let taken = left.min(*free);
        let part = (value >> (left - taken)) as u8 & low_mask(taken);
        *free -= taken;
        left -= taken;
        *bytes.last_mut().expect("free bits exist only in a last byte") |= part << *free;
    }
    while left >= 8 {
        left -= 8;
        bytes.push((value >> left) as u8);
    }
    if left > 0 {
        *free = 8 - left;
        bytes.push((value as u8 & low_mask(left)) << *free);
    }
}

/// The same for up to 120 bits in one go; the other bits of `value` must be zero.
#[inline]
pub(crate) fn write_wide(bytes: &mut Vec<u8>, free: &mut u8, value: u128, count: u8) {
    debug_assert!((1..=120).contains(&count) && value >> count == 0);
    let mut word = value << (128 - count);
    let mut total = count;
    if *free > 0 {
        let used = 8 - *free;
        let last = bytes.pop().expect("free bits exist only in a last byte");
        word = word >> used | u128::from(last) << 120;
        total += used;
    }
    *free = total.wrapping_neg() & 7;
    let (word, length) = (word.to_be_bytes(), usize::from(total).div_ceil(8));
    if bytes.capacity() - bytes.len() >= word.len() {
        // All of the word and then off with the rest: a copy of known length is two instructions.
        let end = bytes.len() + length;
        bytes.extend_from_slice(&word);
        bytes.truncate(end);
    } else {
        bytes.extend_from_slice(&word[..length]);
    }
}

fn low_mask(count: u8) -> u8 {
    (0xffu16 >> (8 - count)) as u8
}

/// Reads bits from the start of a slice.
#[derive(Clone)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    position: usize,
}

/// The stream ends before what was asked for.
#[derive(Debug)]
pub(crate) struct OutOfBits;

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// In bits.
    pub(crate) fn end(&self) -> usize {
        self.bytes.len() * 8
    }

    pub(crate) fn remaining(&self) -> usize {
        self.end() - self.position
    }

    /// Goes to a place, in bits from the start.
    #[inline]
    pub(crate) fn go_to(&mut self, position: usize) -> Result<(), OutOfBits> {
        if position > self.end() {
            return Err(OutOfBits);
        }
        self.position = position;
        Ok(())
    }

    /// The next bits, left-aligned; at least 57 of them count, and beyond the end of the stream they are zero.
    #[inline]
    pub(crate) fn peek(&self) -> u64 {
        self.peek_at(self.position)
    }

    /// The same from another place on.
    #[inline]
    pub(crate) fn peek_at(&self, position: usize) -> u64 {
        let word = match self.bytes.get(position >> 3..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(word) => u64::from_be_bytes(*word),
            None => self.last_word(position >> 3),
        };
        word << (position & 7)
    }

    /// The bytes from `start` on, which are fewer than eight, and zeroes.
    fn last_word(&self, start: usize) -> u64 {
        if let Some(last) = self.bytes.last_chunk::<8>() {
            let passed = start - (self.bytes.len() - 8);
            return if passed < 8 { u64::from_be_bytes(*last) << (passed * 8) } else { 0 };
        }
        let tail = self.bytes.get(start..).unwrap_or_default();
        let mut word = [0; 8];
        word[..tail.len()].copy_from_slice(tail);
        u64::from_be_bytes(word)
    }

    #[inline]
    pub(crate) fn skip(&mut self, count: usize) -> Result<(), OutOfBits> {
        if count > self.remaining() {
            return Err(OutOfBits);
        }
        self.position += count;
        Ok(())
    }

    /// The next `count` (1..=64) bits as an unsigned number.
    #[inline]
    pub(crate) fn bits(&mut self, count: u8) -> Result<u64, OutOfBits> {
        if count > 57 {
            let high = self.bits(count - 32)?;
            return Ok(high << 32 | self.bits(32)?);
        }
        let value = self.peek() >> (64 - count);
        self.skip(count as usize)?;
        Ok(value)
    }

    /// A LEB128 number whose bytes may start at any bit.
    pub(crate) fn uvarint(&mut self) -> Result<Option<u64>, OutOfBits> {
        // Up to seven bytes at once: seven bits of each, those of a later byte above those of an earlier one.
        let word = self.peek();
        let bytes = (!word & 0x8080_8080_8080_8080).leading_zeros() / 8 + 1;
        if bytes <= 7 && bytes as usize * 8 <= self.remaining() {
            self.position += bytes as usize * 8;
            let value = (0..bytes).fold(0, |value, byte| value | (word >> (56 - byte * 8) & 0x7f) << (byte * 7));
            return Ok(Some(value));
        }
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.bits(8)?;
            if shift == 63 && byte > 1 {
                return Ok(None);
            }
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(fields in prop::collection::vec((any::<u64>(), 1u8..=64), 0..200)) {
            let (mut bytes, mut free) = (Vec::new(), 0);
            for (value, count) in &fields {
                if value % 2 == 0 {
                    write_bits(&mut bytes, &mut free, *value, *count);
                } else {
                    let value = u128::from(value & (u64::MAX >> (64 - count)));
                    write_wide(&mut bytes, &mut free, value, *count);
                }
            }
            let mut reader = BitReader::new(&bytes);
            for (value, count) in &fields {
                prop_assert_eq!(reader.bits(*count).unwrap(), value & (u64::MAX >> (64 - count)));
            }
            prop_assert_eq!(reader.remaining(), free as usize);
            prop_assert!(reader.bits(8).is_err());
        }
    }
}
