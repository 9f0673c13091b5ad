//! Whether a token comes, and whose it is.

use std::time::Duration;

use environment::UnixTime;
use host::logging::Rfc3339;
use identity::{AccessToken, Cloud, Credential, Scope, TokenError, TokenErrorKind};

use crate::claims::Claims;
use crate::report::{Link, Step};
use crate::text::span;

#[cfg(test)]
mod tests;

/// A token, and what it says if it can be read.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) token: AccessToken,
    pub(crate) claims: Option<Claims>,
}

/// Asks `credential` for a token for `scope`; where the answer is *not now*, once more.
pub(crate) async fn look(
    credential: &dyn Credential,
    scope: &Scope,
    cloud: Cloud,
    now: UnixTime,
) -> (Vec<Step>, Option<Held>) {
    let answer = match attempt(credential, scope).await {
        Err(error) if error.is_transient() => {
            tokio::time::sleep(error.retry_after().unwrap_or(PAUSE).min(PAUSE_MAX)).await;
            attempt(credential, scope).await
        }
        answer => answer,
    };
    match answer {
        Ok(token) => {
            let claims = Claims::of(token.secret());
            let step = judge(credential, scope, &token, claims.as_ref(), now);
            let usable = step.status != crate::report::Status::Failed;
            (vec![step], usable.then_some(Held { token, claims }))
        }
        Err(error) => (vec![refused(&error, cloud)], None),
    }
}

async fn attempt(credential: &dyn Credential, scope: &Scope) -> Result<AccessToken, TokenError> {
    tokio::time::timeout(ATTEMPT_TIMEOUT, credential.fetch(scope)).await.unwrap_or_else(|_| {
        let message = format!("no token within {} s", ATTEMPT_TIMEOUT.as_secs());
        Err(TokenError::new(TokenErrorKind::Unreachable, credential.describe(), message))
    })
}

fn judge(
    credential: &dyn Credential,
    scope: &Scope,
    token: &AccessToken,
    claims: Option<&Claims>,
    now: UnixTime,
) -> Step {
    let described = |step: Step| step.with("credential", credential.describe());
    let Some(claims) = claims else {
        let finding = format!("the {} gives a token that cannot be looked into", credential.kind());
        let mend = "only an endpoint other than Azure's may take it: check the authority if it is meant for Azure";
        return described(Step::warning(Link::Token, finding, mend)).with("expires", Rfc3339(token.expires_at()));
    };
    let expires_at = claims.expires_at.unwrap_or(token.expires_at());
    // Tokens for an application of one's own may name it by its id alone: then the endpoint has to decide.
    let step = if !claims.is_for(scope.resource()) && !claims.audiences.iter().any(|audience| is_guid(audience)) {
        let audience = claims.audiences.join(", ");
        let finding = format!("the token is for {audience}, not for {}", scope.resource());
        Step::failed(Link::Token, finding, "check INGESTION_AAD_AUDIENCE and CLOUD, and who issues the token")
    } else if expires_at <= now {
        let finding = format!("the token expired {} ago, fresh as it is", span(now.since(expires_at)));
        Step::failed(Link::Token, finding, "set this machine's clock")
    } else if claims.not_before.is_some_and(|not_before| not_before > now.plus(SKEW_FORGIVEN)) {
        let ahead = claims.not_before.unwrap_or(now).since(now);
        Step::failed(
            Link::Token,
            format!("the token becomes valid only in {}", span(ahead)),
            "set this machine's clock",
        )
    } else if claims.object_id.is_none() {
        let finding = "the token names no principal (no claim `oid`), so no role can be found for it";
        Step::warning(
            Link::Token,
            finding,
            "use an issuer whose tokens carry `oid`, or one that the endpoint is set up for",
        )
    } else {
        let oid = claims.object_id.as_deref().unwrap_or_default();
        Step::ok(Link::Token, format!("a token {}, oid {oid}, for {} more", claims.kind(), span(expires_at.since(now))))
    };
    described(step)
        .with_some("oid", claims.object_id.as_deref())
        .with_some("tenant", claims.tenant_id.as_deref())
        .with_some("client_id", claims.client_id.as_deref())
        .with("audience", claims.audiences.join(", "))
        .with_some("issuer", claims.issuer.as_deref())
        .with_some("managed_identity", claims.managed_identity.as_deref())
        .with("expires", Rfc3339(expires_at))
}

fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// What keeps us from a token. The credential knows most mends; here are those that need more than one answer.
fn refused(error: &TokenError, cloud: Cloud) -> Step {
    let finding = match error.mend() {
        // Its text ends with the mend.
        Some(mend) => error.to_string().trim_end_matches(mend).trim_end_matches("; ").to_owned(),
        None => error.to_string(),
    };
    let is_metadata_service = error.endpoint().is_some_and(|endpoint| endpoint.contains("169.254.169.254"));
    let mend = match error.kind() {
        TokenErrorKind::Unreachable | TokenErrorKind::Pending if is_metadata_service => {
            "this machine or pod does not reach the instance metadata service: it exists only on Azure; in a cluster let the \
             network policy allow 169.254.169.254 port 80. Elsewhere use IDENTITY_TYPE=aadApplication or workloadIdentity"
                .to_owned()
        }
        TokenErrorKind::Refused if error.aadsts().contains(&90_002) => {
            format!("check AZURE_TENANT_ID, and that the directory is one of {cloud} (CLOUD)")
        }
        _ => error.mend().map_or_else(
            || "look into the sign-in logs of the application or identity in Entra".to_owned(),
            str::to_owned,
        ),
    };
    let codes: Vec<String> = error.aadsts().iter().map(|code| format!("AADSTS{code}")).collect();
    Step::failed(Link::Token, finding, mend)
        .with("credential", error.credential())
        .with("kind", error.kind().name())
        .with_some("endpoint", error.endpoint())
        .with_some("status", error.status())
        .with_some("aadsts", (!codes.is_empty()).then(|| codes.join(", ")))
}

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(2);
const SKEW_FORGIVEN: Duration = Duration::from_secs(5 * 60);
