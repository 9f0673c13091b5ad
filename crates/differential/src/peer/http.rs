//! As much of HTTP/1.1 as asking a Prometheus takes: one connection, one request after the other, answers read whole.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

/// An answer.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// Whether the connection takes another request.
    pub(super) keep_alive: bool,
}

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), address })
    }

    pub(super) fn get(&mut self, path: &str) -> anyhow::Result<Response> {
        self.exchange(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).as_bytes())
    }

    /// `headers` are whole lines, each with its end.
    pub(super) fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> anyhow::Result<Response> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.exchange(&[head.as_bytes(), body].concat())
    }

    fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Response> {
        self.stream.get_mut().write_all(request)?;
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("{status_line:?} is no status"))?;
        let (mut length, mut chunked, mut keep_alive) = (None, false, true);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':').map(|(name, value)| (name, value.trim())) {
                None => break,
                Some(("content-length", value)) => length = Some(value.parse::<usize>()?),
                Some(("transfer-encoding", "chunked")) => chunked = true,
                Some(("connection", "close")) => keep_alive = false,
                Some(_) => {}
            }
        }
        let mut body = Vec::new();
        match (chunked, length) {
            (true, _) => while self.chunk(&mut body)? {},
            (false, Some(length)) => self.bytes(length, &mut body)?,
            (false, None) if status == 204 => {}
            (false, None) => bail!("an answer without length"),
        }
        Ok(Response { status, body, keep_alive })
    }

    /// Whether there may be another one.
    fn chunk(&mut self, body: &mut Vec<u8>) -> anyhow::Result<bool> {
        let size = usize::from_str_radix(self.line()?.trim(), 16).context("a chunk without size")?;
        self.bytes(size, body)?;
        // The end of the chunk, or of the (empty) trailer.
        self.line()?;
        Ok(size > 0)
    }

    fn bytes(&mut self, number: usize, body: &mut Vec<u8>) -> anyhow::Result<()> {
        ensure!(body.len() + number <= BODY_BYTES_MAX, "an answer of more than {BODY_BYTES_MAX} bytes");
        let start = body.len();
        body.resize(start + number, 0);
        Ok(self.stream.read_exact(&mut body[start..])?)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = self.stream.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)?;
        ensure!(read > 0 && line.ends_with('\n'), "the connection ended within an answer");
        Ok(line.trim_end().to_owned())
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const BODY_BYTES_MAX: usize = 256 << 20;
const LINE_BYTES_MAX: u64 = 64 << 10;
