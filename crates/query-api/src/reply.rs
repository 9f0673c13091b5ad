//! What a call answers, before it is put on the wire.

use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use http_serving::{Body, Response, empty};

use crate::compression::{Encoder, Encoding};
use crate::large_matrix::LargeMatrix;
use crate::metrics::Metrics;

/// An answer that is no error.
pub(crate) enum Reply {
    /// JSON.
    Json(Vec<u8>),
    /// JSON, written while the client reads.
    Matrix(LargeMatrix),
    /// JSON, in pieces one after the other.
    Pieces(Vec<Vec<u8>>),
    /// Something else, with its media type.
    Bytes(HeaderValue, Vec<u8>),
    /// Nothing to say.
    Empty,
}

/// An answer as it is sent.
pub(crate) struct Encoded {
    content_type: HeaderValue,
    encoding: Encoding,
    content: Content,
}

enum Content {
    Whole(Vec<u8>),
    Pieces(Box<dyn Iterator<Item = Vec<u8>> + Send>),
}

impl Reply {
    /// Compresses the body as the client wants it; CPU work that grows with the body.
    pub(crate) fn encoded(self, encoding: Encoding) -> Option<Encoded> {
        let (content_type, body) = match self {
            Self::Json(body) => (JSON, body),
            Self::Bytes(content_type, body) => (content_type, body),
            Self::Matrix(matrix) => return Some(in_pieces(matrix.pieces(), encoding)),
            Self::Pieces(pieces) => return Some(in_pieces(pieces.into_iter(), encoding)),
            Self::Empty => return None,
        };
        let (encoding, body) = encoding.encode(body);
        Some(Encoded { content_type, encoding, content: Content::Whole(body) })
    }
}

fn in_pieces(pieces: impl Iterator<Item = Vec<u8>> + Send + 'static, encoding: Encoding) -> Encoded {
    let content = Content::Pieces(Box::new(Encoder::new(encoding).all(pieces)));
    Encoded { content_type: JSON, encoding, content }
}

/// As a response; without a body when there is nothing to say. Its bytes count as sent by the endpoint.
pub(crate) fn respond(encoded: Option<Encoded>, endpoint: &'static str, metrics: &Metrics) -> Response {
    let Some(Encoded { content_type, encoding, content }) = encoded else {
        metrics.answered(endpoint, 0);
        return empty(StatusCode::NO_CONTENT);
    };
    let body = match content {
        Content::Whole(body) => {
            metrics.answered(endpoint, body.len());
            Body::full(body)
        }
        Content::Pieces(pieces) => {
            let metrics = metrics.clone();
            Body::pieces(pieces.inspect(move |piece| metrics.answered(endpoint, piece.len())))
        }
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(name) = encoding.name() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
