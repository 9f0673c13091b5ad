//! Labels of all series, and which series have which labels.
//!
//! A *pair* is a label name with a value; each is kept once, with its postings (the slots of its series, rising). A series
//! is the list of its pairs in order of names: sixty bytes for fifteen labels. Texts and lists lie in large blocks.

use hashbrown::HashTable;
use model::{Labels, LabelsBuilder};
use std::cmp::Ordering;
use std::hash::{BuildHasher, RandomState};
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub(crate) struct Index {
    names: Vec<Name>,
    name_ids: HashTable<u32>,
    pairs: Vec<Pair>,
    pair_ids: HashTable<u32>,
    texts: Texts,
    lists: Lists,
    /// Slots, by their lists.
    slots: HashTable<u32>,
    /// Keys the hashes, so that nobody can fill one bucket on purpose. No result depends on it.
    seed: u64,
    lookup: Lookup,
}

/// The list of the last series looked up: the next one often differs from it in few pairs, and comparing two texts is
/// much cheaper than finding one.
#[derive(Default)]
pub(crate) struct Lookup {
    previous: Vec<u32>,
    list: Vec<u32>,
}

pub(super) struct Name {
    text: Text,
    /// Its pairs, in no order.
    pub(super) pairs: Vec<u32>,
}

pub(super) struct Pair {
    name: u32,
    value: Text,
    pub(super) postings: Slots,
}

/// Rising slots. Many pairs belong to one series only.
pub(super) enum Slots {
    One(u32),
    Many(Vec<u32>),
}

impl Index {
    /// Number of series: slots are the numbers below.
    pub(crate) fn len(&self) -> u32 {
        self.lists.len()
    }

    /// The series with exactly these labels.
    pub(crate) fn find(&self, labels: &Labels, lookup: &mut Lookup) -> Option<u32> {
        lookup.list.clear();
        for (place, (name, value)) in labels.iter().enumerate() {
            let guess = lookup.previous.get(place).copied();
            let pair = match guess.filter(|pair| self.pair_text(*pair) == (name, value)) {
                Some(pair) => pair,
                None => self.pair_id(self.name_near(guess, name)?, value)?,
            };
            lookup.list.push(pair);
        }
        std::mem::swap(&mut lookup.previous, &mut lookup.list);
        let list = &lookup.previous;
        self.slots.find(self.hash_list(list), |slot| self.lists.get(*slot) == list).copied()
    }

    /// Adds a series that is not here yet; its slot is the length before.
    pub(crate) fn add(&mut self, labels: &Labels) -> u32 {
        let slot = self.len();
        let mut lookup = std::mem::take(&mut self.lookup);
        lookup.list.clear();
        for (place, (name, value)) in labels.iter().enumerate() {
            let guess = lookup.previous.get(place).copied();
            let pair = match guess.filter(|pair| self.pair_text(*pair) == (name, value)) {
                Some(pair) => {
                    self.pairs[pair as usize].postings.push(slot);
                    pair
                }
                None => {
                    let name = self.name_near(guess, name).unwrap_or_else(|| self.add_name(name));
                    self.intern_pair(name, value, slot)
                }
            };
            lookup.list.push(pair);
        }
        self.lists.push(&lookup.list);
        let (hash, seed, lists) = (self.hash_list(&lookup.list), self.seed, &self.lists);
        self.slots.insert_unique(hash, slot, |slot| hash_list(lists.get(*slot), seed));
        std::mem::swap(&mut lookup.previous, &mut lookup.list);
        self.lookup = lookup;
        slot
    }

    pub(crate) fn labels(&self, slot: u32, builder: &mut LabelsBuilder) -> Labels {
        builder.clear();
        for pair in self.lists.get(slot) {
            let (name, value) = self.pair_text(*pair);
            builder.push(name, value);
        }
        builder.build().expect("they were a label set when they were added")
    }

