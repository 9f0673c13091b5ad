//! A proxy between a scripted upstream and a client that writes bytes, all on loopback sockets.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use environment::{BoxFuture, Clock};
use host::{Connector, HostClock, HostRng};
use identity::{AccessToken, Credential, Scope, TokenCache, TokenError, TokenErrorKind};
use proxy::{Limits, Listen, Parts, Proxy, ProxyHandle, QueryUpstream, QueueParts};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long a test waits for what is to come: longer than a disk that takes seconds to sync, as it does beside a build. Room
/// in a full queue, for one, is there only after what was settled has been synced.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What asking for a token comes to.
#[derive(Clone, Copy, Debug)]
pub enum Issuer {
    /// `token-1`, `token-2`, …
    Renews,
    /// `token-1` again and again, as an instance metadata service does that caches.
    Repeats,
    /// This many tokens, then failures.
    Fails { after: u64 },
}

/// Does what its issuer does.
pub struct CountingCredential {
    clock: Arc<dyn Clock>,
    count: AtomicU64,
    issuer: Issuer,
}

impl Credential for CountingCredential {
    fn fetch<'a>(&'a self, _: &'a Scope) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        Box::pin(async move {
            let asked = self.count.fetch_add(1, Ordering::Relaxed) + 1;
            let number = match self.issuer {
                Issuer::Fails { after } if asked > after => {
                    return Err(TokenError::new(TokenErrorKind::Refused, "counting", "no identity here"));
                }
                Issuer::Repeats => 1,
                Issuer::Renews | Issuer::Fails { .. } => asked,
            };
            let token = format!("token-{number}");
            Ok(AccessToken::new(&token, self.clock.now(), Duration::from_secs(3600), None).unwrap())
        })
    }

    fn describe(&self) -> String {
        "counting 66666666-7777-8888-9999-000000000000".to_owned()
    }

    fn kind(&self) -> &'static str {
        "counting"
    }
}

/// What the upstream does with one connection's next request.
#[derive(Clone)]
pub enum Step {
    /// Read the request, write these bytes.
    Answer(String),
    /// Read the request, write these bytes, close.
    AnswerAndClose(String),
    /// Read the request, write these bytes, a moment apart.
    AnswerInPieces(&'static [&'static str]),
    /// Read the request and close without a word.
    Close,
    /// Write these bytes once the head is there, without reading the body, and leave the connection open.
    AnswerEarly(String),
    /// Never answer.
    Hang,
}

pub fn ok() -> Step {
    Step::Answer("HTTP/1.1 204 No Content\r\n\r\n".to_owned())
}

