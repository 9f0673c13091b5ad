//! Whether samples can be read back.

use std::time::Duration;

use bytes::Bytes;
use environment::{Clock, HttpClient, HttpError, Response};
use http::header::{AUTHORIZATION, USER_AGENT};
use identity::Credential;
use serde_json::Value;
use url::Url;

use crate::plan::Endpoint;
use crate::report::{Link, Step};
use crate::text::{excerpt, span};
use crate::write::TEST_METRIC;

#[cfg(test)]
mod tests;

/// Queries `endpoint`: for the sample written with value `written`, or else for the age of the newest sample of `up`.
pub(crate) async fn look(
    http: &dyn HttpClient,
    credential: &dyn Credential,
    endpoint: &Endpoint,
    written: Option<f64>,
    clock: &dyn Clock,
) -> (Vec<Step>, Option<()>) {
    let token = match tokio::time::timeout(TOKEN_TIMEOUT, credential.fetch(&endpoint.scope)).await {
        Ok(Ok(token)) => token,
        Ok(Err(error)) => {
            let mend = error.mend().unwrap_or("look into the sign-in logs of the application or identity").to_owned();
            let finding = format!("no token for queries ({}): {error}", endpoint.scope.resource());
            return (vec![Step::failed(Link::ReadBack, finding, mend)], None);
        }
        Err(_) => {
            let finding = format!("no token for queries within {} s", TOKEN_TIMEOUT.as_secs());
            return (vec![Step::failed(Link::ReadBack, finding, "try again")], None);
        }
    };
    let question = match written {
        Some(_) => format!("{TEST_METRIC}{{job=\"remora-doctor\"}}"),
        None => AGE_OF_UP.to_owned(),
    };
    let url = query_url(&endpoint.url, &question);
    let begun = clock.monotonic();
    loop {
        let request = http::Request::get(url.as_str())
            .header(AUTHORIZATION, token.authorization())
            .header(USER_AGENT, "remora-doctor")
            .body(Bytes::new())
            .expect("a parsed URL and constant headers make a request");
        let answer = http.send(request, QUERY_TIMEOUT).await;
        let step = match read(answer, token.secret()) {
            Err(step) => *step,
            Ok(found) => match written {
                None => age(found),
                Some(value) if found == Some(value) => {
                    let took = span(clock.monotonic().since(begun));
                    Step::ok(Link::ReadBack, format!("the sample written before was read back after {took}"))
                }
                Some(_) if clock.monotonic().since(begun) < VISIBLE_WITHIN => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Some(_) => {
                    let finding =
                        format!("the sample written before is not to be read within {}", span(VISIBLE_WITHIN));
                    let mend = format!(
                        "ask for {TEST_METRIC} again in some minutes; if it stays away, the query endpoint is that of another workspace than the rule's"
                    );
                    Step::warning(Link::ReadBack, finding, mend)
                }
            },
        };
        return (vec![step], Some(()));
    }
}

fn query_url(base: &Url, question: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/api/v1/query", base.path().trim_end_matches('/')));
    url.query_pairs_mut().append_pair("query", question);
    url
}

/// The first value of the result; none when it is empty.
fn read(answer: Result<Response, HttpError>, secret: &str) -> Result<Option<f64>, Box<Step>> {
    let failed = |finding: String, mend: &str| Err(Box::new(Step::failed(Link::ReadBack, finding, mend)));
    let response = match answer {
        Ok(response) => response,
        Err(error) => {
            let text = excerpt(error.message.as_bytes(), secret, 200);
            return failed(
                format!("the query endpoint does not answer: {text}"),
                "check the host of REMORA_QUERY_URL, DNS and the way there",
            );
        }
    };
    let fields = serde_json::from_slice::<Value>(response.body()).unwrap_or(Value::Null);
    let status = response.status().as_u16();
    if status == 200 && fields["status"] == "success" {
        return Ok(first_value(&fields["data"]));
    }
    let said = fields["error"]["message"].as_str().or_else(|| fields["error"].as_str());
    let said = excerpt(said.map_or(&response.body()[..], str::as_bytes), secret, 200);
    match status {
        401 => failed(
            format!("the query endpoint refuses the token (401): {said}"),
            "queries need a token of their own audience, https://prometheus.monitor.azure.com in the public cloud: check CLOUD",
        ),
        403 => failed(
            format!("the identity may not query (403): {said}"),
            "grant Monitoring Data Reader on the workspace (not on the rule), and wait up to 30 minutes: the role for writing \
             does not include reading",
        ),
        404 => failed(
            format!("there is no query API below REMORA_QUERY_URL (404): {said}"),
            "set it to the query endpoint of the workspace, as its overview page shows it, without /api/v1/…",
        ),
        429 => failed(format!("queries are throttled (429): {said}"), "try again in a minute"),
        _ => failed(
            format!("the query fails ({status}): {said}"),
            "check REMORA_QUERY_URL; if it is right, try again later",
        ),
    }
}

/// Of a vector's first series or of a scalar.
fn first_value(data: &Value) -> Option<f64> {
    let pair = match data["resultType"].as_str() {
        Some("scalar") => &data["result"],
        _ => &data["result"][0]["value"],
    };
    pair[1].as_str()?.parse().ok()
}

fn age(found: Option<f64>) -> Step {
    match found {
        Some(seconds) if seconds <= FRESH_SECONDS => Step::ok(
            Link::ReadBack,
            format!("queries work; the newest sample of `up` is {} old", seconds_text(seconds)),
        ),
        Some(seconds) => {
            let finding = format!(
                "queries work, but the newest sample of `up` is {} old: no data is flowing",
                seconds_text(seconds)
            );
            Step::warning(Link::ReadBack, finding, FLOW_MEND)
        }
        None => {
            let finding =
                "queries work, but no sample of `up` came within 5 minutes: no data is flowing, or `up` is not sent";
            Step::warning(Link::ReadBack, finding, FLOW_MEND)
        }
    }
}

fn seconds_text(seconds: f64) -> String {
    span(Duration::from_secs_f64(seconds.clamp(0.0, 1e9)))
}

/// One metric by its name, as Azure wants it. An instant query looks back five minutes.
const AGE_OF_UP: &str = "time() - max(timestamp(up))";
/// Scrapes come once a minute or more often, and take a little to arrive.
const FRESH_SECONDS: f64 = 150.0;
const FLOW_MEND: &str = "see the link `sidecar`; then look whether Prometheus sends: its remote_write url must be \
     http://localhost:8081/api/v1/write, and prometheus_remote_storage_samples_failed_total must stand still";
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);
const QUERY_TIMEOUT: Duration = Duration::from_secs(8);
const VISIBLE_WITHIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);