    /// Prometheus' order of label sets.
    pub(crate) fn compare(&self, left: u32, right: u32) -> Ordering {
        let (left, right) = (self.lists.get(left), self.lists.get(right));
        match left.iter().zip(right).find(|(left, right)| left != right) {
            Some((left, right)) => self.pair_text(*left).cmp(&self.pair_text(*right)),
            None => left.len().cmp(&right.len()),
        }
    }

    /// The pairs of a series, in order of names.
    pub(super) fn pairs_of(&self, slot: u32) -> &[u32] {
        self.lists.get(slot)
    }

    pub(super) fn name(&self, name: &str) -> Option<&Name> {
        self.name_id(name).map(|id| &self.names[id as usize])
    }

    pub(super) fn name_of(&self, pair: u32) -> u32 {
        self.pairs[pair as usize].name
    }

    pub(super) fn name_id(&self, name: &str) -> Option<u32> {
        let hash = xxh3_64_with_seed(name.as_bytes(), self.seed);
        self.name_ids.find(hash, |id| self.texts.get(self.names[*id as usize].text) == name).copied()
    }

    pub(super) fn name_text(&self, name: u32) -> &str {
        self.texts.get(self.names[name as usize].text)
    }

    pub(super) fn all_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| self.texts.get(name.text))
    }

    pub(super) fn pair(&self, name: &str, value: &str) -> Option<&Pair> {
        self.pair_id(self.name_id(name)?, value).map(|id| &self.pairs[id as usize])
    }

    pub(super) fn pair_at(&self, pair: u32) -> &Pair {
        &self.pairs[pair as usize]
    }

    pub(super) fn value_of(&self, pair: u32) -> &str {
        self.texts.get(self.pairs[pair as usize].value)
    }

    fn pair_text(&self, pair: u32) -> (&str, &str) {
        let Pair { name, value, .. } = &self.pairs[pair as usize];
        (self.name_text(*name), self.texts.get(*value))
    }

    fn pair_id(&self, name: u32, value: &str) -> Option<u32> {
        let same = |id: &u32| self.pairs[*id as usize].name == name && self.value_of(*id) == value;
        self.pair_ids.find(hash_pair(name, value, self.seed), same).copied()
    }

    /// The name's number, which is likely that of a pair at the same place of another series.
    fn name_near(&self, guess: Option<u32>, name: &str) -> Option<u32> {
        let guess = guess.map(|pair| self.name_of(pair)).filter(|id| self.name_text(*id) == name);
        guess.or_else(|| self.name_id(name))
    }

    fn add_name(&mut self, name: &str) -> u32 {
        let id = self.names.len() as u32;
        self.names.push(Name { text: self.texts.push(name), pairs: Vec::new() });
        let (seed, names, texts) = (self.seed, &self.names, &self.texts);
        let hash = |id: &u32| xxh3_64_with_seed(texts.get(names[*id as usize].text).as_bytes(), seed);
        self.name_ids.insert_unique(hash(&id), id, hash);
        id
    }

    /// The pair, with `slot` among its postings.
    fn intern_pair(&mut self, name: u32, value: &str, slot: u32) -> u32 {
        if let Some(id) = self.pair_id(name, value) {
            self.pairs[id as usize].postings.push(slot);
            return id;
        }
        let id = u32::try_from(self.pairs.len()).expect("fewer pairs than labels, which are far fewer than 2^32");
        self.pairs.push(Pair { name, value: self.texts.push(value), postings: Slots::One(slot) });
        self.names[name as usize].pairs.push(id);
        let (seed, pairs, texts) = (self.seed, &self.pairs, &self.texts);
        let hash = |id: &u32| {
            let pair = &pairs[*id as usize];
            hash_pair(pair.name, texts.get(pair.value), seed)
        };
        self.pair_ids.insert_unique(hash(&id), id, hash);
        id
    }

    fn hash_list(&self, list: &[u32]) -> u64 {
        hash_list(list, self.seed)
    }
}

