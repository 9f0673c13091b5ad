//! What is too old, or too much, goes.

use tsdb_format::block::Ulid;

use crate::settings::Settings;

/// What the choice looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kept {
    pub(crate) ulid: Ulid,
    /// The end of its range, itself not in it.
    pub(crate) end: i64,
    pub(crate) bytes: u64,
}

/// Blocks to be removed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Expired {
    /// All of whose samples are older than the retention.
    pub(crate) by_time: Vec<Ulid>,
    /// The oldest, of more bytes than may be kept.
    pub(crate) by_size: Vec<Ulid>,
}

/// Which blocks go. `newest` is the latest time there is: the oldest sample kept is a retention before it. `other_bytes` is
/// what the database takes beside its blocks.
pub(crate) fn expired(mut blocks: Vec<Kept>, newest: i64, other_bytes: u64, settings: &Settings) -> Expired {
    let retention_ms = i64::try_from(settings.retention.as_millis()).unwrap_or(i64::MAX);
    let oldest = newest.saturating_sub(retention_ms);
    let by_time = blocks.extract_if(.., |block| block.end <= oldest).map(|block| block.ulid).collect();
    let mut by_size = Vec::new();
    if let Some(bytes_max) = settings.retention_bytes {
        blocks.sort_by_key(|block| (block.end, block.ulid));
        let mut bytes = blocks.iter().map(|block| block.bytes).sum::<u64>() + other_bytes;
        for block in blocks {
            if bytes <= bytes_max {
                break;
            }
            bytes -= block.bytes;
            by_size.push(block.ulid);
        }
    }
    Expired { by_time, by_size }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn by_time_and_by_size() {
        let blocks = |ends: &[(i64, u64)]| {
            let kept =
                |(index, &(end, bytes)): (usize, &(i64, u64))| Kept { ulid: Ulid::new(index as u64, 0), end, bytes };
            ends.iter().enumerate().map(kept).collect::<Vec<_>>()
        };
        let all = [(100, 10), (200, 10), (150, 30), (300, 5)];
        for (newest, retention_bytes, other, by_time, by_size) in [
            (1100, None, 0, &[0u64][..], &[0u64; 0][..]),
            (1099, None, 0, &[], &[]),
            (1200, None, 0, &[0, 1, 2], &[]),
            (0, Some(55), 0, &[], &[]),
            (0, Some(54), 0, &[], &[0]),
            (0, Some(44), 0, &[], &[0, 2]),
            (0, Some(44), 30, &[], &[0, 2, 1]),
            (0, Some(10), 30, &[], &[0, 2, 1, 3]),
            (1100, Some(45), 0, &[0], &[]),
        ] {
            let retention = Duration::from_secs(1);
            let settings = Settings { retention, retention_bytes, ..Settings::default() };
            let found = expired(blocks(&all), newest, other, &settings);
            let numbers = |ulids: Vec<Ulid>| ulids.into_iter().map(Ulid::milliseconds).collect::<Vec<_>>();
            assert_eq!(
                (numbers(found.by_time).as_slice(), numbers(found.by_size).as_slice()),
                (by_time, by_size),
                "{newest} {retention_bytes:?} {other}"
            );
        }
    }
}
