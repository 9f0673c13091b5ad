//! Token → principal.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use environment::{Clock, HttpClient, UnixTime};

use crate::issuer::{Issuer, IssuerError, PrincipalId};
use crate::key_store::{KeyStore, NoKey};
use crate::verified_tokens::{Verified, VerifiedTokens};
use crate::{Claims, Jws, MalformedToken, Principal, TokenRefused};

/// Verifies bearer tokens of the configured issuers. One serves all edges; each passes the audiences it takes.
pub struct Verifier {
    issuers: HashMap<Arc<str>, Arc<KeyStore>>,
    stores: Vec<Arc<KeyStore>>,
    clock: Arc<dyn Clock>,
    settings: VerifierSettings,
    verified: VerifiedTokens,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// Bounds and times of verification.
#[derive(Clone, Debug)]
pub struct VerifierSettings {
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// The longest token that is read.
    pub token_bytes_max: usize,
    /// About how many verified tokens are remembered; zero for none.
    pub cached_tokens_max: usize,
    /// The least time between two fetches of one issuer's keys.
    pub refresh_interval_min: Duration,
    /// The age after which keys are fetched again, unless the issuer asks for it sooner.
    pub key_age_max: Duration,
    /// The time one request for keys may take.
    pub fetch_timeout: Duration,
}

impl Default for VerifierSettings {
    fn default() -> Self {
        Self {
            leeway: Duration::from_secs(5 * 60),
            token_bytes_max: 16 * 1024,
            cached_tokens_max: 4096,
            refresh_interval_min: Duration::from_secs(30),
            key_age_max: Duration::from_secs(60 * 60),
            fetch_timeout: Duration::from_secs(10),
        }
    }
}

/// Counts since the start, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VerifierStatistics {
    /// Tokens that were known.
    pub cache_hits: u64,
    /// Tokens that had to be verified.
    pub cache_misses: u64,
    /// Tokens remembered now.
    pub cached_tokens: u64,
    /// Tokens forgotten before their time because the cache was full.
    pub cache_evictions: u64,
    /// Fetches of keys that were begun.
    pub key_fetches: u64,
    /// Fetches of keys that failed.
    pub key_fetch_failures: u64,
    /// Fetches of keys that were wanted too soon after the last.
    pub key_fetches_throttled: u64,
}

impl Verifier {
    /// Believes tokens of `issuers`, with the default settings.
    ///
    /// # Errors
    /// When two issuers have one name, or keys would come over plain HTTP from another machine.
    pub fn new(
        issuers: impl IntoIterator<Item = Issuer>,
        http: Arc<dyn HttpClient>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, IssuerError> {
        Self::with_settings(issuers, http, clock, VerifierSettings::default())
    }

    /// Believes tokens of `issuers`.
    ///
    /// # Errors
    /// As [`Verifier::new`].
    pub fn with_settings(
        issuers: impl IntoIterator<Item = Issuer>,
        http: Arc<dyn HttpClient>,
        clock: Arc<dyn Clock>,
        settings: VerifierSettings,
    ) -> Result<Self, IssuerError> {
        let (mut by_name, mut stores) = (HashMap::new(), Vec::new());
        for issuer in issuers {
            issuer.check()?;
            let names = issuer.names.clone();
            let store = Arc::new(KeyStore::new(issuer, &http, &clock, &settings));
            for name in names {
                if by_name.insert(Arc::clone(&name), Arc::clone(&store)).is_some() {
                    return Err(IssuerError::Duplicate(name.to_string()));
                }
            }
            stores.push(store);
        }
        let verified = VerifiedTokens::new(settings.cached_tokens_max);
        let (hits, misses) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { issuers: by_name, stores, clock, settings, verified, hits, misses })
    }

    /// Whom `token` speaks for, if it is for one of `audiences` (with or without a slash at the end). Waits only when
    /// keys have to be fetched.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub async fn verify<A: AsRef<str>>(&self, token: &str, audiences: &[A]) -> Result<Arc<Principal>, TokenRefused> {
        if token.is_empty() {
            return Err(TokenRefused::Missing);
        }
        let (bytes, bytes_max) = (token.len(), self.settings.token_bytes_max);
        if bytes > bytes_max {
            return Err(MalformedToken::TooLong { bytes, bytes_max }.into());
        }
        let (tag, now) = (self.verified.tag(token), self.clock.now());
        if let Some(known) = self.verified.get(&tag) {
            if known.issuer.still_holds(&known.key) {
                self.hits.fetch_add(1, Ordering::Relaxed);
                self.check_times(known.expires_at, known.not_before, now)?;
                check_audience(&known.audiences, audiences)?;
                return Ok(Arc::clone(&known.principal));
            }
            self.verified.remove(&tag);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let verified = self.verify_anew(token, audiences, now).await?;
        let principal = Arc::clone(&verified.principal);
        self.verified.insert(tag, verified, now);
        Ok(principal)
    }

    /// Fetches keys before they are needed and again before they are old. Runs until dropped: spawn it once. Without it
    /// the first request of every hour waits for the fetch.
    pub async fn keep_keys_fresh(&self) {
        let _keepers: Vec<_> = self.stores.iter().filter_map(|store| store.keeper()).collect();
        loop {
            let due = futures_util::future::join_all(self.stores.iter().map(|store| store.freshen())).await;
            let pause = due.into_iter().min().unwrap_or(Duration::MAX).clamp(FRESHEN_PAUSE_MIN, FRESHEN_PAUSE_MAX);
            self.clock.sleep(pause).await;
        }
    }

