use std::io::Cursor;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, ServerName, UnixTime as RustlsTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use testkit::{ManualClock, MemoryDisk};

use super::*;

const NOW: i64 = 1_750_000_000;

struct Bench {
    disk: MemoryDisk,
    clock: ManualClock,
}

impl Bench {
    fn new() -> Self {
        Self { disk: MemoryDisk::new(), clock: ManualClock::new(UnixTime::from_secs(NOW)) }
    }

    fn open(&self, names: &[&str]) -> LocalCa {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        LocalCa::open(Arc::new(self.disk.clone()), Arc::new(self.clock.clone()), Path::new("tls"), &names).unwrap()
    }
}

/// A clock for the TLS library.
#[derive(Debug)]
struct FixedTime(Duration);

impl TimeProvider for FixedTime {
    fn current_time(&self) -> Option<RustlsTime> {
        Some(RustlsTime::since_unix_epoch(self.0))
    }
}

/// Whether a client that trusts `ca` alone shakes hands with the server under `name`.
fn shakes_hands(ca_pem: &str, server: &ServerCertificate, name: &str, now: UnixTime) -> bool {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain: Vec<_> = CertificateDer::pem_slice_iter(server.chain_pem.as_bytes()).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(server.key_pem.as_bytes()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let client = ClientConfig::builder_with_details(provider, Arc::new(FixedTime(now.since_epoch())))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        let mut wire = Cursor::new(wire);
        while server.read_tls(&mut wire).unwrap() > 0 {}
        if server.process_new_packets().is_err() {
            return false;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire = Cursor::new(wire);
        while client.read_tls(&mut wire).unwrap() > 0 {}
        if client.process_new_packets().is_err() {
            return false;
        }
    }
    true
}

#[test]
fn clients_that_trust_the_ca_accept_every_name_and_no_other() {
    let bench = Bench::new();
    let ca = bench.open(&["Entra.local", "192.0.2.7", "[2001:db8::7]", "localhost"]);
    let server = ca.server_certificate().unwrap();
    for name in ["localhost", "127.0.0.1", "::1", "entra.local", "192.0.2.7", "2001:db8::7"] {
        assert!(shakes_hands(ca.ca_pem(), &server, name, bench.clock.now()), "{name}");
    }
    for name in ["evil.example", "sub.entra.local", "127.0.0.2"] {
        assert!(!shakes_hands(ca.ca_pem(), &server, name, bench.clock.now()), "{name}");
    }
    let other = Bench::new().open(&[]);
    assert!(!shakes_hands(other.ca_pem(), &server, "localhost", bench.clock.now()), "another installation's CA");
    let late = server.not_after.plus(Duration::from_secs(1));
    assert!(!shakes_hands(ca.ca_pem(), &server, "localhost", late), "expired");
}

#[test]
fn certificates_stay_until_they_must_change() {
    let bench = Bench::new();
    let first = bench.open(&["entra.local"]);
    let (ca_pem, server) = (first.ca_pem().to_owned(), first.server_certificate().unwrap());
    let again = |names: &[&str]| {
        let ca = bench.open(names);
        let server = ca.server_certificate().unwrap();
        (ca.ca_pem() == ca_pem, server)
    };
    let (same_ca, same) = again(&["entra.local"]);
    assert!(same_ca && same.chain_pem == server.chain_pem && same.key_pem == server.key_pem);
    let (same_ca, renamed) = again(&["other.local"]);
    assert!(same_ca && renamed.chain_pem != server.chain_pem, "the names changed");

    bench.clock.advance(SERVER_LIFETIME - RENEW_BEFORE - DAY);
    let (_, kept) = again(&["other.local"]);
    assert_eq!(kept.chain_pem, renamed.chain_pem);
    bench.clock.advance(DAY);
    let (same_ca, renewed) = again(&["other.local"]);
    assert!(same_ca && renewed.chain_pem != renamed.chain_pem, "a month is left");
    assert!(shakes_hands(&ca_pem, &renewed, "other.local", bench.clock.now()));

    bench.clock.advance(CA_LIFETIME - 2 * SERVER_LIFETIME + RENEW_BEFORE);
    let (same_ca, late) = again(&["other.local"]);
    assert!(!same_ca, "it would expire before a certificate of today");
    assert!(shakes_hands(&ca_pem, &late, "other.local", bench.clock.now()), "clients that trust the old one go on");
    assert!(shakes_hands(bench.open(&[]).ca_pem(), &late, "other.local", bench.clock.now()));
}

#[test]
fn broken_files() {
    let bench = Bench::new();
    let ca = bench.open(&[]);
    let ca_pem = ca.ca_pem().to_owned();
    let server = ca.server_certificate().unwrap();
    let put =
        |name: &str, text: &str| files::replace(&bench.disk, &Path::new("tls").join(name), text.as_bytes()).unwrap();
    for (file, text) in [("server.pem", "x"), ("server.pem", ""), ("server-key.pem", "x"), ("server.pem", &ca_pem)] {
        put(file, text);
        let made = bench.open(&[]).server_certificate().unwrap();
        assert!(shakes_hands(&ca_pem, &made, "localhost", bench.clock.now()), "{file} = {text:?}");
        assert_ne!(made.chain_pem, server.chain_pem);
    }
    put("ca.pem", "x");
    assert!(shakes_hands(bench.open(&[]).ca_pem(), &server, "localhost", bench.clock.now()), "it follows from the key");
    put("ca-key.pem", "x");
    let names: [String; 0] = [];
    let broken = LocalCa::open(Arc::new(bench.disk.clone()), Arc::new(bench.clock.clone()), Path::new("tls"), &names);
    assert!(matches!(broken, Err(LocalCaError::Content(path)) if path.ends_with("ca-key.pem")));
}

#[test]
fn names_that_are_none() {
    let bench = Bench::new();
    for name in ["", "a b", "https://a", "a:1", "ü.example"] {
        let opened = LocalCa::open(
            Arc::new(bench.disk.clone()),
            Arc::new(bench.clock.clone()),
            Path::new("tls"),
            &[name.to_owned()],
        );
        assert!(matches!(opened, Err(LocalCaError::Name(_))), "{name:?}");
    }
}

#[test]
fn no_key_is_shown() {
    let ca = Bench::new().open(&[]);
    let server = ca.server_certificate().unwrap();
    assert!(!format!("{ca:?}{server:?}").contains("PRIVATE"));
}
