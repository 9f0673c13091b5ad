//! Secrets of applications: drawn here, told once, kept as digests.

use aws_lc_rs::digest::{SHA256, digest};
use catalog::{Application, ApplicationSecret, CredentialChange};
use environment::Rng;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{bad_request, objects};
use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::federation::new_id;
use crate::schema::{Field, Kind, answered, check, optional, required};

const ADD: &[Field] = &[optional("passwordCredential", Kind::Object(CREDENTIAL))];
const CREDENTIAL: &[Field] = &[
    optional("displayName", Kind::Text),
    optional("endDateTime", Kind::Text),
    // A secret counts from when it is made.
    answered("startDateTime"),
    answered("customKeyIdentifier"),
    answered("keyId"),
    answered("hint"),
];
const REMOVE: &[Field] = &[required("keyId", Kind::Text)];

/// Adds a secret and tells it: the only time that it is told.
pub(super) async fn add(call: &Call, application: &Application) -> Result<Answer, ArmError> {
    let body = check(call.json().await?, ADD).map_err(|problems| ArmError::invalid(&problems))?;
    let none = Map::new();
    let wanted = body.get("passwordCredential").and_then(Value::as_object).unwrap_or(&none);
    let now_secs = call.parts.clock.now().as_secs();
    let expires_at = match wanted.get("endDateTime").and_then(Value::as_str) {
        None => now_secs + LIFETIME_SECS,
        Some(text) => expiry(text, now_secs)?,
    };
    if application.secrets.len() >= SECRETS_MAX {
        let message =
            format!("The application has {SECRETS_MAX} secrets already, which is as many as it may have: remove one.");
        return Err(bad_request(message));
    }
    let text = draw(&*call.parts.rng);
    let name = wanted.get("displayName").and_then(Value::as_str).unwrap_or("");
    let secret = ApplicationSecret {
        key_id: new_id(&*call.parts.rng),
        name: name.chars().take(NAME_CHARS_MAX).collect(),
        hint: text.chars().take(HINT_CHARS).collect(),
        sha256_hex: digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
        expires_at: Some(expires_at),
    };
    let mut told = objects::password(&secret);
    let change = CredentialChange::AddSecret(secret);
    call.store().change_application(&call.actor(), application.client_id, change).await?;
    told["secretText"] = Value::from(text);
    told["startDateTime"] = Value::from(objects::utc_secs(now_secs));
    Ok(Answer::ok(told))
}

/// Takes a secret away.
pub(super) async fn remove(call: &Call, application: &Application) -> Result<Answer, ArmError> {
    let body = check(call.json().await?, REMOVE).map_err(|problems| ArmError::invalid(&problems))?;
    let key_id = body.get("keyId").and_then(Value::as_str).and_then(|text| text.parse::<Uuid>().ok());
    let Some(secret) = application.secrets.iter().find(|secret| Some(secret.key_id) == key_id) else {
        return Err(bad_request("No password credential found with keyId."));
    };
    let change = CredentialChange::RemoveKey(secret.key_id);
    call.store().change_application(&call.actor(), application.client_id, change).await?;
    Ok(Answer::no_content())
}

fn expiry(text: &str, now_secs: i64) -> Result<i64, ArmError> {
    let Ok(end) = text.parse::<jiff::Timestamp>() else {
        return Err(bad_request(
            "Invalid value specified for property 'endDateTime': a time such as 2030-01-01T00:00:00Z is expected.",
        ));
    };
    if end.as_second() <= now_secs {
        return Err(bad_request("Invalid value specified for property 'endDateTime': it has passed already."));
    }
    Ok(end.as_second())
}

/// Letters and digits only: nothing that a shell, a URL or a form would change, and no hyphen in front.
fn draw(rng: &dyn Rng) -> String {
    let mut text = String::with_capacity(SECRET_CHARS);
    while text.len() < SECRET_CHARS {
        let mut bytes = [0; 64];
        rng.fill(&mut bytes);
        // Those above the last whole multiple are passed over, so that every character is as likely as any other.
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < 256 / ALPHABET.len() * ALPHABET.len());
        let drawn = fair.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        text.extend(drawn.take(SECRET_CHARS - text.len()));
    }
    text
}

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// 238 bits.
const SECRET_CHARS: usize = 40;
const HINT_CHARS: usize = 3;
const NAME_CHARS_MAX: usize = 120;
const SECRETS_MAX: usize = 20;
/// As long as Azure gives a secret that nobody says an end of: two years.
const LIFETIME_SECS: i64 = 730 * 24 * 3600;

#[cfg(test)]
mod tests {
    use testkit::SeededRng;

    use super::*;

    #[test]
    fn secrets_are_long_plain_and_different() {
        let rng = SeededRng::new(7);
        let drawn: Vec<String> = (0..200).map(|_| draw(&rng)).collect();
        for (at, secret) in drawn.iter().enumerate() {
            assert_eq!(secret.len(), SECRET_CHARS);
            assert!(secret.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert!(!drawn[..at].contains(secret));
        }
        let all: String = drawn.concat();
        assert!(ALPHABET.iter().all(|byte| all.bytes().filter(|found| found == byte).count() > 60), "one is too rare");
    }

    #[test]
    fn ends() {
        for (text, expected) in [
            ("2030-01-01T00:00:00Z", Some(1_893_456_000)),
            ("2030-01-01T01:00:00+01:00", Some(1_893_456_000)),
            ("2020-01-01T00:00:00Z", None),
            ("tomorrow", None),
        ] {
            assert_eq!(expiry(text, 1_800_000_000).ok(), expected, "{text}");
        }
    }
}
