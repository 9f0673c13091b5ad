//! Why a request as a whole is not taken.

use std::sync::Arc;

use access::{Principal, TokenRefused};
use http_serving::{Peer, ReadBodyError};
use model::{ErrorKind, Kinded, ResourceId};
use quota::OverLimit;
use remote_write::framing::FramingError;
use remote_write::{DecodeError, UnsupportedMedia};
use storage::NoStorage;

/// Nothing of the request was stored. Texts of the contract (§3.3) stand as they are: people search for them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IngestError {
    #[error(
        "this path is not one of a data collection rule's stream; expected /dataCollectionRules/<immutable id>/streams/<stream>/api/v1/write"
    )]
    NoRoute,
    #[error(transparent)]
    Token(#[from] TokenRefused),
    #[error("Data collection rule with immutable Id '{0}' not found.")]
    UnknownRule(String),
    #[error("The authentication token provided does not have access to ingest data for the data collection rule with immutable Id '{rule}' PipelineAccessResult: AccessGranted: False, IsRbacPresent: False, IsDcrDceBindingValid: , DcrArmId: {rule_resource}, Message: Required authorization action was not found for tenantId {} objectId {} on resourceId {rule_resource} ConfigurationId: {rule}..", principal.tenant_id.as_deref().unwrap_or(""), principal.object_id)]
    Forbidden { rule: String, rule_resource: ResourceId, principal: Arc<Principal> },
    #[error(
        "The authentication token provided does not have access to ingest data for the data collection rule with immutable Id '{rule}' PipelineAccessResult: AccessGranted: False, IsRbacPresent: True, IsDcrDceBindingValid: False, DcrArmId: {rule_resource}, Message: The data collection rule is not bound to the data collection endpoint {endpoint} that the request was sent to: send to the rule's own endpoint, or set the rule's dataCollectionEndpointId ConfigurationId: {rule}.."
    )]
    NotBound { rule: String, rule_resource: ResourceId, endpoint: ResourceId },
    #[error("There is no data collection endpoint with the host '{0}'.")]
    UnknownEndpoint(String),
    #[error(
        "Public network access of the data collection endpoint {0} is disabled: it takes no data. Set networkAcls.publicNetworkAccess to Enabled to change that."
    )]
    NoPublicAccess(ResourceId),
    #[error(
        "Stream '{stream}' of the data collection rule with immutable Id '{rule}' has no destination any more: the workspaces it wrote to were deleted. Restore one, or give the rule another destination."
    )]
    NoDestination { stream: String, rule: String },
    #[error(transparent)]
    OverLimit(Box<OverLimit>),
    #[error("method {0} is not allowed here: use POST")]
    Method(String),
    #[error("the api-version {0:?} is not a date such as 2023-04-24")]
    ApiVersion(String),
    #[error("Stream '{stream}' not found in data collection rule with immutable Id '{rule}'.")]
    UnknownStream { stream: String, rule: String },
    #[error("Maximum allowed content length: {limit} bytes ({} MB). Provided content length: {} bytes.", *limit as f64 / f64::from(1 << 20), provided_text(*limit, *provided))]
    TooLarge { limit: u64, provided: Option<u64> },
    #[error(transparent)]
    Media(#[from] UnsupportedMedia),
    #[error("this workspace takes remote write 1.0 only, as Azure Monitor does")]
    OnlyVersion1,
    #[error("too many requests are being written at the moment: send this one again")]
    Busy,
    #[error(transparent)]
    Body(ReadBodyError),
    #[error(transparent)]
    Framing(#[from] FramingError),
    #[error("{0}; nothing of the request was stored")]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    NoStorage(#[from] NoStorage),
    #[error("the request could not be processed: send it again")]
    Lost,
}

impl IngestError {
    /// A body that was not read; one that is too large says so as the contract has it.
    pub(crate) fn of_body(error: ReadBodyError, limit: u64) -> Self {
        match error {
            ReadBodyError::TooLarge { declared, .. } => Self::TooLarge { limit, provided: declared },
            other => Self::Body(other),
        }
    }

    /// The stable name in the answer.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoRoute
            | Self::UnknownRule(_)
            | Self::UnknownStream { .. }
            | Self::UnknownEndpoint(_)
            | Self::NoDestination { .. } => "NotFound",
            Self::Token(_) => "AuthenticationFailed",
            Self::Forbidden { .. } | Self::NotBound { .. } => "OperationFailed",
            Self::NoPublicAccess(_) => "PublicNetworkAccessDisabled",
            Self::OverLimit(_) => "TooManyRequests",
            Self::Method(_) => "MethodNotAllowed",
            Self::ApiVersion(_) => "InvalidApiVersionParameter",
            Self::TooLarge { .. } => "ContentLengthLimitExceeded",
            Self::Media(_) | Self::OnlyVersion1 => "UnsupportedMediaType",
            Self::Framing(error) if error.kind() == ErrorKind::TooLarge => "ContentLengthLimitExceeded",
            Self::Decode(error) if error.kind() == ErrorKind::TooLarge => "ContentLengthLimitExceeded",
            Self::Framing(_) | Self::Decode(_) => "InvalidRequestBody",
            Self::Busy | Self::Body(_) | Self::NoStorage(_) | Self::Lost => "ServiceUnavailable",
        }
    }

    /// After how many seconds the same request may be taken: for those that are to come again.
    pub(crate) fn retry_after_secs(&self) -> u64 {
        match self {
            Self::OverLimit(over) => over.retry_after.map_or(1, |wait| wait.as_secs().max(1)),
            Self::NoStorage(none) => none.retry_after().as_secs().max(1),
            _ => 1,
        }
    }

    /// Says to the operator what only the operator can mend. Everything else is told the sender, who is concerned.
    pub(crate) fn log(&self, peer: &Peer) {
        if let Self::NoStorage(_) | Self::Lost = self {
            tracing::warn!(request = %peer.request_id, error = %self, "a write request was not stored");
        }
    }
}

impl Kinded for IngestError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoRoute
            | Self::UnknownRule(_)
            | Self::UnknownStream { .. }
            | Self::UnknownEndpoint(_)
            | Self::NoDestination { .. } => ErrorKind::NotFound,
            Self::Token(error) => error.kind(),
            Self::Forbidden { .. } | Self::NotBound { .. } | Self::NoPublicAccess(_) => ErrorKind::Forbidden,
            Self::OverLimit(over) => over.kind(),
            Self::Method(_) => ErrorKind::MethodNotAllowed,
            Self::ApiVersion(_) => ErrorKind::Invalid,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Media(_) | Self::OnlyVersion1 => ErrorKind::UnsupportedMedia,
            Self::Busy | Self::NoStorage(_) | Self::Lost => ErrorKind::Unavailable,
            Self::Body(error) => error.kind(),
            Self::Framing(error) => error.kind(),
            Self::Decode(error) => error.kind(),
        }
    }
}

/// A body without an announced length is only known to be over the limit.
fn provided_text(limit: u64, provided: Option<u64>) -> String {
    provided.map_or_else(|| format!("more than {limit}"), |bytes| bytes.to_string())
}
