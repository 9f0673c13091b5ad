//! Chains that hold, and what the pages of the sidecar and the query endpoint add.

use std::sync::{Arc, Mutex};

use doctor::{Endpoint, Link, Listener, Queue, Status};
use identity::Scope;
use remote_write::{Item, Limits, Request as WriteRequest, Version, framing};
use url::Url;

use crate::authority::{Authority, Validity};
use crate::server::{Server, assert_broken, date, examined, plan, step};

fn taken() -> (u16, String, String) {
    (204, date(0), String::new())
}

#[tokio::test]
async fn a_chain_that_holds_is_well_and_nothing_is_stored() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server("localhost", Validity::Now)), |_| taken()).await;
    let queue = tempfile::tempdir().unwrap();
    let mut plan = plan(server.address.port(), Some(authority.roots()));
    plan.queue = Some(Queue { directory: queue.path().to_owned(), bytes_max: 1 });
    let report = examined(&plan).await;
    assert_eq!(report.exit_code(), 0, "{report:?}");
    for link in [
        Link::Configuration,
        Link::Queue,
        Link::Dns,
        Link::Tcp,
        Link::Tls,
        Link::Clock,
        Link::Token,
        Link::Admission,
        Link::Role,
        Link::Binding,
        Link::Write,
    ] {
        assert_eq!(step(&report, link).status, Status::Ok, "{report:?}");
    }
    for link in [Link::Proxy, Link::ReadBack, Link::Sidecar] {
        assert_eq!(step(&report, link).status, Status::Skipped, "{report:?}");
    }
    assert!(report.render_human().contains("oid: oid-1") && report.render_human().ends_with("samples get through.\n"));

    let writes = server.writes();
    assert_eq!(writes.len(), 1);
    assert!(writes[0].head.contains("authorization: Bearer ") && writes[0].head.contains("content-encoding: snappy"));
    let mut message = Vec::new();
    framing::decode(&writes[0].body, 1 << 10, &mut message).unwrap();
    assert!(message.is_empty(), "the request is empty");
    let others = server.requests().into_iter().filter(|request| !request.is_write());
    assert!(
        others.into_iter().all(|request| !request.head.contains("authorization")),
        "the time is asked without a token"
    );
}

#[tokio::test]
async fn a_sample_is_written_and_read_back() {
    let authority = Authority::new();
    let stored = Arc::new(Mutex::new(None));
    let store = Arc::clone(&stored);
    let server = Server::start(Some(authority.server("localhost", Validity::Now)), move |request| {
        if request.is_write() {
            let mut message = Vec::new();
            framing::decode(&request.body, 1 << 10, &mut message).unwrap();
            let read = WriteRequest::parse(Version::V1, &message, &Limits::default()).unwrap();
            let mut scratch = Vec::new();
            let mut walk = read.walk(&mut scratch);
            while let Some(item) = walk.next_item().unwrap() {
                if let Item::Series(series) = item {
                    *store.lock().unwrap() = series.samples().next().map(|sample| sample.unwrap().value);
                }
            }
            return taken();
        }
        let value = store.lock().unwrap().unwrap_or(0.0);
        let found = request.head.contains("query=remora_doctor_test");
        let result = if found { format!(r#"[{{"metric":{{}},"value":[1,"{value}"]}}]"#) } else { "[]".to_owned() };
        (200, date(0), format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#))
    })
    .await;
    let mut plan = plan(server.address.port(), Some(authority.roots()));
    let url = Url::parse(&format!("https://localhost:{}/", server.address.port())).unwrap();
    plan.query = Some(Endpoint { url, scope: Scope::parse("https://prometheus.monitor.azure.com").unwrap() });
    // Without a sample it is asked how old those of `up` are, of which there are none.
    let report = examined(&plan).await;
    assert_eq!((report.exit_code(), step(&report, Link::ReadBack).status), (3, Status::Warning), "{report:?}");
    assert!(stored.lock().unwrap().is_none());

    plan.write_sample = true;
    let report = examined(&plan).await;
    assert_eq!(report.exit_code(), 0, "{report:?}");
    assert!(step(&report, Link::ReadBack).finding.contains("was read back"), "{report:?}");
    assert!(stored.lock().unwrap().is_some_and(|value| value > 1.7e9));
}

#[tokio::test]
async fn the_sidecar_that_runs_here_is_asked() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server("localhost", Validity::Now)), |_| taken()).await;
    for tls in [false, true] {
        // Its own certificate is nobody's business here.
        let config = tls.then(|| crate::authority::self_signed("sidecar"));
        let sidecar = Server::start(config, |request| {
            let body = match request.head.split(' ').nth(1).unwrap() {
                "/ready" => String::new(),
                "/metrics" => "remora_sidecar_uptime_seconds 900\nremora_sidecar_delivery_blocked{reason=\"throttled\"} 1\n# EOF\n".to_owned(),
                _ => r#"{"version":"0.1.0","last_failure":{"at":"2026-01-01T00:00:00Z","status":429,"reason":"throttled"}}"#.to_owned(),
            };
            (200, String::new(), body)
        })
        .await;
        let mut plan = plan(server.address.port(), Some(authority.roots()));
        plan.listener = Some(Listener { address: format!("[::]:{}", sidecar.address.port()).parse().unwrap(), tls });
        let report = examined(&plan).await;
        let step = step(&report, Link::Sidecar);
        assert!(
            step.status == Status::Warning && step.finding.contains("quota") && report.exit_code() == 3,
            "{step:?}"
        );
        assert!(step.mend.as_deref().unwrap().contains("spread the senders over more rules"), "{step:?}");
        assert!(sidecar.requests().iter().all(|request| !request.head.contains("authorization")));
    }
}

#[tokio::test]
async fn a_port_of_something_else_is_no_sidecar() {
    let other = Server::start(None, |_| (404, String::new(), "no".to_owned())).await;
    let mut plan = plan(1, None);
    plan.listener = Some(Listener { address: other.address, tls: false });
    let report = examined(&plan).await;
    assert!(step(&report, Link::Sidecar).finding.contains("no pages of a sidecar"), "{report:?}");
    drop(other);
    assert_broken(&report, Link::Tcp, "refuses the connection", "nothing listens");
}
