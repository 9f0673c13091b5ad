//! The order of the examination, and what is left out when a link is broken.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use environment::UnixTime;
use host::{Connector, HostHttp};
use tokio::net::TcpStream;
use url::Url;

use crate::chain::Chain;
use crate::plan::Plan;
use crate::report::{Link, Report, Status, Step};
use crate::{clock, configuration, dns, forward_proxy, queue, read_back, sidecar, tcp, tls, token, write};

/// Examines the chain of `plan`. Needs tokio with network and timer. Takes at most [`crate::BUDGET`].
pub async fn run(plan: &Plan) -> Report {
    let at = plan.clock.now();
    let mut chain = Chain::new(Arc::clone(&plan.clock));
    let configured = configuration::check(plan);
    let is_configured = configured.status != Status::Failed;
    chain.add(configured);
    if let Some(queue) = &plan.queue {
        chain.look(Link::Queue, STEP_TIMEOUT, queue::look(queue.clone())).await;
    } else {
        chain.add(Step::skipped(Link::Queue, "there is no queue on disk"));
    }
    // A wrong URL would only lead to the wrong place, and a token might go there.
    let connected = is_configured && connection(plan, &mut chain).await;
    if !is_configured {
        for link in [Link::Dns, Link::Proxy, Link::Tcp, Link::Tls, Link::Clock] {
            chain.add(Step::skipped(link, "the configuration is wrong"));
        }
    }
    let token = token::look(plan.credential.as_ref(), &plan.ingestion.scope, plan.cloud, at);
    let held = chain.look(Link::Token, TOKEN_TIMEOUT, token).await;
    let http = HostHttp::new(Arc::clone(&plan.roots), plan.outbound_proxy.clone());
    let mut written = None;
    match &held {
        Some(held) if connected => {
            let now = plan.clock.now();
            let test = write::look(&http, &plan.ingestion, held, plan.write_sample, now);
            written = chain.look(Link::Write, WRITE_TIMEOUT, test).await;
        }
        _ => {
            let why = if connected { "there is no token" } else { "there is no trusted connection to the endpoint" };
            for link in [Link::Admission, Link::Role, Link::Binding, Link::Write] {
                chain.add(Step::skipped(link, why));
            }
        }
    }
    match &plan.query {
        Some(query) => {
            let reading = read_back::look(&http, plan.credential.as_ref(), query, written, plan.clock.as_ref());
            chain.look(Link::ReadBack, READ_TIMEOUT, reading).await;
        }
        None => chain.add(Step::skipped(Link::ReadBack, "no query endpoint is given (REMORA_QUERY_URL)")),
    }
    match plan.listener {
        Some(listener) => {
            let looking = async {
                let last_refusal = match &plan.queue {
                    Some(queue) => queue::last_refusal(queue).await,
                    None => None,
                };
                sidecar::look(listener, last_refusal, plan.clock.now()).await
            };
            chain.look(Link::Sidecar, STEP_TIMEOUT * 2, looking).await;
        }
        None => chain.add(Step::skipped(Link::Sidecar, "it is not known where the sidecar listens")),
    }
    let host = plan.ingestion.url.host_str().unwrap_or_default();
    let subject = format!("{host} as {} ({})", plan.identity, plan.credential.describe());
    Report { version: plan.version, at, subject, steps: chain.finish() }
}

/// Name, way, connection, certificate and clock. Whether a token may be sent.
async fn connection(plan: &Plan, chain: &mut Chain) -> bool {
    let url = &plan.ingestion.url;
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else { return false };
    let name = host.to_string();
    let proxy = plan.outbound_proxy.as_ref().filter(|proxy| url.scheme() == "https" && proxy.covers(bare(&name)));
    let stream = match proxy {
        Some(proxy) => {
            chain.add(Step::skipped(Link::Dns, "the forward proxy resolves the name"));
            let stream =
                chain.look(Link::Proxy, STEP_TIMEOUT * 2, forward_proxy::look(proxy, &format!("{name}:{port}"))).await;
            chain.add(Step::skipped(Link::Tcp, "the connection is the forward proxy's"));
            stream
        }
        None => {
            let addresses = chain.look(Link::Dns, STEP_TIMEOUT, dns::look(host, port)).await;
            chain.add(Step::skipped(Link::Proxy, no_proxy(plan)));
            direct(addresses, chain).await
        }
    };
    let Some(stream) = stream else {
        for link in [Link::Tls, Link::Clock] {
            chain.add(Step::skipped(link, "there is no connection"));
        }
        return false;
    };
    secure(plan, stream, &name, chain).await
}

async fn direct(addresses: Option<Vec<SocketAddr>>, chain: &mut Chain) -> Option<TcpStream> {
    let Some(addresses) = addresses else {
        chain.add(Step::skipped(Link::Tcp, "there is no address to connect to"));
        return None;
    };
    chain.look(Link::Tcp, STEP_TIMEOUT * 2, tcp::look(&addresses)).await
}

async fn secure(plan: &Plan, stream: TcpStream, name: &str, chain: &mut Chain) -> bool {
    let url = &plan.ingestion.url;
    if url.scheme() != "https" {
        chain.add(Step::skipped(Link::Tls, "the endpoint is on this machine and speaks plain HTTP"));
        let (_, there) = ask_time(plan, url, chain).await;
        chain.add(clock::judge(plan.clock.now(), there));
        return true;
    }
    let handshake = async {
        let done = tls::shake_hands(stream, name, Arc::clone(&plan.roots), Arc::clone(&plan.clock)).await;
        (Vec::new(), Some(done))
    };
    let Some(handshake) = chain.look(Link::Tls, STEP_TIMEOUT * 2, handshake).await else { return false };
    let (now, there) = if handshake.is_done() { ask_time(plan, url, chain).await } else { (plan.clock.now(), None) };
    chain.add(handshake.judge(now, there));
    if handshake.is_done() {
        chain.add(clock::judge(now, there));
    } else {
        chain.add(Step::skipped(Link::Clock, "there is no connection"));
    }
    handshake.is_trusted()
}

/// The time here and at the endpoint, whose certificate need not be trusted for that.
async fn ask_time(plan: &Plan, url: &Url, chain: &Chain) -> (UnixTime, Option<UnixTime>) {
    let connector = Connector::new(tls::accepting_any()).with_proxy(plan.outbound_proxy.clone());
    let http = HostHttp::with_connector(connector);
    let there = clock::ask(&http, url, chain.remaining()).await;
    (plan.clock.now(), there)
}

fn no_proxy(plan: &Plan) -> &'static str {
    match plan.outbound_proxy {
        Some(_) => "the endpoint is reached directly (NO_PROXY, or an address of this machine)",
        None => "no forward proxy is configured",
    }
}

/// An IPv6 address without its brackets.
fn bare(name: &str) -> &str {
    name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name)
}

const STEP_TIMEOUT: Duration = Duration::from_secs(7);
const TOKEN_TIMEOUT: Duration = Duration::from_secs(22);
const WRITE_TIMEOUT: Duration = Duration::from_secs(11);
const READ_TIMEOUT: Duration = Duration::from_secs(20);
