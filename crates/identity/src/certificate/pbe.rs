//! Encryption and authentication with a password: PBES2 (AES, triple DES), and the older schemes of PKCS#12.
//!
//! Only decryption: nothing weak is ever produced here. The older ciphers stay because certificate stores still write them.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{digest, hmac, pbkdf2};
use des::TdesEde3;
use des::cipher::{Block, BlockCipherDecrypt, KeyInit};
use rc2::Rc2;
use zeroize::Zeroizing;

use super::CertificateError;
use super::der::{INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, oid};

/// One password in the two encodings that the schemes take.
pub(super) struct Passwords {
    utf8: Zeroizing<Vec<u8>>,
    /// UTF-16, big-endian, with a terminator.
    bmp: Zeroizing<Vec<u8>>,
}

impl Passwords {
    pub(super) fn of(password: &str) -> Self {
        let bmp = password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect();
        Self { utf8: Zeroizing::new(password.as_bytes().to_vec()), bmp: Zeroizing::new(bmp) }
    }

    /// No string at all: not even its terminator.
    pub(super) fn none() -> Self {
        Self { utf8: Zeroizing::default(), bmp: Zeroizing::default() }
    }
}

/// How much more work one file may cause. Real ones need a few thousand rounds, strict ones a million in all.
pub(super) struct WorkBudget {
    rounds_left: u32,
}

impl Default for WorkBudget {
    fn default() -> Self {
        Self { rounds_left: 4_000_000 }
    }
}

impl WorkBudget {
    fn take(&mut self, rounds: u32, times: u32) -> Result<u32, CertificateError> {
        let wanted = rounds.checked_mul(times).filter(|_| rounds > 0);
        let left = wanted.and_then(|wanted| self.rounds_left.checked_sub(wanted));
        self.rounds_left = left.ok_or(CertificateError::Unsupported("an iteration count beyond all reason"))?;
        Ok(rounds)
    }
}

/// Decrypts `data` by the content of an `AlgorithmIdentifier`.
pub(super) fn decrypt(
    algorithm: &[u8],
    data: &[u8],
    passwords: &Passwords,
    budget: &mut WorkBudget,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let mut algorithm = Reader::new(algorithm);
    let id = algorithm.expect(OID)?;
    let mut parameters = algorithm.inside(SEQUENCE)?;
    if id == oid::PBES2 {
        return decrypt_pbes2(parameters, data, passwords, budget);
    }
    let cipher = match id.strip_prefix(oid::PKCS12_PBE) {
        Some([3]) => LegacyCipher::TripleDes,
        Some([4]) => LegacyCipher::TripleDesTwoKeys,
        Some([5]) => LegacyCipher::Rc2 { key_bytes: 16 },
        Some([6]) => LegacyCipher::Rc2 { key_bytes: 5 },
        Some([1 | 2]) => return Err(CertificateError::Unsupported("RC4 encryption")),
        _ => return Err(CertificateError::Unsupported("an unknown encryption scheme")),
    };
    let salt = parameters.expect(OCTET_STRING)?;
    // Two derivations: key and initialisation vector.
    let rounds = budget.take(parameters.number()?, 2)?;
    let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    let key = derive(sha1, &passwords.bmp, salt, Purpose::Key, rounds, cipher.key_bytes());
    let iv = derive(sha1, &passwords.bmp, salt, Purpose::Iv, rounds, 8);
    cipher.decrypt(&key, &iv, data)
}

