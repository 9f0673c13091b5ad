//! The error envelope of Azure's APIs (contract §3.3).

use http::StatusCode;
use http::header::{HeaderName, WWW_AUTHENTICATE};
use model::ErrorKind;
use serde::Serialize;

use crate::{Peer, Response, json, status_of, with_header};

/// An error as Azure says it: `{"error":{"code":…,"message":…}}`, perhaps with an `innererror` of the same two; the code
/// and the request's name as headers too.
#[derive(Clone, PartialEq, Debug)]
pub struct AzureError {
    /// The answer's status.
    pub status: StatusCode,
    /// A stable name, such as `AuthenticationFailed`.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// The reason beneath it, where the contract has one.
    pub inner: Option<InnerError>,
}

/// The reason beneath an error.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct InnerError {
    /// A stable name, such as `AuthorizationFailedError`.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl AzureError {
    /// An error of this kind, with the status of the one table.
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self { status: status_of(kind), code, message: message.into(), inner: None }
    }

    /// With the reason beneath it.
    #[must_use]
    pub fn with_inner(self, code: &'static str, message: impl Into<String>) -> Self {
        Self { inner: Some(InnerError { code, message: message.into() }), ..self }
    }

    /// As an answer.
    pub fn response(&self, peer: &Peer) -> Response {
        let envelope =
            Envelope { error: Inside { code: self.code, message: &self.message, inner: self.inner.as_ref() } };
        let response = with_header(json(self.status, &envelope), X_MS_ERROR_CODE, self.code);
        with_header(response, X_MS_REQUEST_ID, peer.request_id.to_string())
    }

    /// As an answer that asks for a token of the authority at `authorization_uri`.
    pub fn challenge(&self, peer: &Peer, authorization_uri: &str) -> Response {
        let value = format!("Bearer authorization_uri=\"{authorization_uri}\"");
        with_header(self.response(peer), WWW_AUTHENTICATE, value)
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Inside<'a>,
}

#[derive(Serialize)]
struct Inside<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(rename = "innererror", skip_serializing_if = "Option::is_none")]
    inner: Option<&'a InnerError>,
}

const X_MS_ERROR_CODE: HeaderName = HeaderName::from_static("x-ms-error-code");
const X_MS_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
