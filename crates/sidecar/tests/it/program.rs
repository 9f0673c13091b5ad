//! The program `remora-sidecar` as it is started: exit codes, its log, its end.
use std::net::{SocketAddr, TcpListener};

use super::support::{Running, ask, get, imds, program, serve};

#[test]
fn wrong_settings_end_it_with_2_and_every_mistake() {
    let output = program(&[("LISTENING_PORT", "x")]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    for expected in ["3 mistakes", "INGESTION_URL: is missing", "LISTENING_PORT: \"x\"", "IDENTITY_TYPE: is missing"] {
        assert!(text.contains(expected), "{expected} is missing in: {text}");
    }
    let right = [("INGESTION_URL", "http://127.0.0.1:1/"), ("IDENTITY_TYPE", "systemAssigned")];
    assert_eq!(program(&right).arg("check-config").output().unwrap().status.code(), Some(0));
    assert_eq!(program(&right[..1]).arg("check-config").output().unwrap().status.code(), Some(2));
}

#[test]
fn help_explains_every_variable() {
    let output = program(&[]).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for variable in sidecar::variables::all() {
        let heading =
            text.lines().find(|line| line.starts_with("  ") && line.split([' ', ',']).nth(2) == Some(variable.name));
        let heading = heading.unwrap_or_else(|| panic!("{} is missing", variable.name));
        assert!(variable.key.is_none_or(|key| heading.contains(&format!("({key}"))), "{heading}");
    }
}

#[test]
fn it_passes_samples_on_and_ends_cleanly() {
    let upstream = serve(|request| {
        let right = request.starts_with("POST /w?x=1 ") && request.contains("\r\nAuthorization: Bearer geheim\r\n");
        let status = if right && request.ends_with("\r\n\r\nsamples") { "204 No Content" } else { "400 Bad Request" };
        format!("HTTP/1.1 {status}\r\n\r\n")
    });
    for signal in ["-TERM", "-INT"] {
        let running = Running::start(&[
            ("INGESTION_URL", &format!("http://{upstream}/w?x=1")),
            ("IDENTITY_TYPE", "systemAssigned"),
            ("LISTENING_PORT", "0"),
            ("REMORA_LISTEN_ADDRESS", "127.0.0.1"),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &format!("http://{}", imds())),
            ("CLUSTER", "here"),
        ]);
        let (address, start_text) = (running.address, running.log());
        assert!(start_text.contains("level=info msg=\"Configuration settings loaded:\" CLOUD=AzurePublic CLUSTER=here IDENTITY_TYPE=systemAssigned"), "{start_text}");
        let write =
            "POST /api/v1/write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\nConnection: close\r\n\r\nsamples";
        let answer = ask(address, write);
        assert!(answer.starts_with("HTTP/1.1 204 No Content\r\n"), "{answer}");
        assert!(get(address, "/ready").starts_with("HTTP/1.1 200 "));
        let (code, rest) = running.stop(signal);
        assert_eq!(code, Some(0), "{rest}");
        let line = rest.lines().find(|line| line.contains("Metric packets")).unwrap();
        let (before, after) = line.split_once(" avgRequestDurationInSec=").unwrap();
        assert!(
            before.ends_with("level=info msg=\"Metric packets published in last 1 minute\" avgBytesPerRequest=7"),
            "{line}"
        );
        let (duration, rest_of_line) = after.split_once(' ').unwrap();
        assert_eq!(rest_of_line, "failedPublishing=0 successfullyPublished=1", "{line}");
        assert!(duration.parse::<f64>().is_ok() && duration.split('.').nth(1).unwrap_or("").len() <= 3, "{line}");
        assert!(!rest.contains("geheim"));
    }
}

#[test]
fn a_failing_identity_ends_nothing() {
    let refusing =
        serve(|_| "HTTP/1.1 400 Bad Request\r\nContent-Length: 27\r\n\r\n{\"error\":\"invalid_request\"}".to_owned());
    let running = Running::start(&[
        ("INGESTION_URL", "http://127.0.0.1:1/"),
        ("IDENTITY_TYPE", "userAssigned"),
        ("AZURE_CLIENT_ID", "11111111-2222-3333-4444-555555555555"),
        ("LISTENING_PORT", "0"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &format!("http://{refusing}")),
    ]);
    let address = SocketAddr::from(([127, 0, 0, 1], running.address.port()));
    assert!(get(address, "/health").starts_with("HTTP/1.1 200 "));
    let ready = get(address, "/ready");
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.contains("AuthenticationTokenNotFound"), "{ready}");
    // The first try is still under way, perhaps: what it says must come before the end.
    running.wait_for_log("level=warning msg=\"no token: ");
    let (code, rest) = running.stop("-TERM");
    assert_eq!(code, Some(0), "{rest}");
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = program(&[
        ("INGESTION_URL", "http://127.0.0.1:1/"),
        ("IDENTITY_TYPE", "systemAssigned"),
        ("LISTENING_PORT", &port),
        ("REMORA_LISTEN_ADDRESS", "127.0.0.1"),
    ])
    .output()
    .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("LISTENING_PORT") && text.contains(&port), "{text}");
}

#[test]
fn a_token_can_be_printed() {
    let variables = [
        ("INGESTION_URL", "http://127.0.0.1:1/".to_owned()),
        ("IDENTITY_TYPE", "systemAssigned".to_owned()),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", format!("http://{}", imds())),
    ];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let output =
        program(&variables).args(["token", "--resource", "https://prometheus.monitor.azure.com"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "geheim\n");
    assert!(output.status.success());
}
