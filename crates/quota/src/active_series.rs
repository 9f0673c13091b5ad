//! Which series of a workspace were written within the last 12 hours.
//!
//! Time is cut into slots of a quarter of an hour. A series is active from its first sample until 48 whole slots have
//! passed after the slot of its last one: it leaves between 12 hours and 12 hours and a quarter after it. Slots are of the
//! monotonic clock.
//!
//! The *table* ([`shard`]) knows each active series by a keyed hash of its labels and the slot it was last seen in: 8 bytes
//! in open addressing, about 14 per series with the free places. It is exact but for hashes that collide: with a million
//! active series, a new one is taken for one of them with a chance of 2^-36 (56 bits of the hash count), which lets it in
//! uncounted. Two helpers know series by the engine's dense index. *Bits* ([`seen_bits`]) remember which were touched in
//! this slot, so that the table is asked once per series and slot and everything else costs one load. *Known hashes*
//! ([`known_hashes`], 8 to 16 bytes per series) spare reading labels even then.
//!
//! The number of active series never exceeds the limit but where the limit was lowered or [`ActiveSeries::refill`] found
//! more: a new series takes its place under an atomic count before it enters the table, and series that left are
//! counted out, shard by shard, before one is refused. A refused series is kept nowhere.

mod known_hashes;
mod seen_bits;
mod segments;
mod shard;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use environment::Monotonic;
use model::Labels;
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64_with_secret;

use self::known_hashes::KnownHashes;
use self::seen_bits::{SeenBits, Tag};
use self::shard::{Found, Shard, Slot};
use crate::minute::since_start;

pub use self::seen_bits::DENSE_INDEX_MAX;

/// A series' labels, hashed with a key that only this process knows: nobody can choose series that collide.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SeriesHash(u64);

/// What became of a series that was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Touch {
    /// It was active already.
    Active,
    /// It is active from now on.
    New,
    /// It would be new, and as many as the limit are active.
    Refused,
}

/// The active series of one workspace.
#[derive(Debug)]
pub struct ActiveSeries {
    key: Arc<HashKey>,
    limit: AtomicU64,
    /// Series in all shards, and places taken for series about to enter one.
    active: AtomicU64,
    /// The newest slot for which all shards were swept.
    swept: AtomicU64,
    bits: SeenBits,
    known: KnownHashes,
    shards: Box<[Mutex<Shard>]>,
}

/// The active series as of one time: take one per request.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    series: &'a ActiveSeries,
    slot: Slot,
    tag: Tag,
}

impl ActiveSeries {
    pub(crate) fn new(limit: u64, key: Arc<HashKey>) -> Self {
        Self {
            key,
            limit: AtomicU64::new(limit),
            active: AtomicU64::new(0),
            swept: AtomicU64::new(0),
            bits: SeenBits::default(),
            known: KnownHashes::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// The hash by which a series is known here and in all other workspaces.
    pub fn hash(&self, labels: &Labels) -> SeriesHash {
        self.key.hash(labels)
    }

    /// The series as of `now`.
    #[inline]
    pub fn at(&self, now: Monotonic) -> Seen<'_> {
        let slot = slot_of(now);
        Seen { series: self, slot, tag: self.bits.tag(slot) }
    }

    /// How many there may be.
    pub fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// Changes how many there may be. Below what is active, none of those leave and none come.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Relaxed);
    }

    /// How many there are.
    pub fn active(&self, now: Monotonic) -> u64 {
        self.sweep(slot_of(now));
        self.active.load(Relaxed)
    }

    /// Puts back series found in storage when the workspace is opened: each with the time that has passed since its
    /// last sample. The limit does not matter here, as they were all let in once. The engine's dense indices begin anew.
    pub fn refill(&self, series: impl IntoIterator<Item = (SeriesHash, Duration)>, now: Monotonic) {
        self.bits.forget();
        self.known.forget();
        let slot = slot_of(now);
        for (hash, age) in series {
            let slots_ago = age.as_secs() / SLOT.as_secs();
            if slots_ago <= SLOTS_ACTIVE {
                self.put(hash, Slot(slot.0 - slots_ago), slot);
            }
        }
    }

    /// Bytes of memory that are held.
    pub fn bytes(&self) -> usize {
        let shards: usize = self.shards.iter().map(|shard| shard.lock().bytes()).sum();
        size_of::<Self>() + size_of_val(&*self.shards) + shards + self.bits.bytes() + self.known.bytes()
    }

    fn put(&self, hash: SeriesHash, seen: Slot, now: Slot) {
        let mut shard = self.shard(hash, now);
        match shard.touch(hash, seen) {
            Found::Active => {}
            Found::Absent => {
                self.active.fetch_add(1, Relaxed);
                shard.insert(hash, seen);
            }
        }
    }

