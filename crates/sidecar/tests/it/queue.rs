//! The durable queue with the real program: kept while the endpoint is down, delivered after a restart, accounted for.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use model::{Labels, TimestampMs};
use remote_write::{Encoder, Sample, Version, framing};
use serde_json::Value;

use super::support::{Running, ask, ask_bytes, counting_endpoint, eventually, get, imds, program, serve};

/// A sidecar's variables, with a queue in `directory` and `url` as its target.
struct World {
    variables: Vec<(&'static str, String)>,
}

impl World {
    fn new(url: &str, queue: &Path) -> Self {
        Self {
            variables: vec![
                ("INGESTION_URL", url.to_owned()),
                ("IDENTITY_TYPE", "systemAssigned".to_owned()),
                ("AZURE_POD_IDENTITY_AUTHORITY_HOST", format!("http://{}", imds())),
                ("REMORA_LISTEN_ADDRESS", "127.0.0.1".to_owned()),
                ("LISTENING_PORT", free_port().to_string()),
                ("REMORA_QUEUE_DIR", queue.display().to_string()),
            ],
        }
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.variables.retain(|(other, _)| *other != name);
        self.variables.push((name, value.to_owned()));
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    #[track_caller]
    fn start(&self) -> Running {
        Running::start(&self.variables())
    }

    fn run(&self, arguments: &[&str]) -> Output {
        program(&self.variables()).args(arguments).output().unwrap()
    }

    #[track_caller]
    fn summary(&self) -> Value {
        let output = self.run(&["ledger", "summary", "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A request of one sample for each series.
fn body(series: &[&str]) -> Vec<u8> {
    let mut encoder = Encoder::new(Version::V1);
    for name in series {
        let labels = Labels::from_pairs([("__name__", *name), ("job", "test")]).unwrap();
        let sample = Sample { timestamp: TimestampMs(1_790_000_000_000), value: 1.0, start_timestamp: None };
        encoder.series(&labels).sample(sample);
    }
    framing::encode(&encoder.finish())
}

fn write_with(address: SocketAddr, series: &[&str], headers: &str) -> String {
    let body = body(series);
    let head = format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
         X-Prometheus-Remote-Write-Version: 0.1.0\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    ask_bytes(address, &[head.as_bytes(), &body].concat())
}

#[track_caller]
fn write(address: SocketAddr, series: &[&str]) {
    let answer = write_with(address, series, "");
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
}

/// Refuses requests that hold `bad` as Azure does.
fn refusing_endpoint(bad: &'static str) -> (SocketAddr, Arc<Mutex<bool>>) {
    let refuses = Arc::new(Mutex::new(true));
    let asked = Arc::clone(&refuses);
    let address = serve(move |request| {
        let answer = r#"{"error":{"code":"BadRequest","message":"label value too long"}}"#;
        if *asked.lock().unwrap() && request.contains(bad) {
            format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{answer}", answer.len())
        } else {
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
        }
    });
    (address, refuses)
}

#[test]
fn what_was_answered_is_delivered_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let queue = directory.path().join("queue");
    let mut world = World::new(&format!("http://127.0.0.1:{}/w", free_port()), &queue);
    world.set("REMORA_DRAIN_TIMEOUT", "1s");
    let running = world.start();
    for series in ["a", "b", "c"] {
        write(running.address, &[series]);
    }
    // The account while it runs, from outside.
    assert_eq!(world.summary()["queued"]["float"], 3);
    // A second one on the same directory is told so.
    let mut second = World::new("http://127.0.0.1:1/w", &queue);
    second.set("LISTENING_PORT", "0");
    let refused = second.run(&[]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("REMORA_QUEUE_DIR: ") && said.contains("in use by another process"), "{said}");
    let (code, log) = running.stop("-TERM");
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("msg=\"Queue is kept; it is delivered after the next start\" requests=3"), "{log}");

    let (endpoint, count) = counting_endpoint();
    world.set("INGESTION_URL", &format!("http://{endpoint}/w"));
    let running = world.start();
    assert!(running.log().contains("requests=3"), "{}", running.log());
    eventually("all to be delivered", || *count.lock().unwrap() >= 3);
    write(running.address, &["d"]);
    let (code, log) = running.stop("-TERM");
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("msg=\"Queue is empty\""), "{log}");
    let summary = world.summary();
    assert_eq!((&summary["received"]["float"], &summary["delivered"]["float"]), (&4.into(), &4.into()), "{summary}");
    assert_eq!((&summary["queued"]["float"], &summary["balances"]), (&0.into(), &true.into()));
    let table = text(&world.run(&["ledger", "summary"]).stdout);
    assert!(table.contains("\nreceived ") && table.contains("\nThe account balances: "), "{table}");
}

#[test]
fn a_refused_series_is_told_and_sent_again_once_the_reason_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (endpoint, refuses) = refusing_endpoint("bad_series");
    let world = World::new(&format!("http://{endpoint}/w"), &directory.path().join("queue"));
    let running = world.start();
    write(running.address, &["good_1", "bad_series", "good_2"]);
    eventually("it to be settled", || world.summary()["queued"]["float"] == 0);
    let summary = world.summary();
    assert_eq!(summary["rejected"]["invalid"]["float"], 1, "{summary}");
    assert_eq!(summary["delivered"]["float"], 2, "{summary}");

    let told = text(&world.run(&["ledger", "tail"]).stdout);
    assert!(told.contains("invalid (status 400)  1 float") && told.contains("label value too long"), "{told}");
    assert!(told.contains("bad_series{job=\"test\"}"), "{told}");
    let line = text(&world.run(&["ledger", "tail", "-n", "1", "--json"]).stdout);
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&value["reason"], &value["status"], &value["samples"]["float"]),
        (&"invalid".into(), &400.into(), &1.into())
    );

