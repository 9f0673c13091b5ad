//! Protobuf's wire format, read strictly and without copying.
//!
//! A [`Reader`] stands somewhere in one message of a request and knows where that message ends in the whole, so that every
//! fault can name the byte. Invariant: it never reads past its message.

use crate::error::{Fault, WireFault};

/// How the value of a field is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
}

/// The key in front of a field's value: number and wire type as one integer, as they are written.
pub(crate) const fn key(number: u32, wire: Wire) -> u32 {
    number << 3 | wire as u32
}

/// Set of the field numbers that a message defines, for [`Reader::skip`].
pub(crate) const fn fields(numbers: &[u32]) -> u32 {
    let mut set = 0;
    let mut index = 0;
    while index < numbers.len() {
        set |= 1 << numbers[index];
        index += 1;
    }
    set
}

/// The rest of one message.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Where the message ends, counted from the start of the request.
    end: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message, end: message.len() }
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes not read yet.
    #[inline(always)]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Goes on behind bytes that are known already.
    #[inline(always)]
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    /// Where the next byte stands in the request.
    #[inline(always)]
    pub(crate) fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    /// The bytes between here and a later state of the same reader.
    #[inline(always)]
    pub(crate) fn until(&self, later: &Self) -> &'a [u8] {
        &self.rest[..self.rest.len() - later.rest.len()]
    }

    #[cold]
    pub(crate) fn fault(&self, what: WireFault) -> Fault {
        Fault { offset: self.offset(), what }
    }

    /// A field's key. Says nothing yet about whether wire type and number exist; [`skip`](Self::skip) does.
    #[inline(always)]
    pub(crate) fn key(&mut self) -> Result<u32, Fault> {
        let start = *self;
        u32::try_from(self.varint()?).map_err(|_| start.fault(WireFault::FieldNumber))
    }

    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<u64, Fault> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.varint_of_several_bytes(),
        }
    }

    #[inline]
    fn varint_of_several_bytes(&mut self) -> Result<u64, Fault> {
        // Up to eight bytes at once. A timestamp is mostly the last thing in its message, with six or seven left to read:
        // those come from two overlapping loads.
        let (word, have) =
            match (self.rest.first_chunk::<8>(), self.rest.first_chunk::<4>(), self.rest.last_chunk::<4>()) {
                (Some(eight), ..) => (u64::from_le_bytes(*eight), 8),
                (None, Some(first), Some(last)) => {
                    let last = u64::from(u32::from_le_bytes(*last)) << (8 * (self.rest.len() - 4));
                    (u64::from(u32::from_le_bytes(*first)) | last, self.rest.len())
                }
                _ => return self.varint_bytewise(),
            };
        let stops = !word & 0x8080_8080_8080_8080;
        let length = stops.trailing_zeros() as usize / 8 + 1;
        if length <= have {
            // All bits up to the highest of the first byte that has its continuation bit clear.
            let word = word & (stops ^ stops.wrapping_sub(1));
            self.rest = &self.rest[length..];
            return Ok(join_groups_of_seven(word));
        }
        self.varint_bytewise()
    }

    fn varint_bytewise(&mut self) -> Result<u64, Fault> {
        let mut value = 0u64;
        for index in 0..VARINT_BYTES_MAX {
            let Some(&byte) = self.rest.get(index) else { return Err(self.fault(WireFault::Truncated)) };
            if index == VARINT_BYTES_MAX - 1 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(self.fault(WireFault::VarintTooLong))
    }

    #[inline(always)]
    pub(crate) fn fixed64(&mut self) -> Result<u64, Fault> {
        let Some((eight, rest)) = self.rest.split_first_chunk::<8>() else {
            return Err(self.fault(WireFault::Truncated));
        };
        self.rest = rest;
        Ok(u64::from_le_bytes(*eight))
    }

    #[inline(always)]
    pub(crate) fn double(&mut self) -> Result<f64, Fault> {
        self.fixed64().map(f64::from_bits)
    }

    /// Passes over a message that is nothing but varints.
    pub(crate) fn varints(mut self) -> Result<(), Fault> {
        while !self.is_empty() {
            self.varint()?;
        }
        Ok(())
    }

    /// Passes over a message that is nothing but eight bytes, any number of times.
    pub(crate) fn doubles(mut self) -> Result<(), Fault> {
        while !self.is_empty() {
            self.fixed64()?;
        }
        Ok(())
    }

    /// A zigzag-encoded integer.
    #[inline]
    pub(crate) fn sint64(&mut self) -> Result<i64, Fault> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// An enumeration's number: of a longer varint the low 32 bits, as protobuf has it.
    pub(crate) fn enumeration(&mut self) -> Result<u64, Fault> {
        self.varint().map(|value| u64::from(value as u32))
    }

    #[inline]
    pub(crate) fn sint32(&mut self) -> Result<i32, Fault> {
        let start = *self;
        i32::try_from(self.sint64()?).map_err(|_| start.fault(WireFault::IntegerRange))
    }

    #[inline]
    pub(crate) fn uint32(&mut self) -> Result<u32, Fault> {
        let start = *self;
        u32::try_from(self.varint()?).map_err(|_| start.fault(WireFault::IntegerRange))
    }

    /// A value with its length in front.
    #[inline(always)]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let start = *self;
        let length = self.varint()?;
        if length > self.rest.len() as u64 {
            return Err(start.fault(WireFault::LengthBeyondEnd { length, left: self.rest.len() }));
        }
        let (value, rest) = self.rest.split_at(length as usize);
        self.rest = rest;
        Ok(value)
    }

    /// A message inside this one.
    #[inline(always)]
    pub(crate) fn message(&mut self) -> Result<Self, Fault> {
        let rest = self.bytes()?;
        Ok(Self { rest, end: self.offset() })
    }

    /// Passes over the value of a field that the caller does not take. `known` are the numbers that the message defines:
    /// meeting one of them here means that it came with the wrong wire type.
    #[inline(never)]
    pub(crate) fn skip(&mut self, key: u32, known: u32) -> Result<(), Fault> {
        let number = key >> 3;
        let wire = (key & 7) as u8;
        if number == 0 {
            return Err(self.fault(WireFault::FieldNumber));
        }
        if number < u32::BITS && known >> number & 1 == 1 && matches!(wire, 0 | 1 | 2 | 5) {
            return Err(self.fault(WireFault::WireType { field: number, wire }));
        }
        match wire {
            0 => self.varint().map(drop),
            1 => self.fixed64().map(drop),
            2 => self.bytes().map(drop),
            5 => match self.rest.split_first_chunk::<4>() {
                Some((_, rest)) => {
                    self.rest = rest;
                    Ok(())
                }
                None => Err(self.fault(WireFault::Truncated)),
            },
            3 | 4 => Err(self.fault(WireFault::Group { field: number })),
            _ => Err(self.fault(WireFault::UnknownWireType { field: number, wire })),
        }
    }
}

