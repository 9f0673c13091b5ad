//! Certificate containers: PEM, PKCS#12, base64 of them, with and without a password.
#![no_main]

use identity::SigningCertificate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    for password in [None, Some("hunter2")] {
        if let Ok(certificate) = SigningCertificate::parse(file, password) {
            assert!(!certificate.chain().is_empty());
        }
    }
});
