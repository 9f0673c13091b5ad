//! The key last seen for each slot, by slot: a guess that is cheap to check.
//!
//! Senders repeat their series in the order in which they first sent them, which is the order of slots. So after one
//! series the next slot's is likely asked for, and its hash lies right behind in memory, while the table that knows all
//! keys is walked at random and misses the processor's caches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::KeyHash;

pub(super) struct SlotKeys {
    pages: RwLock<Vec<Arc<Page>>>,
    pages_max: usize,
}

/// Both halves of each hash. They are not changed together: a reader between them sees a hash that no key has.
struct Page([[AtomicU64; 2]; PAGE_SLOTS]);

/// Where one reader is.
#[derive(Default)]
pub(crate) struct KeyCursor {
    next: u32,
    page: Option<(usize, Arc<Page>)>,
}

impl SlotKeys {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { pages: RwLock::default(), pages_max: bytes_max / size_of::<Page>() }
    }

    pub(super) fn set(&self, slot: u32, key: KeyHash) {
        let (number, place) = (slot as usize / PAGE_SLOTS, slot as usize % PAGE_SLOTS);
        if number >= self.pages_max {
            return;
        }
        if number >= self.pages.read().len() {
            self.pages.write().resize_with(number + 1, Arc::default);
        }
        let pages = self.pages.read();
        for (half, value) in pages[number].0[place].iter().zip(key.halves()) {
            half.store(value, Ordering::Relaxed);
        }
    }

    /// The slot behind the cursor, if this is its key.
    #[inline]
    pub(super) fn guess(&self, key: KeyHash, cursor: &mut KeyCursor) -> Option<u32> {
        let slot = cursor.next;
        let (number, place) = (slot as usize / PAGE_SLOTS, slot as usize % PAGE_SLOTS);
        if cursor.page.as_ref().is_none_or(|(cached, _)| *cached != number) {
            cursor.page = Some((number, Arc::clone(self.pages.read().get(number)?)));
        }
        let (_, page) = cursor.page.as_ref()?;
        let [low, high] = &page.0[place];
        let is_key = [low.load(Ordering::Relaxed), high.load(Ordering::Relaxed)] == key.halves();
        is_key.then(|| {
            cursor.next = slot + 1;
            slot
        })
    }

    /// Forgets the keys of the slots for which `is_gone` says so.
    pub(super) fn forget(&self, is_gone: impl Fn(u32) -> bool) {
        let pages = self.pages.read();
        for (slot, halves) in (0..).zip(pages.iter().flat_map(|page| &page.0)) {
            if is_gone(slot) {
                halves.iter().for_each(|half| half.store(0, Ordering::Relaxed));
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.pages.read().len() * size_of::<Page>()
    }
}

impl KeyCursor {
    pub(super) fn go_to(&mut self, slot: u32) {
        self.next = slot + 1;
    }
}

impl Default for Page {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Default::default()))
    }
}

const PAGE_SLOTS: usize = 1024;
