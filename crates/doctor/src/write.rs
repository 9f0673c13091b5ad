//! The test request to the ingestion endpoint.

use std::time::Duration;

use bytes::Bytes;
use environment::{HttpClient, HttpErrorKind, UnixTime};
use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER, SERVER, USER_AGENT, WWW_AUTHENTICATE,
};
use identity::Cloud;
use model::{Labels, METRIC_NAME, TimestampMs};
use remote_write::{Encoder, Sample, Version, framing};
use url::Url;

use crate::answer::{Answer, Asked, judge};
use crate::plan::Endpoint;
use crate::report::{Link, Step};
use crate::text::excerpt;
use crate::token::Held;

/// Name of the series that `--write-sample` writes to; its label `job` is `remora-doctor`, its value the Unix time.
pub const TEST_METRIC: &str = "remora_doctor_test";

/// Sends the test request: empty, or with one sample at `now`. What is found besides is the sample's value when it was taken.
pub(crate) async fn look(
    http: &dyn HttpClient,
    endpoint: &Endpoint,
    held: &Held,
    sample: bool,
    now: UnixTime,
) -> (Vec<Step>, Option<f64>) {
    let value = now.as_secs() as f64;
    let message = if sample { one_sample(now, value) } else { Vec::new() };
    let request = http::Request::post(endpoint.url.as_str())
        .header(AUTHORIZATION, held.token.authorization())
        .header(CONTENT_ENCODING, "snappy")
        .header(CONTENT_TYPE, "application/x-protobuf")
        .header("x-prometheus-remote-write-version", "0.1.0")
        .header(USER_AGENT, "remora-doctor")
        .body(Bytes::from(framing::encode(&message)));
    let Ok(request) = request else {
        return (vec![Step::failed(Link::Write, "INGESTION_URL cannot be requested", "check INGESTION_URL")], None);
    };
    match http.send(request, WRITE_TIMEOUT).await {
        Ok(response) => {
            let claims = held.claims.as_ref();
            let asked = Asked {
                url: &endpoint.url,
                audience: endpoint.scope.resource(),
                expected_audience: cloud_of(&endpoint.url).and_then(Cloud::ingestion_audience),
                object_id: claims.and_then(|claims| claims.object_id.as_deref()),
                tenant_id: claims.and_then(|claims| claims.tenant_id.as_deref()),
                sample,
                secret: held.token.secret(),
            };
            let taken = sample && response.status().is_success();
            (
                judge(&answer(response.status().as_u16(), response.headers(), response.body()), &asked),
                taken.then_some(value),
            )
        }
        Err(error) => (vec![no_answer(&error, held)], None),
    }
}

/// The cloud to which a host of Azure Monitor belongs.
pub(crate) fn cloud_of(url: &Url) -> Option<Cloud> {
    let host = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
    [
        (".monitor.azure.com", Cloud::Public),
        (".monitor.azure.us", Cloud::UsGovernment),
        (".monitor.azure.cn", Cloud::China),
    ]
    .into_iter()
    .find_map(|(suffix, cloud)| host.ends_with(suffix).then_some(cloud))
}

fn one_sample(now: UnixTime, value: f64) -> Vec<u8> {
    let labels = Labels::from_pairs([(METRIC_NAME, TEST_METRIC), ("job", "remora-doctor")])
        .expect("two different names make a label set");
    let mut encoder = Encoder::new(Version::V1);
    encoder.series(&labels).sample(Sample { timestamp: TimestampMs(now.as_millis()), value, start_timestamp: None });
    encoder.finish()
}

fn answer(status: u16, headers: &HeaderMap, body: &Bytes) -> Answer {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Answer {
        status,
        content_type: text(CONTENT_TYPE.as_str()),
        retry_after: text(RETRY_AFTER.as_str()),
        challenge: text(WWW_AUTHENTICATE.as_str()),
        location: text(LOCATION.as_str()).map(|location| location.split('?').next().unwrap_or_default().to_owned()),
        server: text(SERVER.as_str()),
        request_id: text("x-ms-request-id").map(|id| excerpt(id.as_bytes(), "", 80)),
        body: body.slice(..body.len().min(BODY_BYTES_READ)),
    }
}

fn no_answer(error: &environment::HttpError, held: &Held) -> Step {
    let text = excerpt(error.message.as_bytes(), held.token.secret(), 200);
    let mend = match error.kind {
        HttpErrorKind::Timeout => {
            "the connection stands but no answer comes: look for a firewall or gateway that holds requests back"
        }
        HttpErrorKind::TooLarge => "what answers is no ingestion endpoint: check INGESTION_URL",
        _ => {
            "the connection broke during the request: try again; if it stays, look for a firewall or proxy that ends connections"
        }
    };
    Step::failed(Link::Write, format!("no answer to the test request: {text}"), mend)
}

const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const BODY_BYTES_READ: usize = 16 << 10;
