//! Passing a request to an upstream: the head it gets, the attempts, the answer's way back.

use std::sync::Arc;

use host::Connection;
use identity::{AccessToken, TokenCache};

use crate::answer_head::{AnswerBody, AnswerHead};
use crate::chunked::{ChunkDecoder, LAST_CHUNK, chunk_head};
use crate::exchange::{ExchangeError, READ_BYTES};
use crate::fields::{Field, is_hop_by_hop, is_named_by_connection};
use crate::request_head::{RequestBody, RequestHead};
use crate::upstream::{Target, Upstream};

/// An upstream and the tokens it takes.
pub(crate) struct Destination {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) tokens: Arc<TokenCache>,
    pub(crate) kind: Kind,
}

impl Destination {
    /// The ingestion endpoint.
    pub(crate) fn writes(upstream: Upstream, tokens: Arc<TokenCache>) -> Self {
        Self { upstream: Arc::new(upstream), tokens, kind: Kind::Write }
    }
}

/// What a destination is for, where that makes a difference to headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// The whole URL is given; every header is kept but those of the connection, `Host` and `Authorization`.
    Write,
    /// The request's path is appended; nothing that a browser adds about its user goes out, and no leave for other
    /// origins comes back.
    Query,
}

/// Why the upstream gave no answer that could be passed on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    #[error("{0}")]
    Connect(#[from] host::ConnectError),
    #[error("no answer from {authority}: {source}")]
    Exchange { authority: String, source: ExchangeError },
    #[error("no answer from {authority} within {seconds} s")]
    Timeout { authority: String, seconds: u64 },
}

impl ForwardError {
    /// A word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Connect(_) => "UpstreamUnreachable",
            Self::Exchange { source: ExchangeError::Invalid(_) | ExchangeError::TooLong(_), .. } => {
                "UpstreamInvalidAnswer"
            }
            Self::Exchange { .. } => "UpstreamUnreachable",
            Self::Timeout { .. } => "UpstreamTimeout",
        }
    }
}

/// Writes the head that the upstream gets. A body of known length keeps it; `chunked` bodies are chunked anew.
pub(crate) fn write_request_head(
    out: &mut Vec<u8>,
    target: &Target,
    kind: Kind,
    request: &RequestHead,
    head: &[u8],
    token: &AccessToken,
    body: RequestBody,
) {
    out.clear();
    let method = request.method.of(head);
    push(out, &[method, b" "]);
    match kind {
        Kind::Write => push(out, &[target.path_and_query.as_bytes()]),
        Kind::Query => push(out, &[target.path_and_query.trim_end_matches('/').as_bytes(), request.target.of(head)]),
    }
    push(out, &[b" HTTP/1.1\r\nHost: ", target.authority.as_bytes(), b"\r\n"]);
    for field in &request.fields {
        let name = field.name.of(head);
        let dropped = is_ours_to_write(name)
            || is_hop_by_hop(name)
            || (kind == Kind::Query && is_about_a_browsers_user(name))
            || is_named_by_connection(head, &request.connection, name);
        if !dropped {
            push_field(out, head, field);
        }
    }
    push(out, &[b"Authorization: ", token.authorization().as_bytes(), b"\r\n"]);
    match body {
        RequestBody::Length(0) if method == b"GET" => {}
        RequestBody::Length(length) => push(out, &[b"Content-Length: ", length.to_string().as_bytes(), b"\r\n"]),
        RequestBody::Chunked => push(out, &[b"Transfer-Encoding: chunked\r\n"]),
    }
    push(out, &[b"\r\n"]);
}

/// Writes the head that the sender gets. `framing` is how the body will follow.
pub(crate) fn write_answer_head(
    out: &mut Vec<u8>,
    kind: Kind,
    answer: &AnswerHead,
    head: &[u8],
    framing: AnswerBody,
    closes: bool,
) {
    out.clear();
    push(out, &[b"HTTP/1.1 ", answer.status_text.of(head), b"\r\n"]);
    for field in &answer.fields {
        let name = field.name.of(head);
        let dropped = name.eq_ignore_ascii_case(b"content-length")
            || is_hop_by_hop(name)
            || (kind == Kind::Query && has_prefix(name, b"access-control-"))
            || is_named_by_connection(head, &answer.connection, name);
        if !dropped {
            push_field(out, head, field);
        }
    }
    match framing {
        AnswerBody::Length(length) => push(out, &[b"Content-Length: ", length.to_string().as_bytes(), b"\r\n"]),
        AnswerBody::Chunked => push(out, &[b"Transfer-Encoding: chunked\r\n"]),
        AnswerBody::None | AnswerBody::UntilClose => {}
    }
    if closes {
        push(out, &[b"Connection: close\r\n"]);
    }
    push(out, &[b"\r\n"]);
}

