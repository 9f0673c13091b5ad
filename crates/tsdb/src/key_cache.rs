//! From encoded labels to series: a bounded table of keyed hashes.
//!
//! Keys are not kept, only 128 bits of a hash of them. The hash is keyed with a secret made anew in every process, so
//! that nobody can choose two keys that collide; by accident they do so once in 2^64 pairs. Full, the table forgets at
//! random: series come round in a cycle, and forgetting the oldest would then forget each just before it is asked for.
//! Most lookups do not reach the table: see [`slot_keys`].

mod slot_keys;

use std::hash::{BuildHasher, RandomState};

use parking_lot::RwLock;
pub(crate) use slot_keys::KeyCursor;
use slot_keys::SlotKeys;
use xxhash_rust::xxh3::xxh3_128_with_secret;

/// The keyed hash of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KeyHash(u128);

impl KeyHash {
    fn halves(self) -> [u64; 2] {
        [self.0 as u64, (self.0 >> 64) as u64]
    }
}

/// See the module's text.
pub(crate) struct KeyCache {
    secret: [u8; SECRET_BYTES],
    shards: Box<[RwLock<Shard>]>,
    shard_entries_max: usize,
    slot_keys: SlotKeys,
}

impl KeyCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        // A series takes 16 bytes there and 23 to 34 in the table.
        let slot_bytes_max = bytes_max / 3;
        let shard_entries_max = ((bytes_max - slot_bytes_max) / SHARDS / size_of::<Entry>()).max(1);
        Self { secret: secret(), shards, shard_entries_max, slot_keys: SlotKeys::new(slot_bytes_max) }
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash(xxh3_128_with_secret(key, &self.secret))
    }

    /// The slot of a key; quick when it follows the slot that the cursor's last key had.
    #[inline]
    pub(crate) fn get(&self, key: KeyHash, cursor: &mut KeyCursor) -> Option<u32> {
        if let Some(slot) = self.slot_keys.guess(key, cursor) {
            return Some(slot);
        }
        let slot = self.shard(key).read().get(Entry::new(key, 0))?;
        cursor.go_to(slot);
        Some(slot)
    }

    /// Remembers a slot; says whether another had to go for it.
    pub(crate) fn insert(&self, key: KeyHash, slot: u32) -> bool {
        self.slot_keys.set(slot, key);
        self.shard(key).write().insert(Entry::new(key, slot), self.shard_entries_max)
    }

    /// Forgets all keys of the slots for which `is_gone` says so.
    pub(crate) fn forget(&self, is_gone: impl Fn(u32) -> bool) {
        self.slot_keys.forget(&is_gone);
        for shard in &self.shards {
            shard.write().forget(&is_gone);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let table: usize = self.shards.iter().map(|shard| shard.read().entries.capacity() * size_of::<Entry>()).sum();
        table + self.slot_keys.bytes()
    }

    fn shard(&self, key: KeyHash) -> &RwLock<Shard> {
        // Other bits than those that choose the place in the shard.
        &self.shards[(key.0 >> 32) as usize % SHARDS]
    }
}

/// A hash in words, so that an entry takes 20 bytes, and the slot plus one; 0 marks a free place.
#[derive(Clone, Copy, Default)]
struct Entry {
    hash: [u32; 4],
    slot: u32,
}

impl Entry {
    fn new(KeyHash(hash): KeyHash, slot: u32) -> Self {
        Self { hash: [hash as u32, (hash >> 32) as u32, (hash >> 64) as u32, (hash >> 96) as u32], slot: slot + 1 }
    }

    fn is_free(&self) -> bool {
        self.slot == 0
    }

    /// Where it would like to be among `places`: the first word as a fraction of them.
    fn home(&self, places: usize) -> usize {
        ((u64::from(self.hash[0]) * places as u64) >> 32) as usize
    }
}

/// Open addressing with linear probing; deleting moves later entries back.
#[derive(Default)]
struct Shard {
    entries: Vec<Entry>,
    used: usize,
}

impl Shard {
    fn get(&self, wanted: Entry) -> Option<u32> {
        if self.entries.is_empty() {
            return None;
        }
        let found = &self.entries[self.find(wanted)];
        (!found.is_free()).then(|| found.slot - 1)
    }

    fn insert(&mut self, entry: Entry, entries_max: usize) -> bool {
        let mut evicted = false;
        // At least one place in eight stays free, so that probes end soon.
        if (self.used + 1) * 8 > self.entries.len() * 7 {
            let larger = (self.entries.len() + self.entries.len() / 2).max(16).min(entries_max.max(2));
            if larger > self.entries.len() {
                self.resize(larger);
            } else {
                evicted = self.evict(entry);
            }
        }
        let place = self.find(entry);
        self.used += usize::from(self.entries[place].is_free());
        self.entries[place] = entry;
        evicted
    }

    /// The place of an entry with this hash, or the free one where it belongs.
    fn find(&self, wanted: Entry) -> usize {
        let mut place = wanted.home(self.entries.len());
        while !self.entries[place].is_free() && self.entries[place].hash != wanted.hash {
            place = self.next(place);
        }
        place
    }

    fn next(&self, place: usize) -> usize {
        if place + 1 == self.entries.len() { 0 } else { place + 1 }
    }

