//! What the ingestion endpoint's answer to the test request says about admission, role, binding and writing.
//!
//! The endpoint looks at a request in this order: token, role on the rule, whether the rule is bound to it, size and rate,
//! body. So an answer from further back proves what lies before it. A pure function of the answer.

use bytes::Bytes;
use serde_json::Value;
use url::Url;

use crate::report::{Link, Step};
use crate::text::excerpt;

mod access;

#[cfg(test)]
mod tests;

use access::Access;

/// The answer, with the headers that tell something.
#[derive(Clone, Default, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) challenge: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) server: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) body: Bytes,
}

/// What was asked, as far as the answer's meaning depends on it.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) url: &'a Url,
    /// Audience of the token.
    pub(crate) audience: &'a str,
    /// The audience that the endpoint's host name calls for, if it is one of Azure's.
    pub(crate) expected_audience: Option<&'a str>,
    /// `oid` of the token.
    pub(crate) object_id: Option<&'a str>,
    /// `tid` of the token.
    pub(crate) tenant_id: Option<&'a str>,
    /// Whether the request held a sample.
    pub(crate) sample: bool,
    /// The token, which must not come back in a report.
    pub(crate) secret: &'a str,
}

/// Steps for admission, role, binding and writing.
pub(crate) fn judge(answer: &Answer, asked: &Asked<'_>) -> Vec<Step> {
    let said = Said::of(answer, asked.secret);
    let mut steps = match answer.status {
        200..=299 => passed(3, written(answer, asked)),
        300..=399 => broken(0, redirected(answer, asked)),
        401 => broken(0, unauthorized(answer, asked, &said)),
        403 => forbidden(asked, &said),
        404 => not_found(asked, &said),
        405 => broken(0, foreign(answer, &said)),
        400 => passed(3, bad_request(asked, &said)),
        413 => passed(3, too_large(&said)),
        415 => passed(
            3,
            Step::failed(
                Link::Write,
                format!("the endpoint does not take remote write 1.0: {}", said.words()),
                "check the path of INGESTION_URL: it must end in /api/v1/write",
            ),
        ),
        429 => broken(3, throttled(answer, &said)),
        500..=599 => broken(3, failing(answer, &said)),
        _ => broken(0, foreign(answer, &said)),
    };
    if let Some(step) = steps.iter_mut().find(|step| step.mend.is_some()) {
        *step = step
            .clone()
            .with("status", answer.status)
            .with_some("code", said.code.as_deref())
            .with_some("message", (!said.message.is_empty()).then_some(&said.message))
            .with_some("request_id", answer.request_id.as_deref());
    }
    steps
}

/// What the body says: Azure's envelope, or the beginning of whatever it is.
struct Said {
    code: Option<String>,
    message: String,
    is_envelope: bool,
}

impl Said {
    fn of(answer: &Answer, secret: &str) -> Self {
        let fields = serde_json::from_slice::<Value>(&answer.body).unwrap_or(Value::Null);
        let envelope = &fields["error"];
        match envelope["message"].as_str() {
            Some(message) => Self {
                code: envelope["code"].as_str().map(|code| excerpt(code.as_bytes(), secret, 80)),
                message: excerpt(message.as_bytes(), secret, MESSAGE_CHARS_MAX),
                is_envelope: true,
            },
            None => Self { code: None, message: excerpt(&answer.body, secret, MESSAGE_CHARS_MAX), is_envelope: false },
        }
    }

    fn contains(&self, words: &str) -> bool {
        self.message.to_ascii_lowercase().contains(words)
    }

    /// For a finding: short.
    fn words(&self) -> String {
        if self.message.is_empty() {
            "it does not say why".to_owned()
        } else {
            excerpt(self.message.as_bytes(), "", 160)
        }
    }
}

const LINKS: [Link; 4] = [Link::Admission, Link::Role, Link::Binding, Link::Write];
const PROVEN: [&str; 3] =
    ["the endpoint takes the token", "the identity may write to the rule", "the endpoint knows the rule"];

/// `step` at link `at` of [`LINKS`]; what lies before it is proven.
fn passed(at: usize, step: Step) -> Vec<Step> {
    let before = (0..at).map(|link| Step::ok(LINKS[link], PROVEN[link]));
    before.chain([step]).chain(after(at)).collect()
}

/// `step` at link `at`; of what lies before it nothing is proven: a busy endpoint may answer so before it looks.
fn broken(at: usize, step: Step) -> Vec<Step> {
    let before = (0..at).map(|link| Step::skipped(LINKS[link], "the answer does not tell"));
    before.chain([step]).chain(after(at)).collect()
}

/// The same where the answer shows that the token was looked at and found good.
fn broken_after_admission(at: usize, step: Step) -> Vec<Step> {
    let mut steps = broken(at, step);
    steps[0] = Step::ok(LINKS[0], PROVEN[0]);
    steps
}

