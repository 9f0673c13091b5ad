//! Tokens that were verified before: senders use one token for an hour or a day, at every request.
//!
//! Keyed by a tag of the token, so that no token is kept. Whoever takes an entry out checks its times, audience and key
//! again: the cache saves the parsing and the signature, nothing else. Bounded: a full shard loses what expires first.
//!
//! The tag is a GMAC under a random key of this process. For whoever knows neither key nor tags, two different tokens of
//! n blocks share a tag with a probability below n / 2^128 (a polynomial hash; the one nonce does not matter as long as
//! no tag leaves this module).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
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
    tag_key: LessSafeKey,
    shards: Vec<RwLock<HashMap<TokenTag, Arc<Verified>>>>,
    shard_entries_max: usize,
    pub(crate) evicted: AtomicU64,
}

/// See the module's text. Must not leave the crate.
pub(crate) type TokenTag = [u8; 16];

impl VerifiedTokens {
    /// Holds about `entries_max` tokens; none for zero.
    pub(crate) fn new(entries_max: usize) -> Self {
        let mut key = [0; 16];
        aws_lc_rs::rand::fill(&mut key).expect("the system has random bytes");
        let key = UnboundKey::new(&AES_128_GCM, &key).expect("the key has the length of AES-128");
        Self {
            tag_key: LessSafeKey::new(key),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            shard_entries_max: entries_max.div_ceil(SHARDS),
            evicted: AtomicU64::new(0),
        }
    }

    /// The tag that stands for `token` in the other calls.
    pub(crate) fn tag(&self, token: &str) -> TokenTag {
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let tag = self.tag_key.seal_in_place_separate_tag(nonce, Aad::from(token.as_bytes()), &mut []);
        let mut bytes = TokenTag::default();
        bytes.copy_from_slice(tag.expect("tokens are far shorter than the cipher's limit").as_ref());
        bytes
    }

    pub(crate) fn get(&self, tag: &TokenTag) -> Option<Arc<Verified>> {
        self.shard(tag).read().get(tag).cloned()
    }

    pub(crate) fn remove(&self, tag: &TokenTag) {
        self.shard(tag).write().remove(tag);
    }

    pub(crate) fn insert(&self, tag: TokenTag, verified: Verified, now: UnixTime) {
        if self.shard_entries_max == 0 {
            return;
        }
        let mut shard = self.shard(&tag).write();
        if shard.len() >= self.shard_entries_max {
            shard.retain(|_, entry| entry.expires_at > now);
        }
        if shard.len() >= self.shard_entries_max
            && let Some(first) = shard.iter().min_by_key(|(_, entry)| entry.expires_at).map(|(tag, _)| *tag)
        {
            shard.remove(&first);
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        shard.insert(tag, Arc::new(verified));
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    fn shard(&self, tag: &TokenTag) -> &RwLock<HashMap<TokenTag, Arc<Verified>>> {
        &self.shards[usize::from(tag[0]) % SHARDS]
    }
}

const SHARDS: usize = 16;
