//! What settings that parse can still be wrong about: above all an ingestion URL that is not one.

use identity::Cloud;
use url::Url;

use crate::answer::rule_of;
use crate::plan::Plan;
use crate::report::{Link, Step};
use crate::write::cloud_of;

#[cfg(test)]
mod tests;

pub(crate) fn check(plan: &Plan) -> Step {
    let step = judge(&plan.ingestion.url, plan.ingestion.scope.resource(), plan.cloud);
    step.with("identity", &plan.identity)
        .with("credential", plan.credential.describe())
        .with("cloud", plan.cloud)
        .with("audience", plan.ingestion.scope.resource())
        .with("endpoint", plan.ingestion.url.host_str().unwrap_or_default())
        .with_some("rule", rule_of(&plan.ingestion.url))
        .with_some("query", plan.query.as_ref().and_then(|query| query.url.host_str()))
        .with_some("proxy", plan.outbound_proxy.as_ref().map(host::OutboundProxy::authority))
}

fn judge(url: &Url, audience: &str, cloud: Cloud) -> Step {
    let failed =
        |finding: &str, mend: String| Step::failed(Link::Configuration, format!("INGESTION_URL {finding}"), mend);
    if ["%3C", "%3E", "<", ">"].iter().any(|mark| url.as_str().contains(mark)) {
        return failed("holds a placeholder", OVERVIEW_MEND.to_owned());
    }
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    let host_cloud = cloud_of(url);
    if host_cloud.is_some()
        && let Some((finding, mend)) = wrong_host(&host)
    {
        return failed(finding, mend);
    }
    if let Some(expected) = host_cloud.and_then(Cloud::ingestion_audience)
        && !expected.eq_ignore_ascii_case(audience.trim_end_matches('/'))
    {
        let at = host_cloud.unwrap_or_default();
        let finding =
            format!("tokens are asked for {audience} ({cloud}), but the host of INGESTION_URL belongs to {at}");
        let mend =
            format!("set CLOUD={}, or INGESTION_AAD_AUDIENCE={expected}/.default", at.to_string().to_ascii_uppercase());
        return Step::failed(Link::Configuration, finding, mend);
    }
    path(url, host_cloud.is_some())
}

/// Hosts of Azure Monitor that look right and are not.
fn wrong_host(host: &str) -> Option<(&'static str, String)> {
    let is_metrics_ingestion = host.contains(".metrics.ingest.") || host.contains(".metrics.canary.ingest.");
    if is_metrics_ingestion {
        None
    } else if host.contains(".ingest.") {
        let right = host.replacen(".ingest.", ".metrics.ingest.", 1);
        Some(("names the endpoint for logs", format!("set its host to {right}")))
    } else if host.contains(".prometheus.monitor.") {
        Some(("names the query endpoint", OVERVIEW_MEND.to_owned()))
    } else if host.contains(".handler.control.") {
        Some(("names the endpoint for agents' configuration", OVERVIEW_MEND.to_owned()))
    } else {
        Some(("names a host of Azure Monitor that takes no metrics", OVERVIEW_MEND.to_owned()))
    }
}

fn path(url: &Url, is_azure: bool) -> Step {
    let segments: Vec<&str> = url.path_segments().map(Iterator::collect).unwrap_or_default();
    let is = |at: usize, word: &str| segments.get(at).is_some_and(|segment| segment.eq_ignore_ascii_case(word));
    let failed =
        |finding: &str, mend: &str| Step::failed(Link::Configuration, format!("INGESTION_URL {finding}"), mend);
    if !is(0, "dataCollectionRules") {
        if is_azure {
            return failed("names no data collection rule: its path is not the one for writing", OVERVIEW_MEND);
        }
        return Step::ok(
            Link::Configuration,
            "INGESTION_URL is usable; its path is not that of a data collection rule",
        );
    }
    let rule = segments.get(1).copied().unwrap_or_default();
    if rule.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("dce-")) {
        return failed("holds the id of an endpoint (dce-…) in the place of the rule's (dcr-…)", RULE_MEND);
    }
    if !is_rule_id(rule) {
        let finding = "holds no immutable id of a rule: that is dcr- and 32 hexadecimal digits";
        return if is_azure {
            failed(finding, RULE_MEND)
        } else {
            Step::warning(Link::Configuration, format!("INGESTION_URL {finding}"), RULE_MEND)
        };
    }
    if !is(2, "streams") || !is(3, STREAM) {
        return failed(
            "names another stream than Microsoft-PrometheusMetrics, the one for remote write",
            OVERVIEW_MEND,
        );
    }
    if !(is(4, "api") && is(5, "v1") && is(6, "write") && segments.len() == 7) {
        return failed("does not end in /api/v1/write", OVERVIEW_MEND);
    }
    if !url.query_pairs().any(|(name, value)| name.eq_ignore_ascii_case("api-version") && !value.is_empty()) {
        let mend = "append ?api-version=2023-04-24";
        return Step::warning(Link::Configuration, "INGESTION_URL has no api-version", mend);
    }
    Step::ok(
        Link::Configuration,
        "the settings are usable, and INGESTION_URL has the form of a metrics ingestion endpoint",
    )
}

fn is_rule_id(text: &str) -> bool {
    let digits = text.get(..4).filter(|start| start.eq_ignore_ascii_case("dcr-")).map(|_| &text[4..]);
    digits.is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

const STREAM: &str = "Microsoft-PrometheusMetrics";
const OVERVIEW_MEND: &str = "set it to the metrics ingestion endpoint of the workspace, as its overview page shows it, \
     https://<endpoint>/dataCollectionRules/<dcr-…>/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24";
const RULE_MEND: &str = "take the immutable id of the rule: az monitor data-collection rule show, immutableId";
