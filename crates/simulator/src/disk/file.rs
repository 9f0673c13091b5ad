//! What a file holds: the bytes that processes see, and what is known to be on the medium.
//!
//! Processes read and write pages of the page cache. The system writes changed pages to the medium when it likes, in any
//! order; each sector is written whole or not. A sync writes all of them. So between two syncs a file on the medium has any
//! length that it had (or passed while growing), and below it each changed sector is new, or as it was (zeros where there was
//! nothing).

use std::ops::Range;

use crate::chance::Chance;

/// Bytes that the medium writes whole or not at all.
const SECTOR: usize = 512;

/// Bytes of a page of the cache.
const PAGE: usize = 4096;

#[derive(Clone, Debug, Default)]
pub(super) struct FileData {
    /// As processes see it.
    bytes: Vec<u8>,
    /// The medium has `bytes[..kept]`, then `cut`.
    kept: usize,
    /// What was cut off since the last sync, of what the medium had.
    cut: Vec<u8>,
    /// Lengths at which growing turned to shrinking or back since the last sync, the last one being that of `bytes`.
    lengths: Vec<usize>,
    /// Bytes that a failed sync gave up: the cache has them, the medium never gets them.
    given_up: Vec<Range<usize>>,
}

impl FileData {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let before = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let was_growing = match self.lengths[..] {
            [] => false,
            [only] => only >= self.medium_len(),
            [.., previous, last] => last >= previous,
        };
        if was_growing && self.lengths.last() == Some(&before) {
            self.lengths.pop();
        }
        self.lengths.push(self.bytes.len());
    }

    pub(super) fn truncate(&mut self, len: usize) {
        if len >= self.bytes.len() {
            return;
        }
        if len < self.kept {
            let mut cut = self.bytes[len..self.kept].to_vec();
            cut.append(&mut self.cut);
            self.cut = cut;
            self.kept = len;
        }
        self.bytes.truncate(len);
        self.lengths.push(len);
        self.given_up.retain_mut(|range| {
            range.end = range.end.min(len);
            range.start < range.end
        });
    }

    /// Everything is on the medium now.
    pub(super) fn sync(&mut self) {
        self.kept = self.bytes.len();
        self.cut.clear();
        self.lengths.clear();
    }

    /// A sync failed: the system says so once and forgets that the pages were changed.
    pub(super) fn fail_sync(&mut self) {
        let range = self.kept..self.bytes.len();
        if !range.is_empty() {
            self.given_up.push(range);
        }
    }

    /// As the next process sees it. What a failed sync gave up was dropped from the cache meanwhile, or got to the medium after all.
    pub(super) fn after_process_crash(&self, chance: &mut Chance) -> Self {
        let mut after = self.clone();
        for range in std::mem::take(&mut after.given_up) {
            if chance.one_in(2) {
                after.bytes[range].fill(0);
            }
        }
        after
    }

    /// Whether a sync failed of bytes that it has.
    pub(super) fn has_given_up(&self) -> bool {
        !self.given_up.is_empty()
    }

    /// Whether a power cut could change it.
    pub(super) fn is_dirty(&self) -> bool {
        !self.lengths.is_empty() || !self.given_up.is_empty()
    }

    /// Flips one bit of the medium and of what the cache has of it.
    pub(super) fn flip(&mut self, bit: usize) {
        self.bytes[bit / 8] ^= 1 << (bit % 8);
    }

    /// As a power cut leaves it.
    pub(super) fn after_power_cut(&self, fate: Fate, chance: &mut Chance) -> Self {
        if !self.is_dirty() {
            return self.clone();
        }
        let medium_len = self.medium_len();
        let len = match fate {
            Fate::Lost => medium_len,
            Fate::Written => self.bytes.len(),
            Fate::Any => self.some_length(chance),
        };
        let mut bytes: Vec<u8> = (0..len).map(|at| self.on_medium(at)).collect();
        if fate != Fate::Lost {
            self.write_back(&mut bytes, fate, chance);
        }
        for range in &self.given_up {
            bytes[range.start.min(len)..range.end.min(len)].fill(0);
        }
        Self { kept: len, bytes, ..Self::default() }
    }

    fn medium_len(&self) -> usize {
        self.kept + self.cut.len()
    }

    fn on_medium(&self, at: usize) -> u8 {
        if at < self.kept { self.bytes[at] } else { self.cut.get(at - self.kept).copied().unwrap_or(0) }
    }

    /// A length that it had since the last sync, or passed while growing.
    fn some_length(&self, chance: &mut Chance) -> usize {
        let steps = chance.index(self.lengths.len() + 1);
        let Some(step) = steps.checked_sub(1) else { return self.medium_len() };
        let to = self.lengths[step];
        let from = if step == 0 { self.medium_len() } else { self.lengths[step - 1] };
        if to <= from || chance.one_in(3) {
            return to;
        }
        let passed = chance.between(from as i64, to as i64) as usize;
        // Mostly the end of a page, where the system stops writing back.
        if chance.one_in(2) { passed } else { (passed / PAGE * PAGE).max(from) }
    }

    /// Writes some of the changed sectors to the medium.
    fn write_back(&self, medium: &mut [u8], fate: Fate, chance: &mut Chance) {
        let end = medium.len().min(self.bytes.len());
        let mut at = self.kept;
        while at < end {
            let page_end = (at / PAGE + 1) * PAGE;
            let whole = fate == Fate::Written || chance.one_in(2);
            let torn = !whole && chance.one_in(3);
            while at < page_end.min(end) {
                let sector_end = ((at / SECTOR + 1) * SECTOR).min(end);
                if whole || (torn && chance.one_in(2)) {
                    medium[at..sector_end].copy_from_slice(&self.bytes[at..sector_end]);
                } else if torn && chance.one_in(4) {
                    // Written back while the process was in the middle of filling it.
                    let until = at + chance.index(sector_end - at);
                    medium[at..until].copy_from_slice(&self.bytes[at..until]);
                }
                at = sector_end;
            }
        }
    }
}

