//! The seam between a way to obtain tokens and the cache before it.

use std::sync::Arc;

use environment::{BoxFuture, Clock, Disk, HttpClient, Rng};

use crate::{AccessToken, Scope, TokenError};

/// A way to obtain tokens.
pub trait Credential: Send + Sync + 'static {
    /// Asks for a new token, once: no cache, no retry (those are [`crate::TokenCache`]'s), a few round trips at most.
    ///
    /// # Errors
    /// [`TokenError`] says what failed and what would mend it. Failing is normal; panicking is not allowed.
    fn fetch<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<AccessToken, TokenError>>;

    /// What it is, for logs: never a secret, but names and ids.
    fn describe(&self) -> String;

    /// What kind of credential it is, for pages that everyone may read: no ids.
    fn kind(&self) -> &'static str;
}

/// What credentials need of the outside world.
///
/// `http` must not go through a proxy for managed identities: their endpoints refuse forwarded requests.
#[derive(Clone)]
pub struct Environment {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance: request ids, assertion ids, jitter.
    pub rng: Arc<dyn Rng>,
    /// Files: certificates and federated tokens. Small ones; they are read where the caller runs.
    pub disk: Arc<dyn Disk>,
    /// The network.
    pub http: Arc<dyn HttpClient>,
}

impl Environment {
    /// A random identifier in the form of a version 4 UUID.
    pub(crate) fn request_id(&self) -> String {
        let mut bytes = [0; 16];
        self.rng.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }
}
