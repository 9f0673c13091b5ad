//! Starting, ending and starting again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::installation::{Installation, QUERY_RESOURCE, remora};
use crate::process::eventually;

#[test]
fn up_shows_something_at_once_and_keeps_it() {
    let up = Installation::start();
    let count = |up: &Installation, query: &str| {
        eventually(query, Duration::from_secs(20), || {
            let data = up.client.query(up.fact("sidecar"), None, query, None)?;
            data["result"].as_array().filter(|result| !result.is_empty()).cloned()
        })
    };
    // No Prometheus is there: these are its own metrics, scraped and written through its own sidecar.
    let jobs: Vec<String> = count(&up, "count by (job) (up == 1) > 0")
        .iter()
        .map(|sample| sample["metric"]["job"].as_str().unwrap().to_owned())
        .collect();
    assert!(jobs.contains(&"remora".to_owned()), "{jobs:?}");
    let before = up.facts.clone();
    let printed = up.process.log();
    for expected in ["remote_write:", "/api/v1/write", up.fact("sidecar"), up.fact("service")] {
        assert!(printed.contains(expected), "{expected} must be printed: {printed}");
    }

    let directory = up.stop();
    let up = Installation::start_in(directory);
    for kept in ["workspace", "account_id", "rule", "tenant_id", "client_id", "application_id", "admin_client_id"] {
        assert_eq!(up.facts[kept], before[kept], "{kept} must survive a restart");
    }
    // More than one series: the one of before the restart had another port in `instance`.
    let token = up.token(QUERY_RESOURCE);
    let answer =
        up.client.query(up.fact("query_url"), Some(&token), "count(count_over_time(up{job='remora'}[1h]))", None);
    let count = answer.unwrap()["result"][0]["value"][1].as_str().unwrap().parse::<u32>().unwrap();
    assert!(count >= 2, "samples of before the restart must be there: {count}");
}

#[test]
fn secrets_are_private_and_never_logged() {
    let up = Installation::start();
    let mut secrets = Vec::new();
    for key in [
        "client_secret_file",
        "certificate_file",
        "certificate_pfx_file",
        "federated_token_file",
        "admin_secret_file",
        "identity_header_file",
    ] {
        let path = Path::new(up.fact(key));
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{key}");
        if !key.contains("certificate") {
            secrets.push(fs::read_to_string(path).unwrap().trim().to_owned());
        }
    }
    secrets.push(up.token(QUERY_RESOURCE));
    let log = up.process.log();
    for secret in secrets {
        assert!(!log.contains(&secret), "a secret stands in the log");
    }
}

#[test]
fn two_installations_do_not_share_a_directory() {
    let up = Installation::start();
    let output = remora()
        .args(["up", "--service-address", "127.0.0.1:0", "--authority-address", "127.0.0.1:0"])
        .args(["--sidecar-address", "127.0.0.1:0", "--data-dir"])
        .arg(up.data_directory())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("in use"), "{said}");
}

#[test]
fn a_taken_port_is_named() {
    let up = Installation::start();
    let directory = tempfile::tempdir().unwrap();
    let taken = up.fact("service").trim_start_matches("http://");
    let output = remora()
        .args(["up", "--service-address", taken, "--authority-address", "127.0.0.1:0"])
        .args(["--sidecar-address", "127.0.0.1:0", "--data-dir"])
        .arg(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(taken), "{said}");
    assert!(!directory.path().join("up.json").exists());
}

#[test]
fn the_command_line_explains_itself() {
    for (arguments, expected) in [
        (&["--version"][..], "remora 0."),
        (&["--help"], "Run everything on this machine"),
        (&["up", "--help"], "up.json"),
        (&["serve", "--help"], "settings file"),
        (&["token", "--help"], "--resource"),
        (&["sidecar", "--help"], "INGESTION_URL"),
        (&["sidecar", "ledger", "--help"], "summary"),
        (&["doctor", "--help"], "--write-sample"),
        (&["completions", "bash"], "_remora()"),
    ] {
        let output = remora().args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn doctor_follows_the_chain_of_a_running_installation() {
    let up = Installation::start();
    let doctor = |arguments: &[&str]| remora().arg("doctor").args(arguments).output().unwrap();
    let data = up.data_directory();
    let output = doctor(&["--data-dir", data.to_str().unwrap(), "--write-sample", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), report["first_broken"].is_null()), (Some(0), true), "{report:#}");
    let steps = report["steps"].as_array().unwrap();
    let status =
        |link: &str| steps.iter().find(|step| step["link"] == link).map(|step| step["status"].clone()).unwrap();
    for link in ["queue", "token", "role", "binding", "write", "read_back", "sidecar"] {
        assert_eq!(status(link), "ok", "{link}: {report:#}");
    }
    let directory = up.stop();
    let output = doctor(&["--data-dir", directory.path().join("data").to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("no `remora up` runs on"), "{said}");
}

#[test]
fn a_misconfigured_sidecar_names_every_mistake() {
    let output = remora()
        .arg("sidecar")
        .env("INGESTION_URL", "metrics.example.org")
        .env("IDENTITY_TYPE", "aadApplication")
        .env("LISTENING_PORT", "eighty")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for variable in
        ["INGESTION_URL", "LISTENING_PORT", "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_CERTIFICATE_PATH"]
    {
        assert!(said.contains(variable), "{variable} must be named: {said}");
    }
}

#[test]
fn what_a_killed_installation_left_behind_is_not_believed() {
    let up = Installation::start();
    let (data, directory) = (up.data_directory(), up.kill());
    assert!(data.join("up.json").exists(), "nothing takes it away when the process is killed");
    let output = remora().args(["token", "--resource", QUERY_RESOURCE, "--data-dir"]).arg(&data).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("no `remora up` runs on"), "{said}");
    let up = Installation::start_in(directory);
    assert!(!up.token(QUERY_RESOURCE).is_empty());
}
