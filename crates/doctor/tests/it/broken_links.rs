//! Each link broken for real.

use std::sync::Arc;
use std::time::Duration;

use doctor::{Link, Status};
use environment::Clock as _;
use host::HostClock;
use identity::{TokenError, TokenErrorKind};
use testkit::ManualClock;
use tokio::net::TcpListener;
use url::Url;

use crate::authority::{Authority, Validity, self_signed};
use crate::server::{Fixed, Server, assert_broken, date, examined, plan, step};

#[tokio::test]
async fn a_wrong_setting_is_found_before_anything_is_sent() {
    let authority = Authority::new();
    let server =
        Server::start(Some(authority.server("localhost", Validity::Now)), |_| (204, String::new(), String::new()))
            .await;
    let mut plan = plan(server.address.port(), Some(authority.roots()));
    let url = plan.ingestion.url.as_str().replace("dcr-", "dce-");
    plan.ingestion.url = Url::parse(&url).unwrap();
    let report = examined(&plan).await;
    assert_broken(&report, Link::Configuration, "id of an endpoint", "immutableId");
    assert!(server.requests().is_empty());
    assert_eq!(step(&report, Link::Token).status, Status::Ok, "the token is looked at all the same");
}

#[tokio::test]
async fn a_name_that_does_not_exist() {
    let mut plan = plan(443, None);
    plan.ingestion.url.set_host(Some("remora.invalid")).unwrap();
    let report = examined(&plan).await;
    assert_eq!(report.first_broken().map(|step| step.link), Some(Link::Dns), "{report:?}");
    assert_eq!(step(&report, Link::Write).status, Status::Skipped);
}

#[tokio::test]
async fn a_port_where_nothing_listens() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    assert_broken(&examined(&plan(port, None)).await, Link::Tcp, "refuses the connection", "check host and port");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls() {
    let server = Server::start(None, |_| (204, String::new(), String::new())).await;
    // It waits for the end of a head, which never comes in the bytes of TLS: so it says something at once.
    drop(server);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read_u8().await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
        }
    });
    assert_broken(&examined(&plan(port, None)).await, Link::Tls, "TLS handshake", "does not speak TLS");
}

