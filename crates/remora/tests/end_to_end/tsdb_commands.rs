//! `remora tsdb …` beside promtool and Prometheus 2.42.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use crate::client::Client;
use crate::installation::remora;
use crate::process::{Process, eventually, free_port, pause, peer};

/// Runs `remora tsdb …`.
fn tsdb(arguments: &[&str], directory: &Path) -> Output {
    remora().arg("tsdb").args(arguments).arg(directory).output().unwrap()
}

#[track_caller]
fn succeeds(arguments: &[&str], directory: &Path) -> (String, String) {
    let done = tsdb(arguments, directory);
    let (out, notes) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    assert!(done.status.success(), "{arguments:?}: {out}\n{notes}");
    (out, notes)
}

fn promtool(command: &str, directory: &Path) -> String {
    let done = peer("usr/bin/promtool").args(["tsdb", command]).arg(directory).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// OpenMetrics text of ten thousand samples so many seconds apart; those of a series follow each other in this stride.
fn text(apart: i64, stride: i64) -> String {
    let mut text = String::from("# TYPE t gauge\n# HELP t of a \"house\"\n");
    for series in 0..5 {
        for hour in 0..2000_i64 {
            let at = 1_700_000_000 + (hour * stride % 2000) * apart;
            text.push_str(&format!("t{{room=\"{series}\",odd=\"\\\"\\\\\\n\"}} {}.5 {at}\n", series * hour));
        }
    }
    text.push_str("# EOF\n");
    text
}

#[test]
fn openmetrics_is_imported_dumped_exported_and_known_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (file, database) = (path("year.om"), path("database"));
    // Most of a year, in no order.
    fs::write(&file, text(4 * 3600, 7919)).unwrap();
    let import = ["import", "--memory", "1", "--openmetrics", file.to_str().unwrap()];
    let (_, first) = succeeds(&import, &database);
    assert!(first.contains("10000 samples read: 10000 written"), "{first}");
    let before = succeeds(&["dump"], &database).0;
    let (_, again) = succeeds(&import, &database);
    assert!(again.contains("0 written into 0 blocks, 10000 imported before"), "{again}");
    assert!(succeeds(&["verify"], &database).0.contains("all is well"));
    // The same to promtool, which wants a log.
    fs::create_dir_all(database.join("wal")).unwrap();
    assert_eq!(sorted(&promtool("dump", &database)), sorted(&before));
    assert!(promtool("list", &database).lines().count() > 10);

    let exported = path("exported");
    succeeds(
        &["export", "--match", "t{room=~\"1|2\"}", "--max-time", "1710000000000", "--to", exported.to_str().unwrap()],
        &database,
    );
    let expected: Vec<&str> = before
        .lines()
        .filter(|line| line.contains("room=\"1\"") || line.contains("room=\"2\""))
        .filter(|line| line.rsplit_once(' ').unwrap().1.parse::<i64>().unwrap() <= 1_710_000_000_000)
        .collect();
    assert_eq!(sorted(&promtool("dump", &exported)), sorted(&expected.join("\n")));
    // What is dumped as OpenMetrics can be imported.
    let text = succeeds(&["dump", "--format", "openmetrics"], &database).0;
    fs::write(path("again.om"), text).unwrap();
    let again = path("again");
    succeeds(&["import", "--openmetrics", path("again.om").to_str().unwrap()], &again);
    assert_eq!(succeeds(&["dump"], &again).0, before);

    let analyzed = succeeds(&["analyze", "--extended", "-o", "json"], &database).0;
    let analyzed: serde_json::Value = serde_json::from_str(&analyzed).unwrap();
    assert_eq!((&analyzed["series"], &analyzed["samples"]), (&5.into(), &10_000.into()));
    assert_eq!(analyzed["seriesByMetric"][0]["name"], "t");
    assert_eq!(analyzed["valuesByLabel"][0], serde_json::json!({"name": "room", "count": 5}));
    let listed: serde_json::Value = serde_json::from_str(&succeeds(&["list", "-o", "json"], &database).0).unwrap();
    let samples: u64 =
        listed.as_array().unwrap().iter().map(|block| block["stats"]["numSamples"].as_u64().unwrap()).sum();
    assert_eq!(samples, 10_000);
}

#[test]
fn text_that_is_none_says_where_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bad.om");
    for (text, reason) in [
        ("a 1 1\nb{ 1 2\n# EOF\n", "line 2"),
        ("a 1\n# EOF\n", "line 1: the sample has no time"),
        ("a 1 1\n", "does not end with # EOF"),
        ("a 1 1\n# EOF\nb 1 1\n", "line 3: there is something after # EOF"),
    ] {
        fs::write(&file, text).unwrap();
        let database = directory.path().join("database");
        let done = tsdb(&["import", "--openmetrics", file.to_str().unwrap()], &database);
        let notes = String::from_utf8(done.stderr).unwrap();
        assert!(!done.status.success() && notes.contains(reason), "{text:?}: {notes}");
        let listed = tsdb(&["list"], &database);
        let notes = String::from_utf8(listed.stderr).unwrap();
        assert!(!listed.status.success() && notes.contains("neither blocks nor a wal directory"), "{notes}");
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_block_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let (file, database) = (directory.path().join("one.om"), directory.path().join("database"));
    fs::write(&file, "a{b=\"c\"} 1 1700000000\na{b=\"d\"} 2 1700000060\na{b=\"d\"} 3 1700000120\n# EOF\n").unwrap();
    succeeds(&["import", "--openmetrics", file.to_str().unwrap()], &database);
    let listed: serde_json::Value = serde_json::from_str(&succeeds(&["list", "-o", "json"], &database).0).unwrap();
    let block = database.join(listed[0]["ulid"].as_str().unwrap());
    let mut missed = Vec::new();
    for name in ["index", "chunks/000001", "tombstones"] {
        let path = block.join(name);
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(3) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&path, &damaged).unwrap();
            let done = tsdb(&["verify"], &database);
            let said = String::from_utf8(done.stdout).unwrap();
            if done.status.code() != Some(1) || !said.contains(name) {
                missed.push((name, at, said));
            }
        }
        fs::write(&path, whole).unwrap();
    }
    // Padding between parts of an index and unused bytes of headers say nothing.
    missed.retain(|(name, at, _)| !(*name == "chunks/000001" && (5..8).contains(at)));
    assert!(missed.len() <= 40 && missed.iter().all(|(name, _, _)| *name == "index"), "{missed:?}");
    assert!(succeeds(&["verify"], &database).0.contains("all is well"));
}

