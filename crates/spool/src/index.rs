//! What a segment holds, in a small file beside it, so that a start reads no segment but the last.
//!
//! ```text
//! u8[4]  "RSI1"
//! u64    number of the segment, u64 its valid bytes
//! checkpoint at its beginning, checkpoint at its end
//! u32 n, n × entry: u64 id, u64 received, u32 position, u32 bytes, u32 samples, histograms, exemplars, u8 version, u8[3] zero
//! u32 n, n × u64 id of an entry, of this segment or an earlier one, whose outcome is in it
//! u32    crc32c of all before
//! ```

use remote_write::Version;

use crate::fields::Fields;
use crate::record::{Checkpoint, Front, put_checkpoint, take_checkpoint, version_number};
use crate::segment::Meta;

/// The content of an index file.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    pub(crate) opening: Checkpoint,
    pub(crate) closing: Checkpoint,
    pub(crate) entries: Vec<Meta>,
    pub(crate) settled: Vec<u64>,
}

impl Index {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024 + self.entries.len() * ENTRY_BYTES + self.settled.len() * 8);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.bytes.to_le_bytes());
        put_checkpoint(&mut out, &self.opening);
        put_checkpoint(&mut out, &self.closing);
        put_count(&mut out, self.entries.len());
        for meta in &self.entries {
            out.extend_from_slice(&meta.id.to_le_bytes());
            out.extend_from_slice(&meta.received_at.to_le_bytes());
            for number in [meta.position, meta.bytes, meta.samples, meta.histograms, meta.exemplars] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(&[version_number(meta.version), 0, 0, 0]);
        }
        put_count(&mut out, self.settled.len());
        self.settled.iter().for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads an index; none when it is damaged in any way.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (content, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(content).to_le_bytes() != *crc {
            return None;
        }
        let mut fields = Fields(content);
        if fields.take(MAGIC.len())? != MAGIC {
            return None;
        }
        let mut index = Self {
            number: fields.u64()?,
            bytes: fields.u64()?,
            opening: take_checkpoint(&mut fields)?,
            closing: take_checkpoint(&mut fields)?,
            entries: Vec::new(),
            settled: Vec::new(),
        };
        let entries = fields.count(ENTRY_BYTES)?;
        index.entries.reserve_exact(entries);
        for _ in 0..entries {
            let meta = take_meta(&mut fields)?;
            let in_order = index.entries.last().is_none_or(|last| last.id < meta.id);
            let inside = u64::from(meta.position) + u64::from(meta.bytes) <= index.bytes;
            if !in_order || !inside {
                return None;
            }
            index.entries.push(meta);
        }
        let settled = fields.count(8)?;
        index.settled = (0..settled).map(|_| fields.u64()).collect::<Option<_>>()?;
        fields.is_empty().then_some(index)
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).expect("a segment is below 4 GiB").to_le_bytes());
}

fn take_meta(fields: &mut Fields<'_>) -> Option<Meta> {
    let (id, received_at) = (fields.u64()?, fields.u64()?);
    let (position, bytes) = (fields.u32()?, fields.u32()?);
    let (samples, histograms, exemplars) = (fields.u32()?, fields.u32()?, fields.u32()?);
    let version = match fields.take(4)? {
        [1, 0, 0, 0] => Version::V1,
        [2, 0, 0, 0] => Version::V2,
        _ => return None,
    };
    let front = Front { id, received_at, samples, histograms, exemplars, version, series: 0 };
    Some(Meta::new(&front, position, bytes))
}

const MAGIC: [u8; 4] = *b"RSI1";
const ENTRY_BYTES: usize = 40;
