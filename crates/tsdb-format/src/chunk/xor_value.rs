//! Floats as the XOR with the one before: the step that XOR chunks and both histogram chunks share.

use crate::bits::{BitReader, OutOfBits, write_wide};

/// The previous value and the window of bits that changed last.
#[derive(Clone, Copy, Debug)]
pub(super) struct XorValue {
    pub(super) bits: u64,
    leading: u8,
    trailing: u8,
}

impl XorValue {
    pub(super) fn new(value: f64) -> Self {
        Self { bits: value.to_bits(), leading: NO_WINDOW, trailing: 0 }
    }

    pub(super) fn value(self) -> f64 {
        f64::from_bits(self.bits)
    }

    #[inline]
    pub(super) fn write(&mut self, bytes: &mut Vec<u8>, free: &mut u8, value: f64) {
        let (field, count) = self.field(value);
        write_wide(bytes, free, field, count);
    }

    /// The bits that stand for the next value, and how many they are: 1 to 77.
    #[inline]
    pub(super) fn field(&mut self, value: f64) -> (u128, u8) {
        let changed = value.to_bits() ^ self.bits;
        self.bits = value.to_bits();
        if changed == 0 {
            return (0b0, 1);
        }
        // Five bits hold the number of leading zeros.
        let leading = (changed.leading_zeros() as u8).min(31);
        let trailing = changed.trailing_zeros() as u8;
        let (prefix, prefix_count) =
            if self.leading != NO_WINDOW && leading >= self.leading && trailing >= self.trailing {
                (0b10, 2)
            } else {
                (self.leading, self.trailing) = (leading, trailing);
                // 64 significant bits are written as 0 in their six bits; 0 of them never occur.
                let significant = 64 - leading - trailing;
                (0b11 << 11 | u128::from(leading) << 6 | u128::from(significant & 63), 13)
            };
        let significant = 64 - self.leading - self.trailing;
        (prefix << significant | u128::from(changed >> self.trailing), prefix_count + significant)
    }

    /// The next value; `Ok(false)` when the window is impossible.
    #[inline]
    pub(super) fn read(&mut self, reader: &mut BitReader<'_>) -> Result<bool, OutOfBits> {
        let next = reader.peek();
        if next >> 63 == 0 {
            reader.skip(1)?;
            return Ok(true);
        }
        if next >> 62 == 0b10 {
            reader.skip(2)?;
            return self.read_in_window(reader);
        }
        reader.skip(2)?;
        self.read_with_window(reader)
    }

    /// The next value from `word`, bits that were peeked at, of which `known` are to be had (the others may be wrong).
    /// Returns how many were used; `None` when they are too few, or the window is impossible: [`read`](Self::read) tells.
    #[inline]
    pub(super) fn read_word(&mut self, word: u64, known: u32) -> Option<u32> {
        if word >> 63 == 0 {
            return Some(1);
        }
        let (leading, trailing, prefix) = if word >> 62 == 0b10 {
            if self.leading == NO_WINDOW {
                return None;
            }
            (u32::from(self.leading), u32::from(self.trailing), 2)
        } else {
            let (leading, significant) = ((word >> 57) as u32 & 31, (word >> 51) as u32 & 63);
            // 64 significant bits, written as 0, are too many for a word anyway.
            if significant == 0 || leading + significant > 64 {
                return None;
            }
            (leading, 64 - leading - significant, 13)
        };
        let significant = 64 - leading - trailing;
        if prefix + significant > known {
            return None;
        }
        (self.leading, self.trailing) = (leading as u8, trailing as u8);
        self.bits ^= (word << prefix) >> (64 - significant) << trailing;
        Some(prefix + significant)
    }

    /// The bits of a value that changed where the one before did; `Ok(false)` when none has changed yet.
    #[inline]
    pub(super) fn read_in_window(&mut self, reader: &mut BitReader<'_>) -> Result<bool, OutOfBits> {
        if self.leading == NO_WINDOW {
            return Ok(false);
        }
        let significant = 64 - self.leading - self.trailing;
        self.bits ^= reader.bits(significant)? << self.trailing;
        Ok(true)
    }

    /// A new window and the bits in it; `Ok(false)` when the window is impossible.
    #[inline]
    pub(super) fn read_with_window(&mut self, reader: &mut BitReader<'_>) -> Result<bool, OutOfBits> {
        let next = reader.peek();
        reader.skip(11)?;
        let leading = (next >> 59) as u8;
        let significant = match (next >> 53) as u8 & 63 {
            0 => 64,
            significant => significant,
        };
        if leading + significant > 64 {
            return Ok(false);
        }
        (self.leading, self.trailing) = (leading, 64 - leading - significant);
        self.read_in_window(reader)
    }
}

/// No value has changed yet, so there is no window to reuse.
const NO_WINDOW: u8 = 0xff;
