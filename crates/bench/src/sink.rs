//! Servers inside this process: a sink that answers every request 204, and an endpoint that hands out tokens.
//!
//! A thread per connection and blocking reads: as little work beside the peers' as can be.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::process::pause;

/// TLS for `localhost`, and the certificate in PEM for clients to trust.
pub(crate) fn tls_for_localhost() -> anyhow::Result<(Arc<ServerConfig>, String)> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok((Arc::new(config), made.cert.pem()))
}

/// Starts a server on a free port. Every request is read whole and answered with `answer`.
pub(crate) fn serve(answer: impl Into<Vec<u8>>, tls: Option<Arc<ServerConfig>>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let answer: Arc<[u8]> = answer.into().into();
    accept(listener, move |stream| {
        let respond = |stream: &mut dyn Write| stream.write_all(&answer);
        match &tls {
            Some(config) => {
                serve_connection(StreamOwned::new(ServerConnection::new(Arc::clone(config))?, stream), respond)
            }
            None => serve_connection(stream, respond),
        }
    });
    Ok(address)
}

/// A data collection endpoint at some distance, which can be down.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    round_trip: Duration,
    down: AtomicBool,
    taken: AtomicU64,
    first_taken: OnceLock<Instant>,
}

impl Endpoint {
    /// Starts one on a free port. Answers 204 when `round_trip` has passed since the request was there; while it is down, 503 at once.
    pub(crate) fn start(round_trip: Duration, down: bool) -> anyhow::Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let endpoint = Arc::new(Self {
            address: listener.local_addr()?,
            round_trip,
            down: AtomicBool::new(down),
            taken: AtomicU64::new(0),
            first_taken: OnceLock::new(),
        });
        let serving = Arc::clone(&endpoint);
        accept(listener, move |stream| serve_connection(stream, |stream| serving.respond(stream)));
        Ok(endpoint)
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    /// Requests answered 204.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// When the first request that it took was there.
    pub(crate) fn first_taken(&self) -> Option<Instant> {
        self.first_taken.get().copied()
    }

    fn respond(&self, stream: &mut dyn Write) -> std::io::Result<()> {
        if self.down.load(Ordering::Relaxed) {
            return stream.write_all(UNAVAILABLE);
        }
        self.first_taken.get_or_init(Instant::now);
        pause(self.round_trip);
        self.taken.fetch_add(1, Ordering::Relaxed);
        stream.write_all(NO_CONTENT.as_bytes())
    }
}

/// What an endpoint answers that took the request.
pub(crate) const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\nx-ms-request-id: 2f3d5c1e-0000-4000-8000-000000000000\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\n\r\n";
const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// A thread for each connection.
fn accept(listener: TcpListener, serve: impl Fn(TcpStream) -> anyhow::Result<()> + Send + Sync + 'static) {
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || {
                let _ = stream.set_nodelay(true);
                // Ends when the peer closes, which is no news.
                let _ = serve(stream);
            });
        }
    });
}

fn serve_connection(
    mut stream: impl Read + Write,
    respond: impl Fn(&mut dyn Write) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    let mut filled = 0;
    loop {
        let head = loop {
            if let Some(end) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            filled += read_some(&mut stream, &mut buffer[filled..])?;
        };
        let end = head + content_length(&buffer[..head])?;
        anyhow::ensure!(end <= buffer.len(), "the request is larger than the benchmark sends");
        while filled < end {
            filled += read_some(&mut stream, &mut buffer[filled..])?;
        }
        respond(&mut stream)?;
        stream.flush()?;
        buffer.copy_within(end..filled, 0);
        filled -= end;
    }
}

fn read_some(stream: &mut impl Read, buffer: &mut [u8]) -> anyhow::Result<usize> {
    let read = stream.read(buffer)?;
    anyhow::ensure!(read > 0, "closed");
    Ok(read)
}

fn content_length(head: &[u8]) -> anyhow::Result<usize> {
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    let line = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    line.map_or(Ok(0), |value| value.trim().parse().context("content-length"))
}
