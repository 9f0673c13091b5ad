//! The way out: a forward proxy to what is not on this machine, and to nothing else.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use super::support::{Running, ask, eventually, imds};

/// A forward proxy that notes what it is asked for, and opens no tunnel.
fn forward_proxy() -> (SocketAddr, Arc<Mutex<BTreeSet<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let noted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            let _gone = stream.read_line(&mut line);
            noted.lock().unwrap().insert(line.trim().to_owned());
            let _gone = stream.get_mut().write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (address, asked)
}

const WRITE: &str = "POST /api/v1/write HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
const GUID: &str = "11111111-2222-3333-4444-555555555555";

#[test]
fn the_target_and_entra_are_reached_through_the_proxy_and_imds_is_not() {
    let (proxy, asked) = forward_proxy();
    let (proxy, imds) = (format!("http://user:geheim@{proxy}"), format!("http://{}", imds()));
    let listen = [("LISTENING_PORT", "0"), ("REMORA_LISTEN_ADDRESS", "127.0.0.1")];

    let managed = [
        ("INGESTION_URL", "https://ingest.example/w"),
        ("IDENTITY_TYPE", "systemAssigned"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &imds),
        ("https_proxy", &proxy),
        // For plain HTTP to others, which there is none of; it must not be taken for the other.
        ("HTTP_PROXY", "http://127.0.0.1:1"),
    ];
    let running = Running::start(&[&listen[..], &managed].concat());
    running.wait_for_log("Initialization successful");
    assert!(ask(running.address, WRITE).starts_with("HTTP/1.1 503 "));
    assert_eq!(asked.lock().unwrap().iter().collect::<Vec<_>>(), ["CONNECT ingest.example:443 HTTP/1.1"]);
    let (code, log) = running.stop("-TERM");
    assert!(code == Some(0) && !log.contains("geheim"), "{log}");

    asked.lock().unwrap().clear();
    let application = [
        ("INGESTION_URL", "https://ingest.example/w"),
        ("IDENTITY_TYPE", "aadApplication"),
        ("AZURE_CLIENT_ID", GUID),
        ("AZURE_TENANT_ID", GUID),
        ("AZURE_CLIENT_SECRET", "s"),
        ("AZURE_AUTHORITY_HOST", "https://login.example"),
        ("HTTPS_PROXY", &proxy),
        ("NO_PROXY", "ingest.example"),
    ];
    let running = Running::start(&[&listen[..], &application].concat());
    eventually("Entra to be asked for", || !asked.lock().unwrap().is_empty());
    assert!(ask(running.address, WRITE).starts_with("HTTP/1.1 503 "));
    assert_eq!(asked.lock().unwrap().iter().collect::<Vec<_>>(), ["CONNECT login.example:443 HTTP/1.1"]);
    assert_eq!(running.stop("-TERM").0, Some(0));
}
