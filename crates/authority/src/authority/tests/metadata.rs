//! Managed identities.

use super::*;

#[test]
fn managed_identities() {
    let mut bench = Bench::new();
    let query = "api-version=2018-02-01&resource=https%3A%2F%2Fmonitor.azure.com%2F";
    let resource_id = url::form_urlencoded::byte_serialize(IDENTITY_ID.to_uppercase().as_bytes()).collect::<String>();
    let (client, object, other) = (IDENTITY, IDENTITY_OBJECT, OTHER_IDENTITY);
    for (selector, expected) in [
        (String::new(), client),
        (format!("&client_id={client}"), client),
        (format!("&client_id={}", client.to_string().to_uppercase()), client),
        (format!("&object_id={object}"), client),
        (format!("&msi_res_id={resource_id}"), client),
        (format!("&mi_res_id={resource_id}"), client),
        (format!("&client_id={other}"), other),
    ] {
        let (status, mut body) = bench.imds(&format!("{query}{selector}"));
        let token = body["access_token"].take();
        let expected = json!({
            "access_token": null, "client_id": expected, "expires_in": "86399", "ext_expires_in": "86399",
            "expires_on": (NOW + 86_400).to_string(), "not_before": (NOW - 300).to_string(), "refresh_in": "43200",
            "refresh_token": "", "resource": "https://monitor.azure.com/", "token_type": "Bearer",
        });
        assert_eq!((status, body), (200, expected), "{selector}");
        let claims = payload(token.as_str().unwrap());
        assert_eq!((&claims["aud"], &claims["appidacr"]), (&json!("https://monitor.azure.com/"), &json!("2")));
        assert!(claims["xms_mirid"].as_str().unwrap().starts_with("/subscriptions/s/"), "{claims}");
    }
    for (query, error) in [
        (format!("{query}&client_id={}", Uuid::nil()), "invalid_request"),
        (format!("{query}&client_id=x"), "invalid_request"),
        (format!("{query}&client_id={APP}"), "invalid_request"),
        (format!("{query}&object_id={APP_OBJECT}"), "invalid_request"),
        (format!("{query}&msi_res_id=%2Fsubscriptions%2Fs"), "invalid_request"),
        (format!("{query}&client_id={client}&object_id={object}"), "invalid_request"),
        (format!("{query}&client_id={client}&client_id={client}"), "invalid_request"),
        ("api-version=2018-02-01".to_owned(), "invalid_request"),
        ("resource=https%3A%2F%2Fmonitor.azure.com".to_owned(), "invalid_request"),
        ("api-version=2017-12-01&resource=https%3A%2F%2Fmonitor.azure.com".to_owned(), "invalid_request"),
        ("api-version=new&resource=https%3A%2F%2Fmonitor.azure.com".to_owned(), "invalid_request"),
        ("api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net".to_owned(), "invalid_resource"),
    ] {
        let (status, body) = bench.imds(&query);
        assert_eq!((status, body["error"].as_str()), (400, Some(error)), "{query}: {body}");
    }
    let (_, body) = bench.imds(&format!("{query}&client_id={}", Uuid::nil()));
    assert_eq!(body, json!({"error": "invalid_request", "error_description": "Identity not found"}));
}

#[test]
fn identities_are_for_processes_of_this_machine() {
    let path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmonitor.azure.com";
    let ask = |request: http::request::Builder, loopback: bool| {
        let (status, _, body) = Bench::new().ask(request.body(Bytes::new()).unwrap(), Caller { tls: false, loopback });
        (status, body["error"].as_str().unwrap_or_default().to_owned())
    };
    let get = |host: &str| Request::get(path).header("host", host);
    let here = || get("127.0.0.1:7091").header("metadata", "true");
    let refused = |status, error: &str| (status, error.to_owned());
    assert_eq!(ask(here(), true), refused(200, ""));
    assert_eq!(ask(get("127.0.0.1:7091").header("metadata", "True"), true), refused(400, "bad_request_102"));
    assert_eq!(ask(get("127.0.0.1:7091"), true), refused(400, "bad_request_102"));
    assert_eq!(ask(get("127.0.0.1:7091").header("metadata", "yes"), true), refused(400, "bad_request_102"));
    assert_eq!(ask(here().header("metadata", "true"), true), refused(400, "bad_request_102"));
    assert_eq!(ask(here().header("x-forwarded-for", "10.0.0.1"), true), refused(400, "invalid_request"));
    assert_eq!(ask(here().header("forwarded", "for=10.0.0.1"), true), refused(400, "invalid_request"));
    assert_eq!(ask(here(), false), refused(403, "forbidden"));
    assert_eq!(ask(get("evil.example").header("metadata", "true"), true), refused(400, "invalid_request"));
    let elsewhere = Request::get("/metadata/instance").header("host", "127.0.0.1").header("metadata", "true");
    assert_eq!(ask(elsewhere, true), refused(401, "unknown_source"));
    let post = Request::post(path).header("host", "127.0.0.1").header("metadata", "true");
    assert_eq!(ask(post, true), refused(405, "invalid_request"));

    let mut disabled = config();
    (disabled.imds, disabled.app_service_header) = (false, None);
    let mut bench = Bench::with(disabled, cluster_web());
    assert_eq!(bench.imds("api-version=2018-02-01&resource=https%3A%2F%2Fmonitor.azure.com").0, 400);
    assert_eq!(bench.get("/metadata/identity/oauth2/token").0, 404);
    assert_eq!(bench.get("/msi/token").0, 404);

    let mut none = config();
    none.managed_identities[0].is_default = false;
    let (status, body) =
        Bench::with(none, cluster_web()).imds("api-version=2018-02-01&resource=https%3A%2F%2Fmonitor.azure.com");
    assert_eq!((status, &body["error_description"]), (400, &json!("Identity not found")));
}

#[test]
fn the_form_of_app_service() {
    let ask = |header: Option<&str>, query: &str| {
        let mut request = Request::get(format!("/msi/token?{query}")).header("host", "127.0.0.1:7091");
        if let Some(header) = header {
            request = request.header("x-identity-header", header);
        }
        let (status, _, body) = Bench::new().ask(request.body(Bytes::new()).unwrap(), HERE);
        (status, body)
    };
    let query = "api-version=2019-08-01&resource=https%3A%2F%2Fmonitor.azure.com";
    for selector in [String::new(), format!("&principal_id={IDENTITY_OBJECT}"), format!("&client_id={IDENTITY}")] {
        let (status, mut body) = ask(Some("header-of-the-app"), &format!("{query}{selector}"));
        assert_eq!(status, 200, "{body}");
        assert!(body["access_token"].take().is_string());
        let expected = json!({
            "access_token": null, "client_id": IDENTITY, "expires_on": (NOW + 86_400).to_string(),
            "resource": "https://monitor.azure.com", "token_type": "Bearer",
        });
        assert_eq!(body, expected);
    }
    for (header, query, status) in [
        (None, query, 401),
        (Some("wrong"), query, 401),
        (Some(""), query, 401),
        (Some("header-of-the-app"), "api-version=2017-09-01&resource=https%3A%2F%2Fmonitor.azure.com", 400),
        (Some("header-of-the-app"), "api-version=2019-08-01", 400),
    ] {
        let (found, body) = ask(header, query);
        assert_eq!((found, &body["statusCode"]), (status, &json!(status)), "{header:?} {query}: {body}");
        assert!(body["message"].is_string());
    }
}
