//! Scripts of cases: our own, and those of Prometheus (see `scripts/prometheus/LICENSE.prometheus`), a test for each.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::{Path, PathBuf};

use promql::EngineOptions;
use promqltest::{Settings, run};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(name)
}

/// Failures of a script, a line for each; it has cases.
fn failures(path: &Path, settings: &Settings<'_>) -> String {
    let report = run(&std::fs::read_to_string(path).unwrap(), settings);
    assert!(report.passed + report.failures.len() > 0, "{} has no case", path.display());
    report.failure_lines(&path.display().to_string())
}

/// As Prometheus runs it.
#[track_caller]
fn check(script: &str) {
    let failures = failures(&directory("prometheus").join(script).with_extension("test"), &Settings::default());
    assert!(failures.is_empty(), "\n{failures}");
}

macro_rules! scripts {
    ($($test:ident $script:literal)*) => {
        const SCRIPTS: &[&str] = &[$($script),*];

        $(#[test]
        fn $test() {
            check($script);
        })*
    };
}

scripts! {
    aggregators "aggregators"
    at_modifier "at_modifier"
    collision "collision"
    duration_expression "duration_expression"
    extended_vectors "extended_vectors"
    fill_modifier "fill-modifier"
    functions "functions"
    histograms "histograms"
    info "info"
    limit "limit"
    literals "literals"
    name_label_dropping "name_label_dropping"
    native_histograms "native_histograms"
    operators "operators"
    range_queries "range_queries"
    selectors "selectors"
    staleness "staleness"
    start_timestamps "start_timestamps"
    subquery "subquery"
    trig_functions "trig_functions"
    type_and_unit "type_and_unit"
}

fn names(directory_name: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory(directory_name)).unwrap().map(|entry| entry.unwrap().path());
    let scripts = entries.filter(|path| path.extension().is_some_and(|extension| extension == "test"));
    let mut names: Vec<String> = scripts.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_script_has_a_test() {
    assert_eq!(names("prometheus"), SCRIPTS);
}

/// Names go away at once, as they do without the switch.
fn without_delayed_name_removal() -> Settings<'static> {
    let settings = Settings::default();
    Settings { engine: EngineOptions { delayed_name_removal: false, ..settings.engine }, ..settings }
}

#[test]
fn own_scripts() {
    for name in names("own") {
        let path = directory("own").join(name).with_extension("test");
        for settings in [without_delayed_name_removal(), Settings::default()] {
            let failures = failures(&path, &settings);
            assert!(failures.is_empty(), "\n{failures}");
        }
    }
}

/// What is one series until the query ends goes by its first sample.
#[test]
fn names_of_unions() {
    let script = "
load 1m
  a 1 2 3

eval range from 0 to 2m step 1m (a < 2) * 1 or a
  {} 1 2 3

eval range from 0 to 2m step 1m (a > 2) * 1 or a
  a 1 2 3

eval instant at 0 (a > 2) * 1 or a
  a 1
";
    let report = run(script, &Settings::default());
    assert_eq!(report.failure_lines("unions"), "");
}

/// Equal label sets pass operators at an instant, and never an answer.
#[test]
fn label_sets_that_come_twice() {
    let script = r#"
load 1m
  a{le="1"} 1 1
  a{le="+Inf"} 2 2

eval instant at 0 sum(-histogram_quantiles(a @ 0, "q", 0.5, 0.5) * 2)
  {} -4

eval instant at 0 histogram_quantiles(a, "q", 0.5, 0.5)
  expect fail msg:vector cannot contain metrics with the same labelset

eval range from 0 to 1m step 1m sum(histogram_quantiles(a, "q", 0.5, 0.5))
  expect fail msg:vector cannot contain metrics with the same labelset
"#;
    let report = run(script, &Settings::default());
    assert_eq!(report.failure_lines("twice"), "");
}

/// Scripts that say nothing about names of computed values.
#[test]
fn names_that_go_away_at_once() {
    for script in ["at_modifier", "collision", "literals", "selectors", "staleness", "subquery", "trig_functions"] {
        let path = directory("prometheus").join(script).with_extension("test");
        let failures = failures(&path, &without_delayed_name_removal());
        assert!(failures.is_empty(), "\n{failures}");
    }
}
