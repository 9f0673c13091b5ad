//! What a remote read asks: `prometheus.ReadRequest`.

use model::{MatchOp, Matcher, TimestampMs};
use storage::TimeRange;

use crate::error::ApiError;
use crate::wire::{BadMessage, Fields, Value};

/// A request.
#[derive(Debug)]
pub(crate) struct ReadRequest {
    pub(crate) queries: Vec<Query>,
    /// Numbers of response types, the preferred first.
    accepted: Vec<u64>,
}

/// One of its queries.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) range: TimeRange,
}

/// What is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ResponseType {
    Samples,
    StreamedChunks,
}

/// Why a request is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadRequest {
    #[error(transparent)]
    Message(#[from] BadMessage),
    #[error("a read request may have {QUERIES_MAX} queries")]
    TooManyQueries,
    #[error("a query may have {MATCHERS_MAX} matchers")]
    TooManyMatchers,
    #[error("invalid matcher type")]
    MatcherType,
    #[error("{0}")]
    Pattern(String),
}

impl ReadRequest {
    /// From the message's bytes. Unknown fields are passed over.
    pub(crate) fn parse(message: &[u8]) -> Result<Self, BadRequest> {
        let mut request = Self { queries: Vec::new(), accepted: Vec::new() };
        for field in Fields::new(message) {
            match field? {
                (1, value) if request.queries.len() < QUERIES_MAX => {
                    request.queries.push(Query::parse(value.bytes()?)?);
                }
                (1, _) => return Err(BadRequest::TooManyQueries),
                (2, value) => value.numbers(|number| {
                    if request.accepted.len() < TYPES_MAX {
                        request.accepted.push(number);
                    }
                })?,
                _ => {}
            }
        }
        Ok(request)
    }

    /// A request of these queries.
    #[cfg(test)]
    pub(crate) fn of(queries: Vec<Query>) -> Self {
        Self { queries, accepted: Vec::new() }
    }

    /// The first of the accepted types that there is here; samples for clients of old that accept nothing.
    pub(crate) fn response_type(&self) -> Result<ResponseType, ApiError> {
        if self.accepted.is_empty() {
            return Ok(ResponseType::Samples);
        }
        let known = self.accepted.iter().find_map(|number| match number {
            0 => Some(ResponseType::Samples),
            1 => Some(ResponseType::StreamedChunks),
            _ => None,
        });
        known.ok_or_else(|| {
            let accepted: Vec<String> = self.accepted.iter().map(u64::to_string).collect();
            let accepted = accepted.join(" ");
            ApiError::RemoteRead(format!(
                "server does not support any of the requested response types: [{accepted}]; \
                 supported: map[SAMPLES:{{}} STREAMED_XOR_CHUNKS:{{}}]"
            ))
        })
    }
}

impl Query {
    fn parse(message: &[u8]) -> Result<Self, BadRequest> {
        let mut range = TimeRange { start: TimestampMs(0), end: TimestampMs(0) };
        let mut hints = None;
        let mut matchers = Vec::new();
        for field in Fields::new(message) {
            match field? {
                (1, value) => range.start = TimestampMs(value.number()? as i64),
                (2, value) => range.end = TimestampMs(value.number()? as i64),
                (3, value) if matchers.len() < MATCHERS_MAX => matchers.push(matcher(value)?),
                (3, _) => return Err(BadRequest::TooManyMatchers),
                (4, value) => hints = Some(hinted(value.bytes()?)?),
                _ => {}
            }
        }
        if let Some(TimeRange { start, end }) = hints {
            range = TimeRange { start: range.start.max(start), end: range.end.min(end) };
        }
        Ok(Self { matchers, range })
    }
}

/// The range that the reader is going to look at, of all that it asks for.
fn hinted(message: &[u8]) -> Result<TimeRange, BadMessage> {
    let mut range = TimeRange { start: TimestampMs(0), end: TimestampMs(0) };
    for field in Fields::new(message) {
        match field? {
            (3, value) => range.start = TimestampMs(value.number()? as i64),
            (4, value) => range.end = TimestampMs(value.number()? as i64),
            _ => {}
        }
    }
    Ok(range)
}

fn matcher(value: Value<'_>) -> Result<Matcher, BadRequest> {
    let (mut op, mut name, mut text) = (0, "", "");
    for field in Fields::new(value.bytes()?) {
        match field? {
            (1, value) => op = value.number()?,
            (2, value) => name = value.text()?,
            (3, value) => text = value.text()?,
            _ => {}
        }
    }
    let op = match op {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        _ => return Err(BadRequest::MatcherType),
    };
    Matcher::new(op, name, text).map_err(|error| BadRequest::Pattern(error.to_string()))
}

/// Queries of one request. Prometheus sends one.
const QUERIES_MAX: usize = 64;
/// Matchers of one query, each of which may hold an automaton.
const MATCHERS_MAX: usize = 256;
/// Response types that are looked at.
const TYPES_MAX: usize = 16;
