//! `doctor` as it is started: with wrong settings, with a broken link, with a chain that holds.

use serde_json::Value;

use super::support::{counting_endpoint, imds, program};

fn examine(variables: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let output = program(variables).arg("doctor").args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn wrong_settings_are_the_first_broken_link() {
    let (code, said) = examine(&[("LISTENING_PORT", "x"), ("IDENTITY_TYPE", "systemAssigned")], &[]);
    assert_eq!(code, Some(2), "{said}");
    for expected in ["FAILED", "configuration", "INGESTION_URL: is missing", "LISTENING_PORT: \"x\" is not a port"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    // The query endpoint of the argument is checked as that of the variable.
    let variables = [("INGESTION_URL", "http://127.0.0.1:1/w"), ("IDENTITY_TYPE", "systemAssigned")];
    let (code, said) = examine(&variables, &["--json", "--query-url", "http://example.com"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &report["verdict"]), (Some(2), &"misconfigured".into()), "{said}");
    assert!(said.contains("REMORA_QUERY_URL") && said.contains("plain http"), "{said}");
}

#[test]
fn a_broken_link_is_named_with_its_mend() {
    let imds = format!("http://{}", imds());
    let variables = [
        (
            "INGESTION_URL",
            "http://127.0.0.1:1/dataCollectionRules/dcr-1/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24",
        ),
        ("IDENTITY_TYPE", "systemAssigned"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", imds.as_str()),
        ("LISTENING_PORT", "0"),
    ];
    let (code, said) = examine(&variables, &["--json"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(code.map(i64::from), report["exit_code"].as_i64(), "{said}");
    let first = report["first_broken"].as_str().unwrap();
    let step = report["steps"].as_array().unwrap().iter().find(|step| step["link"] == first).unwrap();
    assert!(step["status"] == "failed" && !step["mend"].is_null(), "{said}");
    assert!(!said.contains("geheim"), "{said}");
}

#[test]
fn a_queue_directory_is_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let (endpoint, _) = counting_endpoint();
    let url = format!(
        "http://{endpoint}/dataCollectionRules/dcr-1/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24"
    );
    let imds = format!("http://{}", imds());
    for (queue, status) in [(directory.path().to_path_buf(), "ok"), (directory.path().join("none"), "failed")] {
        let variables = [
            ("INGESTION_URL", url.as_str()),
            ("IDENTITY_TYPE", "systemAssigned"),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", imds.as_str()),
            ("LISTENING_PORT", "0"),
            ("REMORA_QUEUE_DIR", queue.to_str().unwrap()),
            ("REMORA_QUEUE_BYTES_MAX", "1MiB"),
        ];
        let (_, said) = examine(&variables, &["--json"]);
        let report: Value = serde_json::from_str(&said).unwrap();
        let step = report["steps"].as_array().unwrap().iter().find(|step| step["link"] == "queue").unwrap();
        assert_eq!(step["status"], status, "{step:#}");
    }
}
