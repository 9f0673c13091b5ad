use std::sync::{Arc, Mutex};

use environment::{HttpError, HttpErrorKind};
use testkit::{json_response, response};

use super::*;
use crate::test_support::{
    CLIENT, DISCOVERY, TENANT, TOKEN_ENDPOINT, World, application, discovery_document, token_answer, wire,
};
use crate::{ClientSecret, Credential, WorkloadIdentity};

#[test]
fn authorities_are_https_or_loopback() {
    for (text, kept) in [
        ("https://login.microsoftonline.com/", "https://login.microsoftonline.com"),
        (" https://login.microsoftonline.com", "https://login.microsoftonline.com"),
        ("https://adfs.example:8443/adfs/", "https://adfs.example:8443/adfs"),
        ("http://127.0.0.1:7091", "http://127.0.0.1:7091"),
        ("http://[::1]:7091/", "http://[::1]:7091"),
        ("http://localhost:7091", "http://localhost:7091"),
    ] {
        assert_eq!(Authority::parse(text).unwrap().to_string(), kept, "{text}");
    }
    for (text, part) in [
        ("login.microsoftonline.com", "no URL"),
        ("http://login.microsoftonline.com", "not https"),
        ("http://10.0.0.1", "not https"),
        ("http://localhost.example", "not https"),
        ("ftp://127.0.0.1", "not https"),
        ("https://user:pass@login.example", "user name"),
        ("https://login.example/?x=1", "query"),
    ] {
        let error = Authority::parse(text).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains("pass"), "{text}: {error}");
    }
    assert_eq!(Authority::of(Cloud::China).unwrap().to_string(), "https://login.partner.microsoftonline.cn");
    assert_eq!(Authority::of(Cloud::Custom), None);
}

#[test]
fn names_that_would_change_the_path_are_refused() {
    let authority = || Authority::parse("https://login.example").unwrap();
    for tenant in ["", " ", "a/b", "..", "a b", "a?b", "a%2f"] {
        assert!(matches!(Application::new(authority(), tenant, CLIENT), Err(SettingError::Tenant(_))), "{tenant}");
    }
    let (braced, bare) = (format!("{{{CLIENT}}}"), CLIENT.replace('-', ""));
    for client in ["", "a/b", "a&b", "id", "<CLIENT ID>", &braced, &bare, &CLIENT.replace('6', "g")] {
        assert!(matches!(Application::new(authority(), TENANT, client), Err(SettingError::ClientId(_))), "{client}");
    }
    assert!(Application::new(authority(), "contoso.onmicrosoft.com", &format!(" {CLIENT} \n")).is_ok());
}

fn secret(world: &World) -> Arc<dyn Credential> {
    Arc::new(ClientSecret::new(application(), "s3cr3t/+ü".into(), world.environment.clone()))
}

/// A working authority whose token endpoint answers `status` with `body`.
fn answering(status: u16, body: &str) -> World {
    let body = body.to_owned();
    World::new(move |request| match request.method().as_str() {
        "GET" => Ok(json_response(200, discovery_document())),
        _ => Ok(json_response(status, body.clone())),
    })
}

const GET_DISCOVERY: &str = "accept: application/json";
const POST_HEAD: &str =
    "content-type: application/x-www-form-urlencoded; charset=utf-8\naccept: application/json\nclient-request-id: <id>";

