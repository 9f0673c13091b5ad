//! `tombstones`: which ranges of time of which series are deleted.

use model::TimestampMs;

use super::CorruptBlock;
use super::index::BlockSeriesRef;
use crate::bytes::{Cursor, put_uvarint, put_varint};

/// A deleted range of a series, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tombstone {
    /// The series, as its block's index names it.
    pub series: BlockSeriesRef,
    /// The first time that is deleted.
    pub min_time: TimestampMs,
    /// The last time that is deleted.
    pub max_time: TimestampMs,
}

/// The whole file.
pub fn encode(tombstones: &[Tombstone]) -> Vec<u8> {
    let mut file = HEADER.to_vec();
    for tombstone in tombstones {
        put_uvarint(&mut file, u64::from(tombstone.series.0));
        put_varint(&mut file, tombstone.min_time.0);
        put_varint(&mut file, tombstone.max_time.0);
    }
    let checksum = crc32c::crc32c(&file[HEADER.len()..]);
    file.extend_from_slice(&checksum.to_be_bytes());
    file
}

/// Reads a whole file.
///
/// # Errors
/// When it is none, its checksum is wrong, or what it holds are no ranges.
pub fn decode(file: &[u8]) -> Result<Vec<Tombstone>, CorruptBlock> {
    let corrupt = |offset: usize, what| CorruptBlock { part: "tombstones", offset: offset as u64, what };
    let Some(rest) = file.strip_prefix(&HEADER) else {
        return Err(corrupt(0, "not a tombstones file of version 1"));
    };
    let Some((body, checksum)) = rest.split_last_chunk::<4>() else {
        return Err(corrupt(file.len(), "the file ends before its checksum"));
    };
    if crc32c::crc32c(body).to_be_bytes() != *checksum {
        return Err(corrupt(HEADER.len(), "the checksum is wrong"));
    }
    let mut cursor = Cursor::new(body, 0);
    let mut tombstones = Vec::with_capacity(body.len() / 3);
    while !cursor.is_empty() {
        let at = HEADER.len() + cursor.position();
        let mut read = || {
            let series = BlockSeriesRef(u32::try_from(cursor.uvarint()?).ok()?);
            let (min_time, max_time) = (TimestampMs(cursor.varint()?), TimestampMs(cursor.varint()?));
            Some(Tombstone { series, min_time, max_time }).filter(|_| min_time <= max_time)
        };
        tombstones.push(read().ok_or_else(|| corrupt(at, "not a range of a series"))?);
    }
    Ok(tombstones)
}

const HEADER: [u8; 5] = [0x01, 0x30, 0xba, 0x30, 1];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_as_prometheus_writes_it() {
        assert_eq!(encode(&[]), [0x01, 0x30, 0xba, 0x30, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_noticed() {
        let tombstones: Vec<Tombstone> = [(1, i64::MIN, i64::MAX), (1, -5, -5), (u32::MAX, 0, 1_700_000_000_000)]
            .map(|(series, min, max)| Tombstone {
                series: BlockSeriesRef(series),
                min_time: TimestampMs(min),
                max_time: TimestampMs(max),
            })
            .into();
        let file = encode(&tombstones);
        assert_eq!(decode(&file), Ok(tombstones));
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..file.len() {
            assert!(decode(&file[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_refused() {
        let tombstone = Tombstone { series: BlockSeriesRef(1), min_time: TimestampMs(2), max_time: TimestampMs(1) };
        assert_eq!(decode(&encode(&[tombstone])).unwrap_err().offset, 5);
    }
}