fn decrypt_pbes2(
    mut parameters: Reader<'_>,
    data: &[u8],
    passwords: &Passwords,
    budget: &mut WorkBudget,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let mut kdf = parameters.inside(SEQUENCE)?;
    let mut scheme = parameters.inside(SEQUENCE)?;
    if kdf.expect(OID)? != oid::PBKDF2 {
        return Err(CertificateError::Unsupported("a key derivation other than PBKDF2"));
    }
    let mut kdf = kdf.inside(SEQUENCE)?;
    let salt = kdf.expect(OCTET_STRING)?;
    let rounds = budget.take(kdf.number()?, 1)?;
    if kdf.is_next(INTEGER) {
        // The key's length, which follows from the cipher anyway.
        kdf.number()?;
    }
    let prf = match kdf.is_empty() {
        true => pbkdf2::PBKDF2_HMAC_SHA1,
        false => match kdf.inside(SEQUENCE)?.expect(OID)?.strip_prefix(oid::HMAC_WITH) {
            Some([7]) => pbkdf2::PBKDF2_HMAC_SHA1,
            Some([9]) => pbkdf2::PBKDF2_HMAC_SHA256,
            Some([10]) => pbkdf2::PBKDF2_HMAC_SHA384,
            Some([11]) => pbkdf2::PBKDF2_HMAC_SHA512,
            _ => return Err(CertificateError::Unsupported("an unknown PBKDF2 function")),
        },
    };
    let cipher = scheme.expect(OID)?;
    let iv = scheme.expect(OCTET_STRING)?;
    let key_bytes = match cipher.strip_prefix(oid::AES) {
        Some([2]) => 16,
        Some([22]) => 24,
        Some([42]) => 32,
        _ if cipher == oid::DES_EDE3_CBC => 24,
        _ => return Err(CertificateError::Unsupported("an unknown cipher")),
    };
    let mut key = Zeroizing::new(vec![0; key_bytes]);
    let rounds = NonZeroU32::new(rounds).ok_or(CertificateError::Malformed("iteration count"))?;
    pbkdf2::derive(prf, rounds, salt, &passwords.utf8, &mut key);
    if cipher == oid::DES_EDE3_CBC {
        return LegacyCipher::TripleDes.decrypt(&key, iv, data);
    }
    decrypt_aes(&key, iv, data)
}

fn decrypt_aes(key: &[u8], iv: &[u8], data: &[u8]) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let algorithm = match key.len() {
        16 => &AES_128,
        24 => &AES_192,
        _ => &AES_256,
    };
    let iv: [u8; 16] = iv.try_into().map_err(|_| CertificateError::Malformed("initialisation vector"))?;
    if data.is_empty() || !data.len().is_multiple_of(16) {
        return Err(CertificateError::Malformed("encrypted part"));
    }
    let key = UnboundCipherKey::new(algorithm, key).and_then(PaddedBlockDecryptingKey::cbc_pkcs7);
    let key = key.map_err(|_| CertificateError::Malformed("encryption key"))?;
    let mut bytes = Zeroizing::new(data.to_vec());
    let plain = key.decrypt(&mut bytes, DecryptionContext::Iv128(FixedLength::from(iv)));
    let length = plain.map_err(|_| CertificateError::WrongPassword)?.len();
    bytes.truncate(length);
    Ok(bytes)
}

