//! Tokens that were verified before: senders use one token for an hour or a day, at every request.
//!
//! Keyed by the token's SHA-256, so that no token is kept. Whoever takes an entry out checks its times, audience and
//! key again: the cache saves the parsing and the signature, nothing else. Bounded: a full shard loses what expires first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use environment::UnixTime;
use parking_lot::RwLock;

use crate::Principal;
use crate::key_set::VerificationKey;
use crate::key_store::KeyStore;

/// What verification found out.
pub(crate) struct Verified {
    pub(crate) principal: Arc<Principal>,
    pub(crate) audiences: Vec<String>,
    pub(crate) expires_at: UnixTime,
    pub(crate) not_before: Option<UnixTime>,
    pub(crate) issuer: Arc<KeyStore>,
    pub(crate) key: Arc<VerificationKey>,
}

pub(crate) struct VerifiedTokens {
    shards: Vec<RwLock<HashMap<TokenDigest, Arc<Verified>>>>,
    shard_entries_max: usize,
    pub(crate) evicted: AtomicU64,
}

pub(crate) type TokenDigest = [u8; 32];

pub(crate) fn token_digest(token: &str) -> TokenDigest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}

impl VerifiedTokens {
    /// Holds about `entries_max` tokens; none for zero.
    pub(crate) fn new(entries_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            shard_entries_max: entries_max.div_ceil(SHARDS),
            evicted: AtomicU64::new(0),
        }
    }

    pub(crate) fn get(&self, digest: &TokenDigest) -> Option<Arc<Verified>> {
        self.shard(digest).read().get(digest).cloned()
    }

    pub(crate) fn remove(&self, digest: &TokenDigest) {
        self.shard(digest).write().remove(digest);
    }

    pub(crate) fn insert(&self, digest: TokenDigest, verified: Verified, now: UnixTime) {
        if self.shard_entries_max == 0 {
            return;
        }
        let mut shard = self.shard(&digest).write();
        if shard.len() >= self.shard_entries_max {
            shard.retain(|_, entry| entry.expires_at > now);
        }
        if shard.len() >= self.shard_entries_max
            && let Some(first) = shard.iter().min_by_key(|(_, entry)| entry.expires_at).map(|(digest, _)| *digest)
        {
            shard.remove(&first);
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        shard.insert(digest, Arc::new(verified));
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    fn shard(&self, digest: &TokenDigest) -> &RwLock<HashMap<TokenDigest, Arc<Verified>>> {
        &self.shards[usize::from(digest[0]) % SHARDS]
    }
}

const SHARDS: usize = 16;
