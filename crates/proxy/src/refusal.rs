//! Answers that the proxy gives itself instead of the upstream's.

/// An answer of our own: a status, and a reason as JSON.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// A word for programs.
    pub(crate) code: &'static str,
    /// What failed on what, for people.
    pub(crate) message: String,
    /// Value of `Allow`, which goes with 405.
    pub(crate) allow: Option<&'static str>,
    /// Value of `Retry-After`, in seconds.
    pub(crate) retry_after_secs: Option<u32>,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), allow: None, retry_after_secs: None }
    }

    pub(crate) fn not_found(path: &[u8]) -> Self {
        let path: String = String::from_utf8_lossy(path).chars().take(200).collect();
        Self::new(404, "NotFound", format!("there is nothing at {path}: samples are written to /api/v1/write"))
    }

    pub(crate) fn method(allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(405, "MethodNotAllowed", format!("the methods taken here are: {allow}"))
        }
    }

    /// A form of content that is not taken. Senders drop it.
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// A request without the token that the listener asks for.
    pub(crate) fn unauthenticated() -> Self {
        let message = "this listener takes requests with its bearer token alone: set authorization.credentials_file (or \
                       credentials) at the sender to the token in the file that REMORA_LISTEN_TOKEN_FILE names here";
        Self::new(401, "Unauthorized", message)
    }

    /// What the sender should send again later. Never a 4xx: a sender drops what those answer.
    pub(crate) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(503, code, message)
    }

    /// As [`Refusal::unavailable`], with the time after which it is worth trying.
    pub(crate) fn retry_after(secs: u32, code: &'static str, message: impl Into<String>) -> Self {
        Self { retry_after_secs: Some(secs), ..Self::unavailable(code, message) }
    }

    /// For a sender that hung up: counted, not sent, as nobody is there to read it.
    pub(crate) fn hang_up() -> Self {
        Self::new(HANG_UP, "SenderGone", "the sender hung up before it was answered")
    }

    pub(crate) fn is_hang_up(&self) -> bool {
        self.status == HANG_UP
    }

    /// The body as senders and probes read it.
    pub(crate) fn json(&self) -> Vec<u8> {
        serde_json::json!({ "code": self.code, "message": self.message }).to_string().into_bytes()
    }

    /// The body as clients of the query API read it.
    pub(crate) fn query_api_json(&self) -> Vec<u8> {
        let kind = if self.status >= 500 { "unavailable" } else { "bad_data" };
        serde_json::json!({
            "status": "error",
            "errorType": kind,
            "error": format!("{}: {}", self.code, self.message),
        })
        .to_string()
        .into_bytes()
    }
}

/// What nginx counts such requests under.
const HANG_UP: u16 = 499;

/// The reason phrase of a status that we answer ourselves.
pub(crate) fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("")
}