    /// Counts since the start.
    pub fn statistics(&self) -> VerifierStatistics {
        let mut statistics = VerifierStatistics {
            cache_hits: self.hits.load(Ordering::Relaxed),
            cache_misses: self.misses.load(Ordering::Relaxed),
            cached_tokens: self.verified.len() as u64,
            cache_evictions: self.verified.evicted.load(Ordering::Relaxed),
            ..VerifierStatistics::default()
        };
        for store in &self.stores {
            statistics.key_fetches += store.statistics.fetches.load(Ordering::Relaxed);
            statistics.key_fetch_failures += store.statistics.failures.load(Ordering::Relaxed);
            statistics.key_fetches_throttled += store.statistics.throttled.load(Ordering::Relaxed);
        }
        statistics
    }

    /// The cheap checks come first: a token that is refused anyway costs neither a signature nor a fetch of keys.
    async fn verify_anew<A: AsRef<str>>(
        &self,
        token: &str,
        audiences: &[A],
        now: UnixTime,
    ) -> Result<Verified, TokenRefused> {
        let jws = Jws::parse(token, self.settings.token_bytes_max)?;
        let claims = Claims::parse(jws.payload())?;
        let Some(store) = self.issuers.get(claims.issuer.as_str()) else {
            return Err(TokenRefused::UnknownIssuer(shortened(&claims.issuer)));
        };
        let object_id = principal_id(store.issuer(), &claims)?;
        self.check_times(claims.expires_at, claims.not_before, now)?;
        check_audience(&claims.audiences, audiences)?;
        let (algorithm, key_id) = (jws.header().algorithm, jws.header().key_id.as_deref());
        let key = store.key(key_id, algorithm).await.map_err(|missing| refusal(missing, store.issuer(), &jws))?;
        if !key.verifies(algorithm, jws.signed(), jws.signature()) {
            return Err(TokenRefused::BadSignature);
        }
        let principal = Arc::new(Principal::new(object_id, &claims, Arc::clone(&store.issuer().names[0])));
        let (expires_at, not_before) = (claims.expires_at, claims.not_before);
        let issuer = Arc::clone(store);
        Ok(Verified { principal, audiences: claims.audiences, expires_at, not_before, issuer, key })
    }

    fn check_times(
        &self,
        expires_at: UnixTime,
        not_before: Option<UnixTime>,
        now: UnixTime,
    ) -> Result<(), TokenRefused> {
        let leeway = self.settings.leeway;
        // `exp` itself is the first moment at which the token is over (RFC 7519 §4.1.4).
        if now >= expires_at.plus(leeway) {
            return Err(TokenRefused::Expired { expired_at: expires_at, now });
        }
        match not_before {
            Some(not_before) if now.plus(leeway) < not_before => Err(TokenRefused::NotYetValid { not_before, now }),
            _ => Ok(()),
        }
    }
}

fn check_audience<A: AsRef<str>>(found: &[String], expected: &[A]) -> Result<(), TokenRefused> {
    let bare = |text: &str| text.strip_suffix('/').map_or(text.len(), str::len);
    let same = |one: &str, other: &str| one[..bare(one)] == other[..bare(other)];
    if found.iter().any(|found| expected.iter().any(|expected| same(found, expected.as_ref()))) {
        return Ok(());
    }
    let expected = expected.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" or ");
    Err(TokenRefused::WrongAudience { found: shortened(&found.join(", ")), expected })
}

/// The principal's id. For a directory also that the token is of that directory.
fn principal_id<'c>(issuer: &Issuer, claims: &'c Claims) -> Result<&'c str, TokenRefused> {
    if let Some(own) = &issuer.tenant_id {
        match claims.tenant_id.as_deref() {
            Some(tenant) if tenant.eq_ignore_ascii_case(own) => {}
            Some(tenant) => return Err(TokenRefused::WrongTenant(shortened(tenant))),
            None => return Err(MalformedToken::NoClaim("tid").into()),
        }
    }
    match (issuer.principal_id, &claims.object_id, &claims.subject) {
        (_, Some(object_id), _) => Ok(object_id),
        (PrincipalId::ObjectIdOrSubject, None, Some(subject)) => Ok(subject),
        (PrincipalId::ObjectIdOrSubject, None, None) => Err(MalformedToken::NoClaim("sub").into()),
        (PrincipalId::ObjectId, None, _) => Err(MalformedToken::NoClaim("oid").into()),
    }
}

fn refusal(missing: NoKey, issuer: &Issuer, jws: &Jws<'_>) -> TokenRefused {
    let header = jws.header();
    match missing {
        NoKey::Unavailable(cause) => {
            TokenRefused::KeysUnavailable { issuer: issuer.name().to_owned(), cause: cause.to_string() }
        }
        NoKey::Unknown => TokenRefused::UnknownKey {
            key: header.key_id.as_deref().map_or_else(|| "not named".to_owned(), |id| format!("{:?}", shortened(id))),
            issuer: issuer.name().to_owned(),
            algorithm: header.algorithm.name(),
        },
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(CLAIM_CHARS_MAX).collect()
}

/// How much of a claim an error repeats.
const CLAIM_CHARS_MAX: usize = 200;
const FRESHEN_PAUSE_MIN: Duration = Duration::from_secs(1);
const FRESHEN_PAUSE_MAX: Duration = Duration::from_secs(10 * 60);

#[cfg(test)]
mod tests;
