//! Bodies of requests: read within a bound, then JSON.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_serving::{Drain, ReadBodyError, read_body};
use hyper::body::Incoming;
use serde_json::Value;

use crate::error::ArmError;

/// A body that was not read yet.
pub(crate) enum Payload {
    /// It comes over a connection.
    Connection(Incoming),
    /// It is there.
    Bytes(Bytes),
}

/// The body of one request, taken by whoever reads it; what is left is read and forgotten before the answer.
#[derive(Clone)]
pub(crate) struct Unread(Arc<Mutex<Option<Payload>>>);

impl Unread {
    pub(crate) fn new(payload: Payload) -> Self {
        Self(Arc::new(Mutex::new(Some(payload))))
    }

    /// The body, unless it was taken before.
    pub(crate) fn take(&self) -> Option<Payload> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Payload {
    /// All of it. One that is too large is read and forgotten, so that its sender hears why it is refused.
    pub(crate) async fn read(self, expects_continue: bool) -> Result<Bytes, ArmError> {
        match self {
            Self::Connection(mut body) => match read_body(&mut body, BODY_BYTES_MAX, BODY_TIME_MAX).await {
                Ok(bytes) => Ok(bytes),
                Err(error) => {
                    if let ReadBodyError::TooLarge { .. } = error {
                        REFUSED.run(body, expects_continue).await;
                    }
                    Err(error.into())
                }
            },
            Self::Bytes(bytes) if bytes.len() as u64 > BODY_BYTES_MAX => {
                let declared = Some(bytes.len() as u64);
                Err(ReadBodyError::TooLarge { limit: BODY_BYTES_MAX, declared }.into())
            }
            Self::Bytes(bytes) => Ok(bytes),
        }
    }

    /// Reads what nobody wants, so that the answer arrives and the connection can be used again.
    pub(crate) async fn discard(self, expects_continue: bool) {
        if let Self::Connection(body) = self {
            Drain::default().run(body, expects_continue).await;
        }
    }
}

/// Bytes → JSON, with the place of a mistake.
pub(crate) fn parse_json(bytes: &[u8]) -> Result<Value, ArmError> {
    let invalid = |message: String| ArmError::bad_request("InvalidRequestContent", message);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(invalid("The request content is empty: a JSON object is expected.".to_owned()));
    }
    // A mark that some editors put in front, and that JSON does not know.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|error| {
        // The library's text ends with the place, which is told apart here.
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or("");
        let (line, column) = (error.line(), error.column());
        invalid(format!("The request content is not valid JSON: {what}, at line {line}, column {column}."))
    })
}

/// Bound on a body (bytes).
pub(crate) const BODY_BYTES_MAX: u64 = 1 << 20;
/// What is read of a body that is too large: more than of others, since its sender has the right to be here and waits for
/// the answer, which most clients lose when they are cut off.
const REFUSED: Drain = Drain { bytes_max: 64 << 20, time_max: Duration::from_secs(5) };
/// Bound on the time a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