/// Checks the content of a `MacData` over `data`.
pub(super) fn verify_mac(
    mac: &[u8],
    data: &[u8],
    passwords: &Passwords,
    budget: &mut WorkBudget,
) -> Result<(), CertificateError> {
    let mut mac = Reader::new(mac);
    let mut info = mac.inside(SEQUENCE)?;
    let id = info.inside(SEQUENCE)?.expect(OID)?;
    let expected = info.expect(OCTET_STRING)?;
    let salt = mac.expect(OCTET_STRING)?;
    let rounds = if mac.is_empty() { 1 } else { mac.number()? };
    let rounds = budget.take(rounds, 1)?;
    let (hash, code) = match id.strip_prefix(oid::SHA2) {
        _ if id == oid::SHA1 => (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        Some([1]) => (&digest::SHA256, hmac::HMAC_SHA256),
        Some([2]) => (&digest::SHA384, hmac::HMAC_SHA384),
        Some([3]) => (&digest::SHA512, hmac::HMAC_SHA512),
        Some([4]) => (&digest::SHA224, hmac::HMAC_SHA224),
        _ => return Err(CertificateError::Unsupported("an unknown authentication code")),
    };
    let key = derive(hash, &passwords.bmp, salt, Purpose::Mac, rounds, hash.output_len());
    hmac::verify(&hmac::Key::new(code, &key), data, expected).map_err(|_| CertificateError::WrongPassword)
}

#[derive(Clone, Copy)]
enum Purpose {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

/// The key derivation of RFC 7292, appendix B.2.
fn derive(
    hash: &'static digest::Algorithm,
    password: &[u8],
    salt: &[u8],
    purpose: Purpose,
    rounds: u32,
    bytes: usize,
) -> Zeroizing<Vec<u8>> {
    let block = hash.block_len();
    let filled =
        |text: &[u8]| -> Vec<u8> { text.iter().copied().cycle().take(text.len().div_ceil(block) * block).collect() };
    let mut input = Zeroizing::new(filled(salt));
    input.extend_from_slice(&Zeroizing::new(filled(password)));
    let diversifier = vec![purpose as u8; block];
    let mut derived = Zeroizing::new(Vec::with_capacity(bytes + hash.output_len()));
    loop {
        let mut context = digest::Context::new(hash);
        context.update(&diversifier);
        context.update(&input);
        let mut output = context.finish();
        for _ in 1..rounds {
            output = digest::digest(hash, output.as_ref());
        }
        derived.extend_from_slice(output.as_ref());
        if derived.len() >= bytes {
            derived.truncate(bytes);
            return derived;
        }
        let addend: Vec<u8> = output.as_ref().iter().copied().cycle().take(block).collect();
        for part in input.chunks_mut(block) {
            add_and_one(part, &addend);
        }
    }
}

/// `number + addend + 1`, big-endian, modulo its size.
fn add_and_one(number: &mut [u8], addend: &[u8]) {
    let mut carry = 1;
    for (digit, add) in number.iter_mut().zip(addend).rev() {
        let sum = u16::from(*digit) + u16::from(*add) + carry;
        *digit = sum as u8;
        carry = sum >> 8;
    }
}

#[derive(Clone, Copy)]
enum LegacyCipher {
    TripleDes,
    TripleDesTwoKeys,
    Rc2 { key_bytes: usize },
}

impl LegacyCipher {
    fn key_bytes(self) -> usize {
        match self {
            Self::TripleDes => 24,
            Self::TripleDesTwoKeys => 16,
            Self::Rc2 { key_bytes } => key_bytes,
        }
    }

    fn decrypt(self, key: &[u8], iv: &[u8], data: &[u8]) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
        let iv: [u8; 8] = iv.try_into().map_err(|_| CertificateError::Malformed("initialisation vector"))?;
        let key_error = CertificateError::Malformed("encryption key");
        match self {
            Self::Rc2 { key_bytes } => decrypt_cbc(&Rc2::new_with_eff_key_len(key, key_bytes * 8), iv, data),
            Self::TripleDes => decrypt_cbc(&TdesEde3::new_from_slice(key).map_err(|_| key_error)?, iv, data),
            Self::TripleDesTwoKeys => {
                let key = Zeroizing::new([key, &key[..8]].concat());
                decrypt_cbc(&TdesEde3::new_from_slice(&key).map_err(|_| key_error)?, iv, data)
            }
        }
    }
}

fn decrypt_cbc<C>(cipher: &C, iv: [u8; 8], data: &[u8]) -> Result<Zeroizing<Vec<u8>>, CertificateError>
where
    C: BlockCipherDecrypt,
{
    if data.is_empty() || !data.len().is_multiple_of(8) {
        return Err(CertificateError::Malformed("encrypted part"));
    }
    let mut plain = Zeroizing::new(Vec::with_capacity(data.len()));
    let mut previous: &[u8] = &iv;
    for chunk in data.chunks_exact(8) {
        let mut block = Block::<C>::try_from(chunk).map_err(|_| CertificateError::Malformed("encrypted part"))?;
        cipher.decrypt_block(&mut block);
        plain.extend(block.iter().zip(previous).map(|(byte, mask)| byte ^ mask));
        previous = chunk;
    }
    let padding = plain.last().copied().map_or(0, usize::from);
    let whole = plain.len();
    let sound = (1..=8).contains(&padding) && plain[whole - padding..].iter().all(|byte| usize::from(*byte) == padding);
    if !sound {
        return Err(CertificateError::WrongPassword);
    }
    plain.truncate(whole - padding);
    Ok(plain)
}
