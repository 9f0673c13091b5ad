//! Messages put together field by field, for tests: anything goes, also what no encoder would write.

use crate::wire::put_varint;

/// A field with a length in front.
pub(crate) fn bytes(number: u32, value: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(u64::from(number << 3 | 2), &mut out);
    put_varint(value.as_ref().len() as u64, &mut out);
    out.extend_from_slice(value.as_ref());
    out
}

/// A varint field.
pub(crate) fn integer(number: u32, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(u64::from(number << 3), &mut out);
    put_varint(value, &mut out);
    out
}

/// A field of eight bytes.
pub(crate) fn double(number: u32, value: f64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(u64::from(number << 3 | 1), &mut out);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
    out
}

/// A packed field of varints.
pub(crate) fn packed(number: u32, values: &[u64]) -> Vec<u8> {
    let mut value = Vec::new();
    values.iter().for_each(|item| put_varint(*item, &mut value));
    bytes(number, value)
}

/// A 1.0 label.
pub(crate) fn label(name: &str, value: &str) -> Vec<u8> {
    bytes(1, [bytes(1, name), bytes(2, value)].concat())
}

/// A sample of either version.
pub(crate) fn sample(timestamp: i64, value: f64) -> Vec<u8> {
    bytes(2, [double(1, value), integer(2, timestamp as u64)].concat())
}
