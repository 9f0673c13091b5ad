//! Where senders come in, and what they must bring.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http_serving::CertificateError;
use proxy::ListenToken;
use secrecy::{SecretSlice, SecretString};

use super::{CertificatePem, ListenerSettings, Reader};

impl Reader<'_> {
    pub(super) fn listener(&mut self) -> ListenerSettings {
        ListenerSettings { certificate: self.certificate().map(Arc::new), token: self.listener_token() }
    }

    pub(super) fn listen(&mut self) -> Option<SocketAddr> {
        let port = match self.text("LISTENING_PORT") {
            None => Some(DEFAULT_PORT),
            Some(text) => {
                let port = text.parse::<u16>().ok();
                if port.is_none() {
                    self.mistake(
                        "LISTENING_PORT",
                        format!("{text:?} is not a port: give a number from 0 to 65535, usually 8081"),
                    );
                }
                port
            }
        };
        let address = match self.text("REMORA_LISTEN_ADDRESS") {
            None => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            Some(text) => {
                let address = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
                if address.is_none() {
                    let mend = "give an IP address such as 127.0.0.1, without a port (that is LISTENING_PORT)";
                    self.mistake("REMORA_LISTEN_ADDRESS", format!("{text:?} is not an IP address: {mend}"));
                }
                address
            }
        };
        Some(SocketAddr::new(address?, port?))
    }

    fn listener_token(&mut self) -> Option<SecretString> {
        let token = self.secret_content("REMORA_LISTEN_TOKEN_FILE")?;
        match ListenToken::new(&token) {
            Ok(_) => Some(token),
            Err(error) => {
                self.mistake("REMORA_LISTEN_TOKEN_FILE", error.to_string());
                None
            }
        }
    }

    fn certificate(&mut self) -> Option<CertificatePem> {
        match (self.text(CERTIFICATE), self.text(KEY)) {
            (None, None) => return None,
            (Some(_), Some(_)) => {}
            (Some(_), None) => {
                self.mistake(KEY, "is missing: set it to the PEM file with the certificate's private key");
            }
            (None, Some(_)) => {
                self.mistake(CERTIFICATE, "is missing: set it to the PEM file with the key's certificate");
            }
        }
        let (chain, key) = (self.content(CERTIFICATE), self.content(KEY));
        let ((chain_path, chain), (key_path, key)) = (chain?, key?);
        let pem = CertificatePem { chain, key: SecretSlice::from(key) };
        let (variable, path, mend) = match pem.certificate() {
            Ok(_) => return Some(pem),
            Err(CertificateError::Chain(_) | CertificateError::NoCertificate) => {
                (CERTIFICATE, chain_path, "give a PEM file with at least one CERTIFICATE section")
            }
            Err(CertificateError::Key(_)) => {
                (KEY, key_path, "give a PEM file with a PRIVATE KEY section (PKCS#8, PKCS#1 or SEC1)")
            }
            Err(CertificateError::Mismatch(_)) => (KEY, key_path, "give the key that belongs to the certificate"),
        };
        let error = pem.certificate().expect_err("it was wrong a moment ago");
        self.mistake(variable, format!("{}: {error}: {mend}", path.display()));
        None
    }
}

const CERTIFICATE: &str = "REMORA_LISTEN_TLS_CERTIFICATE";
const KEY: &str = "REMORA_LISTEN_TLS_KEY";
pub(super) const DEFAULT_PORT: u16 = 8081;