#[test]
fn a_secret_is_exchanged_as_the_contract_says() {
    let mut world = answering(200, r#"{"access_token":"t","expires_in":3599}"#);
    let credential = secret(&world);
    assert_eq!(world.fetch(&credential).unwrap().secret(), "t");
    let requests: Vec<String> = world.http.requests().iter().map(wire).collect();
    let form = format!(
        "grant_type=client_credentials&client_id={CLIENT}&scope=https%3A%2F%2Fmonitor.azure.com%2F%2F.default\
         &client_secret=s3cr3t%2F%2B%C3%BC"
    );
    let expected = [format!("GET {DISCOVERY}\n{GET_DISCOVERY}"), format!("POST {TOKEN_ENDPOINT}\n{POST_HEAD}\n{form}")];
    assert_eq!(requests, expected);
}

#[test]
fn a_federated_token_is_read_anew_for_every_exchange() {
    let mut world = answering(200, r#"{"access_token":"t","expires_in":3599}"#);
    let environment = world.environment.clone();
    let credential: Arc<dyn Credential> = Arc::new(WorkloadIdentity::new(application(), "/token".into(), environment));
    for content in ["first.jwt", "second.jwt\n"] {
        world.files.put("/token", content);
        world.fetch(&credential).unwrap();
    }
    let posts: Vec<String> = world.http.requests().iter().map(wire).filter(|wire| wire.starts_with("POST")).collect();
    let expected = ["first.jwt", "second.jwt"].map(|assertion| {
        format!(
            "POST {TOKEN_ENDPOINT}\n{POST_HEAD}\ngrant_type=client_credentials&client_id={CLIENT}\
             &scope=https%3A%2F%2Fmonitor.azure.com%2F%2F.default&client_info=1\
             &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
             &client_assertion={assertion}"
        )
    });
    assert_eq!(posts, expected);
}

#[test]
fn a_token_file_that_is_none_is_never_sent() {
    let mut world = answering(200, "{}");
    let environment = world.environment.clone();
    let credential: Arc<dyn Credential> = Arc::new(WorkloadIdentity::new(application(), "/token".into(), environment));
    for (content, part) in [
        (None, "cannot read the token file /token"),
        (Some(vec![]), "empty"),
        (Some(b" \n".to_vec()), "empty"),
        (Some(b"two words".to_vec()), "holds no token"),
        (Some(vec![0xFF, 0xFE]), "holds no token"),
        (Some(vec![b'x'; 64 * 1024 + 1]), "holds no token"),
    ] {
        world.files.remove("/token");
        if let Some(content) = content {
            world.files.put("/token", content);
        }
        let error = world.fetch(&credential).unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Local);
        assert!(error.to_string().contains(part) && error.mend().is_some(), "{error}");
        assert!(!error.to_string().contains("two words"), "{error}");
    }
    assert!(world.http.requests().iter().all(|request| request.method() == "GET"));
}

/// What discovery answers, and where the secret is posted then; none when it is not.
#[track_caller]
fn check_discovery(
    answer: impl Fn() -> Result<Response, HttpError> + Send + 'static,
    posted_to: Option<&str>,
) -> World {
    let mut world = World::new(move |request| match request.method().as_str() {
        "GET" => answer(),
        _ => Ok(token_answer("t", 3599)),
    });
    let credential = secret(&world);
    let outcome = world.fetch(&credential);
    let posts: Vec<String> =
        world.http.requests().iter().filter(|r| r.method() == "POST").map(|r| r.uri().to_string()).collect();
    assert_eq!(posts, posted_to.into_iter().collect::<Vec<_>>(), "{outcome:?}");
    assert_eq!(outcome.is_ok(), posted_to.is_some());
    world
}

#[test]
fn without_discovery_the_well_known_endpoint_serves() {
    let elsewhere = r#"{"token_endpoint":"https://sts.example:444/t"}"#;
    check_discovery(move || Ok(json_response(200, elsewhere)), Some("https://sts.example:444/t"));
    check_discovery(
        || Ok(json_response(200, r#"{"token_endpoint":"http://127.0.0.1:9/t"}"#)),
        Some("http://127.0.0.1:9/t"),
    );
    check_discovery(|| Ok(response(404, "")), Some(TOKEN_ENDPOINT));
    check_discovery(|| Ok(response(503, "")), Some(TOKEN_ENDPOINT));
    check_discovery(|| Ok(response(200, "<html>")), Some(TOKEN_ENDPOINT));
    check_discovery(|| Err(HttpError::new(HttpErrorKind::Timeout, "late")), Some(TOKEN_ENDPOINT));
}

#[test]
fn discovery_can_end_the_attempt() {
    // The secret would go over the wire in the clear.
    check_discovery(|| Ok(json_response(200, r#"{"token_endpoint":"http://login.example/t"}"#)), None);
    let body = r#"{"error":"invalid_tenant","error_description":"AADSTS90002: Tenant 'x' not found."}"#;
    let mut world = World::new(move |_| Ok(json_response(400, body)));
    let credential = secret(&world);
    let error = world.fetch(&credential).unwrap_err();
    assert_eq!((error.kind(), error.aadsts(), error.status()), (TokenErrorKind::Refused, &[90_002][..], Some(400)));
    assert!(error.mend().unwrap().contains("tenant id"), "{error}");
}

#[test]
fn discovery_is_remembered_for_a_day_and_a_guess_for_minutes() {
    for (status, remembered_secs) in [(200, 24 * 3600), (404, 300)] {
        let mut world = World::new(move |request| match request.method().as_str() {
            "GET" => Ok(json_response(status, discovery_document())),
            _ => Ok(token_answer("t", 3599)),
        });
        let credential = secret(&world);
        let mut lookups_after = |span: u64| {
            world.simulation.advance(Duration::from_secs(span));
            world.http.take_requests();
            world.fetch(&credential).unwrap();
            world.http.requests().iter().filter(|request| request.method() == "GET").count()
        };
        assert_eq!(lookups_after(0), 1);
        assert_eq!(lookups_after(remembered_secs - 1), 0);
        assert_eq!(lookups_after(1), 1);
    }
}

#[test]
fn a_token_endpoint_that_is_gone_is_looked_up_again() {
    let endpoint = Arc::new(Mutex::new("https://a.example/t"));
    let current = Arc::clone(&endpoint);
    let mut world = World::new(move |request| match request.uri().host() {
        Some("login.example") => {
            Ok(json_response(200, format!(r#"{{"token_endpoint":"{}"}}"#, current.lock().unwrap())))
        }
        Some("a.example") if *current.lock().unwrap() != "https://a.example/t" => Ok(response(404, "")),
        _ => Ok(token_answer("t", 3599)),
    });
    let credential = secret(&world);
    world.fetch(&credential).unwrap();
    *endpoint.lock().unwrap() = "https://b.example/t";
    assert_eq!(world.fetch(&credential).unwrap_err().status(), Some(404));
    world.fetch(&credential).unwrap();
}

#[test]
fn every_known_code_has_a_mend() {
    use TokenErrorKind::{Refused, Unavailable};
    for (status, id, code, text, mend, kind) in [
        (401, "invalid_client", 7_000_215, "Invalid client secret provided.", "not its id", Refused),
        (401, "invalid_client", 7_000_222, "The provided client secret keys are expired.", "has expired", Refused),
        (400, "unauthorized_client", 700_016, "Application with identifier 'x' was not found", "client id", Refused),
        (400, "invalid_request", 90_002, "Tenant 'x' not found.", "tenant id", Refused),
        (400, "invalid_request", 900_144, "The request body must contain", "are set", Refused),
        (400, "invalid_resource", 500_011, "The resource principal named x was not found", "audience", Refused),
        (400, "invalid_resource", 50_001, "The resource x was not found", "audience", Refused),
        (400, "invalid_scope", 70_011, "The provided value for 'scope' is not valid.", "/.default", Refused),
        (400, "invalid_scope", 1_002_012, "The provided value for scope is not valid.", "/.default", Refused),
        (401, "invalid_client", 700_027, "The certificate is not registered.", "upload this certificate", Refused),
        (401, "invalid_client", 700_024, "Client assertion is not within its valid time range.", "clock", Refused),
        (401, "invalid_client", 700_211, "No matching federated identity record found for issuer", "issuer", Refused),
        (401, "invalid_client", 700_212, "... presented assertion audience", "api://AzureADTokenExchange", Refused),
        (401, "invalid_client", 700_213, "... presented assertion subject", "system:serviceaccount", Refused),
        (401, "invalid_client", 700_223, "constrained by policy", "policy", Refused),
        (400, "temporarily_unavailable", 90_033, "A transient error has occurred.", "", Unavailable),
        (429, "throttled", 90_055, "too many", "", Unavailable),
        (503, "server_error", 90_006, "", "", Unavailable),
    ] {
        let body = format!(
            "{{\"error\":\"{id}\",\"error_description\":\"AADSTS{code}: {text}\\r\\nTrace ID: abc\",\"error_codes\":[{code}]}}"
        );
        let mut world = answering(status, &body);
        let credential = secret(&world);
        let error = world.fetch(&credential).unwrap_err();
        assert_eq!((error.kind(), error.status(), error.aadsts()), (kind, Some(status), &[code][..]), "{error}");
        assert!(error.mend().unwrap_or_default().contains(mend), "{code}: {error}");
        assert_eq!(error.endpoint(), Some(TOKEN_ENDPOINT));
        let told = format!("{TOKEN_ENDPOINT} answered {status}: {id}: AADSTS{code}: {text}");
        assert!(error.to_string().contains(told.trim_end()), "{error}\n{told}");
    }
}

#[test]
fn what_was_sent_never_comes_back_in_an_error() {
    let mut world = World::new(|request| match request.method().as_str() {
        "GET" => Ok(response(404, "")),
        // A debugging proxy that echoes what it got.
        _ => Ok(response(400, request.body().clone())),
    });
    let credential = secret(&world);
    let error = world.fetch(&credential).unwrap_err();
    assert!(error.to_string().contains("client_secret=***"), "{error}");
    for shown in [error.to_string(), format!("{error:?}")] {
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}
