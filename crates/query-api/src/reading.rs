//! The parsers of bytes that come from outside, for tests and fuzz targets: what requests say before anything is done.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderValue};

use crate::compression::Encoding;
use crate::federate::Federation;
use crate::listing::{Listing, federated};
use crate::params::Params;
use crate::remote_read::ReadRequest;
use crate::route::Route;

/// A request's path, query string, form and one header's value; whether all of it is understood.
pub fn request(path: &str, query: &str, form: &[u8], header: &[u8]) -> bool {
    let routed = Route::parse(path).is_some();
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(header) {
        headers.insert(ACCEPT, value.clone());
        headers.insert(ACCEPT_ENCODING, value);
    }
    let _ = (Encoding::negotiate(&headers), Federation::negotiate(&headers));
    let Ok(params) = Params::parse(Some(query), form) else { return false };
    let times = ["start", "end", "time"].map(|name| params.time(name, model::TimestampMs(0)).is_ok());
    let durations = [params.duration_ms("step").is_ok(), params.lookback_ms().is_ok(), params.limit().is_ok()];
    let timeout = params.timeout(std::time::Duration::from_secs(120));
    if let Ok(timeout) = timeout {
        assert!(!timeout.is_zero() && timeout.as_secs() <= 120, "{timeout:?}");
    }
    let listed =
        Listing::of_series(&params).is_ok() && Listing::of_labels(&params).is_ok() && federated(&params).is_ok();
    routed && times.iter().chain(&durations).all(|understood| *understood) && timeout.is_ok() && listed
}

/// The message of a remote read; whether it is understood.
pub fn remote_read(message: &[u8]) -> bool {
    ReadRequest::parse(message).is_ok_and(|read| read.response_type().is_ok())
}