fn push(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

fn push_field(out: &mut Vec<u8>, head: &[u8], field: &Field) {
    push(out, &[field.name.of(head), b": ", field.value.of(head), b"\r\n"]);
}

/// Fields that are written anew: the upstream has another name, another credential and perhaps another framing.
fn is_ours_to_write(name: &[u8]) -> bool {
    match name.len() {
        4 => name.eq_ignore_ascii_case(b"host"),
        6 => name.eq_ignore_ascii_case(b"expect"),
        13 => name.eq_ignore_ascii_case(b"authorization"),
        14 => name.eq_ignore_ascii_case(b"content-length"),
        _ => false,
    }
}

fn is_about_a_browsers_user(name: &[u8]) -> bool {
    [&b"cookie"[..], b"origin", b"referer"].iter().any(|field| name.eq_ignore_ascii_case(field))
}

fn has_prefix(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The body of an answer, on its way from an upstream connection.
pub(crate) struct AnswerStream {
    rest: Rest,
}

enum Rest {
    Length(u64),
    Chunked(ChunkDecoder),
    UntilClose { ended: bool },
}

impl AnswerStream {
    pub(crate) fn new(body: AnswerBody) -> Self {
        let rest = match body {
            AnswerBody::None => Rest::Length(0),
            AnswerBody::Length(length) => Rest::Length(length),
            AnswerBody::Chunked => Rest::Chunked(ChunkDecoder::new()),
            AnswerBody::UntilClose => Rest::UntilClose { ended: false },
        };
        Self { rest }
    }

    /// Whether the body has ended as its framing says.
    pub(crate) fn is_done(&self) -> bool {
        match &self.rest {
            Rest::Length(left) => *left == 0,
            Rest::Chunked(decoder) => decoder.is_done(),
            Rest::UntilClose { ended } => *ended,
        }
    }

    /// Moves what `incoming` holds of the body to `piece`. Bytes after the body stay.
    pub(crate) fn take(&mut self, incoming: &mut Vec<u8>, piece: &mut Vec<u8>) -> std::io::Result<()> {
        let used = match &mut self.rest {
            Rest::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(incoming.len());
                piece.extend_from_slice(&incoming[..take]);
                *left -= take as u64;
                take
            }
            Rest::Chunked(decoder) => decoder.decode(incoming, piece).map_err(std::io::Error::other)?,
            Rest::UntilClose { .. } => {
                piece.extend_from_slice(incoming);
                incoming.len()
            }
        };
        incoming.drain(..used);
        Ok(())
    }

    /// Reads more of the body from `connection` into `incoming`.
    pub(crate) async fn read_more(
        &mut self,
        connection: &mut Connection,
        incoming: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        use tokio::io::AsyncReadExt as _;
        // Large answers come to queries; a little at a time would cost a system call each.
        incoming.reserve(if incoming.capacity() > READ_BYTES { PIECE_BYTES } else { READ_BYTES + 1 });
        if connection.read_buf(incoming).await? == 0 {
            match &mut self.rest {
                Rest::UntilClose { ended } => *ended = true,
                _ => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(())
    }
}

/// Appends `data` as the sender is to get it.
pub(crate) fn frame(out: &mut Vec<u8>, framing: AnswerBody, data: &[u8]) {
    if framing != AnswerBody::Chunked {
        out.extend_from_slice(data);
    } else if !data.is_empty() {
        chunk_head(data.len(), out);
        push(out, &[data, b"\r\n"]);
    }
}

/// Appends what follows the last piece of a body.
pub(crate) fn end_frame(out: &mut Vec<u8>, framing: AnswerBody) {
    if framing == AnswerBody::Chunked {
        out.extend_from_slice(LAST_CHUNK);
    }
}

/// Text of an answer's body for a log line or a reason: printable, short.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(EXCERPT_BYTES_MAX)]);
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

const PIECE_BYTES: usize = 64 << 10;
const EXCERPT_BYTES_MAX: usize = 512;
