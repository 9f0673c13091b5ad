//! As much of HTTP/1.1 as the sink, the token endpoint and the senders of these tests need: blocking, keep-alive, bodies by
//! their length.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A request or an answer.
#[derive(Debug, Default)]
pub(crate) struct Message {
    /// The first line, without its end.
    pub(crate) start: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// The value of a header; its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One side of a connection.
pub(crate) struct Connection<S = TcpStream>(BufReader<S>);

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Connects, and bounds every later wait for bytes.
    pub(crate) fn open(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self::new(stream))
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }
}

impl<S: Read + Write> Connection<S> {
    /// Over something that is more than a socket.
    pub(crate) fn over(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    /// The next message; `None` where the other side closed between messages.
    pub(crate) fn read(&mut self) -> io::Result<Option<Message>> {
        let mut message = Message::default();
        if !self.line(&mut message.start)? {
            return Ok(None);
        }
        loop {
            let mut line = String::new();
            if !self.line(&mut line)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
            message.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        assert_eq!(message.header("transfer-encoding"), None, "the sidecar names the length of what it sends");
        let length = message.header("content-length").map_or(0, |length| length.parse().unwrap());
        message.body.resize(length, 0);
        self.0.read_exact(&mut message.body)?;
        Ok(Some(message))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Sends a request and reads its answer, also where that comes before the request has gone.
    pub(crate) fn ask(&mut self, head: &str, body: &[u8]) -> io::Result<Message> {
        let mut bytes = format!("{head}Host: localhost\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        let written = self.write(&bytes);
        match self.read() {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(written.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())),
            Err(error) => Err(written.err().unwrap_or(error)),
        }
    }

    fn line(&mut self, line: &mut String) -> io::Result<bool> {
        if self.0.read_line(line)? == 0 {
            return Ok(false);
        }
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        Ok(true)
    }
}

/// A GET on a connection of its own; `None` where no answer came.
pub(crate) fn get(port: u16, path: &str) -> Option<Message> {
    let mut connection = Connection::open(([127, 0, 0, 1], port).into(), Duration::from_secs(10)).ok()?;
    connection.ask(&format!("GET {path} HTTP/1.1\r\nConnection: close\r\n"), &[]).ok()
}

/// An answer with a body of known length. Give further headers whole, each with its line end.
pub(crate) fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    // 1xx, 204 and 304 have no body and say no length.
    let length =
        if status == 204 || status == 304 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let mut bytes = format!("HTTP/1.1 {status} Said\r\n{headers}{length}\r\n").into_bytes();
    if !length.is_empty() {
        bytes.extend_from_slice(body);
    }
    bytes
}

/// The body of an answer to a GET in HTTP/1.0, which ends where the connection does.
pub(crate) fn get_to_end(port: u16, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    answer.drain(..head + 4);
    Ok(answer)
}
