//! Databases of the real service: at rest, on a full disk, with samples deleted and copied, with samples of all ages, many of
//! them.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use crate::installation::{INGESTION_SCOPE, Installation, QUERY_RESOURCE, remora};
use crate::process::{eventually, pause, peer};
use crate::serve::Service;
use crate::writing::{labels, now, post, request, try_post};

/// A service, and tokens for it.
struct Bench {
    up: Installation,
    service: Service,
    write: String,
    read: String,
    admin: String,
}

const ACCOUNT: &str = "14e21a3b-a68e-4626-873e-6539bd54fc63";
const DAY_MS: i64 = 86_400_000;

impl Bench {
    fn start(more: &str) -> Self {
        Self::start_with(&["fleet".to_owned()], more)
    }

    fn start_with(workspaces: &[String], more: &str) -> Self {
        let up = Installation::start();
        let service = Service::start_with(&up, workspaces, more);
        let query = format!("{QUERY_RESOURCE}/.default");
        let write = up.token_by_secret("application_id", "client_secret_file", INGESTION_SCOPE);
        let read = up.token_by_secret("application_id", "client_secret_file", &query);
        let admin = up.token_by_secret("admin_client_id", "admin_secret_file", &query);
        Self { up, service, write, read, admin }
    }

    /// Writes one sample; the status of the answer.
    #[track_caller]
    fn put(&self, name: &str, at: i64, value: f64) -> u16 {
        let body = request(&[(labels(&[("__name__", name)]), model::TimestampMs(at), value)]);
        post(&self.up.client, &self.service.write_url(), Some(&self.write), body).status
    }

    /// Samples of the last so many days by time.
    fn get(&self, name: &str, days: i64) -> BTreeMap<i64, f64> {
        let query = format!("{name}[{days}d]");
        let data = self.up.client.query(&self.service.query_url(), Some(&self.read), &query, None);
        let data = data.expect("the query must succeed");
        let values = data["result"][0]["values"].as_array().cloned().unwrap_or_default();
        let sample = |point: &serde_json::Value| {
            let at = (point[0].as_f64().unwrap() * 1000.0).round() as i64;
            (at, point[1].as_str().unwrap().parse().unwrap())
        };
        values.iter().map(sample).collect()
    }

    /// A call of the admin API.
    fn administer(&self, token: &str, call: &str) -> (u16, String) {
        let url = format!("{}/api/v1/admin/tsdb/{call}", self.service.query_url());
        let authorization = format!("Bearer {token}");
        let answer = self.up.client.send("POST", &url, &[("authorization", &authorization)], "");
        (answer.status, answer.text())
    }

    fn directory(&self) -> std::path::PathBuf {
        self.service.data(&self.up).join("workspaces").join(ACCOUNT)
    }

    fn open_databases(&self) -> f64 {
        self.service.figure("remora_databases_open").expect("it is shown")
    }
}

#[test]
fn a_database_that_nobody_uses_is_closed_and_opened_by_the_next_request() {
    let bench = Bench::start("databases: {closeAfterIdle: 1s}\n");
    let begin = now().0;
    assert_eq!(bench.put("rested", begin - 1000, 1.0), 204);
    for round in 0..3_i64 {
        // The system workspace stays open when it is; its first minute may not have come yet.
        eventually("the database to be closed", Duration::from_secs(20), || {
            (bench.open_databases() <= 1.0).then_some(())
        });
        eventually("the closing to be counted", Duration::from_secs(20), || {
            let closed = bench.service.figure("remora_databases_closed_total")?;
            (closed > round as f64).then_some(())
        });
        if round == 1 {
            assert_eq!(bench.get("rested", 1).len(), 2, "a query opens it, too");
        }
        assert_eq!(bench.put("rested", begin + round, 2.0), 204);
    }
    assert_eq!(bench.get("rested", 1).len(), 4);
}