#[test]
fn a_prometheus_moves_in_with_its_blocks_and_its_log() {
    let directory = tempfile::tempdir().unwrap();
    let (data, port) = (directory.path().join("prometheus"), free_port());
    let config = directory.path().join("prometheus.yml");
    let settings = format!(
        "global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}\nscrape_configs: [{{job_name: p, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
    );
    fs::write(&config, settings).unwrap();
    // A block from before it ran.
    fs::write(directory.path().join("old.om"), text(60, 1)).unwrap();
    let made = peer("usr/bin/promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([directory.path().join("old.om"), data.clone()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut command = peer("usr/bin/prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .args([
            "--storage.tsdb.retention.time=10y",
            "--storage.tsdb.use-lockfile",
            &format!("--web.listen-address=127.0.0.1:{port}"),
        ]);
    let prometheus = Process::start("prometheus", directory.path(), &mut command);
    let client = Client::new(None);
    eventually("Prometheus to scrape itself", Duration::from_secs(30), || {
        let data = client.query(&format!("http://127.0.0.1:{port}"), None, "count_over_time(up[1m])", None)?;
        let count: f64 = data["result"][0]["value"][1].as_str()?.parse().ok()?;
        (count > 8.0).then_some(())
    });
    let database = directory.path().join("database");
    let import = ["import", "--prometheus", data.to_str().unwrap()];
    let refused = tsdb(&import, &database);
    let notes = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && notes.contains("is open in a running program"), "{notes}");
    prometheus.kill();
    pause(Duration::from_millis(200));
    let expected = promtool("dump", &data);
    let (_, notes) = succeeds(&import, &database);
    assert!(notes.contains("copied, with 10000 samples; 0 here before"), "{notes}");
    let (_, notes) = succeeds(&import, &database);
    assert!(notes.contains("0 blocks copied") && notes.contains(" 0 written into 0 blocks"), "{notes}");
    assert_eq!(sorted(&succeeds(&["dump"], &database).0), sorted(&expected));
    assert!(expected.lines().count() > 12_000);
    assert!(succeeds(&["verify"], &database).0.contains("all is well"));
}

#[test]
fn a_database_in_use_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (file, database) = (directory.path().join("one.om"), directory.path().join("database"));
    fs::write(&file, "a 1 1700000000\n# EOF\n").unwrap();
    succeeds(&["import", "--openmetrics", file.to_str().unwrap()], &database);
    let lock = fs::File::options().write(true).open(database.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    for arguments in [&["dump"][..], &["analyze"], &["import", "--openmetrics", file.to_str().unwrap()]] {
        let done = tsdb(arguments, &database);
        let notes = String::from_utf8(done.stderr).unwrap();
        assert!(!done.status.success() && notes.contains("is open in a running program"), "{arguments:?}: {notes}");
    }
    assert!(succeeds(&["verify"], &database).1.contains("logs were not checked"));
    succeeds(&["list"], &database);
    assert_eq!(succeeds(&["dump", "--blocks-only"], &database).0, "{__name__=\"a\"} 1 1700000000000\n");
}

#[test]
fn a_directory_that_is_the_wrong_one_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let fails = |arguments: &[&str], at: &Path| {
        let done = tsdb(arguments, at);
        assert!(!done.status.success() && done.stdout.is_empty(), "{arguments:?}");
        String::from_utf8(done.stderr).unwrap()
    };
    // With nothing of a database in it.
    fs::write(directory.path().join("letter"), "dear").unwrap();
    for verb in ["list", "verify", "dump", "analyze"] {
        let notes = fails(&[verb], directory.path());
        assert!(notes.contains("is no data directory of a database"), "{verb}: {notes}");
    }
    let (file, database) = (directory.path().join("one.om"), directory.path().join("database"));
    fs::write(&file, "a 1 1700000000\n# EOF\n").unwrap();
    let (_, notes) = succeeds(&["import", "--openmetrics", file.to_str().unwrap()], &database);
    assert!(notes.starts_with("1 sample read: 1 written into 1 block,"), "{notes}");
    assert!(succeeds(&["verify"], &database).0.starts_with("1 block with 1 series, 1 chunk, 1 sample;"));
    // What is exported would be beside what it was made of.
    let itself = directory.path().join(".").join("database");
    let notes = fails(&["export", "--to", itself.to_str().unwrap()], &database);
    assert!(notes.contains("is the database itself"), "{notes}");
    assert_eq!(succeeds(&["list"], &database).0.lines().count(), 2);
    // A block that cannot be read is named once.
    let block =
        fs::read_dir(&database).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.join("index").exists());
    let index = block.unwrap().join("index");
    fs::write(&index, "no index").unwrap();
    let notes = String::from_utf8(tsdb(&["dump"], &database).stderr).unwrap();
    let name = index.parent().unwrap().to_str().unwrap();
    assert!(notes.starts_with("left out: ") && notes.matches(name).count() == 1, "{notes}");
}
