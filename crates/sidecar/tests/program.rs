//! The program `remora-sidecar` as it is started: exit codes, its log, its end.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_remora-sidecar");

fn program(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Serves every request on every connection with `answer`, which gets the head and body as text.
fn serve(answer: impl Fn(&str) -> String + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = answer.clone();
            std::thread::spawn(move || serve_connection(stream.unwrap(), answer));
        }
    });
    address
}

fn serve_connection(stream: TcpStream, answer: impl Fn(&str) -> String) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            if reader.read_line(&mut request).unwrap_or(0) == 0 {
                return;
            }
        }
        let length =
            request.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        request.push_str(&String::from_utf8(body).unwrap());
        reader.get_mut().write_all(answer(&request).as_bytes()).unwrap();
    }
}

fn imds() -> SocketAddr {
    serve(|request| {
        assert!(request.starts_with("GET /metadata/identity/oauth2/token?"), "{request}");
        let body = "{\"access_token\":\"geheim\",\"expires_in\":\"3600\",\"token_type\":\"Bearer\",\"resource\":\"r\"}";
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    })
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

#[expect(clippy::zombie_processes, reason = "`stop` waits for it; a start that fails ends the test")]
/// Starts the program and reads its log up to the line that tells where it listens.
fn start(variables: &[(&str, &str)]) -> (Child, BufReader<ChildStderr>, SocketAddr, String) {
    let mut child = program(variables).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    loop {
        let start = text.len();
        assert!(log.read_line(&mut text).unwrap() > 0, "ended before listening: {text}");
        let line = &text[start..];
        if line.contains("msg=Listening") {
            let address = line.split("address=").nth(1).unwrap().trim().trim_matches('"').parse().unwrap();
            return (child, log, address, text);
        }
    }
}

fn stop(mut child: Child, mut log: BufReader<ChildStderr>, signal: &str) -> (Option<i32>, String) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    (child.wait().unwrap().code(), rest)
}

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
    for (_, variables) in sidecar::variables::GROUPS {
        for variable in *variables {
            assert!(text.contains(&format!("  {}\n      ", variable.name)), "{} is missing", variable.name);
        }
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
        let (child, log, address, start_text) = start(&[
            ("INGESTION_URL", &format!("http://{upstream}/w?x=1")),
            ("IDENTITY_TYPE", "systemAssigned"),
            ("LISTENING_PORT", "0"),
            ("REMORA_LISTEN_ADDRESS", "127.0.0.1"),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &format!("http://{}", imds())),
            ("CLUSTER", "here"),
        ]);
        assert!(start_text.contains("level=info msg=\"Configuration settings loaded:\" CLOUD=AzurePublic CLUSTER=here IDENTITY_TYPE=systemAssigned"), "{start_text}");
        let write =
            "POST /api/v1/write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\nConnection: close\r\n\r\nsamples";
        let answer = ask(address, write);
        assert!(answer.starts_with("HTTP/1.1 204 No Content\r\n"), "{answer}");
        assert!(get(address, "/ready").starts_with("HTTP/1.1 200 "));
        let (code, rest) = stop(child, log, signal);
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
        assert!(!(start_text + &rest).contains("geheim"));
    }
}

#[test]
fn a_failing_identity_ends_nothing() {
    let refusing =
        serve(|_| "HTTP/1.1 400 Bad Request\r\nContent-Length: 27\r\n\r\n{\"error\":\"invalid_request\"}".to_owned());
    let (child, mut log, address, _) = start(&[
        ("INGESTION_URL", "http://127.0.0.1:1/"),
        ("IDENTITY_TYPE", "userAssigned"),
        ("AZURE_CLIENT_ID", "11111111-2222-3333-4444-555555555555"),
        ("LISTENING_PORT", "0"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &format!("http://{refusing}")),
    ]);
    let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
    assert!(get(address, "/health").starts_with("HTTP/1.1 200 "));
    let ready = get(address, "/ready");
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.contains("AuthenticationTokenNotFound"), "{ready}");
    // The first try is still under way, perhaps: what it says must come before the end.
    let mut said = String::new();
    while !said.contains("level=warning msg=\"no token: ") {
        assert!(log.read_line(&mut said).unwrap() > 0, "ended without a word on the identity: {said}");
    }
    let (code, rest) = stop(child, log, "-TERM");
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