fn after(at: usize) -> impl Iterator<Item = Step> {
    LINKS[at + 1..].iter().map(|link| Step::skipped(*link, "the request did not come so far"))
}

fn written(answer: &Answer, asked: &Asked<'_>) -> Step {
    let status = answer.status;
    if asked.sample {
        Step::ok(Link::Write, format!("one sample of {} was taken ({status})", crate::TEST_METRIC))
    } else {
        Step::ok(Link::Write, format!("an empty request was taken ({status}); nothing was stored"))
    }
}

fn bad_request(asked: &Asked<'_>, said: &Said) -> Step {
    if asked.sample {
        let finding = format!("the endpoint refuses the sample: {}", said.words());
        return Step::failed(
            Link::Write,
            finding,
            "check the path and api-version of INGESTION_URL; the sample itself is plain",
        );
    }
    let finding =
        format!("an empty request is refused as such, after the checks of token, role and rule: {}", said.words());
    Step::warning(
        Link::Write,
        finding,
        "run `doctor --write-sample` to be sure: it writes one sample of remora_doctor_test",
    )
}

fn redirected(answer: &Answer, asked: &Asked<'_>) -> Step {
    let to = answer.location.as_deref().unwrap_or("an address it does not name");
    let finding = format!("{} answers with a redirection to {to}", host(asked.url));
    Step::failed(
        Link::Admission,
        finding,
        "INGESTION_URL does not name an ingestion endpoint, or a sign-in page stands before it: set it to the metrics ingestion endpoint",
    )
}

fn unauthorized(answer: &Answer, asked: &Asked<'_>, said: &Said) -> Step {
    let audience = asked.audience;
    let step = match asked.expected_audience {
        Some(expected) if !same_audience(expected, audience) => Step::failed(
            Link::Admission,
            format!("the endpoint refuses the token (401): it is for {audience}, this endpoint wants {expected}"),
            format!("set CLOUD to the endpoint's cloud, or INGESTION_AAD_AUDIENCE={expected}/.default"),
        ),
        _ => Step::failed(
            Link::Admission,
            format!("the endpoint refuses the token (401): {}", said.words()),
            "the identity must belong to the directory (tenant) of the workspace's subscription, the audience must be the \
             endpoint's, and this machine's clock must be right",
        ),
    };
    step.with("audience", audience)
        .with_some("tenant", asked.tenant_id)
        .with_some("challenge", answer.challenge.as_deref().map(|text| excerpt(text.as_bytes(), asked.secret, 200)))
}

fn forbidden(asked: &Asked<'_>, said: &Said) -> Vec<Step> {
    let access = Access::parse(&said.message);
    let rule_id = access.rule.as_deref();
    if access.is_role_missing() {
        let mut steps = broken_after_admission(1, role_missing(asked, &access));
        if access.is_bound == Some(false) {
            steps[2] = unbound(asked, rule_id);
        }
        return steps;
    }
    if access.is_bound == Some(false) {
        return passed(2, unbound(asked, rule_id));
    }
    if ["private link", "privatelink", "network", "publicnetworkaccess", "perimeter", "ip address"]
        .iter()
        .any(|words| said.contains(words))
    {
        let finding = format!("the endpoint refuses requests from this network (403): {}", said.words());
        let mend = "the data collection endpoint allows no public access: reach it through its private endpoint (Azure Monitor \
                    Private Link Scope), or allow public access in its network settings";
        return broken(0, Step::failed(Link::Admission, finding, mend));
    }
    if !said.is_envelope {
        let finding = format!("403, and not in the words of an ingestion endpoint: {}", said.words());
        let mend =
            "something between here and the endpoint answers: look for a firewall or proxy that filters requests";
        return broken(0, Step::failed(Link::Admission, finding, mend));
    }
    let finding = format!("the identity may not write here (403): {}", said.words());
    broken(1, Step::failed(Link::Role, finding, grant_mend(asked, rule_id)).with_some("oid", asked.object_id))
}

fn role_missing(asked: &Asked<'_>, access: &Access) -> Step {
    let object_id = access.object_id.as_deref().or(asked.object_id);
    let finding = format!(
        "the identity{} has no role on the rule (yet): after it is granted, up to 30 minutes pass until it works",
        object_id.map(|id| format!(" {id}")).unwrap_or_default()
    );
    let mend = format!(
        "if the role was granted within the last 30 minutes, wait: nothing is lost meanwhile with a queue. Otherwise {}",
        grant_mend(asked, access.rule.as_deref())
    );
    Step::failed(Link::Role, finding, mend)
        .with_some("rule", access.rule.as_deref())
        .with_some("oid", object_id)
        .with_some("tenant", access.tenant_id.as_deref().or(asked.tenant_id))
}

