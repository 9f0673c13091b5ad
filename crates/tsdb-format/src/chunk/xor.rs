//! XOR chunks: float samples, times as deltas of deltas, values as XOR with the one before.

use model::TimestampMs;

use super::xor_value::XorValue;
use super::{CorruptChunk, increment_count, reserve, sample_count};
use crate::bits::{BitReader, OutOfBits, write_bits, write_wide};
use crate::bytes::{unzigzag, zigzag};

/// A chunk that still grows. Samples must come in order of time; this type does not check it.
#[derive(Clone, Debug)]
pub struct XorChunk {
    bytes: Vec<u8>,
    timestamp: i64,
    delta: i64,
    value: XorValue,
    free: u8,
}

impl XorChunk {
    /// A chunk with its first sample.
    pub fn new(timestamp: TimestampMs, value: f64) -> Self {
        let mut bytes = Vec::with_capacity(FIRST_BYTES);
        bytes.extend_from_slice(&1u16.to_be_bytes());
        crate::bytes::put_uvarint(&mut bytes, zigzag(timestamp.0));
        bytes.extend_from_slice(&value.to_bits().to_be_bytes());
        Self { bytes, timestamp: timestamp.0, delta: 0, value: XorValue::new(value), free: 0 }
    }

    /// Adds a sample.
    ///
    /// # Panics
    /// At 65,535 samples; cut chunks long before.
    #[inline]
    pub fn push(&mut self, timestamp: TimestampMs, value: f64) {
        reserve(&mut self.bytes, SAMPLE_BYTES);
        // Wrapping throughout: times are any 64-bit numbers and only have to come back the same.
        let delta = timestamp.0.wrapping_sub(self.timestamp);
        if self.len() == 1 {
            crate::bytes::put_uvarint(&mut self.bytes, delta as u64);
            self.value.write(&mut self.bytes, &mut self.free, value);
        } else {
            let (time, time_count) = self.time_field(delta.wrapping_sub(self.delta));
            let (value, value_count) = self.value.field(value);
            // At most 24 and 77 bits.
            let field = u128::from(time) << value_count | value;
            write_wide(&mut self.bytes, &mut self.free, field, time_count + value_count);
        }
        self.timestamp = timestamp.0;
        self.delta = delta;
        increment_count(&mut self.bytes);
    }

    /// Number of samples, at least one.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> u16 {
        u16::from_be_bytes([self.bytes[0], self.bytes[1]])
    }

    /// The newest sample.
    #[inline]
    pub fn newest(&self) -> (TimestampMs, f64) {
        (TimestampMs(self.timestamp), self.value.value())
    }

    /// Time of the first sample.
    pub fn start(&self) -> TimestampMs {
        let timestamp = BitReader::new(&self.bytes[2..]).uvarint().ok().flatten();
        TimestampMs(unzigzag(timestamp.expect("written when the chunk was made")))
    }

    /// The data as they go to disk; always complete.
    pub fn data(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of memory that hang on this value, without the value itself.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The bits that stand for a delta of deltas, and how many they are. The longest are written here; none are left then.
    #[inline]
    fn time_field(&mut self, dod: i64) -> (u32, u8) {
        match dod {
            0 => (0b0, 1),
            -0x1fff..=0x2000 => (0b10 << 14 | (dod as u32 & 0x3fff), 16),
            -0xffff..=0x10000 => (0b110 << 17 | (dod as u32 & 0x1ffff), 20),
            -0x7ffff..=0x80000 => (0b1110 << 20 | (dod as u32 & 0xfffff), 24),
            _ => {
                write_bits(&mut self.bytes, &mut self.free, 0b1111, 4);
                write_bits(&mut self.bytes, &mut self.free, dod as u64, 64);
                (0, 0)
            }
        }
    }
}

