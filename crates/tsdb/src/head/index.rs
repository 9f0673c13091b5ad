//! Labels of all series, and which series have which labels.
//!
//! A *pair* is a label name with a value; each is kept once, with its postings (the slots of its series). A series is the list
//! of its pairs in order of names: sixty bytes for fifteen labels. Texts and lists lie in large blocks.
//!
//! Series that are dead are here until they are purged ([`purge`]); those who look for series to read leave them out. What
//! lookups hold between locks (slots, numbers of pairs) stays what it is until nobody can know of it.

mod arena;
mod listing;
mod order;
mod purge;
mod sizes;
mod slots;

use std::cmp::Ordering;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use model::{Labels, LabelsBuilder};
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use arena::{Lists, Text, Texts};
pub(crate) use purge::{Purged, SLOTS_AT_ONCE};
pub(super) use sizes::NameSize;
pub(super) use slots::{Slots, Union};

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
    /// Slots of series that are not purged.
    all: RoaringBitmap,
    /// Those of them that are dead.
    dead: RoaringBitmap,
    /// How often pairs were taken from a name.
    thinned: u64,
    free_pairs: Vec<u32>,
    free_names: Vec<u32>,
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
    /// Its pairs, as they came: so their texts lie one after the other.
    pairs: Vec<u32>,
    /// As many of them, from the first, in order of their values.
    sorted: Vec<u32>,
}

pub(super) struct Pair {
    name: u32,
    value: Text,
    pub(super) postings: Slots,
}

impl Index {
    /// The series with exactly these labels, be it dead.
    pub(crate) fn find(&self, labels: &Labels, lookup: &mut Lookup) -> Option<u32> {
        lookup.list.clear();
        for (place, (name, value)) in labels.iter().enumerate() {
            let guess = lookup.previous.get(place).copied();
            let pair = match guess.filter(|pair| self.is_pair(*pair, name, value)) {
                Some(pair) => pair,
                None => self.pair_id(self.name_near(guess, name)?, value)?,
            };
            lookup.list.push(pair);
        }
        std::mem::swap(&mut lookup.previous, &mut lookup.list);
        let list = &lookup.previous;
        self.slots.find(self.hash_list(list), |slot| self.lists.get(*slot) == list).copied()
    }

    /// Adds series that are not here yet, in the order of their slots.
    pub(crate) fn add(&mut self, series: &[(u32, Labels)]) {
        let mut lookup = std::mem::take(&mut self.lookup);
        for (slot, labels) in series {
            self.add_one(*slot, labels, &mut lookup);
        }
        self.lookup = lookup;
    }

    fn add_one(&mut self, slot: u32, labels: &Labels, lookup: &mut Lookup) {
        lookup.list.clear();
        for (place, (name, value)) in labels.iter().enumerate() {
            let guess = lookup.previous.get(place).copied();
            let pair = match guess.filter(|pair| self.is_pair(*pair, name, value)) {
                Some(pair) => pair,
                None => {
                    let name = self.name_near(guess, name).unwrap_or_else(|| self.add_name(name));
                    self.intern_pair(name, value)
                }
            };
            self.pairs[pair as usize].postings.insert(slot);
            lookup.list.push(pair);
        }
        self.lists.set(slot, &lookup.list);
        self.all.insert(slot);
        let (hash, seed, lists) = (self.hash_list(&lookup.list), self.seed, &self.lists);
        self.slots.insert_unique(hash, slot, |slot| hash_list(lists.get(*slot), seed));
        std::mem::swap(&mut lookup.previous, &mut lookup.list);
    }

    pub(crate) fn labels(&self, slot: u32, builder: &mut LabelsBuilder) -> Labels {
        self.labels_of(self.lists.get(slot), builder)
    }

    /// The label set of some pairs of a series, in the series' order.
    pub(super) fn labels_of(&self, pairs: &[u32], builder: &mut LabelsBuilder) -> Labels {
        let labels = pairs.iter().map(|pair| self.pair_text(*pair));
        builder.build_sorted(labels)
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
        self.names.iter().filter(|name| !name.pairs.is_empty()).map(|name| self.texts.get(name.text))
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

    /// Whether this is the pair's number now. It is not when no series has the pair any more.
    fn is_pair(&self, pair: u32, name: &str, value: &str) -> bool {
        !self.pairs[pair as usize].postings.is_empty() && self.pair_text(pair) == (name, value)
    }

    pub(super) fn pair_id(&self, name: u32, value: &str) -> Option<u32> {
        let same = |id: &u32| self.pairs[*id as usize].name == name && self.value_of(*id) == value;
        self.pair_ids.find(hash_pair(name, value, self.seed), same).copied()
    }

    /// The name's number, which is likely that of a pair at the same place of another series.
    fn name_near(&self, guess: Option<u32>, name: &str) -> Option<u32> {
        let guess = guess.filter(|pair| !self.pair_at(*pair).postings.is_empty());
        let guess = guess.map(|pair| self.name_of(pair)).filter(|id| self.name_text(*id) == name);
        guess.or_else(|| self.name_id(name))
    }

    fn add_name(&mut self, name: &str) -> u32 {
        let added = Name { text: self.texts.push(name), pairs: Vec::new(), sorted: Vec::new() };
        let id = put(&mut self.names, &mut self.free_names, added);
        let (seed, names, texts) = (self.seed, &self.names, &self.texts);
        let hash = |id: &u32| xxh3_64_with_seed(texts.get(names[*id as usize].text).as_bytes(), seed);
        self.name_ids.insert_unique(hash(&id), id, hash);
        id
    }

    /// The pair, made if it is new: the caller gives it a slot.
    fn intern_pair(&mut self, name: u32, value: &str) -> u32 {
        if let Some(id) = self.pair_id(name, value) {
            return id;
        }
        let added = Pair { name, value: self.texts.push(value), postings: Slots::NONE };
        let id = put(&mut self.pairs, &mut self.free_pairs, added);
        self.names[name as usize].pairs.push(id);
        let (seed, pairs, texts) = (self.seed, &self.pairs, &self.texts);
        let hash = |id: &u32| {
            let pair = &pairs[*id as usize];
            hash_pair(pair.name, texts.get(pair.value), seed)
        };
        self.pair_ids.insert_unique(hash(&id), id, hash);
        id
    }

    /// Of texts and lists.
    #[cfg(test)]
    fn arena_bytes(&self) -> usize {
        self.texts.bytes() + self.lists.bytes()
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
            all: RoaringBitmap::new(),
            dead: RoaringBitmap::new(),
            thinned: 0,
            free_pairs: Vec::new(),
            free_names: Vec::new(),
        }
    }
}

/// Puts an entry where one has been freed, or at the end; returns its number.
fn put<T>(entries: &mut Vec<T>, free: &mut Vec<u32>, entry: T) -> u32 {
    if let Some(id) = free.pop() {
        entries[id as usize] = entry;
        return id;
    }
    entries.push(entry);
    u32::try_from(entries.len() - 1).expect("fewer pairs than labels, which are far fewer than 2^32")
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

#[cfg(test)]
mod tests;
