//! XOR2 chunks: floats with one prefix for time and value together, staleness markers apart from the values, and start
//! times. Newer versions of Prometheus write them when told to.

use model::{TimestampMs, stale_nan};

use super::start_times::StartTimes;
use super::xor_value::XorValue;
use super::{CorruptChunk, sample_count};
use crate::bits::{BitReader, OutOfBits};
use crate::bytes::unzigzag;

/// Reads the samples of a XOR2 chunk.
pub(super) struct Xor2Decoder<'a> {
    reader: BitReader<'a>,
    count: u16,
    read: u16,
    start_times: StartTimes,
    timestamp: i64,
    delta: i64,
    /// The last value that was no staleness marker: what the next is the difference to.
    value: XorValue,
}

enum Damage {
    Cut,
    Invalid(&'static str),
}

impl From<OutOfBits> for Damage {
    fn from(OutOfBits: OutOfBits) -> Self {
        Self::Cut
    }
}

impl<'a> Xor2Decoder<'a> {
    pub(super) fn new(data: &'a [u8]) -> Result<Self, CorruptChunk> {
        let count = sample_count(data)?;
        let mut reader = BitReader::new(data);
        reader.skip(16).expect("the count was there");
        let header = reader.bits(8).map_err(|OutOfBits| CorruptChunk { what: "no header", bit: 16, sample: 0 })?;
        let start_times = StartTimes::of_header(header as u8);
        Ok(Self { reader, count, read: 0, start_times, timestamp: 0, delta: 0, value: XorValue::new(0.0) })
    }

    /// Those of the samples so far.
    pub(super) fn start_times(&self) -> StartTimes {
        self.start_times
    }

    fn sample(&mut self) -> Result<(TimestampMs, f64), Damage> {
        let value = match self.read {
            0 => self.first()?,
            1 => {
                let delta = self.reader.uvarint()?.ok_or(Damage::Invalid("number longer than 64 bits"))?;
                self.delta = delta as i64;
                self.value()?
            }
            _ => self.joint()?,
        };
        let before = self.timestamp;
        self.timestamp = before.wrapping_add(self.delta);
        if !self.start_times.read(&mut self.reader, self.read, self.timestamp, before)? {
            return Err(Damage::Invalid("number longer than 64 bits"));
        }
        self.read += 1;
        if self.read == self.count && (self.reader.remaining() >= 16 || self.reader.peek() != 0) {
            return Err(Damage::Invalid("bytes left over after the last sample"));
        }
        Ok((TimestampMs(self.timestamp), value))
    }

    fn first(&mut self) -> Result<f64, Damage> {
        let timestamp = self.reader.uvarint()?.ok_or(Damage::Invalid("number longer than 64 bits"))?;
        self.timestamp = unzigzag(timestamp);
        let value = f64::from_bits(self.reader.bits(64)?);
        if !model::is_stale_nan(value) {
            self.value = XorValue::new(value);
        }
        Ok(value)
    }

    /// Time and value of a sample after the second: their prefix says what changed.
    fn joint(&mut self) -> Result<f64, Damage> {
        let ones = self.reader.peek().leading_ones().min(5);
        self.reader.skip((ones as usize + 1).min(5))?;
        let dod = match ones {
            0 => return Ok(self.value.value()),
            1 => {
                let window = if self.reader.bits(1)? == 0 { Window::Same } else { Window::New };
                return self.changed(window);
            }
            5 => return Ok(stale_nan()),
            2 => sign_extended(self.reader.bits(13)?, 13),
            3 => sign_extended(self.reader.bits(20)?, 20),
            _ => self.reader.bits(64)? as i64,
        };
        self.delta = self.delta.wrapping_add(dod);
        self.value()
    }

    /// A value with a prefix of its own.
    fn value(&mut self) -> Result<f64, Damage> {
        let ones = self.reader.peek().leading_ones().min(3);
        self.reader.skip((ones as usize + 1).min(3))?;
        match ones {
            0 => Ok(self.value.value()),
            1 => self.changed(Window::Same),
            2 => self.changed(Window::New),
            _ => Ok(stale_nan()),
        }
    }

    fn changed(&mut self, window: Window) -> Result<f64, Damage> {
        let possible = match window {
            Window::Same => self.value.read_in_window(&mut self.reader)?,
            Window::New => self.value.read_with_window(&mut self.reader)?,
        };
        if possible { Ok(self.value.value()) } else { Err(Damage::Invalid("impossible window of significant bits")) }
    }
}

impl Iterator for Xor2Decoder<'_> {
    type Item = Result<(TimestampMs, f64), CorruptChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read == self.count {
            return None;
        }
        let sample = self.sample().map_err(|damage| {
            let what = match damage {
                Damage::Cut => "the data end inside a sample",
                Damage::Invalid(what) => what,
            };
            let error = CorruptChunk { what, bit: self.reader.position(), sample: self.read };
            self.count = self.read;
            error
        });
        Some(sample)
    }
}

/// Whether a changed value brings its window of significant bits along.
#[derive(Clone, Copy)]
enum Window {
    Same,
    New,
}

fn sign_extended(field: u64, bits: u32) -> i64 {
    ((field << (64 - bits)) as i64) >> (64 - bits)
}