    for (arguments, expected) in [
        (&["--dry-run"][..], "would be sent"),
        (&["--dry-run", "--reason", "invalid", "--since", "1h"], "1 of 1 refused series would be sent again"),
        (&["--dry-run", "--reason", "forbidden"], "0 of 0 refused series would be sent again"),
    ] {
        let output = world.run(&[&["ledger", "replay"], arguments].concat());
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success() && said.contains(expected), "{arguments:?}: {said}");
    }
    for arguments in [&["--reason", "because"][..], &["--since", "yesterday"], &["--url", "ftp://x"]] {
        let output = world.run(&[&["ledger", "replay"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains(arguments[0]), "{arguments:?}: {}", text(&output.stderr));
    }
    assert_eq!(world.summary()["received"]["float"], 3, "nothing was sent yet");

    *refuses.lock().unwrap() = false;
    let output = world.run(&["ledger", "replay"]);
    let said = text(&output.stdout);
    assert!(
        output.status.success()
            && said.contains("1/1  ")
            && said.contains("bad_series")
            && said.contains(": taken (204)"),
        "{said}"
    );
    eventually("it to be delivered", || world.summary()["delivered"]["float"] == 3);
    let summary = world.summary();
    assert_eq!((&summary["received"]["float"], &summary["balances"]), (&4.into(), &true.into()), "{summary}");
    assert_eq!(running.stop("-TERM").0, Some(0));
    // Nobody listens any more.
    let output = world.run(&["ledger", "replay", "--again", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["taken"], value["error"].is_string()), (&false.into(), true), "{value}");
}

#[test]
fn what_was_sent_again_is_not_sent_a_third_time_unasked() {
    let directory = tempfile::tempdir().unwrap();
    let queue = directory.path().join("queue");
    let (endpoint, refuses) = refusing_endpoint("bad_");
    let world = World::new(&format!("http://{endpoint}/w"), &queue);
    let running = world.start();
    let refuse = |series: &str, count: u64| {
        write(running.address, &[series]);
        eventually("it to be refused", || world.summary()["rejected"]["invalid"]["float"] == count);
        eventually("it to be in the ring", || {
            let told = text(&world.run(&["ledger", "tail"]).stdout);
            told.contains(series)
        });
    };
    refuse("bad_1", 1);
    refuse("bad_2", 2);
    *refuses.lock().unwrap() = false;
    let replay = |arguments: &[&str]| {
        let output = world.run(&[&["ledger", "replay"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stderr)
    };
    let is_received = |count: u64| {
        eventually("it to be delivered", || world.summary()["queued"]["float"] == 0);
        assert_eq!(world.summary()["received"]["float"], count);
    };
    // A dry run is none.
    assert!(replay(&["--dry-run"]).contains("2 of 2 refused series would be sent again"));
    assert!(replay(&[]).contains("2 of 2 refused series were taken again"));
    is_received(4);
    for arguments in [&["--dry-run"][..], &[]] {
        let said = replay(arguments);
        assert!(said.contains("2 were sent again before; --again sends them once more"), "{said}");
        assert!(said.contains("0 of 0 refused series"), "{said}");
    }
    is_received(4);
    assert!(replay(&["--again", "--reason", "invalid"]).contains("2 of 2 refused series were taken again"));
    is_received(6);
    // One that is refused later has not been sent again yet, be it the same series.
    *refuses.lock().unwrap() = true;
    refuse("bad_1", 3);
    *refuses.lock().unwrap() = false;
    eventually("it to be in the ring", || replay(&["--dry-run"]).contains("1 of 1 refused series would be sent"));
    // Where nothing can be remembered, it is sent and said.
    std::fs::remove_file(queue.join("replayed")).unwrap();
    std::fs::create_dir(queue.join("replayed")).unwrap();
    let said = replay(&[]);
    assert!(
        said.contains("cannot remember what is sent again") && said.contains("3 of 3 refused series were"),
        "{said}"
    );
    is_received(10);
    assert_eq!(running.stop("-TERM").0, Some(0));
}

/// The signal that comes with such a limit ends a program that does not expect it.
#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk_and_no_end() {
    let directory = tempfile::tempdir().unwrap();
    let (endpoint, count) = counting_endpoint();
    let world = World::new(&format!("http://{endpoint}/w"), &directory.path().join("queue"));
    let running = world.start();
    write(running.address, &["a"]);
    running.limit_file_size(Some(64));
    let answer = write_with(running.address, &["b"], "");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(running.metric("remora_sidecar_queue_writable"), "0");
    running.limit_file_size(None);
    eventually("it to go on", || write_with(running.address, &["b"], "").starts_with("HTTP/1.1 204 "));
    eventually("all to be delivered", || *count.lock().unwrap() == 2);
    assert_eq!(running.stop("-TERM").0, Some(0));
}

#[test]
fn an_end_does_not_wait_for_a_target_that_is_away() {
    let directory = tempfile::tempdir().unwrap();
    // No token for the first, so that nothing leaves; no answer from the second.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let refusing = format!("http://127.0.0.1:{}/w", free_port());
    for (place, (target, authority)) in
        [(refusing.clone(), silent), (refusing, format!("http://{}", imds()))].into_iter().enumerate()
    {
        let mut world = World::new(&target, &directory.path().join(format!("queue-{place}")));
        world.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", &authority);
        world.set("REMORA_DRAIN_TIMEOUT", "1h");
        let running = world.start();
        write(running.address, &["a"]);
        if place == 1 {
            eventually("delivery to be blocked", || running.log().contains("delivery is blocked"));
        }
        let (code, log) = running.stop("-TERM");
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains("under way;") && !log.contains("no token: "), "a timeout was waited for: {log}");
        assert!(log.contains("msg=\"Queue is kept; it is delivered after the next start\" requests=1"), "{log}");
    }
}

#[test]
fn a_directory_that_cannot_be_used_is_named_with_its_mend() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for queue in [file.join("queue"), "/proc/queue".into()] {
        let output = World::new("http://127.0.0.1:1/w", &queue).run(&[]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("REMORA_QUEUE_DIR: cannot use") && said.contains("give a directory"), "{said}");
    }
    // What is no queue has no ledger.
    for arguments in [["ledger", "summary"], ["ledger", "tail"], ["ledger", "replay"]] {
        let output = World::new("http://127.0.0.1:1/w", directory.path()).run(&arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains("there is no queue in"), "{}", text(&output.stderr));
        let nowhere = program(&[]).args(arguments).output().unwrap();
        assert!(
            text(&nowhere.stderr).contains("give --queue-dir, or set REMORA_QUEUE_DIR"),
            "{}",
            text(&nowhere.stderr)
        );
    }
}

