//! What can go wrong between the command line and the service, told so that a person can mend it.

use std::fmt;

use environment::{HttpError, HttpErrorKind};
use http::{HeaderMap, StatusCode};
use identity::TokenError;
use serde_json::Value;

use super::mend;
use super::{Api, Parts, shorten, text};

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// What was asked for makes no sense, or is not enough.
    #[error("{0}")]
    Usage(String),
    /// No answer came.
    #[error("no answer from the service at {base}: {reason}\n  {mend}")]
    Unreachable {
        /// Base URL of the service.
        base: String,
        /// What failed.
        reason: String,
        /// What to do.
        mend: &'static str,
    },
    /// No token came.
    #[error("no token: {error}\n  the credential is from {credential_source}")]
    Token {
        /// Why.
        error: TokenError,
        /// Where the credential is from.
        credential_source: String,
    },
    /// The service answered no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The answer is none that a service of this kind gives.
    #[error(
        "the answer to {what} cannot be understood: {reason}\n  check that the URL is that of a Remora service (--service)"
    )]
    Unintelligible {
        /// The request.
        what: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// A file or the terminal.
    #[error("{what}: {source}")]
    Io {
        /// What was read or written.
        what: String,
        /// Why that failed.
        source: std::io::Error,
    },
    /// Anything else, told whole.
    #[error("{0}")]
    Failed(String),
}

impl ClientError {
    /// No answer came from the service at `base`.
    pub(super) fn unreachable(base: &str, error: &HttpError) -> Self {
        let mend = match error.kind {
            HttpErrorKind::Connect => {
                "is it running, and is the URL right? `remora up` runs one here; --service (REMORA_SERVICE) names another"
            }
            HttpErrorKind::Tls => {
                "if its certificate is of an authority of your own, name that with --ca-file or SSL_CERT_FILE (PEM)"
            }
            HttpErrorKind::Timeout => "whether anything was changed is not known: look before you repeat it",
            HttpErrorKind::TooLarge => "ask for less: one resource, or one resource group (--resource-group)",
            HttpErrorKind::Other => "look at the service's log; whether anything was changed is not known",
        };
        Self::Unreachable { base: base.to_owned(), reason: error.to_string(), mend }
    }

    /// The program's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        if matches!(self, Self::Usage(_)) { 2 } else { 1 }
    }
}

/// What the service answered instead of doing what was asked.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Method and path of the request.
    pub(crate) request: String,
    /// The answer's status.
    pub(crate) status: StatusCode,
    /// Azure's word for what is wrong; empty when the answer is not in Azure's form.
    pub(crate) code: String,
    /// The same, for people.
    pub(crate) message: String,
    details: Vec<Detail>,
    request_id: Option<String>,
    mend: Option<String>,
}

/// One of several things that are wrong.
#[derive(Debug)]
struct Detail {
    code: String,
    target: String,
    message: String,
}

impl Refusal {
    pub(super) fn read(method: &str, target: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let path = target.split('?').next().unwrap_or(target);
        let mut refusal = Self {
            request: format!("{method} {}", shorten(path)),
            status,
            code: String::new(),
            message: String::new(),
            details: Vec::new(),
            request_id: header(headers, "x-ms-request-id").or_else(|| header(headers, "request-id")),
            mend: None,
        };
        match serde_json::from_slice::<Value>(body) {
            Ok(answer) if answer.get("error").is_some_and(Value::is_object) => {
                text(&answer, "/error/code").clone_into(&mut refusal.code);
                text(&answer, "/error/message").clone_into(&mut refusal.message);
                collect_details(&answer["error"], 0, &mut refusal.details);
            }
            _ => refusal.message = shorten(String::from_utf8_lossy(body).trim()),
        }
        refusal
    }

    pub(super) fn with_mend(self, api: Api, parts: &Parts) -> Self {
        let mend = mend::of(&self, api, parts);
        Self { mend, ..self }
    }

    /// Whether it says that the thing itself does not exist, not what it would be in.
    pub(crate) fn is_missing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && !matches!(&*self.code, "SubscriptionNotFound" | "ResourceGroupNotFound")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.as_u16();
        match (&*self.code, &*self.message) {
            ("", "") => write!(f, "{} was answered {status}", self.request)?,
            ("", message) => write!(f, "{} was answered {status}: {message}", self.request)?,
            (code, message) => write!(f, "{code} ({status}): {message}")?,
        }
        // A whole that is one thing alone mostly says what its detail says.
        for detail in self.details.iter().filter(|detail| !self.message.contains(&detail.message)) {
            // Codes of details are mostly that of the whole; they are told where they say more.
            let code = if detail.code.is_empty() || detail.code == self.code { "" } else { &*detail.code };
            let place =
                [code, &detail.target].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
            let colon = if place.is_empty() { "" } else { ": " };
            write!(f, "\n  - {place}{colon}{}", detail.message)?;
        }
        if let Some(mend) = &self.mend {
            write!(f, "\n  {mend}")?;
        }
        match &self.request_id {
            Some(id) => write!(f, "\n  request {id}"),
            None => Ok(()),
        }
    }
}

fn collect_details(error: &Value, depth: usize, found: &mut Vec<Detail>) {
    let Some(details) = error.get("details").and_then(Value::as_array) else { return };
    for detail in details {
        if found.len() >= DETAILS_MAX {
            return;
        }
        let own = |key: &str| detail.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let message = own("message");
        if !message.is_empty() {
            found.push(Detail { code: own("code"), target: own("target"), message });
        }
        if depth < DETAILS_DEPTH_MAX {
            collect_details(detail, depth + 1, found);
        }
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// A request with more mistakes has been told enough.
const DETAILS_MAX: usize = 100;
const DETAILS_DEPTH_MAX: usize = 4;
