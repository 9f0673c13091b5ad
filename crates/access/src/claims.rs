//! A token's payload → the claims that are used.

use std::fmt;

use environment::UnixTime;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::MalformedToken;

/// Claims as a token states them; true only once its signature is verified.
#[derive(Clone, PartialEq, Debug)]
pub struct Claims {
    /// Who issued it: `iss`.
    pub issuer: String,
    /// Whom it is for: `aud`, one or several.
    pub audiences: Vec<String>,
    /// The time from which it is no longer accepted: `exp`.
    pub expires_at: UnixTime,
    /// The time before which it is not accepted: `nbf`.
    pub not_before: Option<UnixTime>,
    /// Whom it is about: `sub`.
    pub subject: Option<String>,
    /// Entra's id of the principal: `oid`.
    pub object_id: Option<String>,
    /// The application: `appid` (v1) or `azp` (v2).
    pub app_id: Option<String>,
    /// The directory: `tid`.
    pub tenant_id: Option<String>,
    /// A managed identity's ARM id: `xms_mirid`.
    pub mi_resource_id: Option<String>,
    /// A name for people, not for decisions.
    pub display_name: Option<String>,
}

impl Claims {
    /// Reads a token's payload.
    ///
    /// # Errors
    /// When it is no JSON object, a claim that is used has the wrong type or stands there twice, or `iss`, `aud` or
    /// `exp` is missing.
    pub fn parse(payload: &[u8]) -> Result<Self, MalformedToken> {
        let raw: RawClaims = serde_json::from_slice(payload)
            .map_err(|error| MalformedToken::Json { part: "payload", column: error.column() })?;
        let present = |claim: Option<String>| claim.filter(|text| !text.is_empty());
        Ok(Self {
            issuer: present(raw.iss).ok_or(MalformedToken::NoClaim("iss"))?,
            audiences: raw.aud.filter(|aud| !aud.0.is_empty()).ok_or(MalformedToken::NoClaim("aud"))?.0,
            expires_at: raw.exp.ok_or(MalformedToken::NoClaim("exp"))?.0,
            not_before: raw.nbf.map(|date| date.0),
            subject: present(raw.sub),
            object_id: present(raw.oid),
            app_id: present(raw.appid).or_else(|| present(raw.azp)),
            tenant_id: present(raw.tid),
            mi_resource_id: present(raw.xms_mirid),
            display_name: [raw.app_displayname, raw.preferred_username, raw.upn].into_iter().find_map(present),
        })
    }
}

/// Claims that are not listed are ignored; one that is listed and stands there twice is an error.
#[derive(Deserialize)]
struct RawClaims {
    iss: Option<String>,
    aud: Option<OneOrMany>,
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    sub: Option<String>,
    oid: Option<String>,
    appid: Option<String>,
    azp: Option<String>,
    tid: Option<String>,
    xms_mirid: Option<String>,
    app_displayname: Option<String>,
    preferred_username: Option<String>,
    upn: Option<String>,
}

/// A string or a list of strings.
struct OneOrMany(Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Strings;
        impl<'de> Visitor<'de> for Strings {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(if text.is_empty() { Vec::new() } else { vec![text.to_owned()] }))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
                let mut strings = Vec::new();
                while let Some(text) = list.next_element::<String>()? {
                    if strings.len() == AUDIENCES_MAX {
                        return Err(de::Error::custom("too many audiences"));
                    }
                    strings.push(text);
                }
                Ok(OneOrMany(strings))
            }
        }
        deserializer.deserialize_any(Strings)
    }
}

/// Seconds since 1970, whole or not (RFC 7519 §2). Before 1970 counts as 1970.
struct NumericDate(UnixTime);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;
        impl Visitor<'_> for Seconds {
            type Value = NumericDate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since 1970")
            }

            fn visit_u64<E: de::Error>(self, secs: u64) -> Result<NumericDate, E> {
                self.visit_i64(i64::try_from(secs).unwrap_or(i64::MAX))
            }

            fn visit_i64<E: de::Error>(self, secs: i64) -> Result<NumericDate, E> {
                Ok(NumericDate(UnixTime::from_secs(secs)))
            }

            fn visit_f64<E: de::Error>(self, secs: f64) -> Result<NumericDate, E> {
                // The conversion saturates, which is right for dates that are absurdly far away.
                self.visit_i64(secs as i64)
            }
        }
        deserializer.deserialize_any(Seconds)
    }
}

/// More audiences than any issuer gives.
const AUDIENCES_MAX: usize = 16;