#[tokio::test]
async fn certificates_that_are_not_to_be_trusted_get_no_token() {
    let (authority, other, made_anew) = (Authority::new(), Authority::named("Another"), Authority::new());
    for (config, roots, finding, mend) in [
        (self_signed("localhost"), None, "signed by itself", "SSL_CERT_FILE"),
        (
            authority.server("localhost", Validity::Now),
            Some(made_anew.roots()),
            "but another key: CN=Inspecting Authority",
            "made anew",
        ),
        (
            authority.server("localhost", Validity::Now),
            Some(other.roots()),
            "not trusted: CN=Inspecting Authority",
            "inspecting proxy",
        ),
        (
            authority.server("localhost", Validity::Past),
            Some(authority.roots()),
            "is expired (2021-01-01T00:00:00Z)",
            "renew",
        ),
        (authority.server("localhost", Validity::Future), Some(authority.roots()), "not valid yet", "wait"),
        (
            authority.server("other.example", Validity::Now),
            Some(authority.roots()),
            "another host than localhost: other.example",
            "hosts file",
        ),
    ] {
        let server = Server::start(Some(config), |_| (204, date(0), String::new())).await;
        let report = examined(&plan(server.address.port(), roots)).await;
        assert_broken(&report, Link::Tls, finding, mend);
        assert_eq!(step(&report, Link::Clock).status, Status::Ok, "the time is asked all the same: {report:?}");
        assert_eq!(step(&report, Link::Write).status, Status::Skipped);
        for request in server.requests() {
            assert!(!request.head.to_ascii_lowercase().contains("authorization"), "{request:?}");
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong() {
    let authority = Authority::new();
    for (seconds, broken) in [(100, false), (-3_600, true), (3_600, true)] {
        let server = Server::start(Some(authority.server("localhost", Validity::Now)), move |_| {
            (204, date(seconds), String::new())
        })
        .await;
        let report = examined(&plan(server.address.port(), Some(authority.roots()))).await;
        if broken {
            assert_broken(&report, Link::Clock, "this machine's clock is", "chrony");
        } else {
            assert_eq!((report.exit_code(), step(&report, Link::Clock).status), (3, Status::Warning), "{report:?}");
        }
    }
}

#[tokio::test]
async fn a_good_certificate_on_a_machine_that_lives_in_the_past() {
    let authority = Authority::new();
    let server =
        Server::start(Some(authority.server("localhost", Validity::Now)), |_| (204, date(0), String::new())).await;
    let mut plan = plan(server.address.port(), Some(authority.roots()));
    let ten_years = Duration::from_secs(10 * 365 * 86_400);
    plan.clock = Arc::new(ManualClock::new(HostClock::new().now().minus(ten_years)));
    let report = examined(&plan).await;
    assert_broken(&report, Link::Tls, "seems not valid yet", "set this machine's clock");
    assert_eq!(step(&report, Link::Clock).status, Status::Failed);
}

#[tokio::test]
async fn no_token() {
    let authority = Authority::new();
    let server =
        Server::start(Some(authority.server("localhost", Validity::Now)), |_| (204, String::new(), String::new()))
            .await;
    let mut plan = plan(server.address.port(), Some(authority.roots()));
    let error = TokenError::new(TokenErrorKind::Refused, "client secret", "answered 401: AADSTS7000222")
        .with_mend("create a new one");
    plan.credential = Arc::new(Fixed(Err(error)));
    let report = examined(&plan).await;
    assert_broken(&report, Link::Token, "AADSTS7000222", "create a new one");
    assert_eq!(step(&report, Link::Role).finding, "there is no token");
    assert!(server.writes().is_empty());
}

#[tokio::test]
async fn each_refusal_of_the_endpoint() {
    let authority = Authority::new();
    let access = |role: &str, bound: &str| {
        format!(
            "{{\"error\":{{\"code\":\"OperationFailed\",\"message\":\"The authentication token provided does not have access to ingest data \
             for the data collection rule with immutable Id 'dcr-1' PipelineAccessResult: AccessGranted: False, IsRbacPresent: {role}, \
             IsDcrDceBindingValid: {bound}, DcrArmId: /rules/r, Message: Required authorization action was not found for tenantId tid-1 \
             objectId oid-1 on resourceId /rules/r ConfigurationId: dcr-1..\"}}}}"
        )
    };
    let envelope = |message: &str| format!("{{\"error\":{{\"code\":\"X\",\"message\":\"{message}\"}}}}");
    for (status, body, link, finding, mend) in [
        (401, "bearer ECHO".to_owned(), Link::Admission, "refuses the token", "directory (tenant)"),
        (403, access("False", ""), Link::Role, "oid-1 has no role on the rule", "--scope /rules/r"),
        (403, access("True", "False"), Link::Binding, "not bound to this endpoint", "same place"),
        (
            404,
            envelope("Data collection rule with immutable Id 'dcr-1' not found."),
            Link::Binding,
            "knows no rule",
            "dcr-",
        ),
        (413, envelope("Maximum allowed content length: 1 bytes."), Link::Write, "too large", "proxy"),
        (429, String::new(), Link::Write, "quota is hit", "more rules"),
        (503, "busy".to_owned(), Link::Write, "fails (503)", "wait in the queue"),
    ] {
        let server = Server::start(Some(authority.server("localhost", Validity::Now)), move |request| {
            let sent = request.head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
            (status, date(0), body.replace("ECHO", sent))
        })
        .await;
        let report = examined(&plan(server.address.port(), Some(authority.roots()))).await;
        assert_broken(&report, link, finding, mend);
        assert_eq!(server.writes().len(), 1, "one test request");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_under_the_request() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server("localhost", Validity::Now)), |request| {
        assert!(!request.is_write(), "a panic ends the connection");
        (404, date(0), String::new())
    })
    .await;
    let report = examined(&plan(server.address.port(), Some(authority.roots()))).await;
    assert_broken(&report, Link::Write, "no answer to the test request", "try again");
}
