//! Short ways to common answers.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;

use crate::{Body, Response};

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response {
    with_body(status, None, Body::empty())
}

/// Plain text.
pub fn text(status: StatusCode, text: impl Into<String>) -> Response {
    with_body(status, Some("text/plain; charset=utf-8"), Body::full(text.into()))
}

/// A value as JSON. It must be one that JSON can carry: no map with keys other than strings.
pub fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    let bytes = serde_json::to_vec(value).expect("answers are plain data with string keys");
    with_body(status, Some("application/json"), Body::full(bytes))
}

/// Adds a header. Characters that no header may carry become `?`.
#[must_use]
pub fn with_header(mut response: Response, name: HeaderName, value: impl AsRef<str>) -> Response {
    let clean: String =
        value.as_ref().chars().map(|character| if matches!(character, ' '..='~') { character } else { '?' }).collect();
    let value = HeaderValue::try_from(clean).expect("printable ASCII is a header value");
    response.headers_mut().insert(name, value);
    response
}

fn with_body(status: StatusCode, content_type: Option<&'static str>, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

/// Who was found to ask, for the access log: put it into an answer's extensions.
#[derive(Clone, Debug)]
pub struct PrincipalForLog(pub std::sync::Arc<str>);
