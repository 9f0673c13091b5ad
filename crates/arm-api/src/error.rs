//! Why a request is refused, and how Azure Resource Manager says it (contract §5.5).

use std::borrow::Cow;

use access::TokenRefused;
use catalog::{Problem, StoreError};
use http::StatusCode;
use http::header::{HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http_serving::{ReadBodyError, status_of};
use model::{ErrorKind, Kinded as _, ResourceId};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::path::PathError;

/// A refusal: a status, and `{"error":{"code":…,"message":…,"target"?:…,"details"?:[…]}}`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ArmError {
    pub(crate) status: StatusCode,
    /// A stable name.
    pub(crate) code: Cow<'static, str>,
    /// For people.
    pub(crate) message: String,
    /// What of the request it is about.
    pub(crate) target: Option<Box<str>>,
    /// Each thing that is wrong.
    pub(crate) details: Vec<Detail>,
    /// Headers beside the common ones.
    pub(crate) headers: Vec<(HeaderName, String)>,
}

/// One of several things that are wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Detail {
    pub(crate) code: &'static str,
    pub(crate) target: String,
    pub(crate) message: String,
}

impl ArmError {
    /// An error of this kind, with the status of the one table.
    pub(crate) fn new(kind: ErrorKind, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            status: status_of(kind),
            code: code.into(),
            message: message.into(),
            target: None,
            details: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// The request can never succeed as it is.
    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, code, message)
    }

    /// The thing is not there.
    pub(crate) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, code, message)
    }

    /// There is no such resource, in Azure's words.
    pub(crate) fn no_resource(id: &ResourceId) -> Self {
        let segments: Vec<&str> = id.as_str().split('/').collect();
        let typed = segments.iter().position(|segment| segment.eq_ignore_ascii_case("providers"));
        let name = typed.map_or_else(|| id.as_str().to_owned(), |at| segments[at + 1..].join("/"));
        let group = id.segment_after("resourceGroups").unwrap_or("<null>");
        let message = format!(
            "The Resource '{name}' under resource group '{group}' was not found. For more details please go to \
             https://aka.ms/ARMResourceNotFoundFix"
        );
        Self::not_found("ResourceNotFound", message)
    }

    /// Several things are wrong with a body; all are told at once.
    pub(crate) fn invalid(problems: &[Problem]) -> Self {
        let message = match problems {
            [only] => format!("The request is invalid: {}: {}", only.target, only.message),
            many => format!("The request is invalid: {} things are wrong; see the details", many.len()),
        };
        let detail = |problem: &Problem| Detail {
            code: "InvalidProperty",
            target: problem.target.clone(),
            message: problem.message.clone(),
        };
        let details = problems.iter().map(detail).collect();
        Self { details, ..Self::bad_request("InvalidPayload", message) }
    }

    /// The principal may not do it (Azure's sentence, which clients look for).
    pub(crate) fn authorization_failed(name: &str, object_id: &str, action: &str, scope: &ResourceId) -> Self {
        let message = format!(
            "The client '{name}' with object id '{object_id}' does not have authorization to perform action '{action}' \
             over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials."
        );
        Self::new(ErrorKind::Forbidden, "AuthorizationFailed", message)
    }

    /// The token does not count here; says where to get one that does.
    pub(crate) fn unauthenticated(refused: &TokenRefused, authorization_uri: &str) -> Self {
        if refused.kind() != ErrorKind::Unauthenticated {
            let unavailable = Self::new(refused.kind(), "ServiceUnavailable", refused.to_string());
            return unavailable.with_header(RETRY_AFTER, RETRY_AFTER_SECS);
        }
        let (code, message) = match refused {
            TokenRefused::Missing => {
                ("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.".to_owned())
            }
            TokenRefused::Expired { .. } => (
                "ExpiredAuthenticationToken",
                format!("The access token expiry UTC time is earlier than now: {refused}."),
            ),
            TokenRefused::WrongAudience { .. } => (
                "InvalidAuthenticationTokenAudience",
                format!("The access token has been obtained for wrong audience or resource: {refused}."),
            ),
            TokenRefused::UnknownIssuer(_) | TokenRefused::WrongTenant(_) => {
                ("InvalidAuthenticationTokenTenant", format!("The access token is from the wrong issuer: {refused}."))
            }
            _ => ("InvalidAuthenticationToken", format!("The access token is invalid: {refused}.")),
        };
        let described: String = message.chars().map(|c| if matches!(c, '"' | '\\') { '\'' } else { c }).collect();
        let challenge = format!(
            "Bearer authorization_uri=\"{authorization_uri}\", error=\"invalid_token\", error_description=\"{described}\""
        );
        Self::new(ErrorKind::Unauthenticated, code, message).with_header(WWW_AUTHENTICATE, challenge)
    }

    /// With what of the request it is about.
    #[must_use]
    pub(crate) fn with_target(self, target: impl Into<String>) -> Self {
        Self { target: Some(target.into().into()), ..self }
    }

    /// With a header.
    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// As an answer.
    pub(crate) fn into_answer(self) -> Answer {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(target) = &self.target {
            error["target"] = Value::from(&**target);
        }
        if !self.details.is_empty() {
            let detail = |d: &Detail| json!({ "code": d.code, "target": d.target, "message": d.message });
            error["details"] = self.details.iter().take(DETAILS_MAX).map(detail).collect();
        }
        let code = self.code.into_owned();
        let answer = Answer::new(self.status, Some(json!({ "error": error })));
        let answer = self.headers.into_iter().fold(answer, |answer, (name, value)| answer.with_header(name, value));
        answer.with_header(X_MS_ERROR_CODE, code)
    }
}

impl From<StoreError> for ArmError {
    fn from(error: StoreError) -> Self {
        let (kind, message) = (error.kind(), error.to_string());
        match error {
            StoreError::NoSubscription(id) => {
                Self::not_found("SubscriptionNotFound", format!("The subscription '{id}' could not be found."))
            }
            StoreError::NoGroup { group, .. } => {
                Self::not_found("ResourceGroupNotFound", format!("Resource group '{group}' could not be found."))
            }
            StoreError::NotFound(id) => Self::no_resource(&id),
            StoreError::Unknown { .. } => Self::new(kind, "NotFound", message),
            StoreError::PreconditionFailed { .. } => Self::new(kind, "PreconditionFailed", message),
            StoreError::Conflict { code, .. } => Self::new(kind, code, message),
            StoreError::Invalid(problems) => Self::invalid(&problems),
            StoreError::NewerLayout { .. } | StoreError::Database { .. } => {
                tracing::error!(%message, "the catalogue does not take a change");
                Self::new(kind, "ServiceUnavailable", message).with_header(RETRY_AFTER, RETRY_AFTER_SECS)
            }
        }
    }
}

impl From<PathError> for ArmError {
    fn from(error: PathError) -> Self {
        Self::bad_request("InvalidRequestUri", format!("The request path is invalid: {error}."))
    }
}

impl From<ReadBodyError> for ArmError {
    fn from(error: ReadBodyError) -> Self {
        let code = match error.kind() {
            ErrorKind::TooLarge => "RequestContentTooLarge",
            ErrorKind::Timeout => "RequestTimeout",
            _ => "InvalidRequestContent",
        };
        Self::new(error.kind(), code, format!("The request content could not be read: {error}."))
    }
}

/// How many details one answer tells.
const DETAILS_MAX: usize = 100;
const RETRY_AFTER_SECS: &str = "5";
const X_MS_ERROR_CODE: HeaderName = HeaderName::from_static("x-ms-error-code");

#[cfg(test)]
mod tests;
