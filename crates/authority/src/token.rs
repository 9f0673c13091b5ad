//! Access tokens and the answers that carry them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use environment::{Rng, UnixTime};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::directory::Principal;

/// How a principal proved itself: the claim `appidacr`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Proof {
    Secret,
    /// A certificate, a federated token, or the machine it runs on.
    Assertion,
}

/// A token and what its answer says about it.
pub(crate) struct Issued {
    pub(crate) access_token: String,
    pub(crate) resource: String,
    pub(crate) not_before: UnixTime,
    pub(crate) expires_at: UnixTime,
    pub(crate) lifetime: Duration,
}

/// What goes into a token.
pub(crate) struct Subject<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) proof: Proof,
    pub(crate) resource: &'a str,
    pub(crate) tenant_id: Uuid,
    pub(crate) issuer: &'a str,
}

/// The claims of a v1 token for an application, as Entra fills them.
pub(crate) fn claims(subject: &Subject<'_>, now: UnixTime, lifetime: Duration, rng: &dyn Rng) -> Value {
    let principal = subject.principal;
    let not_before = not_before(now).as_secs();
    let mut claims = json!({
        "aud": subject.resource,
        "iss": subject.issuer,
        "iat": not_before,
        "nbf": not_before,
        "exp": now.plus(lifetime).as_secs(),
        "appid": principal.client_id,
        "appidacr": match subject.proof { Proof::Secret => "1", Proof::Assertion => "2" },
        "idp": subject.issuer,
        "idtyp": "app",
        "oid": principal.object_id,
        "sub": principal.object_id,
        "tid": subject.tenant_id,
        "uti": unique(rng),
        "ver": "1.0",
    });
    if let Some(id) = &principal.resource_id {
        claims["xms_mirid"] = json!(id.as_str());
    }
    claims
}

/// Entra dates tokens back by five minutes, for verifiers whose clock is late.
pub(crate) fn not_before(now: UnixTime) -> UnixTime {
    now.minus(Duration::from_secs(5 * 60))
}

impl Issued {
    /// Of the v2 endpoint: numbers.
    pub(crate) fn v2(&self) -> Value {
        let expires_in = self.expires_in();
        let mut answer = json!({
            "token_type": "Bearer",
            "expires_in": expires_in,
            "ext_expires_in": expires_in,
            "access_token": self.access_token,
        });
        if let Some(refresh_in) = self.refresh_in() {
            answer["refresh_in"] = json!(refresh_in);
        }
        answer
    }

    /// Of the v1 endpoint: numbers as strings.
    pub(crate) fn v1(&self) -> Value {
        let expires_in = self.expires_in().to_string();
        json!({
            "token_type": "Bearer",
            "expires_in": expires_in,
            "ext_expires_in": expires_in,
            "expires_on": self.expires_at.as_secs().to_string(),
            "not_before": self.not_before.as_secs().to_string(),
            "resource": self.resource,
            "access_token": self.access_token,
        })
    }

    /// Of the metadata service: v1 with the identity's client id and an empty refresh token.
    pub(crate) fn imds(&self, client_id: Uuid) -> Value {
        let mut answer = self.v1();
        answer["client_id"] = json!(client_id);
        answer["refresh_token"] = json!("");
        if let Some(refresh_in) = self.refresh_in() {
            answer["refresh_in"] = json!(refresh_in.to_string());
        }
        answer
    }

    /// Of App Service: no lifetimes, only the time it ends.
    pub(crate) fn app_service(&self, client_id: Uuid) -> Value {
        json!({
            "access_token": self.access_token,
            "client_id": client_id,
            "expires_on": self.expires_at.as_secs().to_string(),
            "resource": self.resource,
            "token_type": "Bearer",
        })
    }

    /// A second less than the token lives, as Entra counts.
    fn expires_in(&self) -> u64 {
        self.lifetime.as_secs().saturating_sub(1).max(1)
    }

    /// Long-lived tokens are to be renewed at half their life.
    fn refresh_in(&self) -> Option<u64> {
        (self.lifetime >= LONG_LIFETIME).then_some(self.lifetime.as_secs() / 2)
    }
}

fn unique(rng: &dyn Rng) -> String {
    let mut bytes = [0; 16];
    rng.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

const LONG_LIFETIME: Duration = Duration::from_secs(2 * 3600);
