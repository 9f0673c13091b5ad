//! The endpoint's certificate: whether it is trusted, and if not, why not.
//!
//! The handshake is done by a verifier that writes down its verdict instead of ending the connection, so that a certificate
//! that is not trusted can still be looked at. Nothing but requests for a page and for the time ever goes over such a
//! connection.

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use environment::{Clock, UnixTime};
use host::logging::Rfc3339;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::clock;
use crate::report::{Link, Step};
use crate::text::{excerpt, span};

#[cfg(test)]
mod tests;

/// What became of a handshake.
pub(crate) struct Handshake {
    name: String,
    outcome: Outcome,
}

enum Outcome {
    /// It came to an end; the certificate was found so.
    Done {
        certificate: Option<Certificate>,
        verdict: Result<(), rustls::Error>,
        protocol: Option<rustls::ProtocolVersion>,
    },
    /// It did not.
    Broken(String),
    Silent,
}

/// What a certificate says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Certificate {
    subject: String,
    issuer: String,
    names: Vec<String>,
    not_before: UnixTime,
    not_after: UnixTime,
    /// Certificates sent.
    chain: usize,
}

/// Shakes hands with `name` over `stream`, verifying against `roots` at `clock`'s time.
pub(crate) async fn shake_hands(
    stream: TcpStream,
    name: &str,
    roots: Arc<RootCertStore>,
    clock: Arc<dyn Clock>,
) -> Handshake {
    let outcome = outcome(stream, name, roots, clock).await;
    Handshake { name: name.to_owned(), outcome }
}

async fn outcome(stream: TcpStream, name: &str, roots: Arc<RootCertStore>, clock: Arc<dyn Clock>) -> Outcome {
    let Ok(server_name) = ServerName::try_from(name.trim_start_matches('[').trim_end_matches(']').to_owned()) else {
        return Outcome::Broken(format!("{name} cannot stand in a certificate"));
    };
    let recorder = match WebPkiServerVerifier::builder_with_provider(roots, host::tls::provider()).build() {
        Ok(verifier) => Arc::new(Recorder { verifier, clock: Some(clock), seen: Mutex::new(None) }),
        Err(error) => return Outcome::Broken(format!("no certificate authorities to verify with: {error}")),
    };
    let connector = TlsConnector::from(config(recorder.clone()));
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, connector.connect(server_name, stream)).await {
        Ok(Ok(session)) => {
            let protocol = session.get_ref().1.protocol_version();
            let seen = recorder.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
            let (certificate, verdict) = seen.unwrap_or((None, Ok(())));
            Outcome::Done { certificate, verdict, protocol }
        }
        Ok(Err(error)) => Outcome::Broken(excerpt(error.to_string().as_bytes(), "", 200)),
        Err(_) => Outcome::Silent,
    }
}

/// TLS settings that accept any certificate. For requests that hold no secret and answers that decide nothing but words.
pub(crate) fn accepting_any() -> Arc<ClientConfig> {
    let roots = host::tls::roots(None).expect("the built-in authorities need no file");
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, host::tls::provider())
        .build()
        .expect("there are built-in authorities");
    config(Arc::new(Recorder { verifier, clock: None, seen: Mutex::new(None) }))
}

fn config(recorder: Arc<Recorder>) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(host::tls::provider())
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(recorder)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Verifies, writes down the verdict, and lets the handshake go on.
struct Recorder {
    verifier: Arc<WebPkiServerVerifier>,
    /// None where nobody asks for the verdict.
    clock: Option<Arc<dyn Clock>>,
    seen: Mutex<Option<Seen>>,
}

/// The certificate, if it can be read, and what the verifier says.
type Seen = (Option<Certificate>, Result<(), rustls::Error>);

impl Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: rustls_pki_types::UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(clock) = &self.clock {
            let now = rustls_pki_types::UnixTime::since_unix_epoch(clock.now().since_epoch());
            let verdict = self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
            let certificate = Certificate::read(end_entity, 1 + intermediates.len());
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((certificate, verdict.map(|_| ())));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

impl Certificate {
    fn read(der: &[u8], chain: usize) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let shown = |name: &x509_parser::x509::X509Name<'_>| excerpt(name.to_string().as_bytes(), "", 120);
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        let names = alternatives.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(excerpt(name.as_bytes(), "", 80)),
            GeneralName::IPAddress([a, b, c, d]) => Some(format!("{a}.{b}.{c}.{d}")),
            _ => None,
        });
        let validity = certificate.validity();
        Some(Self {
            subject: shown(certificate.subject()),
            issuer: shown(certificate.issuer()),
            names: names.take(NAMES_MAX).collect(),
            not_before: UnixTime::from_secs(validity.not_before.timestamp()),
            not_after: UnixTime::from_secs(validity.not_after.timestamp()),
            chain,
        })
    }

    fn is_self_signed(&self) -> bool {
        self.subject == self.issuer && self.chain == 1
    }
}

