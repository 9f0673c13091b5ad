//! Verifiers of the tokens of federated issuers.
//!
//! One for each pair of an issuer's name and the place of its keys: a federation that says where the keys are speaks for
//! itself alone, and cannot change whose signature another federation of the same issuer takes.

use std::collections::HashMap;
use std::sync::Arc;

use access::{Issuer, IssuerError, Verifier, VerifierSettings};
use environment::{Clock, HttpClient};

use crate::assertion::LEEWAY;
use crate::config::Federation;
use crate::signing_key::SigningKeys;

/// Makes verifiers. Knows the issuer of this process, whose keys need no HTTP.
pub(crate) struct FederatedIssuers {
    pub(crate) local: Option<(String, Arc<SigningKeys>)>,
    pub(crate) http: Arc<dyn HttpClient>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A verifier for each issuer that is federated with.
#[derive(Clone, Default)]
pub(crate) struct FederatedVerifiers(HashMap<Place, Arc<Verifier>>);

type Place = (String, Option<String>);

impl FederatedIssuers {
    /// The verifier of a federation: that of `known`, which has its keys already, or a new one.
    pub(crate) fn verifier(
        &self,
        federation: &Federation,
        known: &FederatedVerifiers,
    ) -> Result<Arc<Verifier>, IssuerError> {
        if let Some(verifier) = known.of(federation) {
            return Ok(Arc::clone(verifier));
        }
        let name = federation.issuer.as_str();
        let issuer = match (&self.local, &federation.key_set) {
            (Some((own, keys)), _) if own == name => Issuer::local(own, SharedKeys(Arc::clone(keys))),
            (_, Some(key_set)) => Issuer::openid(name)?.with_key_set_at(key_set)?,
            (_, None) => Issuer::openid(name)?,
        };
        let settings =
            VerifierSettings { leeway: LEEWAY, cached_tokens_max: CACHED_TOKENS_MAX, ..VerifierSettings::default() };
        let verifier = Verifier::with_settings([issuer], Arc::clone(&self.http), Arc::clone(&self.clock), settings)?;
        Ok(Arc::new(verifier))
    }
}

impl FederatedVerifiers {
    /// The verifier of a federation's issuer.
    pub(crate) fn of(&self, federation: &Federation) -> Option<&Arc<Verifier>> {
        self.0.get(&place(federation))
    }

    pub(crate) fn insert(&mut self, federation: &Federation, verifier: Arc<Verifier>) {
        self.0.insert(place(federation), verifier);
    }
}

fn place(federation: &Federation) -> Place {
    (federation.issuer.clone(), federation.key_set.clone())
}

/// Keys of this process, for a verifier in it.
pub(crate) struct SharedKeys(pub(crate) Arc<SigningKeys>);

impl access::LocalKeys for SharedKeys {
    fn keys(&self) -> Arc<access::KeySet> {
        self.0.keys()
    }
}

/// Verified tokens remembered for each issuer: there may be many issuers, and a token is exchanged about once a day.
const CACHED_TOKENS_MAX: usize = 64;
