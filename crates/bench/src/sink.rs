//! Servers inside this process: a sink that answers every request 204, and an endpoint that hands out tokens.
//!
//! A thread per connection and blocking reads: as little work beside the peers' as can be.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::Context as _;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

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
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answer, tls) = (Arc::clone(&answer), tls.clone());
            std::thread::spawn(move || {
                let _ = stream.set_nodelay(true);
                // Ends when the peer closes, which is no news.
                let _ = match tls {
                    Some(config) => serve_tls(stream, config, &answer),
                    None => serve_connection(stream, &answer),
                };
            });
        }
    });
    Ok(address)
}

fn serve_tls(stream: TcpStream, config: Arc<ServerConfig>, answer: &[u8]) -> anyhow::Result<()> {
    serve_connection(StreamOwned::new(ServerConnection::new(config)?, stream), answer)
}

fn serve_connection(mut stream: impl Read + Write, answer: &[u8]) -> anyhow::Result<()> {
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
        stream.write_all(answer)?;
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
