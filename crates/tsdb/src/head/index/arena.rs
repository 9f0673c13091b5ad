//! Many small texts and lists, back to back in large blocks that never move.
//!
//! What is freed is used again for a text or list of the same length: series that come take after those that went.

use hashbrown::HashMap;

/// Where a text lies.
#[derive(Clone, Copy)]
pub(super) struct Text {
    block: u32,
    start: u32,
    length: u32,
}

#[derive(Default)]
pub(super) struct Texts {
    blocks: Vec<String>,
    /// By length.
    free: HashMap<u32, Vec<Text>>,
}

impl Texts {
    pub(super) fn push(&mut self, text: &str) -> Text {
        let length = text.len() as u32;
        if let Some(free) = self.free.get_mut(&length).and_then(Vec::pop) {
            let start = free.start as usize;
            self.blocks[free.block as usize].replace_range(start..start + text.len(), text);
            return free;
        }
        if self.blocks.last().is_none_or(|block| block.capacity() - block.len() < text.len()) {
            // Small at first: a workspace may have few series.
            let size = if self.blocks.is_empty() { TEXT_BLOCK_BYTES / 16 } else { TEXT_BLOCK_BYTES };
            self.blocks.push(String::with_capacity(text.len().max(size)));
        }
        let block = self.blocks.last_mut().expect("there is one with room");
        let start = block.len() as u32;
        block.push_str(text);
        Text { block: self.blocks.len() as u32 - 1, start, length }
    }

    pub(super) fn get(&self, text: Text) -> &str {
        &self.blocks[text.block as usize][text.start as usize..(text.start + text.length) as usize]
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.blocks.iter().map(String::len).sum()
    }

    pub(super) fn free(&mut self, text: Text) {
        if text.length > 0 {
            self.free.entry(text.length).or_default().push(text);
        }
    }
}

/// Lists of pairs by slot.
#[derive(Default)]
pub(super) struct Lists {
    blocks: Vec<Vec<u32>>,
    /// Block, start and length of each; [`NOBODY`] for slots that no series has.
    places: Vec<[u32; 3]>,
    /// Blocks and starts, by length.
    free: HashMap<u32, Vec<[u32; 2]>>,
}

impl Lists {
    pub(super) fn set(&mut self, slot: u32, list: &[u32]) {
        if slot as usize >= self.places.len() {
            self.places.resize(slot as usize + 1, NOBODY);
        }
        let [block, start] = self.put(list);
        self.places[slot as usize] = [block, start, list.len() as u32];
    }

    fn put(&mut self, list: &[u32]) -> [u32; 2] {
        if let Some([block, start]) = self.free.get_mut(&(list.len() as u32)).and_then(Vec::pop) {
            let place = start as usize..start as usize + list.len();
            self.blocks[block as usize][place].copy_from_slice(list);
            return [block, start];
        }
        if self.blocks.last().is_none_or(|block| block.capacity() - block.len() < list.len()) {
            let size = if self.blocks.is_empty() { LIST_BLOCK / 16 } else { LIST_BLOCK };
            self.blocks.push(Vec::with_capacity(size.max(list.len())));
        }
        let block = self.blocks.last_mut().expect("there is one with room");
        let start = block.len() as u32;
        block.extend_from_slice(list);
        [self.blocks.len() as u32 - 1, start]
    }

    pub(super) fn get(&self, slot: u32) -> &[u32] {
        let [block, start, length] = self.places[slot as usize];
        match length {
            0 => &[],
            _ => &self.blocks[block as usize][start as usize..(start + length) as usize],
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        4 * self.blocks.iter().map(Vec::len).sum::<usize>() + 12 * self.places.len()
    }

    pub(super) fn free(&mut self, slot: u32) {
        let [block, start, length] = std::mem::replace(&mut self.places[slot as usize], NOBODY);
        if length > 0 {
            self.free.entry(length).or_default().push([block, start]);
        }
    }
}

const NOBODY: [u32; 3] = [u32::MAX, 0, 0];
const TEXT_BLOCK_BYTES: usize = 64 << 10;

/// In pairs.
const LIST_BLOCK: usize = 16 << 10;
