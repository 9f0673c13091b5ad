//! Senders: keep-alive connections that write the same request over and over, at full speed or at a steady rate.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::process::pause;

/// How requests follow each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Each when the one before it is answered.
    FullSpeed,
    /// This many a second over all connections.
    PerSecond(f64),
}

/// What was measured of one run.
pub(crate) struct Measured {
    pub(crate) requests: u64,
    /// From the first byte written to the last of the answer read, in milliseconds.
    pub(crate) latencies_ms: Vec<f64>,
}

/// A write request with a body of `body_bytes` bytes that do not compress.
pub(crate) fn write_request(body_bytes: usize) -> Vec<u8> {
    let mut request = format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: localhost:8081\r\nUser-Agent: Prometheus/2.42.0\r\n\
         Content-Length: {body_bytes}\r\nContent-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
         X-Prometheus-Remote-Write-Version: 0.1.0\r\n\r\n"
    )
    .into_bytes();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    request.extend(
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .take(body_bytes),
    );
    request
}

/// Sends `request` to `address` over `connections` connections for `span`.
pub(crate) fn run(
    address: SocketAddr,
    request: &Arc<[u8]>,
    connections: u32,
    pace: Pace,
    span: Duration,
) -> anyhow::Result<Measured> {
    let started = Instant::now();
    let total = Arc::new(AtomicU64::new(0));
    let senders: Vec<_> = (0..connections)
        .map(|index| {
            let (request, total) = (Arc::clone(request), Arc::clone(&total));
            std::thread::spawn(move || {
                let schedule = match pace {
                    Pace::FullSpeed => None,
                    Pace::PerSecond(rate) => {
                        let interval = Duration::from_secs_f64(f64::from(connections) / rate);
                        Some((interval.mul_f64(f64::from(index) / f64::from(connections)), interval))
                    }
                };
                send(address, &request, schedule, started, span, &total)
            })
        })
        .collect();
    let mut latencies_ms = Vec::new();
    for sender in senders {
        latencies_ms.extend(sender.join().ok().context("a sender panicked")??);
    }
    Ok(Measured { requests: total.load(Ordering::Relaxed), latencies_ms })
}

fn send(
    address: SocketAddr,
    request: &[u8],
    schedule: Option<(Duration, Duration)>,
    started: Instant,
    span: Duration,
    total: &AtomicU64,
) -> anyhow::Result<Vec<f64>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut latencies_ms = Vec::new();
    let mut due = started + schedule.map_or(Duration::ZERO, |(offset, _)| offset);
    while started.elapsed() < span {
        if let Some((_, interval)) = schedule {
            pause(due.saturating_duration_since(Instant::now()));
            due += interval;
        }
        let sent = Instant::now();
        stream.write_all(request)?;
        read_answer(&mut stream)?;
        latencies_ms.push(sent.elapsed().as_secs_f64() * 1e3);
        total.fetch_add(1, Ordering::Relaxed);
    }
    Ok(latencies_ms)
}

/// Reads one answer without a body.
fn read_answer(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut buffer = [0; 4096];
    let mut filled = 0;
    while !buffer[..filled].ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut buffer[filled..]).context("no answer")?;
        if read == 0 {
            bail!("the connection was closed after {:?}", String::from_utf8_lossy(&buffer[..filled]));
        }
        filled += read;
    }
    if !buffer.starts_with(b"HTTP/1.1 204") {
        bail!("not a 204: {:?}", String::from_utf8_lossy(&buffer[..filled]));
    }
    Ok(())
}
