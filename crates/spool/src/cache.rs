//! Contents of entries in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::EntryId;

/// Contents of entries that were just written, so that what is sent at once is not read back.
#[derive(Default)]
pub(crate) struct Cache {
    entries: BTreeMap<u64, Cached>,
    bytes: usize,
}

pub(crate) struct Cached {
    pub(crate) body: Bytes,
    pub(crate) series: Arc<[u32]>,
}

impl Cached {
    fn bytes(&self) -> usize {
        self.body.len() + self.series.len() * 4
    }
}

impl Cache {
    /// Adds an entry; the oldest make room.
    pub(crate) fn put(&mut self, id: EntryId, cached: Cached, bytes_max: usize) {
        self.bytes += cached.bytes();
        self.entries.insert(id.0, cached);
        while self.bytes > bytes_max {
            let Some((_, oldest)) = self.entries.pop_first() else { return };
            self.bytes -= oldest.bytes();
        }
    }

    pub(crate) fn take(&mut self, id: EntryId) -> Option<Cached> {
        let cached = self.entries.remove(&id.0)?;
        self.bytes -= cached.bytes();
        Some(cached)
    }
}
