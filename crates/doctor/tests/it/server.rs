//! A server that answers as a test says, and what an examination is made of.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doctor::{Endpoint, Link, Plan, Report, Status, Step};
use environment::{BoxFuture, Clock as _, UnixTime};
use host::HostClock;
use host::logging::Rfc3339;
use identity::{AccessToken, Cloud, Credential, Scope, TokenError};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::Url;

pub(crate) const RULE: &str = "dcr-9ef0dccd9267493699b55b77942fc26b";

/// A request as it came: its head and its body.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn is_write(&self) -> bool {
        self.head.starts_with("POST /dataCollectionRules/")
    }
}

/// Answers requests until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// A server that answers with what `answer` makes of a request: status, further headers, body.
    pub(crate) async fn start(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Request) -> (u16, String, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (seen, answer, tls) = (Arc::clone(&seen), Arc::clone(&answer), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &seen, &*answer).await,
                        Some(config) => {
                            if let Ok(session) = TlsAcceptor::from(config).accept(stream).await {
                                serve(session, &seen, &*answer).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, requests, task }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The writes among the requests.
    pub(crate) fn writes(&self) -> Vec<Request> {
        self.requests().into_iter().filter(Request::is_write).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    seen: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&Request) -> (u16, String, String) + Send + Sync),
) {
    while let Some(request) = read(&mut stream).await {
        let (status, headers, body) = answer(&request);
        seen.lock().unwrap().push(request);
        let length = body.len();
        let text = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        if stream.write_all(text.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let length = head.to_ascii_lowercase();
    let length =
        length.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { head, body })
}

/// `Date` as a server sends it whose clock differs by `seconds` from ours.
pub(crate) fn date(seconds: i64) -> String {
    let at = UnixTime::from_secs(HostClock::new().now().as_secs() + seconds);
    let text = Rfc3339(at).to_string();
    let (date, time) = text.trim_end_matches('Z').split_once('T').unwrap();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<usize> = date.split('-').map(|part| part.parse().unwrap()).collect();
    // The name of the day is not looked at.
    format!("date: Mon, {:02} {} {} {time} GMT\r\n", parts[2], months[parts[1] - 1], parts[0])
}

/// Gives the same token, or the same error, for every scope.
pub(crate) struct Fixed(pub(crate) Result<AccessToken, TokenError>);

impl Credential for Fixed {
    fn fetch<'a>(&'a self, _: &'a Scope) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        let answer = self.0.clone();
        Box::pin(async move { answer })
    }

    fn describe(&self) -> String {
        "client secret of application 11111111-2222-3333-4444-555555555555".to_owned()
    }

    fn kind(&self) -> &'static str {
        "client secret"
    }
}

/// A token for ingestion.
pub(crate) fn token() -> AccessToken {
    let now = HostClock::new().now();
    let (not_before, expires) = (now.as_secs() - 60, now.as_secs() + 3_600);
    let payload = format!(
        r#"{{"aud":"https://monitor.azure.com","oid":"oid-1","tid":"tid-1","nbf":{not_before},"exp":{expires}}}"#
    );
    let secret = format!("eyJhbGciOiJub25lIn0.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(payload));
    AccessToken::new(&secret, now, Duration::from_secs(3_600), None).unwrap()
}

/// An examination of a server at `localhost:port` whose authority is trusted if its `roots` are given.
pub(crate) fn plan(port: u16, roots: Option<Arc<RootCertStore>>) -> Plan {
    let url = format!(
        "https://localhost:{port}/dataCollectionRules/{RULE}/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24"
    );
    Plan {
        version: "0.0.0",
        cloud: Cloud::Public,
        identity: "aadApplication".to_owned(),
        credential: Arc::new(Fixed(Ok(token()))),
        ingestion: Endpoint {
            url: Url::parse(&url).unwrap(),
            scope: Scope::parse("https://monitor.azure.com").unwrap(),
        },
        query: None,
        roots: roots.unwrap_or_else(|| host::tls::roots(None).unwrap()),
        outbound_proxy: None,
        listener: None,
        queue: None,
        write_sample: false,
        clock: Arc::new(HostClock::new()),
    }
}

/// Runs the examination and checks what holds for every report.
pub(crate) async fn examined(plan: &Plan) -> Report {
    let report = doctor::run(plan).await;
    let links: Vec<Link> = report.steps.iter().map(|step| step.link).collect();
    assert_eq!(links, Link::ALL, "each link once: {report:?}");
    for step in &report.steps {
        let wants_mend = matches!(step.status, Status::Failed | Status::Warning);
        assert_eq!(step.mend.is_some(), wants_mend, "a mend where something is wrong: {step:?}");
    }
    let shown = format!("{}{}{report:?}", report.render_human(), report.to_json());
    assert!(!shown.contains("c2lnbmF0dXJl"), "no token is shown: {shown}");
    report
}

pub(crate) fn step(report: &Report, link: Link) -> &Step {
    report.steps.iter().find(|step| step.link == link).unwrap()
}

/// That `link` is the first broken one, with such a finding and mend.
#[track_caller]
pub(crate) fn assert_broken(report: &Report, link: Link, finding: &str, mend: &str) {
    let first = report.first_broken().unwrap_or_else(|| panic!("nothing is broken: {report:?}"));
    assert_eq!(first.link, link, "{first:?}");
    assert!(first.finding.contains(finding) && first.mend.as_deref().unwrap().contains(mend), "{first:?}");
    assert_eq!(report.exit_code(), if link == Link::Configuration { 2 } else { 1 });
}
