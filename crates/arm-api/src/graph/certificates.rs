//! `keyCredentials`: certificates that an application signs with. Only the public half ever comes here.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog::{Application, ApplicationCertificate, Problem};
use environment::Rng;
use serde_json::Value;
use uuid::Uuid;
use x509_parser::parse_x509_certificate;

use crate::federation::new_id;

/// What is read out of a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Certificate {
    /// SHA-1 in hexadecimal, by which people and clients name certificates.
    pub(super) thumbprint: String,
    /// Seconds since 1970.
    pub(super) not_before: i64,
    /// Seconds since 1970.
    pub(super) not_after: i64,
}

impl Certificate {
    /// From DER in base64.
    pub(super) fn parse(der_base64: &str) -> Result<Self, &'static str> {
        if der_base64.len() > CERTIFICATE_BYTES_MAX {
            return Err("is longer than a certificate is");
        }
        let der = STANDARD.decode(der_base64).map_err(|_| "is not base64")?;
        let (rest, read) = parse_x509_certificate(&der).map_err(|_| "is not an X.509 certificate, DER in base64")?;
        if !rest.is_empty() {
            return Err("has something behind the certificate");
        }
        let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, &der);
        let thumbprint = sha1.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        let validity = read.validity();
        Ok(Self { thumbprint, not_before: validity.not_before.timestamp(), not_after: validity.not_after.timestamp() })
    }
}

/// What has to be done so that an application has the certificates that a list says.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) add: Vec<ApplicationCertificate>,
    pub(super) remove: Vec<Uuid>,
}

/// Reads `keyCredentials`: those of `application` that are named by their `keyId` stay, others are new, and what is not
/// named goes.
///
/// # Errors
/// Everything that is wrong with the new ones.
pub(super) fn difference(
    list: &Value,
    application: Option<&Application>,
    rng: &dyn Rng,
    now_secs: i64,
) -> Result<Difference, Vec<Problem>> {
    let known = application.map_or(&[][..], |application| application.certificates.as_slice());
    let (mut difference, mut problems, mut kept) = (Difference::default(), Vec::new(), Vec::new());
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    if !list.is_array() || items.len() > CERTIFICATES_MAX {
        let message = format!("must be a list of at most {CERTIFICATES_MAX} certificates");
        problems.push(Problem { target: "keyCredentials".to_owned(), message });
    }
    for (at, item) in items.iter().enumerate().take(CERTIFICATES_MAX) {
        let key_id = item.get("keyId").and_then(Value::as_str).and_then(|id| id.parse::<Uuid>().ok());
        if let Some(known) = known.iter().find(|known| key_id == Some(known.key_id)) {
            kept.push(known.key_id);
            continue;
        }
        // Lines of a PEM file that were put together keep their ends with some clients.
        let key = item.get("key").and_then(Value::as_str).unwrap_or("").split_ascii_whitespace().collect::<String>();
        let problem = match (Certificate::parse(&key), item.get("type").and_then(Value::as_str)) {
            (_, Some(other)) if other != "AsymmetricX509Cert" => Some(("type", "must be AsymmetricX509Cert")),
            (Err(why), _) => Some(("key", why)),
            (Ok(read), _) if read.not_after <= now_secs => Some(("key", "is a certificate that expired")),
            (Ok(_), _) => None,
        };
        match problem {
            Some((field, why)) => {
                problems.push(Problem { target: format!("keyCredentials[{at}].{field}"), message: why.to_owned() });
            }
            None => difference.add.push(ApplicationCertificate {
                key_id: key_id.unwrap_or_else(|| new_id(rng)),
                name: item
                    .get("displayName")
                    .and_then(Value::as_str)
                    .unwrap_or("")
                    .chars()
                    .take(NAME_CHARS_MAX)
                    .collect(),
                der_base64: key,
            }),
        }
    }
    difference.remove = known.iter().map(|known| known.key_id).filter(|id| !kept.contains(id)).collect();
    if problems.is_empty() { Ok(difference) } else { Err(problems) }
}

const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// Certificates of one application.
const CERTIFICATES_MAX: usize = 20;
const NAME_CHARS_MAX: usize = 120;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::CERTIFICATE;