#[test]
fn a_queue_in_memory_says_what_it_is_and_hands_over_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let (endpoint, count) = counting_endpoint();
    let mut world = World::new(&format!("http://{endpoint}/w"), &directory.path().join("queue"));
    world.set("REMORA_QUEUE", "memory");
    let running = world.start();
    assert!(running.log().contains("does NOT survive the end of this process"), "{}", running.log());
    let info = get(running.address, "/metrics");
    assert!(info.contains("remora_sidecar_queue_info{medium=\"memory\",survives_crash=\"false\""), "{info}");
    for place in 0..20 {
        write(running.address, &[&format!("s{place}")]);
    }
    let (code, log) = running.stop("-TERM");
    assert_eq!((code, *count.lock().unwrap()), (Some(0), 20), "{log}");
    assert!(log.contains("msg=\"Queue is empty\"") && !directory.path().join("queue").exists(), "{log}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new(&format!("http://{}/w", silent.local_addr().unwrap()), &directory.path().join("queue"));
    world.set("REMORA_DRAIN_TIMEOUT", "1h");
    let running = world.start();
    write(running.address, &["a"]);
    running.signal("-TERM");
    running.wait_for_log("msg=\"Stopping: finishing what is under way\"");
    let (code, log) = running.stop("-INT");
    assert_eq!(code, Some(130), "{log}");
    assert!(log.contains("Stopping at once on a second signal"), "{log}");
    assert_eq!(world.summary()["queued"]["float"], 1, "it is kept all the same");
}

