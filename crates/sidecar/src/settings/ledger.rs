//! What the ledger's subcommands need of the settings; all else may be wrong.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use secrecy::SecretString;

use super::{Reader, config_path};

/// Where the ledger is, and how the sidecar beside it is reached.
pub(crate) struct LedgerSettings {
    /// The queue's directory, if one is set.
    pub(crate) queue_directory: Option<PathBuf>,
    /// What writes must bring.
    pub(crate) token: Option<SecretString>,
    /// Whom to trust.
    pub(crate) roots: Arc<RootCertStore>,
    listen: Option<SocketAddr>,
    tls: bool,
}

impl LedgerSettings {
    pub(crate) fn load(lookup: &dyn Fn(&str) -> Option<String>, config: Option<&Path>) -> Self {
        let mut reader = Reader::new(lookup, config_path(lookup, config).as_deref(), &|| false);
        Self {
            queue_directory: reader.path("REMORA_QUEUE_DIR"),
            token: reader.secret_content("REMORA_LISTEN_TOKEN_FILE"),
            roots: reader.roots().unwrap_or_else(|| Arc::new(RootCertStore::empty())),
            listen: reader.listen(),
            tls: reader.text("REMORA_LISTEN_TLS_CERTIFICATE").is_some(),
        }
    }

    /// Where the sidecar on this machine takes writes.
    pub(crate) fn write_url(&self) -> String {
        let listen =
            self.listen.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), super::listener::DEFAULT_PORT));
        let host = match listen.ip() {
            // Names of certificates are seldom addresses.
            _ if self.tls => "localhost".to_owned(),
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) | IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.to_string(),
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        format!("{}://{host}:{}/api/v1/write", if self.tls { "https" } else { "http" }, listen.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sidecar_of_this_machine_is_found_whatever_else_is_wrong() {
        for (variables, url) in [
            (vec![], "http://127.0.0.1:8081/api/v1/write"),
            (
                vec![("LISTENING_PORT", "9000"), ("REMORA_LISTEN_ADDRESS", "0.0.0.0")],
                "http://127.0.0.1:9000/api/v1/write",
            ),
            (vec![("REMORA_LISTEN_ADDRESS", "::1")], "http://[::1]:8081/api/v1/write"),
            (vec![("REMORA_LISTEN_ADDRESS", "10.0.0.7")], "http://10.0.0.7:8081/api/v1/write"),
            (vec![("REMORA_LISTEN_TLS_CERTIFICATE", "/c")], "https://localhost:8081/api/v1/write"),
            (vec![("LISTENING_PORT", "x"), ("SSL_CERT_FILE", "/none")], "http://127.0.0.1:8081/api/v1/write"),
        ] {
            let lookup =
                |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, text)| (*text).to_owned());
            let settings = LedgerSettings::load(&lookup, None);
            assert_eq!(settings.write_url(), url, "{variables:?}");
            assert!(settings.queue_directory.is_none());
        }
    }
}
