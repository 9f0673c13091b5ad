//! Which request goes where. Looks at the head alone.

use std::net::IpAddr;

use crate::forward::Kind;
use crate::refusal::Refusal;
use crate::request_head::RequestHead;

/// What to do with a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    /// Samples, for the ingestion upstream.
    Write,
    /// A query, for the query upstream.
    Query,
    /// One of our own pages.
    Page(Page),
    /// Nothing of the kind; told in the form that clients of the kind read.
    Refuse(Kind, Refusal),
}

/// What the proxy tells about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Page {
    /// The process serves.
    Health,
    /// There is an unexpired token.
    Ready,
    /// Everything, for people and scripts.
    Status,
    /// Everything, for Prometheus.
    Metrics,
}

/// What of the settings decides on routes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Routing {
    /// Whether there is a query upstream, and if so, whether it serves peers on other machines.
    pub(crate) query: Option<QueryPeers>,
}

/// Who may query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum QueryPeers {
    /// Peers on this machine.
    Loopback,
    /// Everyone who can connect.
    All,
}

impl Routing {
    pub(crate) fn route(self, request: &RequestHead, head: &[u8], peer: IpAddr) -> Route {
        let (method, path) = (request.method.of(head), request.path(head));
        let page = match path {
            b"/api/v1/write" if method == b"POST" => return Route::Write,
            b"/api/v1/write" => return Route::Refuse(Kind::Write, Refusal::method("POST")),
            b"/health" => Page::Health,
            b"/ready" => Page::Ready,
            b"/status" => Page::Status,
            b"/metrics" => Page::Metrics,
            _ => {
                return match self.query {
                    Some(peers) if path.starts_with(b"/api/v1/") => {
                        let host = request.host.map(|host| host.of(head));
                        match admit_query(peers, method, path, host, peer) {
                            Ok(()) => Route::Query,
                            Err(refusal) => Route::Refuse(Kind::Query, refusal),
                        }
                    }
                    _ => Route::Refuse(Kind::Write, Refusal::not_found(path)),
                };
            }
        };
        if matches!(method, b"GET" | b"HEAD") {
            Route::Page(page)
        } else {
            Route::Refuse(Kind::Write, Refusal::method("GET, HEAD"))
        }
    }
}

/// A query is sent with our own right to read, so who asks matters: by default only programs on this machine, and no web
/// page that has had its host name resolve to this machine (DNS rebinding).
fn admit_query(
    peers: QueryPeers,
    method: &[u8],
    path: &[u8],
    host: Option<&[u8]>,
    peer: IpAddr,
) -> Result<(), Refusal> {
    let loopback = peer.to_canonical().is_loopback();
    if !loopback && peers == QueryPeers::Loopback {
        let message = "queries are answered to this machine alone: set REMORA_QUERY_ALLOW_REMOTE=true to change that";
        return Err(Refusal::new(403, "Forbidden", message));
    }
    if loopback && !host.is_some_and(names_this_machine) {
        let message = "the host header names another machine: ask for localhost or 127.0.0.1";
        return Err(Refusal::new(403, "Forbidden", message));
    }
    if !matches!(method, b"GET" | b"POST") {
        return Err(Refusal::method("GET, POST"));
    }
    if path.split(|byte| *byte == b'/').any(is_dot_segment) {
        return Err(Refusal::new(400, "BadRequest", "the path holds a dot segment"));
    }
    Ok(())
}

fn names_this_machine(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// `.` and `..`, with dots percent-encoded or not: an upstream may resolve them out of its query API.
fn is_dot_segment(segment: &[u8]) -> bool {
    let plain = segment.to_ascii_lowercase();
    matches!(plain.as_slice(), b"." | b".." | b"%2e" | b"%2e%2e" | b".%2e" | b"%2e.")
}
