//! The remote-write conformance cases (tests/conformance/remote-write), against a running service.

use std::path::Path;
use std::process::Command;

use crate::installation::{INGESTION_SCOPE, Installation};

#[test]
fn every_receiver_case_passes() {
    let up = Installation::start();
    let token = up.token_by_secret("application_id", "client_secret_file", INGESTION_SCOPE);
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/remote-write/rw_receiver_cases.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(up.fact("ingestion_url"))
        .arg("--header")
        .arg(format!("Authorization: Bearer {token}"))
        .output()
        .expect("python3 is needed for the conformance cases");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(report.contains("122 of 122 passed"), "{report}");
}