/// Passes over a message; looks into it with `check` when it is to be `SOUND`.
#[inline(always)]
pub(crate) fn pass<'a, const SOUND: bool>(
    reader: &mut Reader<'a>,
    check: impl FnOnce(Reader<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let message = reader.message()?;
    if SOUND { check(message) } else { Ok(()) }
}

/// Puts the seven low bits of each of eight bytes side by side.
#[inline(always)]
const fn join_groups_of_seven(word: u64) -> u64 {
    let word = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = (word & 0x0000_3fff_0000_3fff) | (word & 0x3fff_0000_3fff_0000) >> 2;
    (word & 0x0fff_ffff) | (word & 0x0fff_ffff_0000_0000) >> 4
}

/// Writes a varint in as few bytes as it needs.
#[inline]
pub(crate) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a field with its length in front.
pub(crate) fn put_bytes(key: u32, value: &[u8], out: &mut Vec<u8>) {
    put_varint(u64::from(key), out);
    put_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Bytes that [`put_varint`] writes.
#[inline]
pub(crate) const fn varint_length(value: u64) -> usize {
    // Seven bits a byte; `| 1` since a zero needs one, too.
    ((value | 1).ilog2() as usize) / 7 + 1
}

/// Ten times seven bits hold 64.
const VARINT_BYTES_MAX: usize = 10;

#[cfg(test)]
mod tests;
