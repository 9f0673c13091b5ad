//! A load: every series once per scrape, over a few connections kept alive, each request after the answer to the one before.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::fleet;
use super::issuer::since_1970;
use super::request::Template;

/// What is sent: how many series, how often, how far apart.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) series: usize,
    pub(crate) scrapes: u64,
    pub(crate) interval: Duration,
    /// How old the newest sample is when the load is made.
    pub(crate) age: Duration,
    pub(crate) seed: u64,
}

impl Shape {
    pub(crate) fn samples(&self) -> u64 {
        self.series as u64 * self.scrapes
    }
}

/// A series that is asked for afterwards, and what must be found.
pub(crate) struct Probe {
    pub(crate) labels: Vec<(&'static str, String)>,
    request: usize,
    index: usize,
}

/// Cluster and name of the series of a metric.
pub(crate) type Family = [String; 2];

/// All requests of a scrape, ready to be made those of the next.
pub(crate) struct Load {
    shape: Shape,
    requests: Vec<Template>,
    newest_ms: u64,
    probes: Vec<Probe>,
    families: BTreeSet<Family>,
    /// Bytes of the first scrape, as they were sent and decoded.
    pub(crate) compressed_bytes: usize,
}

impl Load {
    /// Makes the series, whose newest sample is as old as the shape says.
    pub(crate) fn new(shape: Shape) -> Self {
        Self::ending_at(shape, (since_1970().as_secs() - shape.age.as_secs()) * 1000)
    }

    /// The same with the time of the newest sample given.
    pub(crate) fn ending_at(shape: Shape, newest_ms: u64) -> Self {
        let per_request = SERIES_PER_REQUEST_MAX.min(shape.series.div_ceil(CONNECTIONS)).max(1);
        let mut load = Self {
            shape,
            requests: Vec::new(),
            newest_ms,
            probes: Vec::new(),
            families: BTreeSet::new(),
            compressed_bytes: 0,
        };
        for (number, series) in fleet::series().take(shape.series).enumerate() {
            let (request, index) = (number / per_request, number % per_request);
            if index == 0 {
                load.requests.push(Template::new(shape.seed << 32 | request as u64));
            }
            load.requests[request].add(&series);
            load.families.insert(["cluster", "__name__"].map(|name| series.label(name).to_owned()));
            if number % (shape.series / PROBES).max(1) == 0 || number + 1 == shape.series {
                load.probes.push(Probe { labels: series.labels, request, index });
            }
        }
        load
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    pub(crate) fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// All there are.
    pub(crate) fn families(&self) -> impl Iterator<Item = &Family> {
        self.families.iter()
    }

    /// The value of the newest sample of a probe.
    pub(crate) fn newest_value(&self, probe: &Probe) -> f64 {
        self.requests[probe.request].value(probe.index)
    }

    /// The timestamp of the last scrape.
    pub(crate) fn newest_ms(&self) -> u64 {
        self.newest_ms
    }

    /// Bytes of all messages of a scrape, decoded.
    pub(crate) fn decoded_bytes(&self) -> usize {
        self.requests.iter().map(|request| request.message().len()).sum()
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.len()
    }

    /// Sends one scrape and returns when all of it is answered.
    pub(crate) fn send(&mut self, scrape: u64, connections: &mut [Connection]) -> anyhow::Result<()> {
        let before_newest = self.shape.interval.as_millis() as u64 * (self.shape.scrapes - 1 - scrape);
        let timestamp_ms = self.newest_ms - before_newest;
        let mut shares: Vec<Vec<&mut Template>> = connections.iter().map(|_| Vec::new()).collect();
        for (index, request) in self.requests.iter_mut().enumerate() {
            // The same connection for the same series, so that their samples stay in order.
            shares[index % connections.len()].push(request);
        }
        let sent = std::thread::scope(|scope| {
            let senders: Vec<_> = connections
                .iter_mut()
                .zip(shares)
                .map(|(connection, requests)| {
                    scope.spawn(move || {
                        let mut bytes = 0;
                        for request in requests {
                            request.advance(scrape, timestamp_ms);
                            bytes += connection.post(request.message())?;
                        }
                        anyhow::Ok(bytes)
                    })
                })
                .collect();
            let mut bytes = 0;
            for sender in senders {
                bytes += sender.join().ok().context("a sender panicked")??;
            }
            anyhow::Ok(bytes)
        })
        .with_context(|| format!("scrape {scrape}"))?;
        if scrape == 0 {
            self.compressed_bytes = sent;
        }
        Ok(())
    }
}

/// A connection to a receiver, kept alive.
pub(crate) struct Connection {
    stream: TcpStream,
    head: String,
    encoder: snap::raw::Encoder,
    buffer: Vec<u8>,
}

impl Connection {
    /// `headers` are whole lines, each with its end.
    pub(crate) fn open(address: SocketAddr, path: &str, headers: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: Prometheus/2.42.0\r\nContent-Encoding: snappy\r\n\
             Content-Type: application/x-protobuf\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n{headers}"
        );
        Ok(Self { stream, head, encoder: snap::raw::Encoder::new(), buffer: Vec::new() })
    }

    /// Sends a message and reads the answer, which must be a success. Returns the bytes of the body.
    pub(crate) fn post(&mut self, message: &[u8]) -> anyhow::Result<usize> {
        self.buffer.resize(snap::raw::max_compress_len(message.len()), 0);
        let bytes = self.encoder.compress(message, &mut self.buffer)?;
        let head = format!("{}Content-Length: {bytes}\r\n\r\n", self.head);
        self.stream.write_all(head.as_bytes())?;
        self.stream.write_all(&self.buffer[..bytes])?;
        self.read_answer()?;
        Ok(bytes)
    }

    fn read_answer(&mut self) -> anyhow::Result<()> {
        let mut answer = Vec::new();
        let head = loop {
            if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.read_more(&mut answer)?;
        };
        let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(Ok(0), |value| value.trim().parse()).context("content-length")?;
        while answer.len() < head + length {
            self.read_more(&mut answer)?;
        }
        ensure!(answer.len() == head + length, "more than an answer");
        if !text.starts_with("http/1.1 2") {
            bail!("a write was answered {:?}", String::from_utf8_lossy(&answer));
        }
        Ok(())
    }

    fn read_more(&mut self, answer: &mut Vec<u8>) -> anyhow::Result<()> {
        let mut buffer = [0; 4096];
        let read = self.stream.read(&mut buffer).context("no answer to a write")?;
        ensure!(read > 0, "the connection was closed after {:?}", String::from_utf8_lossy(answer));
        answer.extend_from_slice(&buffer[..read]);
        Ok(())
    }
}

/// How many connections a load is sent over.
pub(crate) const CONNECTIONS: usize = 4;
const SERIES_PER_REQUEST_MAX: usize = 2000;
const PROBES: usize = 5;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