/// A request as the upstream read it.
#[derive(Clone, Debug)]
pub struct Received {
    pub head: String,
    pub body: Vec<u8>,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

pub struct Upstream {
    pub address: SocketAddr,
    pub requests: Arc<Mutex<Vec<Received>>>,
    pub connections: Arc<AtomicU64>,
}

impl Upstream {
    /// Follows `script` request by request, over all connections; then answers 204 for ever.
    pub async fn start(script: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script: Arc<Mutex<VecDeque<Step>>> = Arc::new(Mutex::new(script.into_iter().collect()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicU64::new(0));
        let (seen, count) = (Arc::clone(&requests), Arc::clone(&connections));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let connection = count.fetch_add(1, Ordering::SeqCst) as usize;
                tokio::spawn(serve(stream, connection, Arc::clone(&script), Arc::clone(&seen)));
            }
        });
        Self { address, requests, connections }
    }

    pub fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    script: Arc<Mutex<VecDeque<Step>>>,
    seen: Arc<Mutex<Vec<Received>>>,
) {
    let mut buffer = Vec::new();
    loop {
        let Some(head) = read_until_empty_line(&mut stream, &mut buffer).await else { return };
        let step = script.lock().unwrap().pop_front().unwrap_or_else(ok);
        if let Step::AnswerEarly(answer) = &step {
            seen.lock().unwrap().push(Received { head, body: Vec::new(), connection });
            stream.write_all(answer.as_bytes()).await.unwrap();
            return std::future::pending().await;
        }
        let Some(body) = read_body(&mut stream, &mut buffer, &head).await else { return };
        seen.lock().unwrap().push(Received { head, body, connection });
        match step {
            Step::Answer(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
            Step::AnswerAndClose(answer) => return stream.write_all(answer.as_bytes()).await.unwrap(),
            Step::AnswerInPieces(pieces) => {
                for piece in pieces {
                    stream.write_all(piece.as_bytes()).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Step::Close => return,
            Step::AnswerEarly(_) | Step::Hang => std::future::pending().await,
        }
    }
}

async fn read_until_empty_line(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = buffer.drain(..end + 4).collect();
            return Some(String::from_utf8(head).unwrap());
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Reads a body framed as `head` says; chunks are joined.
async fn read_body(stream: &mut TcpStream, buffer: &mut Vec<u8>, head: &str) -> Option<Vec<u8>> {
    let head = head.to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                if let Some(end) = buffer.windows(2).position(|window| window == b"\r\n") {
                    break end;
                }
                if stream.read_buf(buffer).await.ok()? == 0 {
                    return None;
                }
            };
            let line = String::from_utf8(buffer.drain(..line_end + 2).collect()).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            while buffer.len() < size + 2 {
                if stream.read_buf(buffer).await.ok()? == 0 {
                    return None;
                }
            }
            body.extend(buffer.drain(..size + 2).take(size));
            if size == 0 {
                return Some(body);
            }
        }
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(buffer.drain(..length).collect())
}

/// How to set a proxy up.
pub struct Setup {
    pub issuer: Issuer,
    pub limits: Limits,
    pub listen: Listen,
    pub connector: Option<Connector>,
    pub query: Option<(String, bool)>,
    pub ingestion_url: Option<String>,
    pub clock: Arc<dyn Clock>,
    pub queue: Option<QueueParts>,
}

impl Default for Setup {
    fn default() -> Self {
        let limits = Limits { answer_timeout: Duration::from_millis(1500), ..Limits::default() };
        let (clock, listen) = (Arc::new(HostClock::new()), Listen::default());
        Self {
            issuer: Issuer::Renews,
            limits,
            listen,
            connector: None,
            query: None,
            ingestion_url: None,
            clock,
            queue: None,
        }
    }
}

pub struct Running {
    pub address: SocketAddr,
    pub stop: oneshot::Sender<()>,
    pub served: JoinHandle<()>,
    pub handle: ProxyHandle,
}

impl Setup {
    pub async fn start(self, upstream: SocketAddr) -> Running {
        let clock = self.clock;
        let tokens = |audience: &str| tokens(self.issuer, audience, &clock);
        let ingestion_url = self.ingestion_url.unwrap_or_else(|| format!("http://{upstream}/rules/x/api/v1/write?v=1"));
        let proxy = Proxy::new(Parts {
            ingestion_url: ingestion_url.parse().unwrap(),
            ingestion_tokens: tokens("https://monitor.azure.com"),
            query: self.query.map(|(url, allow_remote)| QueryUpstream {
                url: url.parse().unwrap(),
                tokens: tokens("https://prometheus.monitor.azure.com"),
                allow_remote,
            }),
            connector: self.connector.unwrap_or_else(connector),
            clock: Arc::clone(&clock),
            limits: self.limits,
            queue: self.queue,
            listen: self.listen,
            version: "1.2.3",
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (handle, delivery) = (proxy.handle(), proxy.delivery());
        let (stop_delivery, delivery_stopped) = oneshot::channel::<()>();
        let delivering = async move {
            if let Some(delivery) = delivery {
                delivery.run(async move { drop(delivery_stopped.await) }, Duration::from_secs(2)).await;
            }
        };
        let delivering = tokio::spawn(delivering);
        let served = tokio::spawn(async move {
            proxy.serve(listener, async move { drop(stopped.await) }).await;
            drop(stop_delivery);
            delivering.await.unwrap();
        });
        Running { address, stop, served, handle }
    }
}

/// Tokens of `issuer`, which nobody keeps fresh.
pub fn tokens(issuer: Issuer, audience: &str, clock: &Arc<dyn Clock>) -> Arc<TokenCache> {
    let credential = CountingCredential { clock: Arc::clone(clock), count: AtomicU64::new(0), issuer };
    let scope = Scope::parse(audience).unwrap();
    Arc::new(TokenCache::new(Arc::new(credential), scope, Arc::clone(clock), Arc::new(HostRng)))
}

pub fn connector() -> Connector {
    let tls = host::tls::client_config(host::tls::roots(None).unwrap(), &["http/1.1"]);
    Connector::new(tls).with_timeout(Duration::from_millis(1000))
}

/// An answer as the sender read it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A sender that writes what it is told.
pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next answer; none when the connection ended.
    pub async fn try_answer(&mut self) -> Option<Answer> {
        let head = read_until_empty_line(&mut self.stream, &mut self.buffer).await?;
        let status = head[9..12].parse().unwrap();
        let body = read_body(&mut self.stream, &mut self.buffer, &head).await?;
        Some(Answer { status, head, body: String::from_utf8(body).unwrap() })
    }

    pub async fn answer(&mut self) -> Answer {
        tokio::time::timeout(PATIENCE, self.try_answer()).await.unwrap().unwrap()
    }

    /// Whether the other side has closed, as far as a short wait shows.
    pub async fn is_closed(&mut self) -> bool {
        let mut byte = [0; 1];
        let read = tokio::time::timeout(Duration::from_secs(3), self.stream.read(&mut byte)).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    }
}

/// A write request with a body of known length.
pub fn write(body: &str) -> String {
    format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: snappy\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends one request over a connection of its own.
pub async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut client = Client::connect(address).await;
    client.send(request).await;
    client.answer().await
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
}
