//! Scripts of cases: our own, and those of Prometheus that pass in full (see `scripts/prometheus/LICENSE.prometheus`).

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod interpreter;

use std::path::{Path, PathBuf};

use promql::EngineOptions;
use promql_syntax::Options;

/// Runs every script in a directory; all cases must pass.
#[track_caller]
fn check(directory: &str, skipped: &[&str], delayed_name_removal: bool) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(directory);
    let entries = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let mut scripts: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "test")).collect();
    scripts.retain(|path| !skipped.iter().any(|name| path.ends_with(name)));
    scripts.sort();
    assert!(!scripts.is_empty(), "no scripts in {}", directory.display());
    let options = EngineOptions { delayed_name_removal, ..EngineOptions::default() };
    let mut complaints = String::new();
    for path in scripts {
        let report = interpreter::run(&std::fs::read_to_string(&path).unwrap(), options, Options::all());
        assert!(report.passed > 0, "{} has no case", path.display());
        for (line, what) in report.failed.iter().chain(&report.unsupported) {
            complaints.push_str(&format!("{}:{line}: {what}\n", path.display()));
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn own_scripts() {
    check("own", &[], false);
}

#[test]
fn prometheus_scripts_as_upstream_runs_them() {
    check("prometheus", &[], true);
}

#[test]
fn prometheus_scripts_with_default_options() {
    check("prometheus", &["name_label_dropping.test"], false);
}
