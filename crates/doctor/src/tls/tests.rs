use std::time::Duration;

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

use super::*;
use crate::report::Status;

fn certificate(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut parameters =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, "endpoint");
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2030, 1, 1);
    change(&mut parameters);
    parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn done(verdict: Result<(), CertificateError>, chain: usize) -> Handshake {
    let certificate = Certificate::read(&certificate(&["a.example", "10.0.0.1"], |_| ()), chain);
    let verdict = verdict.map_err(rustls::Error::InvalidCertificate);
    Handshake { name: "b.example".to_owned(), outcome: Outcome::Done { certificate, verdict, protocol: None } }
}

const IN_2025: UnixTime = UnixTime::from_millis(1_750_000_000_000);

#[test]
fn a_certificate_tells_names_and_times() {
    let read = Certificate::read(&certificate(&["a.example", "10.0.0.1"], |_| ()), 1).unwrap();
    assert_eq!(read.names, ["a.example", "10.0.0.1"]);
    assert_eq!((read.subject.as_str(), read.is_self_signed()), ("CN=endpoint", true));
    assert_eq!(Rfc3339(read.not_after).to_string(), "2030-01-01T00:00:00Z");
    assert_eq!(Certificate::read(b"no certificate", 1), None);
}

#[test]
fn each_verdict_has_its_own_mend() {
    for (verdict, chain, there, finding, mend) in [
        (CertificateError::Expired, 1, None, "is expired (2030-01-01T00:00:00Z)", "renew"),
        (
            CertificateError::Expired,
            1,
            Some(IN_2025.plus(Duration::from_secs(9_000))),
            "but this machine's clock is wrong",
            "`clock`",
        ),
        (CertificateError::NotValidYet, 1, Some(IN_2025), "is not valid yet (2020-01-01T00:00:00Z)", "wait"),
        (
            CertificateError::NotValidYet,
            1,
            Some(IN_2025.minus(Duration::from_secs(9_000))),
            "seems not valid yet",
            "`clock`",
        ),
        (
            CertificateError::NotValidForName,
            1,
            None,
            "for another host than b.example: a.example, 10.0.0.1",
            "hosts file",
        ),
        (CertificateError::UnknownIssuer, 1, None, "signed by itself", "SSL_CERT_FILE"),
        (CertificateError::UnknownIssuer, 2, None, "authority that is not trusted: CN=endpoint", "inspecting proxy"),
        (CertificateError::BadSignature, 2, None, "another key: CN=endpoint", "made anew"),
        (CertificateError::Revoked, 1, None, "revoked", "replace"),
        (CertificateError::BadEncoding, 1, None, "not accepted", "whoever runs"),
    ] {
        let handshake = done(Err(verdict), chain);
        assert!(!handshake.is_trusted() && handshake.is_done());
        let step = handshake.judge(IN_2025, there);
        assert!(
            step.status == Status::Failed
                && step.finding.contains(finding)
                && step.mend.as_deref().unwrap().contains(mend),
            "{step:?}"
        );
        assert!(step.details.iter().any(|(name, value)| *name == "issuer" && value == "CN=endpoint"), "{step:?}");
    }
}

#[test]
fn a_certificate_that_ends_soon_is_a_warning() {
    assert!(done(Ok(()), 1).is_trusted());
    assert_eq!(done(Ok(()), 1).judge(IN_2025, None).status, Status::Ok);
    let days_before = UnixTime::from_secs(1_893_456_000).minus(Duration::from_secs(3 * 86_400));
    let step = done(Ok(()), 1).judge(days_before, None);
    assert!(step.status == Status::Warning && step.finding.contains("3 d 0 h more"), "{step:?}");
}

#[test]
fn a_handshake_that_breaks_says_what_to_look_for() {
    for (outcome, finding, mend) in [
        (Outcome::Silent, "does not end the TLS handshake", "MTU"),
        (
            Outcome::Broken("received corrupt message of type InvalidContentType".to_owned()),
            "fails",
            "does not speak TLS",
        ),
        (Outcome::Broken("tls handshake eof".to_owned()), "fails", "ends the connection"),
        (Outcome::Broken("received fatal alert: ProtocolVersion".to_owned()), "fails", "TLS 1.2"),
    ] {
        let handshake = Handshake { name: "b.example".to_owned(), outcome };
        let step = handshake.judge(IN_2025, None);
        assert!(!handshake.is_done() && !handshake.is_trusted());
        assert!(step.finding.contains(finding) && step.mend.as_deref().unwrap().contains(mend), "{step:?}");
    }
}