#[test]
fn bounds_of_the_queue_change_while_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("sidecar.yaml");
    std::fs::write(&config, "queue: {bytes_max: 8MiB}\n").unwrap();
    let mut world = World::new(&format!("http://127.0.0.1:{}/w", free_port()), &directory.path().join("queue"));
    world.set("REMORA_CONFIG", config.to_str().unwrap());
    world.set("REMORA_DRAIN_TIMEOUT", "1s");
    let running = world.start();
    write(running.address, &["a"]);
    assert_eq!(running.metric("remora_sidecar_queue_bytes_max"), "8388608");
    let (endpoint, count) = counting_endpoint();
    std::fs::write(&config, "queue: {bytes_max: 16MiB, age_max: 1h, sync: never}\ndelivery: {in_flight_max: 2}\n")
        .unwrap();
    running.signal("-HUP");
    let log = running.wait_for_log("next start alone");
    assert!(log.contains("changed=\"REMORA_IN_FLIGHT_MAX,REMORA_QUEUE_AGE_MAX,REMORA_QUEUE_BYTES_MAX\""), "{log}");
    assert!(log.contains("changed=REMORA_QUEUE_SYNC"), "{log}");
    assert_eq!(running.metric("remora_sidecar_queue_bytes_max"), "16777216");
    assert_eq!(running.metric("remora_sidecar_queue_age_max_seconds"), "3600");
    // Another target, where what waited goes.
    world.set("INGESTION_URL", "");
    drop(running.stop("-TERM"));
    std::fs::write(&config, format!("target: {{ingestion_url: 'http://127.0.0.1:{}/w'}}\n", free_port())).unwrap();
    let running = world.start();
    std::fs::write(&config, format!("target: {{ingestion_url: 'http://{endpoint}/w'}}\n")).unwrap();
    running.signal("-HUP");
    eventually("it to be delivered to the new target", || *count.lock().unwrap() == 1);
    assert_eq!(running.stop("-TERM").0, Some(0));
}

#[test]
fn senders_must_bring_the_token_and_a_new_one_is_taken_up() {
    let directory = tempfile::tempdir().unwrap();
    let (endpoint, _) = counting_endpoint();
    let token = directory.path().join("token");
    std::fs::write(&token, "geheim-first-0123\n").unwrap();
    let mut world = World::new(&format!("http://{endpoint}/w"), &directory.path().join("queue"));
    world.set("REMORA_LISTEN_TOKEN_FILE", token.to_str().unwrap());
    let running = world.start();
    let answered = |headers: &str| write_with(running.address, &["a"], headers).split(' ').nth(1).unwrap().to_owned();
    assert_eq!(answered(""), "401");
    assert_eq!(answered("Authorization: Bearer geheim-first-0123\r\n"), "204");
    assert!(get(running.address, "/metrics").starts_with("HTTP/1.1 200 "), "pages need none");
    std::fs::write(&token, "geheim-second-0123\n").unwrap();
    running.signal("-HUP");
    running.wait_for_log("changed=REMORA_LISTEN_TOKEN_FILE");
    assert_eq!(answered("Authorization: Bearer geheim-first-0123\r\n"), "401");
    assert_eq!(answered("Authorization: Bearer geheim-second-0123\r\n"), "204");
    std::fs::write(&token, "short\n").unwrap();
    running.signal("-HUP");
    running.wait_for_log("Configuration not reloaded");
    assert_eq!(answered("Authorization: Bearer geheim-second-0123\r\n"), "204");
    let (code, log) = running.stop("-TERM");
    assert!(code == Some(0) && !log.contains("geheim"), "{log}");
}