    fn resize(&mut self, places: usize) {
        let old = std::mem::replace(&mut self.entries, vec![Entry::default(); places]);
        for entry in old.into_iter().filter(|entry| !entry.is_free()) {
            let place = self.find(entry);
            self.entries[place] = entry;
        }
    }

    fn forget(&mut self, is_gone: impl Fn(u32) -> bool) {
        let goes = |entry: &Entry| !entry.is_free() && is_gone(entry.slot - 1);
        if !self.entries.iter().any(goes) {
            return;
        }
        let places = self.entries.len();
        let old = std::mem::replace(&mut self.entries, vec![Entry::default(); places]);
        self.used = 0;
        for entry in old.into_iter().filter(|entry| !entry.is_free() && !goes(entry)) {
            let place = self.find(entry);
            self.entries[place] = entry;
            self.used += 1;
        }
    }

    /// Frees the first used place from where chance, in the shape of another hash's bits, points.
    fn evict(&mut self, chance: Entry) -> bool {
        let mut hole = ((u64::from(chance.hash[3]) * self.entries.len() as u64) >> 32) as usize;
        while self.entries[hole].is_free() {
            hole = self.next(hole);
        }
        self.used -= 1;
        let mut place = hole;
        loop {
            place = self.next(place);
            if self.entries[place].is_free() {
                break;
            }
            // An entry may fill the hole unless its home lies behind the hole and not behind itself.
            let home = self.entries[place].home(self.entries.len());
            let stays = if hole < place { hole < home && home <= place } else { hole < home || home <= place };
            if !stays {
                self.entries[hole] = self.entries[place];
                hole = place;
            }
        }
        self.entries[hole] = Entry::default();
        true
    }
}

/// Chance that no result depends on, so it need not come from the environment: the standard library's random keys,
/// stretched to the length that the hash wants.
fn secret() -> [u8; SECRET_BYTES] {
    let random = RandomState::new();
    let mut secret = [0; SECRET_BYTES];
    for (index, word) in secret.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&random.hash_one(index).to_le_bytes());
    }
    secret
}

const SHARDS: usize = 64;

/// What the hash takes at most from a secret.
const SECRET_BYTES: usize = 192;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn get(cache: &KeyCache, key: KeyHash) -> Option<u32> {
        cache.get(key, &mut KeyCursor::default())
    }

    #[test]
    fn a_cursor_finds_the_same_in_any_order() {
        let cache = KeyCache::new(1 << 20);
        let keys: Vec<_> = (0..5000u32).map(|slot| cache.hash(&slot.to_le_bytes())).collect();
        for (slot, key) in (0..).zip(&keys) {
            cache.insert(*key, slot);
        }
        // A second key of a slot takes its place in the guess; the first is still in the table.
        let second = cache.hash(b"second key of slot 10");
        cache.insert(second, 10);
        let mut cursor = KeyCursor::default();
        let forward = 0..5000usize;
        let order = forward.clone().chain(forward.clone().rev()).chain(forward.map(|step| step * 1237 % 5000));
        for slot in order {
            assert_eq!(cache.get(keys[slot], &mut cursor), Some(slot as u32));
            assert_eq!(cache.get(cache.hash(b"none"), &mut cursor), None);
        }
        assert_eq!(cache.get(second, &mut cursor), Some(10));
    }

    #[test]
    fn remembers_what_fits() {
        let cache = KeyCache::new(1 << 20);
        for slot in 0..10_000u32 {
            assert!(!cache.insert(cache.hash(&slot.to_le_bytes()), slot));
        }
        for slot in 0..10_000u32 {
            assert_eq!(get(&cache, cache.hash(&slot.to_le_bytes())), Some(slot));
        }
        assert_eq!(get(&cache, cache.hash(b"other")), None);
        cache.insert(cache.hash(&7u32.to_le_bytes()), 70_000);
        assert_eq!(get(&cache, cache.hash(&7u32.to_le_bytes())), Some(70_000));
        assert!(cache.bytes() <= 1 << 20);
    }

    #[test]
    fn stays_in_its_bounds_and_forgets_evenly() {
        let bytes_max = 200_000;
        let cache = KeyCache::new(bytes_max);
        let keys: Vec<_> = (0..20_000u32).map(|slot| cache.hash(&slot.to_le_bytes())).collect();
        for (slot, key) in (0..).zip(&keys) {
            cache.insert(*key, slot);
        }
        assert!(cache.bytes() <= bytes_max);
        let kept: Vec<u32> =
            (0..).zip(&keys).filter(|(slot, key)| get(&cache, **key) == Some(*slot)).map(|(slot, _)| slot).collect();
        assert!(kept.len() > bytes_max * 2 / 3 / size_of::<Entry>() * 7 / 10, "{} kept", kept.len());
        assert!(kept.iter().any(|slot| *slot < 10_000), "the older half is not forgotten as a whole");
        // Whatever was evicted in between, a hit is never another key's slot.
        let all: HashMap<u32, KeyHash> = (0..).zip(keys).collect();
        assert!(all.iter().all(|(slot, key)| get(&cache, *key).is_none_or(|found| found == *slot)));
    }

    #[test]
    fn secrets_differ() {
        assert_ne!(secret(), secret());
        assert_ne!(KeyCache::new(0).hash(b"a"), KeyCache::new(0).hash(b"a"));
    }
}
