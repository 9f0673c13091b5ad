//! What is refused, and how that is said: at the service itself and through a sidecar.

use crate::installation::{INGESTION_SCOPE, Installation, QUERY_RESOURCE};
use crate::writing::{labels, now, post, request};

#[test]
fn writes_that_are_refused() {
    let up = Installation::start();
    let url = up.ingestion_url_tls();
    let body = || request(&[(labels(&[("__name__", "refused")]), now(), 1.0)]);
    let publisher = up.token_by_secret("application_id", "client_secret_file", INGESTION_SCOPE);
    let owner = up.token_by_secret("admin_client_id", "admin_secret_file", INGESTION_SCOPE);
    let for_queries = up.token(QUERY_RESOURCE);
    let other_rule = url.replace(up.fact("rule"), "dcr-00000000000000000000000000000000");
    let other_stream = url.replace("Microsoft-PrometheusMetrics", "Microsoft-Perf");

    assert_eq!(post(&up.client, &url, Some(&publisher), body()).status, 204, "the same request with everything right");
    for (what, url, token, body, status, code) in [
        ("no token", &url, None, body(), 401, "AuthenticationFailed"),
        ("no token at all", &url, Some("nonsense"), body(), 401, "InvalidAuthenticationToken"),
        ("a token for queries", &url, Some(for_queries.as_str()), body(), 401, "InvalidAuthenticationToken"),
        ("no role: Owner has no data actions", &url, Some(&owner), body(), 403, "OperationFailed"),
        ("another rule", &other_rule, Some(&publisher), body(), 404, "NotFound"),
        ("another rule, no token", &other_rule, None, body(), 401, "AuthenticationFailed"),
        ("too large", &url, Some(&publisher), vec![0; (1 << 20) + 1], 413, "ContentLengthLimitExceeded"),
    ] {
        let answer = post(&up.client, url, token, body);
        assert_eq!((answer.status, answer.error_code().as_str()), (status, code), "{what}: {}", answer.text());
        assert_eq!(answer.headers["x-ms-error-code"], code, "{what}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401, "{what}");
    }
    assert_eq!(post(&up.client, &other_stream, Some(&publisher), body()).status, 404, "another stream");
    let forbidden = post(&up.client, &url, Some(&owner), body()).text();
    assert!(forbidden.contains("Required authorization action was not found for tenantId"), "{forbidden}");
}

#[test]
fn queries_that_are_refused() {
    let up = Installation::start();
    let url = format!("{}/workspaces/{}/api/v1/query?query=up", up.fact("service_tls"), up.fact("workspace"));
    let reader = up.token(QUERY_RESOURCE);
    let writer = up.token(INGESTION_SCOPE.trim_end_matches("/.default"));
    let scope = format!("{QUERY_RESOURCE}/.default");
    let owner = up.token_by_secret("admin_client_id", "admin_secret_file", &scope);
    let elsewhere = url.replace(&format!("/workspaces/{}/", up.fact("workspace")), "/workspaces/other/");
    for (what, url, token, status) in [
        ("everything right", &url, Some(reader.as_str()), 200),
        ("no token", &url, None, 401),
        ("a token for writing", &url, Some(writer.as_str()), 401),
        ("no role: Owner has no data actions", &url, Some(owner.as_str()), 403),
        ("another workspace", &elsewhere, Some(reader.as_str()), 404),
    ] {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        let answer = up.client.send("GET", url, &headers, "");
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
    }
}

#[test]
fn imds_answers_as_azure_does() {
    let up = Installation::start();
    let base = format!("{}/metadata/identity/oauth2/token?api-version=2018-02-01", up.fact("imds"));
    let resource = "&resource=https%3A%2F%2Fmonitor.azure.com%2F";
    let metadata: &[(&str, &str)] = &[("metadata", "true")];
    let own = format!("&client_id={}", up.fact("client_id"));
    for (what, query, headers, status) in [
        ("default identity", resource.to_owned(), metadata, 200),
        ("by client id", format!("{resource}{own}"), metadata, 200),
        ("unknown client id", format!("{resource}&client_id=00000000-0000-0000-0000-000000000009"), metadata, 400),
        ("no Metadata header", resource.to_owned(), &[], 400),
        ("forwarded", resource.to_owned(), &[("metadata", "true"), ("x-forwarded-for", "10.0.0.1")], 400),
    ] {
        let answer = up.client.send("GET", &format!("{base}{query}"), headers, "");
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        if status == 200 {
            assert_eq!(answer.json()["client_id"], up.fact("client_id"), "{what}");
        }
    }
}
