//! PEM: certificates and keys between dashed lines, in any order, with any text around them.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::der::{OCTET_STRING, Reader, SEQUENCE};
use super::pbe::{self, Passwords, WorkBudget};
use super::{CertificateError, Contents, PrivateKey};

pub(super) const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Some tools leave out the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads every block it knows and skips the others (parameters, requests).
pub(super) fn read(text: &str, password: Option<&str>) -> Result<Contents, CertificateError> {
    let mut contents = Contents::default();
    let mut budget = WorkBudget::default();
    for block in text.split(BEGIN).skip(1) {
        let malformed = CertificateError::Malformed("PEM block");
        let (label, rest) = block.split_once(DASHES).ok_or(malformed)?;
        let (body, _) = rest.split_once(END).ok_or(malformed)?;
        let is_key = label.ends_with("PRIVATE KEY");
        if is_key && body.contains("Proc-Type:") {
            return Err(CertificateError::Unsupported("the encryption of OpenSSL's traditional PEM"));
        }
        let der = || decode(body).ok_or(malformed);
        match label {
            "CERTIFICATE" | "X509 CERTIFICATE" => contents.add_certificate(&der()?)?,
            "PRIVATE KEY" => contents.add_key(PrivateKey::Pkcs8(der()?))?,
            "RSA PRIVATE KEY" => contents.add_key(PrivateKey::Pkcs1(der()?))?,
            "ENCRYPTED PRIVATE KEY" => contents.add_key(PrivateKey::Pkcs8(decrypt(&der()?, password, &mut budget)?))?,
            _ if is_key => contents.add_key(PrivateKey::NotRsa)?,
            _ => {}
        }
    }
    Ok(contents)
}

fn decode(body: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits: Zeroizing<String> = Zeroizing::new(body.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    BASE64.decode(digits.as_bytes()).ok().map(Zeroizing::new)
}

fn decrypt(
    der: &[u8],
    password: Option<&str>,
    budget: &mut WorkBudget,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let password = password.ok_or(CertificateError::PasswordNeeded)?;
    let mut info = Reader::new(der).inside(SEQUENCE)?;
    let algorithm = info.expect(SEQUENCE)?;
    let data = info.expect(OCTET_STRING)?;
    let key = pbe::decrypt(algorithm, data, &Passwords::of(password), budget)?;
    // A wrong password passes the padding check once in 256 times.
    super::der::pkcs8_algorithm(&key).map_err(|_| CertificateError::WrongPassword)?;
    Ok(key)
}
