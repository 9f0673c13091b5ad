use std::path::PathBuf;

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn leaf(name: &str) -> Vec<u8> {
    let text = String::from_utf8(fixture(name)).unwrap();
    pem::read(&text, None).unwrap().certificates.remove(0)
}

/// The container gives the leaf, its key, and a chain of `length`.
#[track_caller]
fn check(name: &str, password: Option<&str>, length: usize) {
    let certificate =
        SigningCertificate::parse(&fixture(name), password).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(certificate.chain().len(), length, "{name}");
    assert_eq!(certificate.chain()[0], leaf("leaf.crt"), "{name}");
    assert!(certificate.not_after() > UnixTime::from_secs(4_000_000_000), "{name}");
}

#[test]
fn every_container_gives_the_same_certificate() {
    for (name, chain) in [
        ("pem_pkcs8_key_first.pem", 3),
        ("pem_shuffled.pem", 3),
        ("pem_pkcs1_key.pem", 1),
        ("pem_crlf_and_text.pem", 3),
        ("pem_in_base64.txt", 3),
        ("p12_modern_empty.pfx", 3),
        ("p12_aes128_sha512mac.pfx", 3),
        ("p12_des3_pbes2.pfx", 3),
        ("p12_legacy_rc2_40.pfx", 3),
        ("p12_legacy_rc2_128.pfx", 3),
        ("p12_legacy_3des.pfx", 3),
        ("p12_legacy_2des.pfx", 3),
        ("p12_no_mac.pfx", 3),
        ("p12_not_encrypted.pfx", 3),
        ("p12_null_password.pfx", 1),
        ("p12_in_base64_lines.txt", 3),
        ("p12_in_base64_one_line.txt", 3),
    ] {
        check(name, None, chain);
        check(name, Some(""), chain);
    }
}

#[test]
fn a_given_password_opens() {
    for (name, password, chain) in [
        ("pem_encrypted_key_hunter2.pem", "hunter2", 1),
        ("p12_modern_hunter2.pfx", "hunter2", 3),
        ("p12_legacy_hunter2.pfx", "hunter2", 3),
        ("p12_modern_umlaut.pfx", "pässwörd", 3),
        // A key that is not protected needs none, and does not mind one.
        ("pem_shuffled.pem", "hunter2", 3),
    ] {
        check(name, Some(password), chain);
    }
}

#[test]
fn the_pair_that_is_valid_longest_is_taken() {
    let certificate = SigningCertificate::parse(&fixture("pem_two_pairs.pem"), None).unwrap();
    assert_eq!(certificate.chain()[0], leaf("newer.crt"));
    assert_eq!(certificate.chain().len(), 2);
}

#[test]
fn what_cannot_be_used_says_why() {
    use CertificateError as E;
    let cases: [(&str, Option<&str>, E); 16] = [
        ("bad_pem_key_of_another.pem", None, E::KeyMismatch),
        ("bad_pem_no_key.pem", None, E::NoKey),
        ("bad_pem_no_certificate.pem", None, E::NoCertificate),
        ("bad_pem_curve_pkcs8.pem", None, E::NotRsa),
        ("bad_pem_curve_sec1.pem", None, E::NotRsa),
        ("bad_pem_traditional_encryption.pem", None, E::Unsupported("the encryption of OpenSSL's traditional PEM")),
        ("bad_p12_curve.pfx", None, E::NotRsa),
        ("bad_p12_no_key.pfx", None, E::NoKey),
        ("bad_p12_rc4.pfx", None, E::Unsupported("RC4 encryption")),
        ("pem_encrypted_key_hunter2.pem", None, E::PasswordNeeded),
        ("pem_encrypted_key_hunter2.pem", Some("wrong"), E::WrongPassword),
        ("p12_modern_hunter2.pfx", None, E::PasswordNeeded),
        ("p12_modern_hunter2.pfx", Some("wrong"), E::WrongPassword),
        ("p12_legacy_hunter2.pfx", Some("wrong"), E::WrongPassword),
        ("p12_legacy_hunter2.pfx", Some(""), E::WrongPassword),
        ("p12_no_mac.pfx", Some("wrong"), E::WrongPassword),
    ];
    for (name, password, error) in cases {
        assert_eq!(SigningCertificate::parse(&fixture(name), password).unwrap_err(), error, "{name}");
        assert!(!error.mend().is_empty());
    }
    let unbounded = [&[0x30, 0x80][..], &[0; 64]].concat();
    for (bytes, error) in [
        (&b""[..], E::Empty),
        (b" \r\n", E::Empty),
        (b"hello, world", E::Unrecognised),
        (b"aGVsbG8=", E::Unrecognised),
        (&unbounded, E::IndefiniteLength),
        (b"-----BEGIN CERTIFICATE-----\nMIIB\n", E::Malformed("PEM block")),
        (b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----", E::NoCertificate),
        (&vec![b'A'; FILE_BYTES_MAX + 1], E::TooLarge),
    ] {
        assert_eq!(
            SigningCertificate::parse(bytes, None).unwrap_err(),
            error,
            "{:.20}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn thumbprints_are_those_that_portals_show() {
    let certificate = SigningCertificate::parse(&fixture("pem_shuffled.pem"), None).unwrap();
    let thumbprint = certificate.thumbprint_sha1_hex();
    assert_eq!(thumbprint.len(), 40);
    assert!(thumbprint.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte)));
}

#[test]
fn work_is_bounded() {
    let mut budget = pbe::WorkBudget::default();
    let salt_and_rounds = |rounds: [u8; 4]| {
        let parameters = [&[0x30, 0x0A, 0x04, 0x02, 1, 2, 0x02, 0x04][..], &rounds].concat();
        [&[0x06, 0x0A][..], der::oid::PKCS12_PBE, &[3], &parameters].concat()
    };
    let mut decrypt = |rounds| {
        let algorithm = salt_and_rounds(rounds);
        pbe::decrypt(&algorithm, &[0; 8], &pbe::Passwords::of(""), &mut budget).unwrap_err()
    };
    let beyond = CertificateError::Unsupported("an iteration count beyond all reason");
    assert_eq!(decrypt([0x7F, 0xFF, 0xFF, 0xFF]), beyond);
    assert_eq!(decrypt([0, 0, 0, 0]), beyond);
    assert_eq!(decrypt([0, 0, 0, 10]), CertificateError::WrongPassword);
}

/// Damaged containers give errors: no panic, and no certificate that signs with somebody else's key.
#[test]
fn damaged_containers_are_errors_or_whole() {
    let expected = leaf("leaf.crt");
    for name in ["pem_shuffled.pem", "p12_not_encrypted.pfx", "p12_legacy_3des.pfx", "p12_no_mac.pfx"] {
        let whole = fixture(name);
        for at in (0..whole.len()).step_by(whole.len() / 150 + 1) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x41;
            if let Ok(certificate) = SigningCertificate::parse(&flipped, None) {
                assert_eq!(certificate.chain()[0].len(), expected.len(), "{name} at {at}");
            }
            assert!(SigningCertificate::parse(&whole[..at], None).is_err(), "{name} cut at {at}");
        }
    }
}
