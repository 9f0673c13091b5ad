//! An answer before it is bytes, and the headers that every answer of Azure Resource Manager has.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, HeaderName, LOCATION, PRAGMA, RETRY_AFTER, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode};
use http_serving::{Body, Peer, PrincipalForLog, Response, empty, with_header};
use serde_json::Value;

/// What a handler says.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Option<Value>,
    pub(crate) headers: Vec<(HeaderName, String)>,
}

impl Answer {
    pub(crate) const fn new(status: StatusCode, body: Option<Value>) -> Self {
        Self { status, body, headers: Vec::new() }
    }

    /// 200 with this body.
    pub(crate) const fn ok(body: Value) -> Self {
        Self::new(StatusCode::OK, Some(body))
    }

    /// 201 with this body if it was made, 200 otherwise.
    pub(crate) const fn put(created: bool, body: Value) -> Self {
        Self::new(if created { StatusCode::CREATED } else { StatusCode::OK }, Some(body))
    }

    /// 204.
    pub(crate) const fn no_content() -> Self {
        Self::new(StatusCode::NO_CONTENT, None)
    }

    /// 200 without a body.
    pub(crate) const fn done() -> Self {
        Self::new(StatusCode::OK, None)
    }

    /// 202: it is going on, ask at `location` whether it is over.
    pub(crate) fn accepted(location: String, retry_after_secs: u32) -> Self {
        let accepted = Self::new(StatusCode::ACCEPTED, None).with_header(LOCATION, location);
        accepted.with_header(RETRY_AFTER, retry_after_secs.to_string())
    }

    /// With a header.
    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With the resource's etag as a header too.
    #[must_use]
    pub(crate) fn with_etag(self, etag: &str) -> Self {
        self.with_header(ETAG, format!("\"{etag}\""))
    }

    /// As bytes, with the headers that every answer has.
    pub(crate) fn into_response(self, common: &Common<'_>) -> Response {
        let mut response = match self.body {
            None => empty(self.status),
            Some(value) => {
                let bytes = serde_json::to_vec(&value).expect("a JSON value can always be written");
                let mut response = Response::new(Body::full(Bytes::from(bytes)));
                *response.status_mut() = self.status;
                with_header(response, CONTENT_TYPE, "application/json; charset=utf-8")
            }
        };
        for (name, value) in self.headers {
            response = with_header(response, name, value);
        }
        common.add(response)
    }
}

/// What every answer says about its request.
pub(crate) struct Common<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) request_headers: &'a HeaderMap,
    /// Who asks, if that is known.
    pub(crate) principal: Option<Arc<str>>,
    /// Api-versions that the route is known with.
    pub(crate) versions: &'static [&'static str],
}

impl Common<'_> {
    fn add(&self, mut response: Response) -> Response {
        for (name, value) in FIXED {
            response = with_header(response, name.clone(), value);
        }
        if self.peer.tls {
            // Not over plain HTTP, where it means nothing, and where this service may be all that a name ever serves.
            response = with_header(response, STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains");
        }
        let request_id = self.peer.request_id.to_string();
        let sent = |name: &HeaderName| self.request_headers.get(name).and_then(|value| value.to_str().ok());
        let short = |value: &&str| !value.is_empty() && value.len() <= ECHO_BYTES_MAX;
        let correlation_id = sent(&X_MS_CORRELATION_REQUEST_ID).filter(short).unwrap_or(&request_id).to_owned();
        response = with_header(response, X_MS_CORRELATION_REQUEST_ID, correlation_id);
        let wants_id = sent(&X_MS_RETURN_CLIENT_REQUEST_ID).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if let Some(id) = sent(&X_MS_CLIENT_REQUEST_ID).filter(short).filter(|_| wants_id) {
            response = with_header(response, X_MS_CLIENT_REQUEST_ID, id);
        }
        response = with_header(response, X_MS_REQUEST_ID, request_id);
        if !self.versions.is_empty() {
            response = with_header(response, API_SUPPORTED_VERSIONS, self.versions.join(", "));
        }
        if let Some(principal) = &self.principal {
            response.extensions_mut().insert(PrincipalForLog(Arc::clone(principal)));
        }
        response
    }
}

/// Headers that are the same on every answer: nothing of this may be kept by a cache or guessed at by a browser.
const FIXED: &[(HeaderName, &str)] =
    &[(CACHE_CONTROL, "no-cache"), (PRAGMA, "no-cache"), (EXPIRES, "-1"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];

/// How long a client's own id may be to be repeated.
const ECHO_BYTES_MAX: usize = 128;
const API_SUPPORTED_VERSIONS: HeaderName = HeaderName::from_static("api-supported-versions");
const X_MS_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const X_MS_CORRELATION_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");
const X_MS_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
const X_MS_RETURN_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-return-client-request-id");