/// What becomes of bytes that were not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// None are on the medium.
    Lost,
    /// All are.
    Written,
    /// Any are.
    Any,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_stays_and_the_rest_may_be_anything_it_was() {
        let mut lengths = std::collections::BTreeSet::new();
        let (mut holes, mut torn) = (false, false);
        for seed in 0..2000 {
            let mut file = FileData::default();
            file.append(&[1; 5000]);
            file.sync();
            file.append(&[2; 3000]);
            file.append(&[3; 9000]);
            let after = file.after_power_cut(Fate::Any, &mut Chance::new(seed));
            assert_eq!(after.bytes()[..5000], [1; 5000]);
            assert!((5000..=17_000).contains(&after.bytes().len()));
            for (at, &byte) in after.bytes().iter().enumerate().skip(5000) {
                assert!(byte == 0 || byte == file.bytes()[at], "{byte} at {at}");
            }
            lengths.insert(after.bytes().len());
            let zero = after.bytes().iter().position(|byte| *byte == 0);
            holes |= zero.is_some_and(|at| after.bytes()[at..].iter().any(|byte| *byte != 0));
            torn |= zero.is_some_and(|at| at % SECTOR != 0);
            assert!(!after.is_dirty());
        }
        assert!(holes && torn && lengths.len() > 100 && lengths.contains(&5000) && lengths.contains(&17_000));
    }

    #[test]
    fn an_unsynced_cut_may_not_have_happened() {
        let mut file = FileData::default();
        file.append(&[1; 1000]);
        file.sync();
        file.truncate(100);
        file.append(&[2; 50]);
        assert_eq!(file.after_power_cut(Fate::Lost, &mut Chance::new(1)).bytes(), [1; 1000]);
        assert_eq!(file.after_power_cut(Fate::Written, &mut Chance::new(1)).bytes(), file.bytes());
        let lengths: std::collections::BTreeSet<usize> =
            (0..500).map(|seed| file.after_power_cut(Fate::Any, &mut Chance::new(seed)).bytes().len()).collect();
        assert!(lengths.contains(&1000) && lengths.contains(&100) && lengths.contains(&150));
        assert!(lengths.iter().all(|len| *len == 1000 || (100..=150).contains(len)), "{lengths:?}");
    }

    #[test]
    fn what_a_failed_sync_gave_up_never_gets_to_the_medium() {
        let mut file = FileData::default();
        file.append(&[1; 10]);
        file.sync();
        file.append(&[2; 10]);
        file.fail_sync();
        file.append(&[3; 10]);
        file.sync();
        let after = file.after_power_cut(Fate::Written, &mut Chance::new(1));
        assert_eq!(after.bytes(), [[1; 10], [0; 10], [3; 10]].concat());
        assert_eq!(file.bytes()[10..20], [2; 10], "this process still sees it");
        let next: std::collections::BTreeSet<u8> =
            (0..20).map(|seed| file.after_process_crash(&mut Chance::new(seed)).bytes()[10]).collect();
        assert_eq!(next, [0, 2].into(), "the next one may");
    }
}
