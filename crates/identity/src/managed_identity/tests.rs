use std::sync::Arc;

use environment::{HttpError, HttpErrorKind};
use testkit::{json_response, response};

use super::*;
use crate::test_support::{World, token_answer, wire};

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Settings as `NAME=value` words, the way they stand in an environment.
fn settings(words: &str) -> ManagedIdentitySettings {
    let mut settings = ManagedIdentitySettings::default();
    for word in words.split_whitespace() {
        let (name, value) = word.split_once('=').unwrap();
        match name {
            "IDENTITY_ENDPOINT" => settings.identity_endpoint = some(value),
            "IDENTITY_HEADER" => settings.identity_header = Some(value.into()),
            "IDENTITY_SERVER_THUMBPRINT" => settings.identity_server_thumbprint = some(value),
            "IMDS_ENDPOINT" => settings.imds_endpoint = some(value),
            "MSI_ENDPOINT" => settings.msi_endpoint = some(value),
            "MSI_SECRET" => settings.msi_secret = Some(value.into()),
            "AZURE_POD_IDENTITY_AUTHORITY_HOST" => settings.azure_pod_identity_authority_host = some(value),
            "himds" => settings.himds_present = value == "yes",
            _ => panic!("{name}"),
        }
    }
    settings
}

#[test]
fn the_source_follows_from_the_variables() {
    for (words, expected) in [
        ("", "imds http://169.254.169.254/"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:7091", "imds http://127.0.0.1:7091/"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST=", "imds http://169.254.169.254/"),
        ("IDENTITY_ENDPOINT=http://a/msi/token IDENTITY_HEADER=h", "app http://a/msi/token"),
        ("IDENTITY_ENDPOINT=http://a/ IDENTITY_HEADER=h MSI_ENDPOINT=http://b/ himds=yes", "app http://a/"),
        ("IDENTITY_ENDPOINT=http://a/ IDENTITY_HEADER=h IMDS_ENDPOINT=http://c/", "app http://a/"),
        ("IDENTITY_ENDPOINT=http://a/ IMDS_ENDPOINT=http://c/", "arc http://a/"),
        ("IDENTITY_ENDPOINT=http://a/ IDENTITY_HEADER= IMDS_ENDPOINT=http://c/", "arc http://a/"),
        ("himds=yes", "arc http://127.0.0.1:40342/metadata/identity/oauth2/token"),
        ("himds=yes AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:7091", "imds http://127.0.0.1:7091/"),
        (
            "AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:7091 IDENTITY_ENDPOINT=http://a/ IDENTITY_HEADER=h",
            "app http://a/",
        ),
        (
            "AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:7091 IDENTITY_ENDPOINT=http://a/ IMDS_ENDPOINT=http://c/",
            "arc http://a/",
        ),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:7091 MSI_ENDPOINT=http://b/", "! MSI_ENDPOINT"),
        ("IDENTITY_ENDPOINT=http://a/", "imds http://169.254.169.254/"),
        ("IMDS_ENDPOINT=http://c/", "imds http://169.254.169.254/"),
        ("IDENTITY_ENDPOINT=http://a/ IDENTITY_HEADER=h IDENTITY_SERVER_THUMBPRINT=t", "! IDENTITY_SERVER_THUMBPRINT"),
        ("MSI_ENDPOINT=http://b/ MSI_SECRET=s", "! MSI_SECRET"),
        ("MSI_ENDPOINT=http://b/ himds=yes", "! MSI_ENDPOINT"),
        ("IDENTITY_ENDPOINT=nonsense IDENTITY_HEADER=h", "! IDENTITY_ENDPOINT"),
        ("IDENTITY_ENDPOINT=file:///x IDENTITY_HEADER=h", "! IDENTITY_ENDPOINT"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST=169.254.169.254", "! AZURE_POD_IDENTITY_AUTHORITY_HOST"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST=http://u:pass@h/", "! AZURE_POD_IDENTITY_AUTHORITY_HOST"),
    ] {
        let found = match settings(words).source() {
            Ok(IdentitySource::Imds { base }) => format!("imds {base}"),
            Ok(IdentitySource::AppService { endpoint, header }) => {
                assert_eq!(header.expose_secret(), "h");
                format!("app {endpoint}")
            }
            Ok(IdentitySource::Arc { endpoint }) => format!("arc {endpoint}"),
            Err(error) => {
                let text = error.to_string();
                assert!(!text.contains("pass"), "{text}");
                let variable = expected.trim_start_matches("! ");
                assert!(text.contains(variable), "{words}: {text}");
                format!("! {variable}")
            }
        };
        assert_eq!(found, expected, "{words}");
    }
}

fn app_service() -> IdentitySource {
    settings("IDENTITY_ENDPOINT=http://127.0.0.1:41/msi/token IDENTITY_HEADER=h34d3r").source().unwrap()
}

fn credential(selector: IdentitySelector, source: IdentitySource, world: &World) -> Arc<dyn Credential> {
    Arc::new(ManagedIdentity::new(selector, source, world.environment.clone()))
}

#[test]
fn requests_are_those_of_the_contract() {
    use IdentitySelector::{ClientId, ObjectId, ResourceId, SystemAssigned};
    let imds = || IdentitySource::imds(IMDS_BASE).unwrap();
    let id = |id: &str| id.to_owned();
    let start = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmonitor.azure.com%2F";
    let app = "http://127.0.0.1:41/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fmonitor.azure.com%2F";
    let imds_head = "metadata: true\nx-ms-client-request-id: <id>";
    for (selector, source, expected) in [
        (SystemAssigned, imds(), format!("GET http://169.254.169.254{start}\n{imds_head}")),
        (ClientId(id("a-b")), imds(), format!("GET http://169.254.169.254{start}&client_id=a-b\n{imds_head}")),
        (ObjectId(id("o")), imds(), format!("GET http://169.254.169.254{start}&object_id=o\n{imds_head}")),
        (
            ResourceId(id("/subscriptions/s/x y")),
            imds(),
            format!("GET http://169.254.169.254{start}&msi_res_id=%2Fsubscriptions%2Fs%2Fx+y\n{imds_head}"),
        ),
        (
            SystemAssigned,
            IdentitySource::imds("https://127.0.0.1:7091/base/").unwrap(),
            format!("GET https://127.0.0.1:7091/base{start}\n{imds_head}"),
        ),
        (SystemAssigned, app_service(), format!("GET {app}\nx-identity-header: h34d3r")),
        (ClientId(id("c")), app_service(), format!("GET {app}&client_id=c\nx-identity-header: h34d3r")),
        (ObjectId(id("o")), app_service(), format!("GET {app}&object_id=o\nx-identity-header: h34d3r")),
        (ResourceId(id("r")), app_service(), format!("GET {app}&mi_res_id=r\nx-identity-header: h34d3r")),
    ] {
        let mut world = World::new(|_| Ok(token_answer("t", 60)));
        let credential = credential(selector, source, &world);
        assert_eq!(world.fetch(&credential).unwrap().secret(), "t");
        let requests: Vec<String> = world.http.requests().iter().map(wire).collect();
        assert_eq!(requests, [expected]);
    }
}

const ARC: &str = "http://127.0.0.1:40342/metadata/identity/oauth2/token";
const KEY_FILE: &str = "/var/opt/azcmagent/tokens/a.key";

fn challenge(header: &str) -> Response {
    let mut response = response(401, "");
    response.headers_mut().insert(WWW_AUTHENTICATE, header.parse().unwrap());
    response
}

fn arc() -> IdentitySource {
    settings("himds=yes").source().unwrap()
}

#[test]
fn arc_wants_the_content_of_a_file() {
    let mut world = World::new(|request| match request.headers().get("authorization") {
        None => Ok(challenge(&format!("Basic realm={KEY_FILE}"))),
        Some(_) => Ok(json_response(200, r#"{"access_token":"t","expires_in":"60","client_id":"C1"}"#)),
    });
    world.files.put(KEY_FILE, "k3y\n");
    let credential = credential(IdentitySelector::ClientId("c1".to_owned()), arc(), &world);
    assert_eq!(world.fetch(&credential).unwrap().secret(), "t");
    let url = format!("{ARC}?api-version=2020-06-01&resource=https%3A%2F%2Fmonitor.azure.com%2F&client_id=c1");
    let requests: Vec<String> = world.http.requests().iter().map(wire).collect();
    let expected =
        [format!("GET {url}\nmetadata: true"), format!("GET {url}\nmetadata: true\nauthorization: Basic k3y")];
    assert_eq!(requests, expected);
}

#[test]
fn arc_challenges_that_no_agent_would_make_are_refused() {
    for (header, part) in [
        ("Basic realm=/etc/passwd.key", "names no key file"),
        ("Basic realm=/var/opt/azcmagent/tokens/../a.key", "names no key file"),
        ("Basic realm=/var/opt/azcmagent/tokens/sub/a.key", "names no key file"),
        ("Basic realm=/var/opt/azcmagent/tokens/a.txt", "names no key file"),
        ("Bearer realm=/var/opt/azcmagent/tokens/a.key", "names no key file"),
        ("Basic", "names no key file"),
        ("Basic realm=/var/opt/azcmagent/tokens/long.key", "more than 4096 bytes"),
        ("Basic realm=/var/opt/azcmagent/tokens/none.key", "himds"),
    ] {
        let mut world = World::new(move |_| Ok(challenge(header)));
        world.files.put("/var/opt/azcmagent/tokens/long.key", vec![b'k'; 4097]);
        world.files.put("/etc/passwd.key", "root");
        let credential = credential(IdentitySelector::SystemAssigned, arc(), &world);
        let error = world.fetch(&credential).unwrap_err();
        assert!(error.to_string().contains(part), "{header}: {error}");
        assert_eq!(world.http.request_count(), 1, "{header}");
    }
    // An answer without a challenge, an error, and an answer for another identity.
    let other = r#"{"access_token":"t","expires_in":60,"client_id":"other"}"#;
    for (status, part) in [(200, "without a challenge"), (500, "answered 500"), (401, "for another identity")] {
        let mut world = World::new(move |request| match request.headers().get("authorization") {
            None if status == 401 => Ok(challenge(&format!("Basic realm={KEY_FILE}"))),
            None => Ok(json_response(status, other)),
            Some(_) => Ok(json_response(200, other)),
        });
        world.files.put(KEY_FILE, "k3y");
        let credential = credential(IdentitySelector::ClientId("mine".to_owned()), arc(), &world);
        let error = world.fetch(&credential).unwrap_err();
        assert!(error.to_string().contains(part), "{status}: {error}");
    }
}

#[test]
fn errors_say_what_to_do_and_whether_to_wait() {
    use TokenErrorKind::{Refused, Unavailable};
    let body = |id: &str, text: &str| format!(r#"{{"error":"{id}","error_description":"{text}"}}"#);
    for (status, body, kind, mend) in [
        (400, body("bad_request_102", "Required metadata header not specified"), Refused, "Metadata header"),
        (400, body("invalid_request", "Identity not found"), Refused, "AZURE_CLIENT_ID"),
        (400, body("invalid_resource", "AADSTS50001: no such"), Refused, "check the audience"),
        (401, body("unknown_source", "Unknown Source"), Refused, "not that of a managed identity endpoint"),
        (403, "connecting to 169.254.169.254:80: network is unreachable".to_owned(), Refused, "no managed identity"),
        (404, String::new(), Unavailable, "asked again"),
        (408, String::new(), Unavailable, ""),
        (410, String::new(), Unavailable, "70 s"),
        (429, body("too_many", "slow down"), Unavailable, "throttles"),
        (500, body("unknown", "Failed to retrieve token"), Unavailable, "asked again"),
        (503, "<html>".to_owned(), Unavailable, "asked again"),
        (511, String::new(), Unavailable, "asked again"),
    ] {
        let sent = body.clone();
        let mut world = World::new(move |_| Ok(json_response(status, sent.clone())));
        let credential = credential(IdentitySelector::SystemAssigned, IdentitySource::imds(IMDS_BASE).unwrap(), &world);
        let error = world.fetch(&credential).unwrap_err();
        assert_eq!((error.kind(), error.status()), (kind, Some(status)), "{error}");
        assert!(error.mend().unwrap_or_default().contains(mend), "{status} {body}: {error}");
        let text = error.to_string();
        assert!(text.contains("from IMDS: http://169.254.169.254/metadata/identity/oauth2/token answered"), "{text}");
        assert!(!text.contains('?'), "the query does not belong into {text}");
    }
}

#[test]
fn app_service_does_not_update_itself_with_404() {
    let mut world = World::new(|_| Ok(response(404, "you sent h34d3r")));
    let credential = credential(IdentitySelector::SystemAssigned, app_service(), &world);
    let error = world.fetch(&credential).unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Refused);
    assert!(!error.to_string().contains("h34d3r"), "{error}");
}

#[test]
fn no_answer_names_the_place() {
    for kind in [HttpErrorKind::Connect, HttpErrorKind::Timeout, HttpErrorKind::Tls, HttpErrorKind::Other] {
        let mut world = World::new(move |_| Err(HttpError::new(kind, "connection refused")));
        let credential = credential(IdentitySelector::SystemAssigned, IdentitySource::imds(IMDS_BASE).unwrap(), &world);
        let error = world.fetch(&credential).unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Unreachable);
        assert!(error.mend().is_some() && error.to_string().contains("connection refused"), "{error}");
    }
}

#[test]
fn an_answer_that_is_none_is_told_apart() {
    let mut world = World::new(|_| Ok(response(200, "<html>log in to the hotel's network</html>")));
    let credential = credential(IdentitySelector::SystemAssigned, IdentitySource::imds(IMDS_BASE).unwrap(), &world);
    let error = world.fetch(&credential).unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (TokenErrorKind::Unintelligible, true));
    assert!(error.to_string().contains("not a JSON object"), "{error}");
}