fn grant_mend(asked: &Asked<'_>, rule: Option<&str>) -> String {
    let scope = rule.map_or_else(
        || format!("<resource id of the data collection rule {}>", rule_of(asked.url).unwrap_or("of INGESTION_URL")),
        str::to_owned,
    );
    let object_id = asked.object_id.unwrap_or("<object id of the identity>");
    format!(
        "grant Monitoring Metrics Publisher on the rule (the workspace is not enough, Owner is not either): az role assignment \
         create --assignee-object-id {object_id} --assignee-principal-type ServicePrincipal --role \"Monitoring Metrics \
         Publisher\" --scope {scope}"
    )
}

fn unbound(asked: &Asked<'_>, rule_id: Option<&str>) -> Step {
    let rule = rule_of(asked.url).unwrap_or("the rule");
    let finding = format!("{rule} is not bound to this endpoint: waiting does not help");
    let mend = "take rule and endpoint from the same place: the metrics ingestion endpoint on the workspace's overview page, or the \
                endpoint that the rule names (az monitor data-collection rule show, dataCollectionEndpointId)";
    Step::failed(Link::Binding, finding, mend).with("endpoint", host(asked.url)).with_some("rule", rule_id)
}

fn not_found(asked: &Asked<'_>, said: &Said) -> Vec<Step> {
    let rule = rule_of(asked.url);
    if said.contains("data collection rule") || (said.is_envelope && rule.is_some()) {
        let finding = format!("the endpoint knows no rule {} (404): {}", rule.unwrap_or("of that id"), said.words());
        let mend = "compare the immutable id (dcr-…) and the host of INGESTION_URL with the metrics ingestion endpoint on the \
                    workspace's overview page: the rule may be deleted, or belong to an endpoint of another region. Waiting does \
                    not help";
        // Rules are looked up for those alone who came with a good token.
        return broken_after_admission(2, Step::failed(Link::Binding, finding, mend).with("endpoint", host(asked.url)));
    }
    let finding = format!("{} knows no path {} (404): {}", host(asked.url), asked.url.path(), said.words());
    let mend = "set INGESTION_URL to the whole metrics ingestion endpoint, \
                https://<endpoint>/dataCollectionRules/<dcr-…>/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24";
    broken(2, Step::failed(Link::Binding, finding, mend))
}

fn too_large(said: &Said) -> Step {
    let finding = format!("a small request is refused as too large (413): {}", said.words());
    let mend = "something before the endpoint has a lower bound than Azure's 1 MiB: look for a proxy or gateway with a limit on bodies";
    Step::failed(Link::Write, finding, mend)
}

fn throttled(answer: &Answer, said: &Said) -> Step {
    let finding = format!("the ingestion quota is hit (429): {}", said.words());
    Step::failed(Link::Write, finding, QUOTA_MEND)
        .with_some("retry_after", answer.retry_after.as_deref().map(|text| excerpt(text.as_bytes(), "", 40)))
}

fn failing(answer: &Answer, said: &Said) -> Step {
    let finding = format!("the endpoint fails ({}): {}", answer.status, said.words());
    let mend = "this passes, or is the endpoint's operator's to mend: see Azure's service health. Samples wait in the queue, or in \
                Prometheus";
    Step::failed(Link::Write, finding, mend)
        .with_some("retry_after", answer.retry_after.as_deref().map(|text| excerpt(text.as_bytes(), "", 40)))
        .with_some("server", answer.server.as_deref().map(|text| excerpt(text.as_bytes(), "", 80)))
}

fn foreign(answer: &Answer, said: &Said) -> Step {
    let finding = format!("{} is no answer of an ingestion endpoint: {}", answer.status, said.words());
    let mend = "check host and path of INGESTION_URL, and what stands between here and the endpoint";
    Step::failed(Link::Admission, finding, mend)
        .with_some("server", answer.server.as_deref().map(|text| excerpt(text.as_bytes(), "", 80)))
        .with_some("content_type", answer.content_type.as_deref().map(|text| excerpt(text.as_bytes(), "", 80)))
}

/// The immutable id in a URL of an ingestion endpoint.
pub(crate) fn rule_of(url: &Url) -> Option<&str> {
    let mut segments = url.path_segments()?;
    segments.find(|segment| segment.eq_ignore_ascii_case("dataCollectionRules"))?;
    segments.next().filter(|id| !id.is_empty())
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

fn same_audience(left: &str, right: &str) -> bool {
    left.trim_end_matches('/').eq_ignore_ascii_case(right.trim_end_matches('/'))
}

const MESSAGE_CHARS_MAX: usize = 1_200;

/// For whoever hits a quota: which there are, and how to spread over more rules.
pub(crate) const QUOTA_MEND: &str = "a rule takes 15,000 requests and 50 GB a minute: spread the senders over more rules and endpoints that \
     name the same workspace (https://aka.ms/prometheus/remotewrite/dcrartifacts), and have Prometheus send larger requests \
     (max_samples_per_send: 2000). A workspace takes 1,000,000 samples a minute and 1,000,000 active series unless raised: see \
     its metrics EventsPerMinuteIngestedPercentUtilization and ActiveTimeSeriesPercentUtilization, and request more there";
