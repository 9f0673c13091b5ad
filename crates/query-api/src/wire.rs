//! Protobuf's wire format: reading small messages within bounds, writing larger ones.

/// A field's value as it is written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Value<'a> {
    /// Of wire types 0, 1 and 5.
    Number(u64),
    /// Of wire type 2: text, bytes, a message, packed numbers.
    Bytes(&'a [u8]),
}

/// Bytes that are no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("proto: cannot parse the message: {0}")]
pub(crate) struct BadMessage(&'static str);

/// Numbers and values of a message's fields, in order; ends at the first that cannot be read.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), BadMessage> {
        let key = varint(&mut self.rest)?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0).ok_or(BadMessage("field number"))?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut self.rest)?),
            1 => Value::Number(u64::from_le_bytes(self.chunk()?)),
            5 => Value::Number(u64::from(u32::from_le_bytes(self.chunk()?))),
            2 => {
                let length = varint(&mut self.rest)?;
                let length = usize::try_from(length).ok().filter(|length| *length <= self.rest.len());
                let (bytes, rest) = self.rest.split_at(length.ok_or(BadMessage("length beyond the end"))?);
                self.rest = rest;
                Value::Bytes(bytes)
            }
            _ => return Err(BadMessage("wire type")),
        };
        Ok((number, value))
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], BadMessage> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(BadMessage("unexpected end"))?;
        self.rest = rest;
        Ok(*chunk)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), BadMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Value<'a> {
    pub(crate) fn number(self) -> Result<u64, BadMessage> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Bytes(_) => Err(BadMessage("bytes where a number belongs")),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], BadMessage> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err(BadMessage("a number where bytes belong")),
        }
    }

    pub(crate) fn text(self) -> Result<&'a str, BadMessage> {
        std::str::from_utf8(self.bytes()?).map_err(|_| BadMessage("text that is no UTF-8"))
    }

    /// A number, or several packed ones.
    pub(crate) fn numbers(self, mut take: impl FnMut(u64)) -> Result<(), BadMessage> {
        match self {
            Self::Number(number) => take(number),
            Self::Bytes(mut packed) => {
                while !packed.is_empty() {
                    take(varint(&mut packed)?);
                }
            }
        }
        Ok(())
    }
}

fn varint(rest: &mut &[u8]) -> Result<u64, BadMessage> {
    let mut value = 0u64;
    for index in 0..VARINT_BYTES_MAX {
        let (byte, after) = rest.split_first().ok_or(BadMessage("unexpected end"))?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            return Ok(value);
        }
    }
    Err(BadMessage("a number of too many bytes"))
}

/// Writes a varint in as few bytes as it needs.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a field with its length in front.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number << 3 | 2));
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes an integer field, be it zero.
pub(crate) fn put_integer(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number << 3));
    put_varint(out, value);
}

/// Writes an integer field of those that are mostly small and may be below zero.
pub(crate) fn put_signed(out: &mut Vec<u8>, number: u32, value: i64) {
    put_integer(out, number, (value << 1 ^ value >> 63) as u64);
}

/// Writes a double field, be it zero.
pub(crate) fn put_double(out: &mut Vec<u8>, number: u32, value: f64) {
    put_varint(out, u64::from(number << 3 | 1));
    out.extend_from_slice(&value.to_le_bytes());
}

/// Bytes of a field with its length in front.
pub(crate) fn field_bytes(length: usize) -> usize {
    let mut varint = Vec::with_capacity(VARINT_BYTES_MAX);
    put_varint(&mut varint, length as u64);
    1 + varint.len() + length
}

/// Ten times seven bits hold 64.
const VARINT_BYTES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut message = Vec::new();
        put_integer(&mut message, 1, u64::MAX);
        put_signed(&mut message, 2, -3);
        put_double(&mut message, 3, 1.5);
        put_bytes(&mut message, 15, b"text");
        let fields: Vec<_> = Fields::new(&message).collect::<Result<_, _>>().unwrap();
        let expected = [
            (1, Value::Number(u64::MAX)),
            (2, Value::Number(5)),
            (3, Value::Number(1.5f64.to_bits())),
            (15, Value::Bytes(b"text")),
        ];
        assert_eq!(fields, expected);
        assert_eq!(field_bytes(4), message.len() - (1 + 10) - 2 - 9);
        // Cut anywhere, it is a shorter message or an error.
        for end in 0..message.len() {
            let read = Fields::new(&message[..end]).collect::<Result<Vec<_>, _>>();
            assert!(read.is_err() || expected.starts_with(&read.unwrap()));
        }
    }

    #[test]
    fn bad_messages() {
        for bytes in [&[0x00][..], &[0x0b], &[0x0a, 5, 1], &[0x08, 0x80], &[0x09, 1], &[0xff; 11]] {
            assert!(Fields::new(bytes).any(|field| field.is_err()), "{bytes:?}");
        }
    }
}