/// Reads the samples of a XOR chunk, in batches.
#[derive(Clone)]
pub struct XorDecoder<'a> {
    reader: BitReader<'a>,
    count: u16,
    read: u16,
    timestamp: i64,
    delta: i64,
    value: XorValue,
}

impl<'a> XorDecoder<'a> {
    /// A decoder at the first sample.
    ///
    /// # Errors
    /// Fewer than two bytes.
    pub fn new(data: &'a [u8]) -> Result<Self, CorruptChunk> {
        let count = sample_count(data)?;
        let mut reader = BitReader::new(data);
        reader.skip(16).expect("the count was there");
        Ok(Self { reader, count, read: 0, timestamp: 0, delta: 0, value: XorValue::new(0.0) })
    }

    /// Samples not yet read.
    pub fn remaining(&self) -> u16 {
        self.count - self.read
    }

    /// Appends up to `limit` samples to both vectors; returns how many. 0 means the end (or a limit of 0).
    ///
    /// # Errors
    /// Bytes that are no chunk; samples read before the bad one have been appended.
    pub fn read(
        &mut self,
        timestamps: &mut Vec<TimestampMs>,
        values: &mut Vec<f64>,
        limit: usize,
    ) -> Result<usize, CorruptChunk> {
        let count = limit.min(self.remaining() as usize);
        // No sample takes less than two bits, so what a wrong count asks for is bounded by the data.
        let likely = count.min(self.reader.remaining() / 2 + 1);
        let (times_before, values_before) = (timestamps.len(), values.len());
        timestamps.resize(times_before + likely, TimestampMs(0));
        values.resize(values_before + likely, 0.0);
        let mut read = 0;
        let outcome = self.fill(&mut timestamps[times_before..], &mut values[values_before..], &mut read);
        timestamps.truncate(times_before + read);
        values.truncate(values_before + read);
        outcome?;
        if likely < count {
            return Err(self.corrupt(CUT));
        }
        if count > 0 && self.read == self.count {
            self.check_rest()?;
        }
        Ok(count)
    }

    /// Reads as many samples as there are places, or up to a bad one; `read` counts them.
    fn fill(&mut self, times: &mut [TimestampMs], floats: &mut [f64], read: &mut usize) -> Result<(), CorruptChunk> {
        while *read < times.len() {
            if self.read >= 2 {
                *read += self.fill_run(&mut times[*read..], &mut floats[*read..]);
                if *read == times.len() {
                    break;
                }
            }
            (times[*read], floats[*read]) = self.sample()?;
            *read += 1;
        }
        Ok(())
    }

    /// Reads samples as long as nothing is wrong with them, no time is of the longest kind, and no value has all of its bits
    /// changed; returns how many. The state stands in local variables meanwhile, and the end of the data is looked for once a
    /// sample.
    fn fill_run(&mut self, times: &mut [TimestampMs], floats: &mut [f64]) -> usize {
        let (mut timestamp, mut delta, mut value) = (self.timestamp, self.delta, self.value.window());
        let (mut position, end) = (self.reader.position(), self.reader.end());
        let mut read = 0;
        for (time_slot, float_slot) in times.iter_mut().zip(floats) {
            let word = self.reader.peek_at(position);
            let mut used = 1;
            if word >> 63 != 0 {
                let count = match word.leading_ones() {
                    1 => 14,
                    2 => 17,
                    3 => 20,
                    _ => break,
                };
                let prefix = word.leading_ones() + 1;
                delta = delta.wrapping_add(shifted_field((word << prefix) >> (64 - count), count));
                used = prefix + count;
            }
            let field = word << used;
            let mut next = position + used as usize + 1;
            if field >> 63 != 0 {
                let Some(prefix) = value.follow(field) else { break };
                next += prefix as usize - 1;
                let known = if used + prefix + value.significant <= WORD_BITS {
                    field << prefix
                } else if value.significant <= WORD_BITS {
                    self.reader.peek_at(next)
                } else {
                    self.reader.peek_at(next) >> 32 << 32 | self.reader.peek_at(next + 32) >> 32
                };
                value.change(known);
                next += value.significant as usize;
            }
            if next > end {
                break;
            }
            position = next;
            timestamp = timestamp.wrapping_add(delta);
            (*time_slot, *float_slot) = (TimestampMs(timestamp), f64::from_bits(value.bits));
            (self.timestamp, self.delta, self.value) = (timestamp, delta, value.into());
            read += 1;
        }
        self.reader.go_to(position).expect("it is not behind the end");
        self.read += read as u16;
        read
    }

