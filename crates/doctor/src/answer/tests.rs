use super::*;
use crate::report::Status;

const URL: &str = "https://a-1.westus-1.metrics.ingest.monitor.azure.com/dataCollectionRules/dcr-0123/streams/\
                   Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24";

fn asked(url: &Url) -> Asked<'_> {
    Asked {
        url,
        audience: "https://monitor.azure.com",
        expected_audience: Some("https://monitor.azure.com"),
        object_id: Some("oid-1"),
        tenant_id: Some("tid-1"),
        sample: false,
        secret: "geheim",
    }
}

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, body: Bytes::copy_from_slice(body.as_bytes()), ..Answer::default() }
}

fn access(role: &str, bound: &str) -> String {
    serde_json::json!({"error": {"code": "OperationFailed", "message": format!(
        "The authentication token provided does not have access to ingest data for the data collection rule with immutable Id \
         'dcr-0123' PipelineAccessResult: AccessGranted: False, IsRbacPresent: {role}, IsDcrDceBindingValid: {bound}, DcrArmId: \
         /subscriptions/s/resourceGroups/g/providers/Microsoft.Insights/dataCollectionRules/r, Message: Required authorization \
         action was not found for tenantId tid-1 objectId oid-1 on resourceId /subscriptions/s ConfigurationId: dcr-0123.."
    )}})
    .to_string()
}

/// `chain` has a letter per link: o k, f ailed, w arning, - skipped.
#[track_caller]
fn check(answer: &Answer, asked: &Asked<'_>, chain: &str, finding: &str, mend: &str) {
    let steps = judge(answer, asked);
    let letters: String = steps
        .iter()
        .map(|step| match step.status {
            Status::Ok => 'o',
            Status::Failed => 'f',
            Status::Warning => 'w',
            Status::Skipped => '-',
        })
        .collect();
    let links: Vec<Link> = steps.iter().map(|step| step.link).collect();
    assert_eq!(links, LINKS);
    let first = steps.iter().find(|step| step.mend.is_some());
    let told = first.map(|step| (step.finding.clone(), step.mend.clone().unwrap_or_default())).unwrap_or_default();
    assert!(letters == chain && told.0.contains(finding) && told.1.contains(mend), "{letters} {answer:?}: {told:?}");
    let all = format!("{steps:?}");
    assert!(!all.contains("geheim"), "{all}");
}

#[test]
fn each_answer_names_the_link_that_broke() {
    let url = Url::parse(URL).unwrap();
    let envelope =
        |code: &str, message: &str| serde_json::json!({"error": {"code": code, "message": message}}).to_string();
    for (status, body, chain, finding, mend) in [
        (204, String::new(), "oooo", "", ""),
        (200, "{}".to_owned(), "oooo", "", ""),
        (403, access("False", ""), "of--", "no role on the rule", "wait"),
        (403, access("False", "False"), "off-", "no role on the rule", "/dataCollectionRules/r"),
        (403, access("True", "False"), "oof-", "is not bound", "same place"),
        (
            403,
            envelope("OperationFailed", "no"),
            "-f--",
            "may not write",
            "<resource id of the data collection rule dcr-0123>",
        ),
        (
            403,
            envelope("Forbidden", "Access from public networks is denied"),
            "f---",
            "from this network",
            "private endpoint",
        ),
        (403, "<html>Blocked by geheim policy</html>".to_owned(), "f---", "not in the words", "firewall"),
        (
            401,
            envelope("AuthenticationFailed", "bad token geheim"),
            "f---",
            "refuses the token (401): bad token ***",
            "directory",
        ),
        (401, String::new(), "f---", "does not say why", "clock"),
        (
            404,
            envelope("NotFound", "Data collection rule with immutable Id 'dcr-0123' not found."),
            "o-f-",
            "knows no rule dcr-0123",
            "another region",
        ),
        (404, "404 page not found".to_owned(), "--f-", "knows no path", "whole metrics ingestion endpoint"),
        (
            413,
            envelope("ContentLengthLimitExceeded", "Maximum allowed content length: 1 bytes."),
            "ooof",
            "too large",
            "proxy",
        ),
        (415, String::new(), "ooof", "remote write 1.0", "/api/v1/write"),
        (429, envelope("TooManyRequests", "slow down"), "---f", "quota is hit (429): slow down", "more rules"),
        (500, String::new(), "---f", "fails (500)", "service health"),
        (503, "busy".to_owned(), "---f", "fails (503): busy", "wait in the queue"),
        (302, String::new(), "f---", "redirection", "sign-in"),
        (405, "no".to_owned(), "f---", "no answer of an ingestion endpoint", "path"),
        (400, envelope("BadRequest", "empty"), "ooow", "refused as such", "--write-sample"),
    ] {
        check(&answer(status, &body), &asked(&url), chain, finding, mend);
    }
}

#[test]
fn a_token_for_another_cloud_is_told_from_other_401s() {
    let url = Url::parse("https://a-1.usgovvirginia-1.metrics.ingest.monitor.azure.us/x").unwrap();
    let asked = Asked { expected_audience: Some("https://monitor.azure.us"), ..asked(&url) };
    check(
        &answer(401, ""),
        &asked,
        "f---",
        "wants https://monitor.azure.us",
        "INGESTION_AAD_AUDIENCE=https://monitor.azure.us/.default",
    );
}

#[test]
fn a_sample_that_is_refused_is_a_failure() {
    let url = Url::parse(URL).unwrap();
    let asked = Asked { sample: true, ..asked(&url) };
    check(&answer(400, "bad"), &asked, "ooof", "refuses the sample: bad", "api-version");
    let steps = judge(&answer(204, ""), &asked);
    assert!(steps[3].finding.contains(crate::TEST_METRIC));
}

#[test]
fn facts_stand_beside_the_finding() {
    let url = Url::parse(URL).unwrap();
    let mut answer = answer(429, "");
    answer.retry_after = Some("17".to_owned());
    answer.request_id = Some("r-1".to_owned());
    let steps = judge(&answer, &asked(&url));
    assert!(steps[3].details.contains(&("retry_after", "17".to_owned())), "{steps:?}");
    assert!(steps[3].details.contains(&("request_id", "r-1".to_owned())), "{steps:?}");
}
