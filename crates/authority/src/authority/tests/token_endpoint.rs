//! Secrets, both versions of the endpoint, and what it refuses.

use super::*;

#[test]
fn a_secret_gives_a_token_of_version_two() {
    let mut bench = Bench::new();
    let (status, body) = bench.post(
        &v2(),
        &[
            ("grant_type", "client_credentials"),
            ("client_id", &APP.to_string()),
            ("client_secret", SECRET),
            ("scope", "https://monitor.azure.com//.default openid offline_access profile"),
            ("claims", r#"{"access_token":{"xms_cc":{"values":["CP1"]}}}"#),
        ],
    );
    assert_eq!((status, &body["token_type"]), (200, &json!("Bearer")), "{body}");
    let expires_in = body["expires_in"].as_u64().unwrap();
    assert!((3599..5400).contains(&expires_in), "{body}");
    assert_eq!(body["ext_expires_in"], body["expires_in"]);
    assert!(body.get("refresh_in").is_none(), "its life is short");
    let mut claims = payload(body["access_token"].as_str().unwrap());
    assert_eq!(claims["uti"].as_str().unwrap().len(), 22);
    claims.as_object_mut().unwrap().remove("uti");
    let issuer = format!("{BASE}/{TENANT}/v2.0");
    let expected = json!({
        "aud": "https://monitor.azure.com/", "iss": issuer, "idp": issuer,
        "iat": NOW - 300, "nbf": NOW - 300, "exp": NOW + expires_in as i64 + 1,
        "appid": APP, "appidacr": "1", "idtyp": "app", "oid": APP_OBJECT, "sub": APP_OBJECT, "tid": TENANT, "ver": "1.0",
    });
    assert_eq!(claims, expected);
}

#[test]
fn version_one_writes_numbers_as_strings() {
    let mut bench = Bench::new();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &APP.to_string()),
        ("client_secret", SECRET),
        ("resource", "https://monitor.azure.com"),
    ];
    let (status, mut body) = bench.post("/contoso.onmicrosoft.com/oauth2/token", &form);
    let token = body["access_token"].take();
    let claims = payload(token.as_str().unwrap());
    let lifetime = claims["exp"].as_i64().unwrap() - NOW;
    let expected = json!({
        "token_type": "Bearer", "resource": "https://monitor.azure.com", "access_token": null,
        "expires_in": (lifetime - 1).to_string(), "ext_expires_in": (lifetime - 1).to_string(),
        "expires_on": (NOW + lifetime).to_string(), "not_before": (NOW - 300).to_string(),
    });
    assert_eq!((status, body), (200, expected));
    assert_eq!(claims["aud"], "https://monitor.azure.com");
}

/// A token request with one thing changed; `None` leaves the parameter out.
#[test]
fn refusals_of_the_token_endpoint() {
    let app = APP.to_string();
    let good = [
        ("grant_type", "client_credentials"),
        ("client_id", &app),
        ("client_secret", SECRET),
        ("scope", "https://monitor.azure.com/.default"),
        ("resource", "https://monitor.azure.com"),
    ];
    let (one, two) = (v1(), v2());
    let (unknown, identity) = (Uuid::from_u128(0xFFFF).to_string(), IDENTITY.to_string());
    for (path, name, value, status, error, code_expected) in [
        (&*two, "grant_type", None, 400, "invalid_request", 900_144),
        (&*two, "grant_type", Some("password"), 400, "unsupported_grant_type", 70_003),
        (&*two, "client_id", None, 400, "invalid_request", 900_144),
        (&*two, "client_id", Some(""), 400, "invalid_request", 900_144),
        (&*two, "client_id", Some("not-a-guid"), 400, "unauthorized_client", 700_016),
        (&*two, "client_id", Some(&*unknown), 400, "unauthorized_client", 700_016),
        (&*two, "client_id", Some(&*identity), 401, "invalid_client", 7_000_215),
        (&*two, "client_secret", None, 401, "invalid_client", 7_000_216),
        (&*two, "client_secret", Some("hunter2-hunter2"), 401, "invalid_client", 7_000_215),
        (&*two, "client_secret", Some("an older secret, expired"), 401, "invalid_client", 7_000_222),
        (&*two, "scope", None, 400, "invalid_request", 900_144),
        (&*two, "scope", Some("openid profile"), 400, "invalid_scope", 1_002_012),
        (&*two, "scope", Some("https://monitor.azure.com"), 400, "invalid_scope", 1_002_012),
        (&*two, "scope", Some("/.default"), 400, "invalid_scope", 1_002_012),
        (&*two, "scope", Some("https://a/.default https://b/.default"), 400, "invalid_scope", 1_002_012),
        (&*two, "scope", Some("https://vault.azure.net/.default"), 400, "invalid_resource", 500_011),
        (&*two, "scope", Some("https://monitor.azure.com///.default"), 400, "invalid_resource", 500_011),
        (&*one, "resource", None, 400, "invalid_request", 900_144),
        (&*one, "resource", Some("https://vault.azure.net"), 400, "invalid_resource", 500_011),
        (&*one, "client_secret", Some("hunter2-hunter2"), 401, "invalid_client", 7_000_215),
        (&*two, "client_assertion", Some("x"), 400, "invalid_request", 900_144),
        ("/00000000-0000-0000-0000-000000000001/oauth2/v2.0/token", "", None, 400, "invalid_request", 90_002),
        ("/common/oauth2/v2.0/token", "", None, 400, "invalid_request", 50_194),
        ("/organizations/oauth2/token", "", None, 400, "invalid_request", 50_194),
        ("/nowhere/at/all", "", None, 404, "invalid_request", 900_023),
        ("/", "", None, 404, "invalid_request", 900_023),
    ] {
        let mut form: Vec<(&str, &str)> = good.into_iter().filter(|(own, _)| *own != name).collect();
        if name == "client_assertion" {
            form.retain(|(own, _)| *own != "client_secret");
        }
        form.extend(value.map(|value| (name, value)));
        let (found, body) = Bench::new().post(path, &form);
        assert_eq!(
            (found, body["error"].as_str(), code(&body)),
            (status, Some(error), code_expected),
            "{path} {name}={value:?}: {body}"
        );
        let text = body.to_string();
        assert!(!text.contains("hunter2") && !text.contains("secret/of"), "{name} repeats the secret: {text}");
    }
}

