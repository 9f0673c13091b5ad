//! Floats as the XOR with the one before: the step that XOR chunks and both histogram chunks share.

use crate::bits::{BitReader, OutOfBits, write_wide};

/// The previous value and the window of bits that changed last.
#[derive(Clone, Copy, Debug)]
pub(super) struct XorValue {
    pub(super) bits: u64,
    leading: u8,
    trailing: u8,
}

/// The previous value and the window of bits that changed last, as whole registers.
#[derive(Clone, Copy)]
pub(super) struct ValueWindow {
    pub(super) bits: u64,
    leading: u32,
    /// Bits in the window; 0 as long as there is none.
    pub(super) significant: u32,
}

impl ValueWindow {
    /// Reads which bits change from the start of `field`, whose first bit says that there are some. Returns after how many bits
    /// those stand; `None` for all 64 bits, and for a window that is impossible or not there: [`XorValue::read`] tells those apart.
    /// Then nothing has changed.
    #[inline]
    pub(super) fn follow(&mut self, field: u64) -> Option<u32> {
        if field >> 62 == 0b10 {
            return (self.significant != 0).then_some(2);
        }
        let (leading, significant) = ((field >> 57) as u32 & 31, (field >> 51) as u32 & 63);
        if significant == 0 || leading + significant > 64 {
            return None;
        }
        (self.leading, self.significant) = (leading, significant);
        Some(13)
    }

    /// Changes the bits in the window by the first ones of `word`.
    #[inline]
    pub(super) fn change(&mut self, word: u64) {
        self.bits ^= word >> (64 - self.significant) << (64 - self.leading - self.significant);
    }
}

impl From<ValueWindow> for XorValue {
    #[inline]
    fn from(window: ValueWindow) -> Self {
        let ValueWindow { bits, leading, significant } = window;
        match significant {
            0 => Self { bits, leading: NO_WINDOW, trailing: 0 },
            _ => Self { bits, leading: leading as u8, trailing: (64 - leading - significant) as u8 },
        }
    }
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

    /// The same for reading many values from words.
    #[inline]
    pub(super) fn window(self) -> ValueWindow {
        let is_known = self.leading != NO_WINDOW;
        let significant = if is_known { 64 - self.leading - self.trailing } else { 0 };
        let leading = if is_known { self.leading } else { 0 };
        ValueWindow { bits: self.bits, leading: leading.into(), significant: significant.into() }
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
