//! What a call answers, before it is put on the wire.

use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use http_serving::{Body, Response, empty};

use crate::compression::Encoding;

/// An answer that is no error.
pub(crate) enum Reply {
    /// JSON.
    Json(Vec<u8>),
    /// Something else, with its media type.
    Bytes(HeaderValue, Vec<u8>),
    /// Nothing to say.
    Empty,
}

/// An answer as it is sent.
pub(crate) struct Encoded {
    content_type: HeaderValue,
    encoding: Encoding,
    body: Vec<u8>,
}

impl Reply {
    /// Compresses the body as the client wants it; CPU work that grows with the body.
    pub(crate) fn encoded(self, encoding: Encoding) -> Option<Encoded> {
        let (content_type, body) = match self {
            Self::Json(body) => (HeaderValue::from_static("application/json"), body),
            Self::Bytes(content_type, body) => (content_type, body),
            Self::Empty => return None,
        };
        let (encoding, body) = encoding.encode(body);
        Some(Encoded { content_type, encoding, body })
    }
}

impl Encoded {
    /// Bytes of the body.
    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }
}

/// As a response; without a body when there is nothing to say.
pub(crate) fn respond(encoded: Option<Encoded>) -> Response {
    let Some(Encoded { content_type, encoding, body }) = encoded else { return empty(StatusCode::NO_CONTENT) };
    let mut response = Response::new(Body::full(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(name) = encoding.name() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}
