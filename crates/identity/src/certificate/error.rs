//! Why a file gives no certificate to sign with.

/// Why a file gives no certificate to sign with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateError {
    /// No bytes in it.
    #[error("the file is empty")]
    Empty,
    /// Over 1 MiB, 64 certificates or 16 keys.
    #[error("the file is larger than a certificate can be")]
    TooLarge,
    /// None of the formats.
    #[error("the content is neither PEM nor PKCS#12 nor base64 of one of them")]
    Unrecognised,
    /// A known format, broken inside.
    #[error("the {0} in it is malformed")]
    Malformed(&'static str),
    /// PKCS#12 in an encoding of indefinite lengths.
    #[error("the PKCS#12 is encoded with indefinite lengths (BER)")]
    IndefiniteLength,
    /// Encrypted or authenticated in a way that is not implemented.
    #[error("it uses {0}, which is not supported")]
    Unsupported(&'static str),
    /// It does not open.
    #[error("the password does not open it")]
    WrongPassword,
    /// It does not open without one.
    #[error("it is protected with a password, and none is set")]
    PasswordNeeded,
    /// Certificates only.
    #[error("it holds no private key")]
    NoKey,
    /// Keys only.
    #[error("it holds no certificate")]
    NoCertificate,
    /// No key fits any certificate.
    #[error("its private key belongs to none of its certificates")]
    KeyMismatch,
    /// Elliptic curve or Edwards keys.
    #[error("its private key is not RSA")]
    NotRsa,
    /// Too small, too large or inconsistent.
    #[error("its RSA key is not usable (2048 to 8192 bits are)")]
    KeyRejected,
}

impl CertificateError {
    /// What to do about it.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Empty => "check that the secret is mounted and the certificate has been issued",
            Self::TooLarge | Self::Unrecognised => {
                "give a PEM or PKCS#12 file with the certificate and its private key"
            }
            Self::Malformed(_) => "export it again; openssl pkcs12 -info shows whether it is whole",
            Self::IndefiniteLength | Self::Unsupported(_) => "convert it to PEM with openssl pkcs12 -nodes",
            Self::WrongPassword => "check the certificate's password",
            Self::PasswordNeeded => "set AZURE_CLIENT_CERTIFICATE_PASSWORD, or export it without a password",
            Self::NoKey => "export it with its private key; in Key Vault mount the object of type secret, not cert",
            Self::NoCertificate => "add the certificate to the file",
            Self::KeyMismatch => "put the certificate and the key of the same pair into the file",
            Self::NotRsa => "issue a certificate with an RSA key: Entra takes no other for client assertions",
            Self::KeyRejected => "issue a certificate with an RSA key of 2048 or 4096 bits",
        }
    }
}
