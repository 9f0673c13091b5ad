//! Senders: keep-alive connections that write the same requests over and over, at full speed or at a steady rate.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
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

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// After this time.
    Passed(Duration),
    /// When every request was sent this many times.
    Sent(usize),
}

/// What was measured of one run.
pub(crate) struct Measured {
    pub(crate) requests: u64,
    /// From the first byte written to the last of the answer read, in milliseconds.
    pub(crate) latencies_ms: Vec<f64>,
}

/// A write request with this body, as Prometheus sends it.
pub(crate) fn write_request(body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: localhost:8081\r\nUser-Agent: Prometheus/2.42.0\r\n\
         Content-Length: {}\r\nContent-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
         X-Prometheus-Remote-Write-Version: 0.1.0\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// So many bytes that do not compress.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    });
    noise.take(bytes).collect()
}

/// Connections that stay open from run to run, as those of real senders do.
pub(crate) struct Senders {
    streams: Vec<TcpStream>,
}

impl Senders {
    /// Opens `count` connections to `address`.
    pub(crate) fn connect(address: SocketAddr, count: u32) -> anyhow::Result<Self> {
        let connect = |_| {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            Ok(stream)
        };
        Ok(Self { streams: (0..count).map(connect).collect::<anyhow::Result<_>>()? })
    }

    /// Sends `requests` in turns: the first of them over the first connection and so on, then the next so many, and from
    /// the start again.
    pub(crate) fn run(&mut self, requests: &[Vec<u8>], pace: Pace, until: Until) -> anyhow::Result<Measured> {
        let started = Instant::now();
        let count = self.streams.len();
        let connections = count as f64;
        let per_connection = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..)
                .zip(&mut self.streams)
                .map(|(index, stream)| {
                    let schedule = match pace {
                        Pace::FullSpeed => None,
                        Pace::PerSecond(rate) => {
                            let interval = Duration::from_secs_f64(connections / rate);
                            // Spread over the interval.
                            Some(Schedule { first: interval.mul_f64(f64::from(index) / connections), interval })
                        }
                    };
                    let (first, total) = match until {
                        Until::Passed(_) => (index as usize, usize::MAX),
                        Until::Sent(times) => (index as usize, times * requests.len()),
                    };
                    let turns = (first..total).step_by(count).map(|turn| &requests[turn % requests.len()][..]);
                    let end = match until {
                        Until::Passed(span) => Some(started + span),
                        Until::Sent(_) => None,
                    };
                    scope.spawn(move || send(stream, turns, schedule, started, end))
                })
                .collect();
            senders
                .into_iter()
                .map(|sender| sender.join().ok().context("a sender panicked")?)
                .collect::<anyhow::Result<Vec<_>>>()
        })?;
        let latencies_ms = per_connection.concat();
        Ok(Measured { requests: latencies_ms.len() as u64, latencies_ms })
    }
}

/// When the requests of one connection are due.
#[derive(Clone, Copy)]
struct Schedule {
    first: Duration,
    interval: Duration,
}

/// Sends one request after the other until `end`; returns how long each took.
fn send<'r>(
    stream: &mut TcpStream,
    requests: impl Iterator<Item = &'r [u8]>,
    schedule: Option<Schedule>,
    started: Instant,
    end: Option<Instant>,
) -> anyhow::Result<Vec<f64>> {
    let mut latencies_ms = Vec::new();
    let mut due = started + schedule.map_or(Duration::ZERO, |schedule| schedule.first);
    for request in requests {
        if end.is_some_and(|end| Instant::now() >= end) {
            break;
        }
        if let Some(schedule) = schedule {
            pause(due.saturating_duration_since(Instant::now()));
            due += schedule.interval;
        }
        let sent = Instant::now();
        stream.write_all(request)?;
        read_answer(stream)?;
        latencies_ms.push(sent.elapsed().as_secs_f64() * 1e3);
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