/// A certificate for `localhost` and its key, in files.
fn renew(certificate: &Path, key: &Path) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(certificate, signed.cert.pem()).unwrap();
    std::fs::write(key, signed.signing_key.serialize_pem()).unwrap();
}

#[test]
fn with_a_certificate_the_listener_speaks_tls_and_takes_up_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    // What was refused elsewhere is what a client is to write here.
    let refused = World::new(&format!("http://{}/w", refusing_endpoint("bad_series").0), &file("refused"));
    let running = refused.start();
    write(running.address, &["bad_series"]);
    eventually("it to be refused", || refused.summary()["rejected"]["invalid"]["float"] == 1);
    assert_eq!(running.stop("-TERM").0, Some(0));

    let (certificate, key, token) = (file("tls.crt"), file("tls.key"), file("token"));
    renew(&certificate, &key);
    std::fs::write(&token, "geheim-first-0123\n").unwrap();
    let mut world = World::new(&format!("http://{}/w", counting_endpoint().0), &file("queue"));
    for (name, path) in [
        ("REMORA_LISTEN_TLS_CERTIFICATE", &certificate),
        ("REMORA_LISTEN_TLS_KEY", &key),
        ("REMORA_LISTEN_TOKEN_FILE", &token),
        ("SSL_CERT_FILE", &certificate),
    ] {
        world.set(name, path.to_str().unwrap());
    }
    let running = world.start();
    // Trusts what stands in the certificate's file now, and brings the token.
    let assert_taken = || {
        let output = world.run(&["ledger", "replay", "--again", "--queue-dir", file("refused").to_str().unwrap()]);
        let said = text(&output.stdout);
        assert!(output.status.success() && said.contains(": taken (204)"), "{said}");
    };
    assert_taken();
    let mut plain = World::new("http://127.0.0.1:1/w", &file("refused"));
    plain.set("LISTENING_PORT", &running.address.port().to_string());
    let output = plain.run(&["ledger", "replay", "--again"]);
    assert!(output.status.code() == Some(1) && text(&output.stdout).contains("NOT TAKEN"), "{}", text(&output.stdout));

    renew(&certificate, &key);
    running.signal("-HUP");
    let log = running.wait_for_log("msg=\"Configuration reloaded\"");
    assert!(log.contains("REMORA_LISTEN_TLS_CERTIFICATE,REMORA_LISTEN_TLS_KEY"), "{log}");
    assert_taken();
    std::fs::write(&certificate, "nonsense").unwrap();
    running.signal("-HUP");
    running.wait_for_log("holds no CERTIFICATE section");
    let (code, log) = running.stop("-TERM");
    assert!(code == Some(0) && !log.contains("geheim") && !log.contains("PRIVATE KEY"), "{log}");
}

#[test]
fn the_strict_readiness_can_be_asked_for_by_argument() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new(&format!("http://127.0.0.1:{}/w", free_port()), &directory.path().join("queue"));
    world.set("REMORA_QUEUE_BYTES_MAX", "1MiB");
    world.set("REMORA_DRAIN_TIMEOUT", "1s");
    for (arguments, status) in [(&["--ready-strict"][..], "503"), (&[], "200")] {
        let running = Running::start_with(&world.variables(), arguments);
        eventually("a token", || running.log().contains("Initialization successful"));
        eventually("the queue to be full", || {
            // Nothing of this can be compressed away: names differ.
            let names: Vec<String> = (0..2000).map(|place| format!("s{place}_{:x}", place * 0x9E37_79B9_u64)).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            write_with(running.address, &names, "").starts_with("HTTP/1.1 503 ")
        });
        let ready = get(running.address, "/ready");
        assert_eq!(ready.split(' ').nth(1), Some(status), "{arguments:?}: {ready}");
        assert!(
            ask(running.address, "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                .starts_with("HTTP/1.1 200 ")
        );
        assert_eq!(running.stop("-TERM").0, Some(0));
    }
}
