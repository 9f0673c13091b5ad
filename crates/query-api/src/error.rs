//! Why a call gets no answer, and how that is said: Prometheus' shape for what is wrong with a query, Azure's for who asks.

use access::TokenRefused;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_serving::{AzureError, Body, Peer, PrincipalForLog, ReadBodyError, Response, status_of, token_refused};
use model::{ErrorKind, Kinded};
use promql::EvalError;
use promql_syntax::ParseError;
use storage::{AdministerError, NoStorage, QueryError};

use crate::answer;
use crate::azure::AzureRule;
use crate::params::ParamError;
use crate::scope::WORKSPACES_MAX;

/// Why a call gets no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// No token, or not one that counts here.
    #[error("{0}")]
    Token(TokenRefused),
    /// The principal has no role on the workspace.
    #[error("The provided credentials have insufficient access to perform the requested operation")]
    Forbidden {
        principal: String,
        /// Whether several workspaces were named; which of them is not said.
        several: bool,
        /// Whether it was asked to read, and nothing else.
        reads: bool,
    },
    /// Several workspaces where only one can be.
    #[error("{named} workspaces are named; this call takes one")]
    OneWorkspace { named: usize },
    /// The storage has no such thing.
    #[error("the storage of this workspace can neither delete nor copy samples, nor count them")]
    NotAdministered,
    /// Deleting or copying.
    #[error(transparent)]
    Administer(#[from] AdministerError),
    /// Nobody would know who did it.
    #[error("nothing was done, since the audit log could not be written: {0}")]
    Unaudited(String),
    /// More workspaces than a call may name.
    #[error("{named} workspaces are named; a call may name {WORKSPACES_MAX}")]
    TooManyWorkspaces { named: usize },
    /// A workspace that takes no queries from anywhere.
    #[error(
        "Public network access of the workspace {0} is disabled: it answers no queries. Set publicNetworkAccess to Enabled to change that."
    )]
    NoPublicAccess(String),
    /// A workspace that is not open now.
    #[error("workspace {handle:?}: {source}")]
    NotOpen { handle: String, source: NoStorage },
    /// No workspace of that name.
    #[error("there is no workspace {0:?}")]
    NoWorkspace(String),
    /// No such endpoint.
    #[error("there is no endpoint at {0:?}")]
    NoEndpoint(String),
    /// Not with this method.
    #[error("the method {0} is not allowed here")]
    Method(String),
    /// A parameter.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// A query or selector that does not parse.
    #[error("invalid parameter {parameter:?}: {source}")]
    Parse { parameter: &'static str, source: ParseError },
    /// A query that cannot be evaluated, whatever the data.
    #[error("invalid parameter \"query\": {0}")]
    Query(String),
    /// A selector that does not parse, of a call that says no more about it.
    #[error(transparent)]
    Selector(ParseError),
    /// More steps than a query may have.
    #[error(
        "exceeded maximum resolution of {} points per timeseries. Try decreasing the query resolution (?step=XX)",
        thousands(*limit)
    )]
    TooManySteps { limit: usize },
    /// The request's body.
    #[error("error parsing form values: {0}")]
    Form(#[from] ReadBodyError),
    /// A remote read that is none.
    #[error("{0}")]
    RemoteRead(String),
    /// More bytes than an answer may have.
    #[error("the answer is larger than {bytes_max} bytes: ask for fewer series, a shorter range or larger steps")]
    AnswerTooLarge { bytes_max: usize },
    /// More samples than a remote read may answer.
    #[error("exceeded sample limit ({limit})")]
    SampleLimit { limit: usize },
    /// What workspaces of Azure's profile do not answer.
    #[error(transparent)]
    Azure(#[from] AzureRule),
    /// Evaluation.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// The store.
    #[error(transparent)]
    Storage(#[from] QueryError),
    /// It came to no evaluation in time.
    #[error("query timed out in query queue")]
    QueueTimedOut,
    /// All evaluations that may run at a time are running.
    #[error("too many queries are waiting; try again later")]
    Busy,
    /// A mistake of ours.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl Kinded for ApiError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Token(refused) => refused.kind(),
            Self::Forbidden { .. } | Self::NoPublicAccess(_) => ErrorKind::Forbidden,
            Self::NoWorkspace(_) | Self::NoEndpoint(_) => ErrorKind::NotFound,
            Self::Method(_) => ErrorKind::MethodNotAllowed,
            Self::TooManyWorkspaces { .. } | Self::OneWorkspace { .. } => ErrorKind::Invalid,
            Self::NotAdministered => ErrorKind::NotFound,
            Self::Administer(error) => error.kind(),
            Self::Unaudited(_) => ErrorKind::Unavailable,
            Self::Param(_) | Self::Parse { .. } | Self::Selector(_) | Self::Query(_) => ErrorKind::Invalid,
            Self::TooManySteps { .. } | Self::RemoteRead(_) | Self::SampleLimit { .. } => ErrorKind::Invalid,
            Self::Form(error) => error.kind(),
            Self::AnswerTooLarge { .. } => ErrorKind::Unprocessable,
            Self::Azure(rule) => rule.kind(),
            Self::QueueTimedOut => ErrorKind::Timeout,
            Self::Eval(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Busy | Self::NotOpen { .. } => ErrorKind::Unavailable,
            Self::Internal(_) => ErrorKind::Internal,
        }
    }
}

impl ApiError {
    /// As an answer. Who asks is refused in Azure's words (contract §6.3), what is asked in Prometheus'.
    pub(crate) fn response(&self, peer: &Peer, authorization_uri: &str) -> Response {
        let azure = |code| AzureError::new(self.kind(), code, self.to_string());
        match self {
            Self::Token(refused) => token_refused(refused, peer, authorization_uri),
            Self::Forbidden { principal, several, reads } => {
                let reason = match (several, reads) {
                    (_, false) => "User does not have access to delete or copy metrics of this resource",
                    (false, true) => "User does not have access to read metrics for this resource",
                    (true, true) => {
                        "User does not have access to read metrics for all of these resources, or one does not exist"
                    }
                };
                let envelope = azure("InsufficientAccessError").with_inner("AuthorizationFailedError", reason);
                let mut response = envelope.response(peer);
                response.extensions_mut().insert(PrincipalForLog(principal.as_str().into()));
                response
            }
            Self::NoWorkspace(_) => azure("ResourceNotFound").response(peer),
            Self::NoPublicAccess(_) => azure("PublicNetworkAccessDisabled").response(peer),
            _ => self.prometheus(),
        }
    }

    /// As an answer of a workspace of Azure's profile (contract §6.3): all but time-outs in Azure's envelope.
    pub(crate) fn azure_response(&self, peer: &Peer, authorization_uri: &str) -> Response {
        let kind = self.kind();
        let code = match (self, kind) {
            (Self::Token(_) | Self::Forbidden { .. } | Self::NoWorkspace(_) | Self::NoPublicAccess(_), _) => {
                return self.response(peer, authorization_uri);
            }
            (_, ErrorKind::Timeout) => {
                return json_response(StatusCode::SERVICE_UNAVAILABLE, answer::error("timeout", "query timed out"));
            }
            (Self::Parse { source, .. } | Self::Selector(source), _) => {
                let error = AzureError::new(kind, "QueryValidationError", "Failed parsing the query");
                return error.with_inner("ParseError", source.to_string()).response(peer);
            }
            (_, ErrorKind::Invalid) => "BadArgumentError",
            (_, ErrorKind::Unprocessable) => "QueryExecutionError",
            (_, ErrorKind::NotFound) => "NotFound",
            (_, ErrorKind::MethodNotAllowed) => "MethodNotAllowed",
            (_, ErrorKind::TooLarge) => "RequestTooLarge",
            (_, ErrorKind::Unavailable) => "ServiceUnavailable",
            _ => "InternalError",
        };
        AzureError::new(kind, code, self.to_string()).response(peer)
    }

    /// Why a bound was hit, for the metric that counts it.
    pub(crate) fn bound(&self) -> Option<&'static str> {
        Some(match self {
            Self::Busy => "queue",
            Self::QueueTimedOut | Self::Eval(EvalError::TimedOut) => "time",
            Self::Eval(EvalError::TooManySamples { .. }) | Self::SampleLimit { .. } => "samples",
            Self::TooManySteps { .. } | Self::Eval(EvalError::TooManySteps { .. }) => "points",
            Self::AnswerTooLarge { .. } => "answer-bytes",
            Self::Form(ReadBodyError::TooLarge { .. }) => "body-bytes",
            _ => return None,
        })
    }

    fn prometheus(&self) -> Response {
        let (error_type, status) = match self.kind() {
            ErrorKind::Invalid => ("bad_data", StatusCode::BAD_REQUEST),
            ErrorKind::TooLarge => ("bad_data", StatusCode::PAYLOAD_TOO_LARGE),
            ErrorKind::UnsupportedMedia => ("bad_data", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            ErrorKind::Unprocessable => ("execution", StatusCode::UNPROCESSABLE_ENTITY),
            ErrorKind::NotFound => ("not_found", StatusCode::NOT_FOUND),
            ErrorKind::Timeout => ("timeout", StatusCode::SERVICE_UNAVAILABLE),
            ErrorKind::Canceled => ("canceled", client_closed()),
            ErrorKind::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
            ErrorKind::MethodNotAllowed => ("bad_data", StatusCode::METHOD_NOT_ALLOWED),
            other => ("internal", status_of(other)),
        };
        json_response(status, answer::error(error_type, &self.to_string()))
    }
}

/// The status for those who went away before the answer, as nginx and Prometheus have it.
fn client_closed() -> StatusCode {
    StatusCode::from_u16(499).expect("a number of three digits is a status")
}

/// `11000` as `11,000`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// An answer whose body is JSON already.
pub(crate) fn json_response(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use http_serving::RequestId;

    use super::*;

    #[tokio::test]
    async fn who_has_no_role_is_told_in_the_contracts_words() {
        let address = ([127, 0, 0, 1], 1).into();
        let request_id = RequestId(uuid::Uuid::nil());
        let peer = Peer { addr: address, local_addr: address, tls: false, request_id };
        let error = ApiError::Forbidden { principal: "6f4c0ae8".to_owned(), several: false, reads: true };
        let response = error.response(&peer, "https://authority/tenant");
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(response.headers()["x-ms-error-code"], "InsufficientAccessError");
        let known = response.extensions().get::<PrincipalForLog>().expect("the access log names who was refused");
        assert_eq!(&*known.0, "6f4c0ae8");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let expected = concat!(
            r#"{"error":{"code":"InsufficientAccessError","message":"The provided credentials have insufficient access "#,
            r#"to perform the requested operation","innererror":{"code":"AuthorizationFailedError","message":"User does "#,
            r#"not have access to read metrics for this resource"}}}"#
        );
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
    }
}