impl Handshake {
    /// Whether there was one, so that the server can be asked for its time.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.outcome, Outcome::Done { .. })
    }

    /// Whether the server is the one it should be.
    pub(crate) fn is_trusted(&self) -> bool {
        matches!(self.outcome, Outcome::Done { verdict: Ok(()), .. })
    }

    /// What was found, at `now` here and `there` at the server. Whether a certificate has expired or the clock is wrong shows
    /// only when both are known.
    pub(crate) fn judge(&self, now: UnixTime, there: Option<UnixTime>) -> Step {
        let name = &self.name;
        match &self.outcome {
            Outcome::Silent => {
                let finding = format!("{name} does not end the TLS handshake within {} s", HANDSHAKE_TIMEOUT.as_secs());
                let mend = "look for a firewall that inspects TLS, or for a path with a smaller packet size (MTU)";
                Step::failed(Link::Tls, finding, mend)
            }
            Outcome::Broken(text) => {
                let finding = format!("the TLS handshake with {name} fails: {text}");
                Step::failed(Link::Tls, finding, broken_mend(text))
            }
            Outcome::Done { certificate, verdict, protocol } => {
                let step = match verdict {
                    Ok(()) => trusted(name, certificate.as_ref(), now),
                    Err(error) => distrusted(name, certificate.as_ref(), error, now, there),
                };
                let step = step.with_some("protocol", protocol.as_ref().and_then(|protocol| protocol.as_str()));
                certificate.iter().fold(step, |step, certificate| {
                    step.with("subject", &certificate.subject)
                        .with("issuer", &certificate.issuer)
                        .with("names", certificate.names.join(", "))
                        .with("not_before", Rfc3339(certificate.not_before))
                        .with("not_after", Rfc3339(certificate.not_after))
                        .with("certificates_sent", certificate.chain)
                })
            }
        }
    }
}

fn trusted(name: &str, certificate: Option<&Certificate>, now: UnixTime) -> Step {
    let Some(certificate) = certificate else { return Step::ok(Link::Tls, format!("{name} is trusted")) };
    let left = certificate.not_after.since(now);
    let finding = format!("{name} is trusted; its certificate is valid for {} more", span(left));
    if left < EXPIRES_SOON {
        let mend = "have whoever runs the endpoint renew its certificate before then";
        return Step::warning(Link::Tls, finding, mend);
    }
    Step::ok(Link::Tls, finding)
}

fn distrusted(
    name: &str,
    certificate: Option<&Certificate>,
    error: &rustls::Error,
    now: UnixTime,
    there: Option<UnixTime>,
) -> Step {
    let failed = |finding: String, mend: &str| Step::failed(Link::Tls, finding, mend);
    let clock_is_wrong = there.is_some_and(|there| clock::is_wrong(now, there));
    let times = |what: &str, at: Option<UnixTime>, else_mend: &str| {
        let at = at.map(|at| format!(" ({})", Rfc3339(at))).unwrap_or_default();
        if clock_is_wrong {
            let finding = format!("the certificate of {name} seems {what}{at}, but this machine's clock is wrong");
            failed(finding, "set this machine's clock: see the link `clock`")
        } else {
            failed(format!("the certificate of {name} is {what}{at}"), else_mend)
        }
    };
    let rustls::Error::InvalidCertificate(reason) = error else {
        return failed(
            format!("the certificate of {name} is not accepted: {error}"),
            "show this to whoever runs the endpoint",
        );
    };
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => times(
            "expired",
            certificate.map(|c| c.not_after),
            "renew the endpoint's certificate; of a proxy that inspects TLS, its own",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => times(
            "not valid yet",
            certificate.map(|c| c.not_before),
            "wait until then, or set this machine's clock if it is late",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let names = certificate.map(|c| c.names.join(", ")).unwrap_or_default();
            let finding = format!("the certificate is for another host than {name}: {names}");
            failed(
                finding,
                "check the host of INGESTION_URL, and that DNS or the hosts file leads to the right machine",
            )
        }
        CertificateError::UnknownIssuer if certificate.is_some_and(Certificate::is_self_signed) => failed(
            format!("the certificate of {name} is signed by itself, not by an authority"),
            "if it is the right one, put it into a PEM file and name that in SSL_CERT_FILE",
        ),
        CertificateError::BadSignature => {
            let issuer = certificate.map(|c| c.issuer.clone()).unwrap_or_default();
            let finding = format!(
                "the certificate of {name} comes from an authority that has the name of a trusted one, but another key: {issuer}"
            );
            failed(
                finding,
                "the authority was made anew: put its new certificate into the PEM file that SSL_CERT_FILE names",
            )
        }
        CertificateError::UnknownIssuer => {
            let issuer = certificate.map(|c| c.issuer.clone()).unwrap_or_default();
            let finding = format!("the certificate of {name} comes from an authority that is not trusted: {issuer}");
            failed(
                finding,
                "if that is your own authority or an inspecting proxy's, name its PEM file in SSL_CERT_FILE; if the \
                 server leaves out intermediate certificates, have it send them",
            )
        }
        CertificateError::Revoked => {
            failed(format!("the certificate of {name} is revoked"), "replace the endpoint's certificate")
        }
        other => failed(
            format!("the certificate of {name} is not accepted: {other}"),
            "show this to whoever runs the endpoint",
        ),
    }
}

fn broken_mend(text: &str) -> &'static str {
    if text.contains("InvalidContentType") || text.contains("corrupt message") {
        "what answers there does not speak TLS: check the port of INGESTION_URL, or use http for a service on loopback"
    } else if text.contains("eof") || text.contains("reset") || text.contains("unexpected end") {
        "something ends the connection: a firewall that filters by host name, or a proxy that must be used (HTTPS_PROXY)"
    } else {
        "look for a firewall or proxy that inspects TLS and does not speak TLS 1.2 or newer"
    }
}

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(6);
const EXPIRES_SOON: Duration = Duration::from_secs(7 * 86_400);
const NAMES_MAX: usize = 8;
