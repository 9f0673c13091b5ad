use super::*;
use crate::report::Status;

const HOST: &str = "https://ws-4yha.westus-1.metrics.ingest.monitor.azure.com";
const RULE: &str = "dcr-9ef0dccd9267493699b55b77942fc26b";

#[track_caller]
fn check_url(url: &str, status: Status, finding: &str, mend: &str) {
    let step = judge(&Url::parse(url).unwrap(), "https://monitor.azure.com", Cloud::Public);
    let told = step.mend.clone().unwrap_or_default();
    assert!(step.status == status && step.finding.contains(finding) && told.contains(mend), "{url}: {step:?}");
}

#[test]
fn urls_that_look_right_and_are_not() {
    let good = format!(
        "{HOST}/dataCollectionRules/{RULE}/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24"
    );
    check_url(&good, Status::Ok, "has the form", "");
    check_url(&good.to_uppercase().replace("HTTPS", "https"), Status::Ok, "has the form", "");
    check_url(&good.replace("?api-version=2023-04-24", ""), Status::Warning, "no api-version", "append");
    for (from, to, finding, mend) in [
        (".metrics.ingest.", ".ingest.", "endpoint for logs", "ws-4yha.westus-1.metrics.ingest.monitor.azure.com"),
        ("-1.metrics.ingest.", ".prometheus.", "query endpoint", "overview page"),
        (".metrics.ingest.", ".handler.control.", "agents' configuration", "overview page"),
        (".metrics.ingest.", ".portal.", "takes no metrics", "overview page"),
        ("dcr-9ef0", "dce-9ef0", "id of an endpoint", "immutableId"),
        (RULE, "my-rule", "no immutable id", "immutableId"),
        (RULE, "%3CDCR-ID%3E", "placeholder", "overview page"),
        ("Microsoft-PrometheusMetrics", "Custom-Logs", "another stream", "overview page"),
        ("/api/v1/write", "/api/v1/push", "does not end", "overview page"),
        ("/dataCollectionRules/", "/rules/", "names no data collection rule", "overview page"),
    ] {
        check_url(&good.replacen(from, to, 1), Status::Failed, finding, mend);
    }
}

#[test]
fn other_services_have_other_paths() {
    check_url("https://mimir.example/api/v1/push", Status::Ok, "usable", "");
    check_url(
        "http://127.0.0.1:7090/dataCollectionRules/local/streams/Microsoft-PrometheusMetrics/api/v1/write",
        Status::Warning,
        "immutable id",
        "",
    );
}

#[test]
fn an_audience_of_another_cloud_is_seen_before_anything_is_sent() {
    let url = format!(
        "{}/dataCollectionRules/{RULE}/streams/Microsoft-PrometheusMetrics/api/v1/write",
        HOST.replace(".com", ".us")
    );
    let step = judge(&Url::parse(&url).unwrap(), "https://monitor.azure.com/", Cloud::Public);
    assert_eq!(step.status, Status::Failed);
    assert!(
        step.mend
            .unwrap()
            .contains("CLOUD=AZUREGOVERNMENT, or INGESTION_AAD_AUDIENCE=https://monitor.azure.us/.default")
    );
    let step = judge(&Url::parse(&url).unwrap(), "https://monitor.azure.us/", Cloud::UsGovernment);
    assert_eq!(step.status, Status::Warning, "{step:?}");
}
