//! Integers of 1 to 72 bits, with a prefix that says how many: the numbers of histogram chunks.

use crate::bits::{BitReader, OutOfBits, write_bits};

/// Widths of the fields after a prefix of 1, 2, 3, … ones.
const WIDTHS: [u8; 8] = [3, 6, 9, 12, 18, 25, 56, 64];

pub(super) fn put_int(bytes: &mut Vec<u8>, free: &mut u8, value: i64) {
    if value == 0 {
        return write_bits(bytes, free, 0, 1);
    }
    // A field of n bits holds -(2^(n-1) - 1)..=2^(n-1).
    let fits = |width: u8| width == 64 || (value > -(1i64 << (width - 1)) && value <= 1i64 << (width - 1));
    put_field(bytes, free, value as u64, fits);
}

pub(super) fn put_uint(bytes: &mut Vec<u8>, free: &mut u8, value: u64) {
    if value == 0 {
        return write_bits(bytes, free, 0, 1);
    }
    put_field(bytes, free, value, |width| width == 64 || value >> width == 0);
}

fn put_field(bytes: &mut Vec<u8>, free: &mut u8, value: u64, fits: impl Fn(u8) -> bool) {
    let class = WIDTHS.iter().position(|&width| fits(width)).expect("the last width fits everything");
    // Ones, then a zero, which the last class does without.
    let prefix = class as u8 + 1;
    if class == WIDTHS.len() - 1 {
        write_bits(bytes, free, 0xff, 8);
    } else {
        write_bits(bytes, free, (1 << (prefix + 1)) - 2, prefix + 1);
    }
    write_bits(bytes, free, value, WIDTHS[class]);
}

pub(super) fn int(reader: &mut BitReader<'_>) -> Result<i64, OutOfBits> {
    let Some((field, width)) = field(reader)? else { return Ok(0) };
    let wraps = width < 64 && field > 1 << (width - 1);
    Ok(if wraps { field as i64 - (1 << width) } else { field as i64 })
}

pub(super) fn uint(reader: &mut BitReader<'_>) -> Result<u64, OutOfBits> {
    Ok(field(reader)?.map_or(0, |(field, _)| field))
}

fn field(reader: &mut BitReader<'_>) -> Result<Option<(u64, u8)>, OutOfBits> {
    let word = reader.peek();
    let ones = word.leading_ones().min(8) as usize;
    let prefix = (ones + 1).min(8);
    let width = match ones {
        0 => 0,
        ones => WIDTHS[ones - 1],
    };
    if width == 0 {
        reader.skip(1)?;
        return Ok(None);
    }
    // All but the two widest fit into the same word.
    if width <= 25 {
        reader.skip(prefix + usize::from(width))?;
        return Ok(Some(((word << prefix) >> (64 - width), width)));
    }
    reader.skip(prefix)?;
    Ok(Some((reader.bits(width)?, width)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_in_as_many_bits_as_documented() {
        let table: &[(i64, usize)] = &[
            (0, 1),
            (1, 5),
            (-3, 5),
            (4, 5),
            (-4, 9),
            (32, 9),
            (-32, 13),
            (256, 13),
            (-2047, 17),
            (2048, 17),
            (131_072, 24),
            (-131_072, 32),
            (16_777_216, 32),
            (-16_777_216, 64),
            (1 << 55, 64),
            (-(1 << 55), 72),
            (i64::MAX, 72),
            (i64::MIN, 72),
        ];
        for &(value, bits) in table {
            let (mut bytes, mut free) = (Vec::new(), 0);
            put_int(&mut bytes, &mut free, value);
            assert_eq!(bytes.len() * 8 - free as usize, bits, "{value}");
            assert_eq!(int(&mut BitReader::new(&bytes)).unwrap(), value);
        }
        for (value, bits) in
            [(0, 1), (7, 5), (8, 9), (63, 9), (64, 13), (33_554_431, 32), (1 << 56, 72), (u64::MAX, 72)]
        {
            let (mut bytes, mut free) = (Vec::new(), 0);
            put_uint(&mut bytes, &mut free, value);
            assert_eq!(bytes.len() * 8 - free as usize, bits, "{value}");
            assert_eq!(uint(&mut BitReader::new(&bytes)).unwrap(), value);
        }
    }
}
