//! PKCS#12 (RFC 7292): a tree of bags, authenticated and encrypted with one password.

use zeroize::Zeroizing;

use super::der::{CONTEXT_0, CONTEXT_0_PRIMITIVE, OCTET_STRING, OID, Reader, SEQUENCE, oid};
use super::pbe::{self, Passwords, WorkBudget};
use super::{CertificateError, Contents, PrivateKey};

const NESTING_MAX: usize = 4;

/// Reads the keys and certificates. Without a password the empty one is tried in both of its encodings: as an empty
/// string, which still has its terminator, and as no string at all; tools disagree.
pub(super) fn read(der: &[u8], password: Option<&str>) -> Result<Contents, CertificateError> {
    let mut budget = WorkBudget::default();
    match password {
        Some(password) if !password.is_empty() => open(der, &Passwords::of(password), &mut budget),
        _ => match open(der, &Passwords::of(""), &mut budget) {
            Err(CertificateError::WrongPassword) => match open(der, &Passwords::none(), &mut budget) {
                Err(CertificateError::WrongPassword) if password.is_none() => Err(CertificateError::PasswordNeeded),
                outcome => outcome,
            },
            outcome => outcome,
        },
    }
}

fn open(der: &[u8], passwords: &Passwords, budget: &mut WorkBudget) -> Result<Contents, CertificateError> {
    let mut pfx = Reader::new(der).inside(SEQUENCE)?;
    if pfx.number().map_err(|_| CertificateError::Unrecognised)? != 3 {
        return Err(CertificateError::Unsupported("a version of PKCS#12 other than 3"));
    }
    let mut authenticated = pfx.inside(SEQUENCE)?;
    if authenticated.expect(OID)? != oid::DATA {
        return Err(CertificateError::Unsupported("PKCS#12 signed with a public key"));
    }
    let safes = authenticated.inside(CONTEXT_0)?.expect(OCTET_STRING)?;
    if !pfx.is_empty() {
        pbe::verify_mac(pfx.expect(SEQUENCE)?, safes, passwords, budget)?;
    }
    let mut contents = Contents::default();
    let mut safes = Reader::new(safes).inside(SEQUENCE)?;
    while !safes.is_empty() {
        let mut safe = safes.inside(SEQUENCE)?;
        let kind = safe.expect(OID)?;
        let mut content = safe.inside(CONTEXT_0)?;
        if kind == oid::DATA {
            read_bags(content.expect(OCTET_STRING)?, passwords, budget, &mut contents, 0)?;
        } else if kind == oid::ENCRYPTED_DATA {
            let bags = decrypt_safe(content.inside(SEQUENCE)?, passwords, budget)?;
            read_bags(&bags, passwords, budget, &mut contents, 0)?;
        } else {
            return Err(CertificateError::Unsupported("PKCS#12 encrypted with a public key"));
        }
    }
    Ok(contents)
}

fn decrypt_safe(
    mut data: Reader<'_>,
    passwords: &Passwords,
    budget: &mut WorkBudget,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    data.number()?;
    let mut info = data.inside(SEQUENCE)?;
    info.expect(OID)?;
    let algorithm = info.expect(SEQUENCE)?;
    let bytes = info.expect(CONTEXT_0_PRIMITIVE)?;
    pbe::decrypt(algorithm, bytes, passwords, budget)
}

fn read_bags(
    bags: &[u8],
    passwords: &Passwords,
    budget: &mut WorkBudget,
    contents: &mut Contents,
    depth: usize,
) -> Result<(), CertificateError> {
    // What decrypted into something else than a sequence was decrypted with the wrong password.
    let mut bags = Reader::new(bags).inside(SEQUENCE).map_err(|_| CertificateError::WrongPassword)?;
    while !bags.is_empty() {
        let mut bag = bags.inside(SEQUENCE)?;
        let kind = bag.expect(OID)?.strip_prefix(oid::PKCS12_BAG);
        let value = bag.expect(CONTEXT_0)?;
        match kind {
            Some(&[KEY_BAG]) => contents.add_key(PrivateKey::Pkcs8(Zeroizing::new(value.to_vec())))?,
            Some(&[SHROUDED_KEY_BAG]) => {
                let mut info = Reader::new(value).inside(SEQUENCE)?;
                let (algorithm, data) = (info.expect(SEQUENCE)?, info.expect(OCTET_STRING)?);
                let key = pbe::decrypt(algorithm, data, passwords, budget)?;
                contents.add_key(PrivateKey::Pkcs8(key))?;
            }
            Some(&[CERTIFICATE_BAG]) => {
                let mut certificate = Reader::new(value).inside(SEQUENCE)?;
                if certificate.expect(OID)? == oid::X509_CERTIFICATE {
                    contents.add_certificate(certificate.inside(CONTEXT_0)?.expect(OCTET_STRING)?)?;
                }
            }
            Some(&[SAFE_CONTENTS_BAG]) if depth < NESTING_MAX => {
                read_bags(value, passwords, budget, contents, depth + 1)?;
            }
            Some(&[SAFE_CONTENTS_BAG]) => return Err(CertificateError::TooLarge),
            // Revocation lists and secrets are of no use here.
            _ => {}
        }
    }
    Ok(())
}

const KEY_BAG: u8 = 1;
const SHROUDED_KEY_BAG: u8 = 2;
const CERTIFICATE_BAG: u8 = 3;
const SAFE_CONTENTS_BAG: u8 = 6;
