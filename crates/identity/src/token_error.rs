//! Why no token came, told so that a person can mend it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why no token came. Cheap to clone.
///
/// Its text names the credential, the endpoint, the answer and a mend. It never holds a secret, an assertion or a token.
#[derive(Clone)]
pub struct TokenError(Arc<Details>);

/// What kind of failure it was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TokenErrorKind {
    /// Something on this machine is missing, broken or expired: a file, a certificate. Nothing was sent.
    Local,
    /// The endpoint answered, and will answer the same until somebody changes something.
    Refused,
    /// The endpoint answered that it cannot now: throttled, updating, failing.
    Unavailable,
    /// No answer came.
    Unreachable,
    /// An answer came that is no token answer.
    Unintelligible,
    /// None came within the time a caller waits.
    Pending,
}

impl TokenErrorKind {
    /// One word for pages and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Unreachable => "unreachable",
            Self::Unintelligible => "unintelligible",
            Self::Pending => "pending",
        }
    }
}

#[derive(Clone, Debug)]
struct Details {
    kind: TokenErrorKind,
    credential: String,
    endpoint: Option<String>,
    status: Option<u16>,
    aadsts: Vec<u32>,
    message: String,
    mend: Option<String>,
    retry_after: Option<Duration>,
}

impl TokenError {
    /// `credential` failed with `message`, which says what failed on what.
    pub fn new(kind: TokenErrorKind, credential: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Arc::new(Details {
            kind,
            credential: credential.into(),
            endpoint: None,
            status: None,
            aadsts: Vec::new(),
            message: message.into(),
            mend: None,
            retry_after: None,
        }))
    }

    /// Names the endpoint asked.
    #[must_use]
    pub fn at(mut self, endpoint: impl Into<String>) -> Self {
        self.details().endpoint = Some(endpoint.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_mend(mut self, mend: impl Into<String>) -> Self {
        self.details().mend = Some(mend.into());
        self
    }

    pub(crate) fn with_status(mut self, status: u16, aadsts: Vec<u32>, retry_after: Option<Duration>) -> Self {
        let details = self.details();
        details.status = Some(status);
        details.aadsts = aadsts;
        details.retry_after = retry_after;
        self
    }

    pub(crate) fn with_retry_after(mut self, span: Duration) -> Self {
        self.details().retry_after = Some(span);
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> TokenErrorKind {
        self.0.kind
    }

    /// Whether time alone may mend it. The refresh loop goes on either way.
    pub fn is_transient(&self) -> bool {
        !matches!(self.0.kind, TokenErrorKind::Local | TokenErrorKind::Refused)
    }

    /// The credential that failed, for example "client secret of application 1111…".
    pub fn credential(&self) -> &str {
        &self.0.credential
    }

    /// The endpoint asked, without its query.
    pub fn endpoint(&self) -> Option<&str> {
        self.0.endpoint.as_deref()
    }

    /// The HTTP status of the answer, if one came.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Entra's error codes (the number after `AADSTS`).
    pub fn aadsts(&self) -> &[u32] {
        &self.0.aadsts
    }

    /// What to do about it.
    pub fn mend(&self) -> Option<&str> {
        self.0.mend.as_deref()
    }

    /// How long the endpoint asked to be left alone, or until the next attempt is due.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    fn details(&mut self) -> &mut Details {
        Arc::make_mut(&mut self.0)
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.credential, self.0.message)?;
        match &self.0.mend {
            Some(mend) => write!(f, "; {mend}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for TokenError {}
