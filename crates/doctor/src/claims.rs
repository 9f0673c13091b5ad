//! What an access token says about its bearer, read without verifying it: that is the endpoint's business.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use environment::UnixTime;
use serde::Deserialize;
use serde_json::Value;

/// The claims that decide about ingestion.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Claims {
    /// The principal to which roles are given.
    pub(crate) object_id: Option<String>,
    /// Its directory.
    pub(crate) tenant_id: Option<String>,
    /// Its client id.
    pub(crate) client_id: Option<String>,
    /// For whom the token is.
    pub(crate) audiences: Vec<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) not_before: Option<UnixTime>,
    pub(crate) expires_at: Option<UnixTime>,
    /// ARM id of a managed identity.
    pub(crate) managed_identity: Option<String>,
    /// Whether it stands for a person.
    pub(crate) is_user: bool,
}

#[derive(Deserialize)]
struct Payload {
    oid: Option<String>,
    tid: Option<String>,
    appid: Option<String>,
    azp: Option<String>,
    #[serde(default)]
    aud: Value,
    iss: Option<String>,
    nbf: Option<f64>,
    exp: Option<f64>,
    xms_mirid: Option<String>,
    scp: Option<String>,
    upn: Option<String>,
}

impl Claims {
    /// The claims of a JSON web token; none when `token` is none, or larger than any that is issued.
    pub(crate) fn of(token: &str) -> Option<Self> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let mut parts = token.split('.');
        let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let payload: Payload = serde_json::from_slice(&payload).ok()?;
        let audiences = match payload.aud {
            Value::String(audience) => vec![audience],
            Value::Array(audiences) => audiences
                .into_iter()
                .filter_map(|audience| audience.as_str().map(str::to_owned))
                .take(AUDIENCES_MAX)
                .collect(),
            _ => Vec::new(),
        };
        let time = |seconds: Option<f64>| seconds.map(|seconds| UnixTime::from_secs(seconds as i64));
        Some(Self {
            object_id: payload.oid,
            tenant_id: payload.tid,
            client_id: payload.appid.or(payload.azp),
            audiences,
            issuer: payload.iss,
            not_before: time(payload.nbf),
            expires_at: time(payload.exp),
            managed_identity: payload.xms_mirid,
            is_user: payload.scp.is_some() || payload.upn.is_some(),
        })
    }

    /// Whose token it is, in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self { is_user: true, .. } => "of a user",
            Self { managed_identity: Some(_), .. } => "of a managed identity",
            _ => "of an application",
        }
    }

    /// Whether it is for `resource`. A trailing slash does not count: it comes from scopes with two.
    pub(crate) fn is_for(&self, resource: &str) -> bool {
        let plain = |audience: &str| audience.trim_end_matches('/').to_ascii_lowercase();
        self.audiences.iter().any(|audience| plain(audience) == plain(resource))
    }
}

/// Entra keeps tokens far below.
const TOKEN_BYTES_MAX: usize = 64 << 10;
const AUDIENCES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn claims(payload: &str) -> Option<Claims> {
        Claims::of(&format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload)))
    }

    #[test]
    fn the_claims_of_both_versions_are_read() {
        let first = claims(
            r#"{"aud":"https://monitor.azure.com/","iss":"https://sts.windows.net/t/","nbf":10,"exp":20,"appid":"a","oid":"o",
                "tid":"t","xms_mirid":"/subscriptions/s/identity","ver":"1.0","idtyp":"app"}"#,
        )
        .unwrap();
        assert_eq!((first.kind(), first.object_id.as_deref()), ("of a managed identity", Some("o")));
        assert_eq!(first.expires_at, Some(UnixTime::from_secs(20)));
        assert!(first.is_for("https://monitor.azure.com") && !first.is_for("https://prometheus.monitor.azure.com"));

        let second = claims(r#"{"aud":["x","y"],"azp":"a","exp":20.5}"#).unwrap();
        assert_eq!((second.kind(), second.client_id.as_deref()), ("of an application", Some("a")));
        assert!(second.is_for("y/") && second.object_id.is_none());
        assert_eq!(claims(r#"{"scp":"user_impersonation"}"#).unwrap().kind(), "of a user");
    }

    #[test]
    fn what_is_no_token_has_no_claims() {
        for token in ["", "opaque", "a.b", "a.b.c", "e30.e30", &"x".repeat(70_000), "e30.W10.c"] {
            assert_eq!(Claims::of(token), None, "{token:.20}");
        }
        assert_eq!(claims(r#"{"exp":"soon"}"#), None);
    }
}