#[test]
fn a_full_disk_refuses_writes_with_the_reason_until_there_is_room() {
    let mut bench = Bench::start("");
    if !bench.service.restart_on_small_disk(&bench.up, "workspaces", 8192, 6144) {
        eprintln!("no small disk can be had here (`unshare -Urm`, `unshare -m`): not tried");
        return;
    }
    let begin = now().0;
    let batch = |number: i64| {
        let series: Vec<_> = (0..400)
            .map(|index| {
                let set = labels(&[("__name__", "filling"), ("index", &format!("{index:040}"))]);
                (set, model::TimestampMs(begin + number), number as f64)
            })
            .collect();
        request(&series)
    };
    let one = format!("filling{{index=\"{:040}\"}}", 7);
    let mut written = 0;
    let refused = loop {
        let answer = post(&bench.up.client, &bench.service.write_url(), Some(&bench.write), batch(written));
        match answer.status {
            204 => written += 1,
            _ => break answer,
        }
        assert!(written < 5000, "the disk does not fill up");
    };
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().to_lowercase().contains("space"), "the reason is told: {}", refused.text());
    // Reads go on.
    assert_eq!(bench.get(&one, 1).len(), written as usize);
    // Room, without a restart. The disk is seen by the process alone.
    let ballast = format!(
        "/proc/{}/root{}",
        bench.service.process.id(),
        bench.service.data(&bench.up).join("workspaces/ballast").display()
    );
    fs::remove_file(ballast).unwrap();
    eventually("writes to be taken again", Duration::from_secs(20), || {
        let answer = try_post(&bench.up.client, &bench.service.write_url(), Some(&bench.write), batch(written))?;
        (answer.status == 204).then_some(())
    });
    assert_eq!(bench.get(&one, 1).len(), written as usize + 1);
    eventually("readiness", Duration::from_secs(20), || {
        (bench.up.client.get(&format!("{}/ready", bench.service.base)).status == 200).then_some(())
    });
}

#[test]
fn samples_are_deleted_cleaned_copied_and_stay_so() {
    let mut bench = Bench::start("");
    let begin = now().0;
    for offset in 0..10 {
        assert_eq!(bench.put("kept", begin - 10_000 + offset * 1000, 1.0), 204);
        assert_eq!(bench.put("gone", begin - 10_000 + offset * 1000, 1.0), 204);
    }
    assert_eq!(bench.administer(&bench.read, "delete_series?match[]=gone").0, 403);
    assert_eq!(bench.get("gone", 1).len(), 10);
    let half = (begin - 5500) as f64 / 1000.0;
    assert_eq!(bench.administer(&bench.admin, &format!("delete_series?match[]=gone&end={half}")).0, 204);
    assert_eq!((bench.get("gone", 1).len(), bench.get("kept", 1).len()), (5, 10));
    assert_eq!(bench.administer(&bench.admin, "clean_tombstones").0, 204);
    let (status, body) = bench.administer(&bench.admin, "snapshot");
    assert_eq!(status, 200, "{body}");
    let name = serde_json::from_str::<serde_json::Value>(&body).unwrap()["data"]["name"].as_str().unwrap().to_owned();
    assert_eq!(bench.administer(&bench.admin, "delete_series?match[]=gone").0, 204);
    assert!(bench.get("gone", 1).is_empty());

    // Deleted is deleted after a crash, and the copy is as it was.
    bench.service = bench.service.crash_and_restart(&bench.up.client);
    assert_eq!((bench.get("gone", 1).len(), bench.get("kept", 1).len()), (0, 10));
    let copy = bench.directory().join("snapshots").join(name);
    let dumped = remora().args(["tsdb", "dump"]).arg(&copy).output().unwrap();
    let text = String::from_utf8(dumped.stdout).unwrap();
    let count = |name: &str| text.lines().filter(|line| line.contains(&format!("\"{name}\""))).count();
    assert_eq!((count("gone"), count("kept")), (5, 10), "{text} {}", String::from_utf8_lossy(&dumped.stderr));

    // Who did it can be seen.
    let filter = "eventTimestamp%20ge%20'2020-01-01T00:00:00Z'";
    let path =
        format!("/providers/Microsoft.Insights/eventtypes/management/values?api-version=2015-04-01&$filter={filter}");
    let said = bench.up.client.send(
        "GET",
        &format!("{}{path}", bench.service.base),
        &[("authorization", &format!("Bearer {}", bench.up.token_of_admin()))],
        "",
    );
    assert!(said.text().contains("accounts/data/metrics/delete"), "{}", said.text());
}

