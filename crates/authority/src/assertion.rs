//! Client assertions: a token that an application signs itself, or one that a federated issuer signed for it.

use std::time::Duration;

use access::{Algorithm, Claims, Jws, TokenRefused};
use environment::UnixTime;
use url::Url;
use uuid::Uuid;

use crate::asked::HostNames;
use crate::certificate::thumbprint_text;
use crate::directory::Principal;
use crate::entra_error::EntraError;
use crate::federated_issuers::FederatedVerifiers;

/// What assertions are checked against.
pub(crate) struct AssertionCheck<'a> {
    pub(crate) hosts: &'a HostNames,
    /// The names of the directory in paths.
    pub(crate) is_tenant: &'a (dyn Fn(&str) -> bool + Sync),
    /// An audience that would do, for the error text.
    pub(crate) token_endpoint: &'a str,
    /// Knows the issuers of all federations.
    pub(crate) federated: &'a FederatedVerifiers,
    pub(crate) now: UnixTime,
}

impl AssertionCheck<'_> {
    /// Whether `assertion` proves that the caller is `principal`.
    pub(crate) async fn check(&self, assertion: &str, principal: &Principal) -> Result<(), EntraError> {
        let jws = Jws::parse(assertion, ASSERTION_BYTES_MAX)
            .map_err(|error| EntraError::malformed_assertion(&error.to_string()))?;
        let claims =
            Claims::parse(jws.payload()).map_err(|error| EntraError::malformed_assertion(&error.to_string()))?;
        // Whoever names the client as issuer signed with a certificate of it; everybody else is another issuer.
        if is_client(&claims.issuer, principal.client_id) {
            self.check_own(&jws, &claims, principal)
        } else {
            self.check_federated(assertion, &claims, principal).await
        }
    }

    /// The same assertion may come again until it expires, as with Entra: MSAL for Python re-uses them.
    fn check_own(&self, jws: &Jws<'_>, claims: &Claims, principal: &Principal) -> Result<(), EntraError> {
        let client_id = principal.client_id;
        if !claims.subject.as_deref().is_some_and(|subject| is_client(subject, client_id)) {
            return Err(EntraError::assertion_of_another(client_id));
        }
        if !claims.audiences.iter().any(|audience| self.is_ours(audience)) {
            return Err(EntraError::assertion_audience(&claims.audiences.join(", "), self.token_endpoint));
        }
        self.check_times(claims)?;
        let algorithm = jws.header().algorithm;
        if !matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256) {
            let what = format!("the algorithm {} is not supported here, sign with RS256 or PS256", algorithm.name());
            return Err(EntraError::malformed_assertion(&what));
        }
        let refuse = |reason| Err(EntraError::assertion_key(reason, &thumbprint_text(jws.header()), client_id));
        let named = principal.certificates.iter().find(|certificate| certificate.is_named_by(jws.header()));
        let Some(certificate) = named else { return refuse("The key was not found.") };
        if self.now < certificate.not_before || certificate.not_after < self.now {
            return refuse("The key used is expired.");
        }
        if !certificate.key.verifies(algorithm, jws.signed(), jws.signature()) {
            return refuse("The provided signature value did not match the expected signature value.");
        }
        Ok(())
    }

    async fn check_federated(&self, assertion: &str, claims: &Claims, principal: &Principal) -> Result<(), EntraError> {
        let subject = claims.subject.as_deref().unwrap_or_default();
        let mut matching: Vec<_> =
            principal.federations.iter().filter(|federation| federation.issuer == claims.issuer).collect();
        if matching.is_empty() {
            return Err(EntraError::federation_issuer(&claims.issuer));
        }
        matching.retain(|federation| federation.subject == subject);
        if matching.is_empty() {
            return Err(EntraError::federation_subject(subject));
        }
        let matching = matching.into_iter().find(|federation| claims.audiences.contains(&federation.audience));
        let Some(federation) = matching else {
            return Err(EntraError::federation_audience(&claims.audiences.join(", ")));
        };
        let verifier = self.federated.of(federation).expect("every federation in the directory has its verifier");
        let verified = verifier.verify(assertion, std::slice::from_ref(&federation.audience)).await;
        verified.map(|_| ()).map_err(|refused| match refused {
            TokenRefused::Expired { .. } | TokenRefused::NotYetValid { .. } => self.time_error(claims),
            TokenRefused::KeysUnavailable { .. } => EntraError::federation_unreachable(&refused.to_string()),
            TokenRefused::Malformed(error) => EntraError::malformed_assertion(&error.to_string()),
            other => EntraError::assertion_key(&other.to_string(), "", principal.client_id),
        })
    }

    fn check_times(&self, claims: &Claims) -> Result<(), EntraError> {
        let begun = claims.not_before.is_none_or(|not_before| not_before <= self.now.plus(LEEWAY));
        if begun && self.now < claims.expires_at.plus(LEEWAY) { Ok(()) } else { Err(self.time_error(claims)) }
    }

    fn time_error(&self, claims: &Claims) -> EntraError {
        EntraError::assertion_time(self.now, claims.not_before, claims.expires_at)
    }

    /// Whether an audience is this authority: its token endpoints or its issuer, under any of its names.
    fn is_ours(&self, audience: &str) -> bool {
        let Ok(url) = Url::parse(audience) else { return false };
        let path = url.path().strip_prefix('/').unwrap_or_default();
        let (tenant, rest) = path.split_once('/').unwrap_or((path, ""));
        matches!(url.scheme(), "https" | "http")
            && url.query().is_none()
            && self.hosts.knows(&url)
            && (self.is_tenant)(tenant)
            && matches!(rest, "" | "v2.0" | "v2.0/" | "oauth2/token" | "oauth2/v2.0/token")
    }
}

fn is_client(claim: &str, client_id: Uuid) -> bool {
    Uuid::try_parse(claim).is_ok_and(|id| id == client_id)
}

/// How far clocks may be apart.
pub(crate) const LEEWAY: Duration = Duration::from_secs(5 * 60);
const ASSERTION_BYTES_MAX: usize = 16 * 1024;
