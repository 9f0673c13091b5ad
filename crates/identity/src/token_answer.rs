//! The body of a successful token answer.
//!
//! Issuers disagree: numbers come as numbers or strings, the expiry as a moment, a span or both. Read here as the Azure
//! libraries read them, with one addition: when the answer carries the issuer's own time (`Date`), the remaining life is
//! counted on the issuer's clock, so that a host whose clock is off neither drops a valid token nor keeps a dead one.

use std::time::Duration;

use environment::UnixTime;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{AccessToken, time_text};

#[cfg(test)]
mod tests;

/// A token and what its answer says about the identity it was issued to.
#[derive(Debug)]
pub struct TokenAnswer {
    /// The token.
    pub token: AccessToken,
    /// `client_id`, if the issuer names it.
    pub client_id: Option<String>,
    /// `object_id`, if the issuer names it.
    pub object_id: Option<String>,
    /// `msi_res_id` or `mi_res_id`, if the issuer names it.
    pub resource_id: Option<String>,
}

/// Why a body is not a usable token answer. Never quotes the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AnswerError {
    /// Not a JSON object.
    #[error("the answer is not a JSON object")]
    NotJson,
    /// No `access_token`.
    #[error("the answer has no access_token")]
    NoToken,
    /// `access_token` is too long or cannot stand in a header.
    #[error("the answer's access_token cannot be used in a header")]
    UnusableToken,
    /// Neither `expires_on` nor `expires_in` can be read.
    #[error("the answer says neither expires_on nor expires_in")]
    NoExpiry,
    /// The token was dead on arrival.
    #[error("the answer's token has expired already")]
    Expired,
}

/// Longer tokens would not pass the header limits of any server.
const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// No issuer of tokens for services goes beyond a day; a mistaken one must not stop refreshes for years.
const LIFETIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

impl TokenAnswer {
    /// Reads `body`, received at `now`; `issuer_now` is the time on the issuer's clock, if the answer told it.
    ///
    /// # Errors
    /// [`AnswerError`] when there is no token in it that will live at least a second.
    pub fn parse(body: &[u8], now: UnixTime, issuer_now: Option<UnixTime>) -> Result<Self, AnswerError> {
        let Ok(Value::Object(mut fields)) = serde_json::from_slice::<Value>(body) else {
            return Err(AnswerError::NotJson);
        };
        let secret = match fields.remove("access_token") {
            Some(Value::String(secret)) if !secret.is_empty() => Zeroizing::new(secret),
            _ => return Err(AnswerError::NoToken),
        };
        let lifetime = lifetime(&fields, now, issuer_now)?;
        let refresh_in = seconds(fields.get("refresh_in")).filter(|span| !span.is_zero());
        let token = Some(&secret)
            .filter(|secret| secret.len() <= TOKEN_BYTES_MAX)
            .and_then(|secret| AccessToken::new(secret, now, lifetime, refresh_in))
            .ok_or(AnswerError::UnusableToken)?;
        let mut text = |name: &str| match fields.remove(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        let (client_id, object_id) = (text("client_id"), text("object_id"));
        let resource_id = text("msi_res_id").or_else(|| text("mi_res_id"));
        Ok(Self { token, client_id, object_id, resource_id })
    }
}

fn lifetime(fields: &Map<String, Value>, now: UnixTime, issuer_now: Option<UnixTime>) -> Result<Duration, AnswerError> {
    let until = moment(fields.get("expires_on")).map(|moment| moment.since(issuer_now.unwrap_or(now)));
    let span = seconds(fields.get("expires_in"));
    let lifetime = match (until, span) {
        // With no word on the issuer's time, an expiry in the past beside a positive span means that our clock is ahead.
        (Some(until), Some(span)) if until.is_zero() && issuer_now.is_none() => span,
        // The smaller one: a span may be as old as the answer in the issuer's cache, a moment suffers from our clock.
        (Some(until), Some(span)) => until.min(span),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => return Err(AnswerError::NoExpiry),
    };
    if lifetime < Duration::from_secs(1) { Err(AnswerError::Expired) } else { Ok(lifetime.min(LIFETIME_MAX)) }
}

fn moment(value: Option<&Value>) -> Option<UnixTime> {
    match value? {
        Value::Number(number) => {
            number.as_f64().filter(|seconds| *seconds >= 0.0).map(|seconds| UnixTime::from_secs(seconds as i64))
        }
        Value::String(text) => time_text::parse(text),
        _ => None,
    }
}

fn seconds(value: Option<&Value>) -> Option<Duration> {
    let seconds = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    if seconds.is_nan() || seconds < 0.0 {
        None
    } else {
        Some(Duration::from_secs_f64(seconds.min(LIFETIME_MAX.as_secs_f64())))
    }
}
