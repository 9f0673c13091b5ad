//! Documents and the names in them.

use super::*;

#[test]
fn discovery_is_named_under_the_host_that_was_asked() {
    let mut bench = Bench::new();
    for (host, tls, base) in [
        ("127.0.0.1:7091", true, "https://127.0.0.1:7091"),
        ("localhost:7091", false, "http://localhost:7091"),
        ("entra.local", true, "https://entra.local"),
        ("[::1]:7091", true, "https://[::1]:7091"),
        ("login.microsoftonline.com", true, "https://login.microsoftonline.com"),
    ] {
        for (path, oauth, keys) in [
            (format!("/{TENANT}/v2.0/.well-known/openid-configuration"), "oauth2/v2.0", "discovery/v2.0/keys"),
            (format!("/{TENANT}/.well-known/openid-configuration"), "oauth2", "discovery/keys"),
            (
                "/contoso.onmicrosoft.com/v2.0/.well-known/openid-configuration".to_owned(),
                "oauth2/v2.0",
                "discovery/v2.0/keys",
            ),
        ] {
            let request = Request::get(&path).header("host", host).body(Bytes::new()).unwrap();
            let (status, _, document) = bench.ask(request, Caller { tls, loopback: false });
            assert_eq!(status, 200);
            assert_eq!(document["issuer"], format!("{base}/{TENANT}/v2.0"), "{path} at {host}");
            assert_eq!(document["token_endpoint"], format!("{base}/{TENANT}/{oauth}/token"));
            assert_eq!(document["authorization_endpoint"], format!("{base}/{TENANT}/{oauth}/authorize"));
            assert_eq!(document["jwks_uri"], format!("{base}/{TENANT}/{keys}"));
        }
    }
    assert_eq!(
        bench.get(&format!("/{TENANT}/v2.0/.well-known/openid-configuration")).1["issuer"],
        bench.authority.issuer()
    );
    let (status, document) = bench.get("/common/v2.0/.well-known/openid-configuration");
    assert_eq!((status, &document["issuer"]), (200, &json!(format!("{BASE}/{{tenantid}}/v2.0"))));
    let (status, body) = bench.get("/fabrikam.com/v2.0/.well-known/openid-configuration");
    assert_eq!((status, body["error"].as_str(), code(&body)), (400, Some("invalid_tenant"), 90_002));
    let first = bench.get(&format!("/{TENANT}/discovery/v2.0/keys"));
    for path in ["/common/discovery/keys", "/common/discovery/v2.0/keys", "/contoso.onmicrosoft.com/discovery/keys"] {
        assert_eq!(bench.get(path), first, "{path}");
    }
}

#[test]
fn tokens_carry_the_one_issuer_whoever_is_asked() {
    let mut bench = Bench::new();
    let app = APP.to_string();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &app),
        ("client_secret", SECRET),
        ("scope", "https://monitor.azure.com/.default"),
    ];
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    for host in ["login.microsoftonline.com", "entra.local", "localhost:1"] {
        let request = Request::post(v2()).header("host", host).body(Bytes::from(body.clone())).unwrap();
        let (_, _, answer) = bench.ask(request, HERE);
        assert_eq!(payload(answer["access_token"].as_str().unwrap())["iss"], bench.authority.issuer(), "{host}");
    }
}

#[test]
fn instance_discovery_echoes_our_names() {
    let mut bench = Bench::new();
    let question = |host: &str| {
        let endpoint = format!("https://{host}/{TENANT}/oauth2/v2.0/authorize");
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("authorization_endpoint", &endpoint)
            .finish();
        format!("/common/discovery/instance?api-version=1.1&{query}")
    };
    let (status, body) = bench.get(&question("entra.local:7091"));
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        body["tenant_discovery_endpoint"],
        format!("https://entra.local:7091/{TENANT}/v2.0/.well-known/openid-configuration")
    );
    assert_eq!(body["metadata"][0]["aliases"], json!(["entra.local:7091"]));
    assert_eq!(bench.get(&question("evil.example")).0, 400);
    assert_eq!(bench.get("/common/discovery/instance").0, 400);
}
