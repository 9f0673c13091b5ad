//! What stands for a principal: secrets, certificates, tokens of other issuers. Bounds are those of Azure.

use crate::names::{Problems, excerpt};
use crate::{ApplicationCertificate, ApplicationSecret, Federation, StoreError};

pub(crate) fn add_secret(secrets: &mut Vec<ApplicationSecret>, secret: ApplicationSecret) -> Result<(), StoreError> {
    let mut problems = Problems::default();
    check_name(&mut problems, &secret.name);
    let digits = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if secret.sha256_hex.len() != 64 || !secret.sha256_hex.bytes().all(digits) {
        problems.add("secret", "is kept as a SHA-256 digest of 64 hexadecimal digits in lower case");
    }
    if secret.hint.chars().count() > HINT_CHARS_MAX {
        // More of it would give the secret itself away.
        problems.add("hint", format!("has at most {HINT_CHARS_MAX} characters"));
    }
    if secrets.len() >= KEYS_MAX {
        problems.add("secret", format!("an application has at most {KEYS_MAX} secrets: remove one first"));
    }
    if secrets.iter().any(|other| other.key_id == secret.key_id) {
        problems.add("keyId", "another secret has this id");
    }
    problems.finish()?;
    secrets.push(secret);
    Ok(())
}

pub(crate) fn add_certificate(
    certificates: &mut Vec<ApplicationCertificate>,
    certificate: ApplicationCertificate,
) -> Result<(), StoreError> {
    let mut problems = Problems::default();
    check_name(&mut problems, &certificate.name);
    if certificate.der_base64.is_empty() || certificate.der_base64.len() > CERTIFICATE_BYTES_MAX {
        problems.add("certificate", format!("has 1 to {CERTIFICATE_BYTES_MAX} bytes of base64"));
    }
    if certificates.len() >= KEYS_MAX {
        problems.add("certificate", format!("an application has at most {KEYS_MAX} certificates: remove one first"));
    }
    if certificates.iter().any(|other| other.key_id == certificate.key_id) {
        problems.add("keyId", "another certificate has this id");
    }
    if certificates.iter().any(|other| other.der_base64 == certificate.der_base64) {
        problems.add("certificate", "the application has this certificate already");
    }
    problems.finish()?;
    certificates.push(certificate);
    Ok(())
}

/// Adds a federation, or replaces the one of the same name (which keeps its id).
pub(crate) fn put_federation(federations: &mut Vec<Federation>, mut federation: Federation) -> Result<(), StoreError> {
    let mut problems = Problems::default();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let name = &federation.name;
    let start = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !start || !(3..=120).contains(&name.len()) || !name.bytes().all(allowed) {
        let rule = "3 to 120 letters, digits, hyphens and underscores; a letter or digit first";
        problems.add("name", format!("{:?} is no name of a federated credential: {rule}", excerpt(name)));
    }
    for (target, text) in [
        ("properties.issuer", &federation.issuer),
        ("properties.subject", &federation.subject),
        ("properties.audiences[0]", &federation.audience),
    ] {
        if text.is_empty() || text.chars().count() > FEDERATION_CHARS_MAX {
            problems.add(target, format!("has 1 to {FEDERATION_CHARS_MAX} characters"));
        }
    }
    let same_name = federations.iter().position(|other| other.name.eq_ignore_ascii_case(name));
    let same_token = |other: &Federation| other.issuer == federation.issuer && other.subject == federation.subject;
    if federations.iter().enumerate().any(|(at, other)| Some(at) != same_name && same_token(other)) {
        problems.add("properties.subject", "another federated credential has this issuer and subject");
    }
    if same_name.is_none() && federations.len() >= KEYS_MAX {
        problems.add("name", format!("a principal has at most {KEYS_MAX} federated credentials: remove one first"));
    }
    problems.finish()?;
    match same_name {
        Some(at) => {
            federation.id = federations[at].id;
            federations[at] = federation;
        }
        None => federations.push(federation),
    }
    Ok(())
}

pub(crate) fn remove_federation(federations: &mut Vec<Federation>, name: &str) -> Result<(), StoreError> {
    let before = federations.len();
    let named = |federation: &Federation| {
        federation.name.eq_ignore_ascii_case(name) || federation.id.to_string().eq_ignore_ascii_case(name)
    };
    federations.retain(|federation| !named(federation));
    match federations.len() == before {
        true => Err(StoreError::Unknown { what: "federated credential", id: excerpt(name) }),
        false => Ok(()),
    }
}

fn check_name(problems: &mut Problems, name: &str) {
    if name.chars().count() > NAME_CHARS_MAX {
        problems.add("displayName", format!("has at most {NAME_CHARS_MAX} characters"));
    }
}

const KEYS_MAX: usize = 20;
const HINT_CHARS_MAX: usize = 3;
const NAME_CHARS_MAX: usize = 120;
const FEDERATION_CHARS_MAX: usize = 600;
const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
