//! What must hold of the parsers for any input: for fuzz targets and the replay of their corpora alone.
//!
//! Each function answers whether the input is taken as a whole.

use std::path::PathBuf;

use bytes::Bytes;

use crate::index::Index;
use crate::record::read_entry;
use crate::recovery::scan_alone;

/// A segment: whatever it holds, the account balances, and what is taken for an entry can be read.
pub fn segment(input: &[u8]) -> bool {
    let recovered = scan_alone(NUMBER, PathBuf::from("segment"), input);
    assert_eq!(recovered.totals.queued(), recovered.segments.waiting(), "the account balances");
    let mut end = 0;
    for meta in recovered.segments.0.iter().flat_map(|segment| &segment.entries) {
        assert!(meta.position >= end, "records do not overlap");
        end = meta.position + meta.bytes;
        let record = Bytes::copy_from_slice(&input[meta.position as usize..end as usize]);
        let read = read_entry(NUMBER, u64::from(meta.position), &record);
        let damaged = recovered.damaged.iter().any(|id| id.0 == meta.id);
        assert!(meta.settled || read.is_none() == damaged, "an entry is read, or known to be damaged");
        if let Some((front, series, body)) = read {
            assert_eq!((front.id, front.series as usize), (meta.id, series.len()));
            assert!(body.len() < record.len());
        }
    }
    let kept = recovered.segments.0.front().map_or(0, |segment| segment.bytes);
    assert_eq!(kept + recovered.torn_bytes, input.len() as u64, "all of it is kept or cut");
    kept > 0 && recovered.torn_bytes == 0 && recovered.damaged_files.is_empty()
}

/// An index: what is taken says the same when it is written again.
pub fn index(input: &[u8]) -> bool {
    let Some(index) = Index::parse(input) else { return false };
    assert_eq!(index.encode(), input);
    true
}

/// Records know which segment they are in.
const NUMBER: u64 = 1;

#[cfg(test)]
mod tests {
    use testkit::corpus::replay;

    #[test]
    fn spool_segment() {
        replay("spool_segment", super::segment);
    }

    #[test]
    fn spool_index() {
        replay("spool_index", super::index);
    }
}