    fn touch(&self, hash: SeriesHash, now: Slot) -> Touch {
        let mut shard = self.shard(hash, now);
        if shard.touch(hash, now) == Found::Active {
            return Touch::Active;
        }
        if !self.take_place() {
            drop(shard);
            // Series of other shards may have left since those were last asked for.
            if !self.sweep(now) {
                return Touch::Refused;
            }
            shard = self.shard(hash, now);
            if shard.touch(hash, now) == Found::Active {
                return Touch::Active;
            }
            if !self.take_place() {
                return Touch::Refused;
            }
        }
        shard.insert(hash, now);
        Touch::New
    }

    fn renew(&self, hash: SeriesHash, now: Slot) -> bool {
        self.shard(hash, now).touch(hash, now) == Found::Active
    }

    /// Counts one more, if there may be one more.
    fn take_place(&self) -> bool {
        let limit = self.limit();
        self.active.try_update(Relaxed, Relaxed, |active| (active < limit).then_some(active + 1)).is_ok()
    }

    /// The shard of a hash, rid of what has left by `now`.
    fn shard(&self, hash: SeriesHash, now: Slot) -> parking_lot::MutexGuard<'_, Shard> {
        let mut shard = self.shards[(hash.0 >> 8) as usize % SHARDS].lock();
        self.active.fetch_sub(shard.sweep(now), Relaxed);
        shard
    }

    /// Rids all shards of what has left by `now`; says whether that was still to be done.
    fn sweep(&self, now: Slot) -> bool {
        if self.swept.load(Relaxed) >= now.0 {
            return false;
        }
        for shard in &self.shards {
            let left = shard.lock().sweep(now);
            self.active.fetch_sub(left, Relaxed);
        }
        self.swept.fetch_max(now.0, Relaxed);
        true
    }
}

impl Seen<'_> {
    /// Notes that the series with this dense index is written, if it is active; says whether that is known. Makes no series
    /// active. Almost always one load; once per slot a look into the table.
    ///
    /// An index must stand for one series only, from the opening of the engine (and [`ActiveSeries::refill`]) on. After
    /// `false`, [`renew`](Self::renew) or [`touch`](Self::touch) knows by the labels' hash.
    #[inline]
    pub fn knows(&self, index: u32) -> bool {
        self.series.bits.is_set(index, self.tag) || self.renews(index)
    }

    #[cold]
    fn renews(&self, index: u32) -> bool {
        // A request from before the engine was opened anew has indices of its own.
        let current = self.series.bits.is_current(self.tag, self.slot);
        let hash = self.series.known.get(index).filter(|_| current);
        let active = hash.is_some_and(|hash| self.series.renew(hash, self.slot));
        if active {
            self.series.bits.set(index, self.tag);
        }
        active
    }

    fn remember(&self, hash: SeriesHash, index: u32) {
        if self.series.bits.is_current(self.tag, self.slot) {
            self.series.bits.set(index, self.tag);
            self.series.known.set(index, hash);
        }
    }

    /// Notes that a series is written; `index` is its dense index, once it has one.
    pub fn touch(&self, hash: SeriesHash, index: Option<u32>) -> Touch {
        let touch = self.series.touch(hash, self.slot);
        if let Some(index) = index.filter(|_| touch != Touch::Refused) {
            self.remember(hash, index);
        }
        touch
    }

    /// As [`touch`](Self::touch) for a series that is active already; says whether it is. Makes no series active, so that it
    /// can be called before it is known whether a request is admitted.
    pub fn renew(&self, hash: SeriesHash, index: u32) -> bool {
        let active = self.series.renew(hash, self.slot);
        if active {
            self.remember(hash, index);
        }
        active
    }

    /// The hash that [`touch`](Self::touch) asks for.
    pub fn hash(&self, labels: &Labels) -> SeriesHash {
        self.series.hash(labels)
    }
}

/// The key of hashes. Chance that no result depends on, so it need not come from the environment: the standard library's
/// random keys, stretched to the length that the hash wants.
pub(crate) struct HashKey([u8; SECRET_BYTES]);

impl HashKey {
    pub(crate) fn random() -> Self {
        let random = RandomState::new();
        let mut secret = [0; SECRET_BYTES];
        for (index, word) in secret.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&random.hash_one(index).to_le_bytes());
        }
        Self(secret)
    }

    pub(crate) fn hash(&self, labels: &Labels) -> SeriesHash {
        SeriesHash(xxh3_64_with_secret(labels.as_packed(), &self.0))
    }
}

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey(***)")
    }
}

/// The slot of a time. Begins above zero, so that series written before the clock's start have slots, too.
fn slot_of(now: Monotonic) -> Slot {
    Slot(since_start(now).as_secs() / SLOT.as_secs() + SLOTS_ACTIVE + 1)
}

/// The length of a slot.
const SLOT: Duration = Duration::from_secs(15 * 60);
/// Slots after its last one during which a series is active: 12 hours.
const SLOTS_ACTIVE: u64 = 48;
const SHARDS: usize = 64;
/// What the hash takes at most from a secret.
const SECRET_BYTES: usize = 192;

#[cfg(test)]
mod tests;
