//! A reader of DER, as far as keys and PKCS#12 need it: one-byte tags, definite lengths.

use super::CertificateError;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`
pub(super) const CONTEXT_0: u8 = 0xA0;
/// `[0] IMPLICIT` of a primitive
pub(super) const CONTEXT_0_PRIMITIVE: u8 = 0x80;

/// Object identifiers, as the bytes of their DER content.
pub(super) mod oid {
    pub(in super::super) const RSA_ENCRYPTION: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x01\x01";
    pub(in super::super) const DATA: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x07\x01";
    pub(in super::super) const ENCRYPTED_DATA: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x07\x06";
    pub(in super::super) const X509_CERTIFICATE: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x09\x16\x01";
    /// Followed by the number of the bag type.
    pub(in super::super) const PKCS12_BAG: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x0C\x0A\x01";
    /// Followed by the number of the scheme.
    pub(in super::super) const PKCS12_PBE: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x0C\x01";
    pub(in super::super) const PBKDF2: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x05\x0C";
    pub(in super::super) const PBES2: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x05\x0D";
    /// Followed by the number of the digest.
    pub(in super::super) const HMAC_WITH: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x02";
    pub(in super::super) const DES_EDE3_CBC: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x03\x07";
    /// Followed by the number of key size and mode.
    pub(in super::super) const AES: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x01";
    pub(in super::super) const SHA1: &[u8] = b"\x2B\x0E\x03\x02\x1A";
    /// Followed by the number of the digest.
    pub(in super::super) const SHA2: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02";
}

/// Reads one element after the other.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element's tag and content.
    pub(super) fn element(&mut self) -> Result<(u8, &'a [u8]), CertificateError> {
        let truncated = CertificateError::Malformed("DER structure");
        let (&[tag, first], mut rest) = self.0.split_first_chunk::<2>().ok_or(truncated)?;
        if tag & 0x1F == 0x1F {
            return Err(truncated);
        }
        let length = match first {
            0..=0x7F => usize::from(first),
            0x80 => return Err(CertificateError::IndefiniteLength),
            _ => {
                let size = usize::from(first & 0x7F);
                let digits = rest.split_at_checked(size).filter(|_| size <= 4).ok_or(truncated)?;
                rest = digits.1;
                digits.0.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte))
            }
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(truncated)?;
        self.0 = rest;
        Ok((tag, content))
    }

    /// The content of the next element, which must have `tag`.
    pub(super) fn expect(&mut self, tag: u8) -> Result<&'a [u8], CertificateError> {
        match self.element()? {
            (found, content) if found == tag => Ok(content),
            // What BER would write as pieces.
            (found, _) if found == tag | 0x20 => Err(CertificateError::IndefiniteLength),
            _ => Err(CertificateError::Malformed("DER structure")),
        }
    }

    /// A reader of what is inside the next element, which must have `tag`.
    pub(super) fn inside(&mut self, tag: u8) -> Result<Self, CertificateError> {
        self.expect(tag).map(Self)
    }

    /// A small number that is not negative.
    pub(super) fn number(&mut self) -> Result<u32, CertificateError> {
        let bytes = self.expect(INTEGER)?;
        let digits = bytes.strip_prefix(&[0]).unwrap_or(bytes);
        let negative = bytes.first().is_none_or(|first| first & 0x80 != 0);
        if negative || digits.len() > 4 {
            return Err(CertificateError::Malformed("number"));
        }
        Ok(digits.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    /// Whether the next element has `tag`.
    pub(super) fn is_next(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }
}

/// The object identifier of a PKCS#8 key's algorithm.
pub(super) fn pkcs8_algorithm(key: &[u8]) -> Result<&[u8], CertificateError> {
    let mut info = Reader::new(key).inside(SEQUENCE)?;
    info.expect(INTEGER)?;
    info.inside(SEQUENCE)?.expect(OID)
}
