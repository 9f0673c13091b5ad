//! Hosts of endpoints, binding, network access, and when rights come into force.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use access::{Policy, Propagation};
use environment::Clock as _;
use model::{EndpointDomain, Labels, TimestampMs};
use remote_write::{Encoder, Sample, Version, framing};
use support::{AZURE_RULE, Answer, BOTH_RULE, BOUND_RULE, Endpoint, SHUT_RULE, STRICT_RULE};

async fn write(endpoint: &Endpoint, rule: &str, host: Option<&str>) -> Answer {
    let mut encoder = Encoder::new(Version::V1);
    let at = TimestampMs(endpoint.clock.now().as_millis());
    encoder.series(&Labels::from_pairs([("__name__", "up")]).unwrap()).sample(Sample::new(at, 1.0));
    let mut request = endpoint.write_request(rule, Version::V1);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    endpoint.send(request.body(framing::encode(&encoder.finish()).into()).unwrap()).await
}

fn error_of(answer: &Answer) -> (String, String) {
    if answer.body.is_empty() {
        return Default::default();
    }
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let text = |name: &str| body["error"][name].as_str().unwrap().to_owned();
    (text("code"), text("message"))
}

#[tokio::test]
async fn a_host_of_an_endpoint_takes_only_the_rules_that_are_bound_to_it() {
    let endpoint = Endpoint::start(|settings| {
        settings.endpoint_domain = Some(EndpointDomain::new("example.org").unwrap());
    })
    .await;
    let own = Some("OWN-4yha.local-1.metrics.ingest.Example.org:8443");
    let shut = Some("shut-4yha.local-1.metrics.ingest.example.org");
    let unknown = Some("none-4yha.local-1.metrics.ingest.example.org");
    let not_bound = "AccessGranted: False, IsRbacPresent: True, IsDcrDceBindingValid: False, DcrArmId: \
                     /subscriptions/s/resourceGroups/g/providers/Microsoft.Insights/dataCollectionRules/dcr-";
    for (rule, host, status, code, text) in [
        (BOUND_RULE, own, 204, "", ""),
        (BOUND_RULE, None, 204, "", ""),
        (BOUND_RULE, Some("elsewhere.net"), 204, "", ""),
        (BOUND_RULE, Some("own-4yha.local-1.metrics.ingest.example.org.evil.net"), 204, "", ""),
        (BOUND_RULE, shut, 403, "OperationFailed", not_bound),
        (SHUT_RULE, own, 403, "OperationFailed", not_bound),
        (STRICT_RULE, own, 403, "OperationFailed", not_bound),
        (STRICT_RULE, None, 204, "", ""),
        (STRICT_RULE, unknown, 404, "NotFound", "There is no data collection endpoint with the host 'none-4yha"),
        (SHUT_RULE, shut, 403, "PublicNetworkAccessDisabled", "dataCollectionEndpoints/shut is disabled"),
        (SHUT_RULE, None, 403, "PublicNetworkAccessDisabled", "dataCollectionEndpoints/shut is disabled"),
    ] {
        let answer = write(&endpoint, rule, host).await;
        let (found, message) = error_of(&answer);
        assert_eq!((answer.status, found.as_str()), (status, code), "{rule} at {host:?}: {message}");
        assert!(message.contains(text), "{rule} at {host:?}: {message}");
    }

    let without_domain = Endpoint::start(|_| {}).await;
    assert_eq!(write(&without_domain, STRICT_RULE, own).await.status, 204, "hosts mean nothing without a domain");
}

#[tokio::test]
async fn changes_of_rights_reach_rules_of_azure_workspaces_later() {
    let endpoint = Endpoint::start(|_| {}).await;
    endpoint.policies.replace(Propagation::AtOnce, Policy::default());
    for (rule, status) in [(STRICT_RULE, 403), (BOTH_RULE, 403), (AZURE_RULE, 204)] {
        assert_eq!(write(&endpoint, rule, None).await.status, status, "{rule} after the role was taken away");
    }
    endpoint.policies.replace(Propagation::Delayed, Policy::default());
    endpoint.policies.replace(Propagation::AtOnce, Policy::new([support::publisher()]).unwrap());
    for (rule, status) in [(STRICT_RULE, 204), (BOTH_RULE, 204), (AZURE_RULE, 403)] {
        assert_eq!(write(&endpoint, rule, None).await.status, status, "{rule} after the role was given back");
    }
}