    /// The next sample.
    #[inline]
    fn sample(&mut self) -> Result<(TimestampMs, f64), CorruptChunk> {
        match self.read {
            0 => self.first(),
            1 => {
                let delta = self.uvarint()?;
                self.advance(delta as i64)
            }
            _ => {
                let dod = self.delta_of_delta().map_err(|OutOfBits| self.corrupt(CUT))?;
                self.advance(self.delta.wrapping_add(dod))
            }
        }?;
        self.read += 1;
        Ok((TimestampMs(self.timestamp), self.value.value()))
    }

    fn first(&mut self) -> Result<(), CorruptChunk> {
        self.timestamp = unzigzag(self.uvarint()?);
        let bits = self.reader.bits(64).map_err(|OutOfBits| self.corrupt(CUT))?;
        self.value = XorValue::new(f64::from_bits(bits));
        Ok(())
    }

    #[inline]
    fn advance(&mut self, delta: i64) -> Result<(), CorruptChunk> {
        self.delta = delta;
        self.timestamp = self.timestamp.wrapping_add(delta);
        match self.value.read(&mut self.reader) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.corrupt("impossible window of significant bits")),
            Err(OutOfBits) => Err(self.corrupt(CUT)),
        }
    }

    #[inline]
    fn delta_of_delta(&mut self) -> Result<i64, OutOfBits> {
        let next = self.reader.peek();
        let (prefix, count) = match next.leading_ones() {
            0 => {
                self.reader.skip(1)?;
                return Ok(0);
            }
            1 => (2, 14),
            2 => (3, 17),
            3 => (4, 20),
            _ => {
                self.reader.skip(4)?;
                return Ok(self.reader.bits(64)? as i64);
            }
        };
        self.reader.skip(prefix + count)?;
        Ok(shifted_field((next << prefix) >> (64 - count), count as u32))
    }

    fn uvarint(&mut self) -> Result<u64, CorruptChunk> {
        match self.reader.uvarint() {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(self.corrupt("number longer than 64 bits")),
            Err(OutOfBits) => Err(self.corrupt(CUT)),
        }
    }

    /// Some writers leave a whole spare byte; anything more, or not zero, belongs to nobody.
    fn check_rest(&self) -> Result<(), CorruptChunk> {
        if self.reader.remaining() < 16 && self.reader.peek() == 0 {
            return Ok(());
        }
        Err(self.corrupt("bytes left over after the last sample"))
    }

    fn corrupt(&self, what: &'static str) -> CorruptChunk {
        CorruptChunk { what, bit: self.reader.position(), sample: self.read }
    }
}

/// A field of `count` bits, whose range is shifted by one: -(2^(n-1) - 1)..=2^(n-1).
#[inline]
fn shifted_field(field: u64, count: u32) -> i64 {
    let wraps = field > 1 << (count - 1);
    field as i64 - if wraps { 1 << count } else { 0 }
}

/// Bits of a peeked word that count.
const WORD_BITS: u32 = 57;

const CUT: &str = "the data end inside a sample";

/// Room for the count, a time of six bytes, a value, and a few samples more.
const FIRST_BYTES: usize = 32;

/// Room that nearly every sample fits into; the rare longer one lets the vector grow as it likes.
const SAMPLE_BYTES: usize = 11;

#[cfg(test)]
mod tests;
