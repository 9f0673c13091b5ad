//! What the sender is told.

use http::StatusCode;
use http::header::{ALLOW, HeaderName, RETRY_AFTER};
use http_serving::{AzureError, Peer, Response, empty, token_refused, with_header};
use model::{ErrorKind, Kinded};
use remote_write::{Version, WrittenCounts};

use crate::decode::Outcome;
use crate::error::IngestError;

/// The answer to a request that was processed.
pub(crate) fn of_outcome(outcome: &Outcome, peer: &Peer) -> Response {
    let response = match (&outcome.failed, &outcome.refused) {
        (Some(failed), _) => {
            let error = AzureError::new(ErrorKind::Unavailable, "ServiceUnavailable", failed.as_str());
            come_again(&error, peer, RETRY_AFTER_SECS)
        }
        (None, Some(report)) => AzureError::new(ErrorKind::Invalid, "SamplesRefused", report.message()).response(peer),
        (None, None) => empty(StatusCode::NO_CONTENT),
    };
    with_written(response, outcome.version, outcome.strict, outcome.written)
}

/// The answer to a request of which nothing was stored. `version` is given once it is negotiated, and only where senders
/// are told what was written.
pub(crate) fn of_error(
    error: &IngestError,
    version: Option<Version>,
    peer: &Peer,
    authorization_uri: &str,
) -> Response {
    if let IngestError::Token(refused) = error {
        return token_refused(refused, peer, authorization_uri);
    }
    let envelope = AzureError::new(error.kind(), error.code(), error.to_string());
    let response = match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Canceled => {
            come_again(&envelope, peer, RETRY_AFTER_SECS)
        }
        ErrorKind::Throttled => come_again(&envelope, peer, error.retry_after_secs()),
        ErrorKind::MethodNotAllowed => with_header(envelope.response(peer), ALLOW, "POST"),
        _ => envelope.response(peer),
    };
    match version {
        Some(version) => with_written(response, version, true, WrittenCounts::default()),
        None => response,
    }
}

fn come_again(error: &AzureError, peer: &Peer, secs: u64) -> Response {
    with_header(error.response(peer), RETRY_AFTER, secs.to_string())
}

/// Version 2.0 is told what was written, also on failure. Version 1.0 never: its senders take what they do not expect for
/// a loss.
fn with_written(mut response: Response, version: Version, strict: bool, written: WrittenCounts) -> Response {
    if version == Version::V2 && strict {
        for (name, count) in written.headers() {
            response = with_header(response, HeaderName::from_static(name), count);
        }
    }
    response
}

/// Prometheus waits that long before it sends again, at least.
const RETRY_AFTER_SECS: u64 = 1;
