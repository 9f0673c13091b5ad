//! An OpenID Connect discovery document → where the keys are.

use serde::Deserialize;
use url::Url;

/// What of a discovery document is used.
#[derive(Debug)]
pub(crate) struct Discovery {
    pub(crate) issuer: String,
    pub(crate) key_set: Url,
}

impl Discovery {
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        let raw: Raw = serde_json::from_slice(json)
            .map_err(|error| format!("is no discovery document (column {})", error.column()))?;
        let key_set = Url::parse(&raw.jwks_uri).map_err(|_| "names a jwks_uri that is no URL".to_owned())?;
        Ok(Self { issuer: raw.issuer, key_set })
    }
}

#[derive(Deserialize)]
struct Raw {
    issuer: String,
    jwks_uri: String,
}
