//! Floats as the XOR with the one before: the step that XOR chunks and both histogram chunks share.

use crate::bits::{BitReader, OutOfBits, write_bits};

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
        let changed = value.to_bits() ^ self.bits;
        self.bits = value.to_bits();
        if changed == 0 {
            write_bits(bytes, free, 0b0, 1);
            return;
        }
        // Five bits hold the number of leading zeros.
        let leading = (changed.leading_zeros() as u8).min(31);
        let trailing = changed.trailing_zeros() as u8;
        if self.leading != NO_WINDOW && leading >= self.leading && trailing >= self.trailing {
            write_bits(bytes, free, 0b10, 2);
        } else {
            (self.leading, self.trailing) = (leading, trailing);
            // 64 significant bits are written as 0 in their six bits; 0 of them never occur.
            let significant = 64 - leading - trailing;
            let window = 0b11 << 11 | u64::from(leading) << 6 | u64::from(significant & 63);
            write_bits(bytes, free, window, 13);
        }
        write_bits(bytes, free, changed >> self.trailing, 64 - self.leading - self.trailing);
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