#[test]
fn samples_of_all_ages_survive_kills_and_become_blocks_that_prometheus_reads() {
    let mut bench = Bench::start("");
    let mut answered = BTreeMap::new();
    for round in 0..12_i64 {
        for step in 0..30_i64 {
            // Newer and older ones in turns, over five hundred days.
            let days = (round * 7 + step * 17) % 500;
            let at = now().0 - days * DAY_MS - step * 1000;
            let value = (round * 100 + step) as f64;
            let body = request(&[(labels(&[("__name__", "aged")]), model::TimestampMs(at), value)]);
            // What asks to come again comes again: many ranges at once are written out first.
            eventually("the sample to be taken", Duration::from_secs(30), || {
                let answer = try_post(&bench.up.client, &bench.service.write_url(), Some(&bench.write), body.clone())?;
                assert!(answer.status == 204 || answer.status == 503, "{}: {}", answer.status, answer.text());
                (answer.status == 204).then_some(())
            });
            answered.entry(at).or_insert(value);
        }
        bench.service = bench.service.crash_and_restart(&bench.up.client);
    }
    let stored = bench.get("aged", 540);
    let missing: Vec<_> = answered.iter().filter(|(at, value)| stored.get(at) != Some(value)).collect();
    assert!(missing.is_empty(), "{} of {} answered samples are gone: {:?}", missing.len(), answered.len(), missing[0]);

    let directory = bench.directory();
    let (status, log) = bench.service.process.terminate();
    assert!(status.success(), "{log}");
    let verified = remora().args(["tsdb", "verify"]).arg(&directory).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    // What is in blocks and logs, read by the other program.
    let exported = bench.up.directory().join("exported");
    let done = remora().args(["tsdb", "export", "--to"]).arg(&exported).arg(&directory).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let dumped = peer("usr/bin/promtool").args(["tsdb", "dump"]).arg(&exported).output().unwrap();
    let lines: Vec<String> = String::from_utf8(dumped.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), stored.len(), "promtool sees as many samples");
}

#[test]
fn a_thousand_small_workspaces_take_less_than_a_gigabyte() {
    let names: Vec<String> =
        std::iter::once("fleet".to_owned()).chain((1..WORKSPACES).map(|n| format!("ws-{n}"))).collect();
    let bench = Bench::start_with(&names, "");
    let begin = now();
    let series: Vec<_> = (0..SERIES)
        .map(|index| {
            let set = labels(&[("__name__", "small"), ("job", "node"), ("instance", &format!("10.0.0.{index}:9100"))]);
            (set, begin, 1.0)
        })
        .collect();
    let body = request(&series);
    for number in 0..WORKSPACES {
        let answer = post(&bench.up.client, &bench.service.write_url_of(number), Some(&bench.write), body.clone());
        assert_eq!(answer.status, 204, "{number}: {}", answer.text());
    }
    assert!(bench.open_databases() >= WORKSPACES as f64);
    pause(Duration::from_secs(2));
    let status = fs::read_to_string(format!("/proc/{}/status", bench.service.process.id())).unwrap();
    let figure = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let (resident, most, threads) = (figure("VmRSS:"), figure("VmHWM:"), figure("Threads:"));
    println!(
        "{WORKSPACES} workspaces of {SERIES} series: {resident} kB resident, {most} kB at most, {threads} threads"
    );
    assert!(most < 1_000_000, "{most} kB");
    // A start opens none of them.
    let service = bench.service.crash_and_restart(&bench.up.client);
    assert!(service.figure("remora_databases_open").unwrap() <= 1.0, "only the system workspace may be open");
}

const WORKSPACES: usize = 1000;
const SERIES: usize = 100;