impl Default for Index {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            name_ids: HashTable::new(),
            pairs: Vec::new(),
            pair_ids: HashTable::new(),
            texts: Texts::default(),
            lists: Lists::default(),
            slots: HashTable::new(),
            seed: RandomState::new().hash_one(0),
            lookup: Lookup::default(),
        }
    }
}

impl Slots {
    pub(super) fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(slot) => std::slice::from_ref(slot),
            Self::Many(slots) => slots,
        }
    }

    fn push(&mut self, slot: u32) {
        match self {
            Self::One(first) => *self = Self::Many(vec![*first, slot]),
            Self::Many(slots) => {
                // Fifteen of these per series: growing by a quarter wastes an eighth on average, doubling a third.
                if slots.len() == slots.capacity() {
                    slots.reserve_exact(slots.len() / 4 + 2);
                }
                slots.push(slot);
            }
        }
    }
}

fn hash_pair(name: u32, value: &str, seed: u64) -> u64 {
    xxh3_64_with_seed(value.as_bytes(), seed ^ u64::from(name).wrapping_mul(ODD))
}

fn hash_list(list: &[u32], seed: u64) -> u64 {
    let mixed = list.iter().fold(seed, |hash, id| (hash.rotate_left(23) ^ u64::from(*id)).wrapping_mul(ODD));
    mixed ^ mixed >> 29
}

/// Odd, with its bits well spread: 2^64 divided by the golden ratio.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where a text lies.
#[derive(Clone, Copy)]
struct Text {
    block: u32,
    start: u32,
    length: u32,
}

/// Texts back to back, in blocks that never move.
#[derive(Default)]
struct Texts {
    blocks: Vec<String>,
}

impl Texts {
    fn push(&mut self, text: &str) -> Text {
        if self.blocks.last().is_none_or(|block| block.capacity() - block.len() < text.len()) {
            // Small at first: a workspace may have few series.
            let size = if self.blocks.is_empty() { TEXT_BLOCK_BYTES / 16 } else { TEXT_BLOCK_BYTES };
            self.blocks.push(String::with_capacity(text.len().max(size)));
        }
        let block = self.blocks.last_mut().expect("there is one with room");
        let start = block.len() as u32;
        block.push_str(text);
        Text { block: self.blocks.len() as u32 - 1, start, length: text.len() as u32 }
    }

    fn get(&self, text: Text) -> &str {
        &self.blocks[text.block as usize][text.start as usize..(text.start + text.length) as usize]
    }
}

/// Lists of pairs back to back, in blocks that never move; list *n* is that of slot *n*.
#[derive(Default)]
struct Lists {
    blocks: Vec<Vec<u32>>,
    /// Block, start and length of each.
    places: Vec<[u32; 3]>,
}

impl Lists {
    fn len(&self) -> u32 {
        self.places.len() as u32
    }

    fn push(&mut self, list: &[u32]) {
        if self.blocks.last().is_none_or(|block| block.capacity() - block.len() < list.len()) {
            let size = if self.blocks.is_empty() { LIST_BLOCK / 16 } else { LIST_BLOCK };
            self.blocks.push(Vec::with_capacity(size.max(list.len())));
        }
        let block = self.blocks.last_mut().expect("there is one with room");
        let (start, length) = (block.len() as u32, list.len() as u32);
        block.extend_from_slice(list);
        self.places.push([self.blocks.len() as u32 - 1, start, length]);
    }

    fn get(&self, slot: u32) -> &[u32] {
        let [block, start, length] = self.places[slot as usize];
        &self.blocks[block as usize][start as usize..(start + length) as usize]
    }
}

const TEXT_BLOCK_BYTES: usize = 64 << 10;

/// In pairs.
const LIST_BLOCK: usize = 16 << 10;

#[cfg(test)]
mod tests;