#[test]
fn an_error_has_the_shape_of_entras() {
    let mut bench = Bench::new();
    let correlation = "12345678-1234-4321-8765-123456789abc";
    let request = Request::post(v2())
        .header("host", "localhost:7091")
        .header("client-request-id", correlation)
        .header("return-client-request-id", "true")
        .body(Bytes::from_static(b"client_id=x"))
        .unwrap();
    let (status, headers, body) = bench.ask(request, HERE);
    let trace = body["trace_id"].as_str().unwrap();
    assert_eq!(
        (status, &body),
        (
            400,
            &json!({
                "error": "invalid_request",
                "error_description": format!("AADSTS900144: The request body must contain the following parameter: 'grant_type'.\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: 2025-06-15 15:06:40Z"),
                "error_codes": [900_144],
                "timestamp": "2025-06-15 15:06:40Z",
                "trace_id": trace,
                "correlation_id": correlation,
                "error_uri": "https://login.microsoftonline.com/error?code=900144",
            })
        )
    );
    assert_eq!(headers["x-ms-request-id"], trace);
    assert_eq!(headers["client-request-id"], correlation);
    assert_eq!(headers["cache-control"], "no-store, no-cache");
}

#[test]
fn requests_that_cannot_be_read() {
    let mut bench = Bench::new();
    let mut ask = |request: http::request::Builder, body: Vec<u8>| {
        let (status, _, body) = bench.ask(request.body(body.into()).unwrap(), HERE);
        (status, code(&body))
    };
    let post = || Request::post(v2()).header("host", "127.0.0.1");
    assert_eq!(ask(post(), b"client_id=a&client_id=b".to_vec()), (400, 9_000_411));
    assert_eq!(ask(post(), b"a=1&".repeat(10)), (400, 9_000_411));
    assert_eq!(ask(post(), (0..99).map(|n| format!("p{n}=1&")).collect::<String>().into_bytes()), (400, 900_023));
    assert_eq!(ask(post(), vec![b'a'; 64 * 1024 + 1]), (413, 900_023));
    assert_eq!(ask(post(), b"\xff\xfe%zz=%00".to_vec()), (400, 900_144));
    assert_eq!(ask(Request::get(v2()).header("host", "127.0.0.1"), Vec::new()), (405, 900_561));
    assert_eq!(ask(Request::post(v2()).header("host", "evil.example"), Vec::new()), (400, 900_023));
    assert_eq!(ask(Request::post(v2()), Vec::new()), (400, 900_023));
    let basic = |text: &str| post().header("authorization", format!("Basic {}", STANDARD.encode(text)));
    assert_eq!(ask(basic("no colon"), Vec::new()), (400, 900_023));
    assert_eq!(ask(post().header("authorization", "Bearer x"), Vec::new()), (400, 900_023));
    assert_eq!(ask(basic("a:b"), b"client_secret=c".to_vec()), (400, 9_000_411));
    let escaped = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect::<String>();
    let form = b"grant_type=client_credentials&scope=https%3A%2F%2Fmonitor.azure.com%2F.default".to_vec();
    assert_eq!(ask(basic(&format!("{APP}:{escaped}")), form), (200, 0));
}
