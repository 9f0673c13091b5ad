//! Write requests for tests.

use model::{Labels, TimestampMs};
use remote_write::{Encoder, Sample, Version, framing};

use crate::client::{Answer, Client};

/// Headers of a remote-write 1.0 request.
pub(crate) const HEADERS: [(&str, &str); 3] = [
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
    ("x-prometheus-remote-write-version", "0.1.0"),
];

/// A compressed 1.0 request of one sample for each of the series.
pub(crate) fn request(series: &[(Labels, TimestampMs, f64)]) -> Vec<u8> {
    let mut encoder = Encoder::new(Version::V1);
    for (labels, at, value) in series {
        encoder.series(labels).sample(Sample::new(*at, *value));
    }
    framing::encode(&encoder.finish())
}

/// Labels of a test's series.
pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

/// Now, as samples count time.
#[allow(clippy::disallowed_methods, reason = "real programs judge the samples by the real time")]
pub(crate) fn now() -> TimestampMs {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    TimestampMs(i64::try_from(since_epoch.as_millis()).unwrap())
}

/// Posts a request, with a token if one is given; `None` when no answer came.
pub(crate) fn try_post(client: &Client, url: &str, token: Option<&str>, body: Vec<u8>) -> Option<Answer> {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let mut headers = HEADERS.to_vec();
    headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
    client.try_send("POST", url, &headers, body)
}

/// Posts a request whose answer must come.
#[track_caller]
pub(crate) fn post(client: &Client, url: &str, token: Option<&str>, body: Vec<u8>) -> Answer {
    try_post(client, url, token, body).unwrap_or_else(|| panic!("no answer from {url}"))
}
