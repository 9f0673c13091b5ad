//! A connection to a query API, kept alive; answers are read whole and looked at afterwards.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// What a server is asked: a path below its API with parameters.
#[derive(Clone, Debug)]
pub(super) struct Call {
    path: String,
    parameters: Vec<(&'static str, String)>,
}

impl Call {
    pub(super) fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), parameters: Vec::new() }
    }

    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.parameters.push((name, value.to_string()));
        self
    }

    fn target(&self, api: &str) -> String {
        let mut target = format!("{api}/{}", self.path);
        for (index, (name, value)) in self.parameters.iter().enumerate() {
            let separator = if index == 0 { '?' } else { '&' };
            target.push_str(&format!("{separator}{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        }
        target
    }
}

/// See the module's text.
pub(super) struct Client {
    stream: TcpStream,
    address: SocketAddr,
    api: String,
    /// Whole lines, each with its end.
    headers: String,
    /// What is added to each call.
    extra: Option<(&'static str, &'static str)>,
    buffer: Vec<u8>,
}

/// A body, and how long it took from the first byte sent to the last one read.
pub(super) struct Answer<'a> {
    pub(super) body: &'a [u8],
    pub(super) elapsed: Duration,
}

impl Client {
    pub(super) fn connect(
        address: SocketAddr,
        api: &str,
        headers: &str,
        extra: Option<(&'static str, &'static str)>,
    ) -> anyhow::Result<Self> {
        let stream = open(address)?;
        let (api, headers) = (api.to_owned(), headers.to_owned());
        Ok(Self { stream, address, api, headers, extra, buffer: Vec::new() })
    }

    /// Asks, and reads an answer that must be a success.
    pub(super) fn ask(&mut self, call: &Call) -> anyhow::Result<Answer<'_>> {
        let call = self.extra.map_or_else(|| call.clone(), |(name, value)| call.clone().with(name, value));
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\n{}Accept: application/json\r\n\r\n",
            call.target(&self.api),
            self.address,
            self.headers
        );
        self.buffer.clear();
        if self.was_closed()? {
            self.stream = open(self.address)?;
        }
        let started = Instant::now();
        self.stream.write_all(request.as_bytes())?;
        let head_end = self.read_head()?;
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).to_ascii_lowercase();
        let body_end = match field(&head, "content-length") {
            Some(length) => {
                let length: usize = length.parse().context("content-length")?;
                self.read_until(head_end + length)?;
                head_end + length
            }
            None => {
                ensure!(field(&head, "transfer-encoding") == Some("chunked"), "a body of unknown length: {head}");
                self.read_chunks(head_end)?
            }
        };
        let elapsed = started.elapsed();
        let body = &self.buffer[head_end..body_end];
        ensure!(head.starts_with("http/1.1 200"), "{call:?} was answered {head}{}", String::from_utf8_lossy(body));
        Ok(Answer { body, elapsed })
    }

    /// Whether the server has closed the connection, as it does when nothing was asked for a while.
    fn was_closed(&self) -> anyhow::Result<bool> {
        self.stream.set_nonblocking(true)?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        Ok(!matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock))
    }

    fn read_head(&mut self) -> anyhow::Result<usize> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok(end + 4);
            }
            self.read_more()?;
        }
    }

    /// Reads a body in chunks and puts it together in place; where it ends.
    fn read_chunks(&mut self, start: usize) -> anyhow::Result<usize> {
        let (mut end, mut at) = (start, start);
        loop {
            let line = loop {
                if let Some(length) = self.buffer[at..].windows(2).position(|window| window == b"\r\n") {
                    break at + length;
                }
                self.read_more()?;
            };
            let size = std::str::from_utf8(&self.buffer[at..line])?;
            let size =
                usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16).context("a chunk's size")?;
            let data = line + 2;
            self.read_until(data + size + 2)?;
            self.buffer.copy_within(data..data + size, end);
            end += size;
            at = data + size + 2;
            if size == 0 {
                return Ok(end);
            }
        }
    }

    fn read_until(&mut self, length: usize) -> anyhow::Result<()> {
        while self.buffer.len() < length {
            self.read_more()?;
        }
        Ok(())
    }

    fn read_more(&mut self) -> anyhow::Result<()> {
        let have = self.buffer.len();
        self.buffer.resize(have + READ_BYTES, 0);
        let read = self.stream.read(&mut self.buffer[have..]).context("no answer to a query")?;
        self.buffer.truncate(have + read);
        ensure!(read > 0, "the connection was closed in an answer");
        Ok(())
    }
}

fn open(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(stream)
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    head.lines().find_map(value).map(str::trim)
}

const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
const READ_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_closed_connection_is_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Client::connect(listener.local_addr().unwrap(), "", "", None).unwrap();
        assert!(!client.was_closed().unwrap());
        drop(listener.accept().unwrap());
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        });
        while !client.was_closed().unwrap() {
            std::thread::yield_now();
        }
        assert_eq!(client.ask(&Call::new("query")).unwrap().body, b"hi");
        served.join().unwrap();
    }

    #[test]
    fn bodies_of_both_kinds_are_read() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5;x\r\nworld\r\n0\r\n\r\n",
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let served = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let read = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..read]).into_owned()
            });
            let mut client = Client::connect(address, "/api/v1", "X: y\r\n", Some(("nocache", "1"))).unwrap();
            assert_eq!(client.ask(&Call::new("query").with("query", "a b")).unwrap().body, b"hello world");
            assert!(served.join().unwrap().starts_with("GET /api/v1/query?query=a%20b&nocache=1 HTTP/1.1\r\n"));
        }
    }
}
