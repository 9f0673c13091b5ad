//! What stands in `deploy/`: every metric and variable that it names exists, every setting in it is accepted, and the programs
//! for whom it is written take it. (The schemas of Kubernetes are `deploy/validate`'s.)

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

fn text(path: &str) -> String {
    let path = deploy(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml_files(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(deploy(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> =
        names.filter(|name| name.ends_with(".yaml")).map(|name| format!("{folder}/{name}")).collect();
    files.sort();
    files
}

/// Names of all samples on the page.
fn samples() -> BTreeSet<String> {
    let of = |(name, kind, _): &(&str, &str, &str)| -> Vec<String> {
        let ends: &[&str] = match *kind {
            "counter" => &["_total"],
            "info" => &["_info"],
            "gauge" => &[""],
            "summary" => &["_count", "_sum"],
            "histogram" => &["_bucket", "_count", "_sum"],
            other => panic!("{name} is of an unknown kind: {other}"),
        };
        ends.iter().map(|end| format!("{name}{end}")).collect()
    };
    proxy::METRICS.iter().flat_map(of).collect()
}

/// The words of `text` that look like a metric of ours.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("remora_sidecar_") || word.starts_with("process_"))
        .collect()
}

#[test]
fn every_metric_that_is_named_exists() {
    let known = samples();
    for (file, at_least) in
        [("grafana/remora-sidecar.json", 40), ("prometheus/alerts.yaml", 15), ("prometheus/alerts.test.yaml", 15)]
    {
        let text = text(file);
        let named = metrics_in(&text);
        assert!(named.len() >= at_least, "{file} names {named:?}");
        for name in named {
            assert!(known.contains(name), "{file} names {name}, which crates/proxy/src/metrics/table.rs does not have");
        }
    }
}

fn promtool(arguments: &[&str]) {
    let promtool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/usr/bin/promtool");
    assert!(promtool.exists(), "{} is missing: run `scripts/peers` (as `make test` does)", promtool.display());
    let output = Command::new(promtool).args(arguments).current_dir(deploy("prometheus")).output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn promtool_takes_the_alerts_and_their_tests() {
    promtool(&["check", "rules", "alerts.yaml"]);
    promtool(&["test", "rules", "alerts.test.yaml"]);
}

#[test]
fn every_alert_is_tried_and_says_what_to_do() {
    let rules: Value = serde_saphyr::from_str(&text("prometheus/alerts.yaml")).unwrap();
    let tests = text("prometheus/alerts.test.yaml");
    let groups = rules["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() > 15);
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        assert!(
            tests.contains(&format!("\"{name}\"")) || tests.contains(&format!("alertname: {name}")),
            "{name} is not tried"
        );
        assert!(matches!(rule["labels"]["severity"].as_str(), Some("warning" | "critical")), "{name}");
        for annotation in ["summary", "description"] {
            assert!(
                rule["annotations"][annotation].as_str().is_some_and(|text| text.len() > 20),
                "{name}: {annotation}"
            );
        }
    }
}

#[test]
fn the_dashboard_holds_together() {
    let board: Value = serde_json::from_str(&text("grafana/remora-sidecar.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "ids are unique");
    let mut taken = BTreeSet::new();
    let mut expressions = 0;
    for panel in panels {
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{} is out of the grid", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} lies over another", panel["title"]);
            }
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
            let expression = target["expr"].as_str().unwrap();
            let plain = expression.replace("$__rate_interval", "5m");
            let options = promql_syntax::Options::default();
            promql_syntax::parse_expr(&plain, options).unwrap_or_else(|error| panic!("{expression}: {error}"));
            assert!(expression.contains(r#"job=~"$job""#), "{expression} does not obey the choice of the job");
            expressions += 1;
        }
    }
    assert!(expressions > 30);
}

/// All objects inside of `value` that are containers of the sidecar.
fn sidecars<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(fields) => {
            if fields.get("name").is_some_and(|name| name == "remora-sidecar") && fields.contains_key("image") {
                found.push(value);
            }
            fields.values().for_each(|field| sidecars(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| sidecars(item, found)),
        _ => {}
    }
}

/// What a user would write in the place of `<…>`.
fn filled_in(text: &str) -> String {
    let url = "https://w-1.westus-1.metrics.ingest.monitor.azure.com/dataCollectionRules/dcr-9ef0dccd9267493699b55b77942fc26b/\
               streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24";
    let guid = "11111111-2222-3333-4444-555555555555";
    let mut text = text.to_owned();
    for (placeholder, value) in [
        ("<INGESTION_URL>", url),
        ("<CLIENT-ID>", guid),
        ("<TENANT-ID>", guid),
        ("<CERT-NAME>", "remora"),
        ("<CLUSTER-NAME>", "c1"),
    ] {
        text = text.replace(placeholder, value);
    }
    assert!(!text.contains('<'), "a placeholder that nobody fills in: {text}");
    text
}

#[test]
fn the_settings_in_manifests_and_values_are_accepted_once_filled_in() {
    let mut types = BTreeSet::new();
    for file in [yaml_files("kubernetes"), yaml_files("helm")].concat() {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text(&file)).unwrap();
        let mut found = Vec::new();
        documents.iter().for_each(|document| sidecars(document, &mut found));
        assert_eq!(found.len(), usize::from(!file.contains("secret-provider-class")), "{file}");
        for container in found {
            let variables: Vec<(&str, &str)> = container["env"]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| (entry["name"].as_str().unwrap(), entry["value"].as_str().unwrap()))
                .collect();
            for (name, _) in &variables {
                assert!(sidecar::variables::by_name(name).is_some(), "{file}: there is no variable {name}");
            }
            let lookup = |name: &str| {
                let of_webhook = match name {
                    "AZURE_CLIENT_ID" | "AZURE_TENANT_ID" => Some("11111111-2222-3333-4444-555555555555"),
                    "AZURE_FEDERATED_TOKEN_FILE" => Some("/var/run/secrets/azure/tokens/azure-identity-token"),
                    _ => None,
                };
                let is_of_workload = file.contains("workload-identity");
                let written = variables.iter().find(|(known, _)| *known == name).map(|(_, value)| filled_in(value));
                written.or_else(|| of_webhook.filter(|_| is_of_workload).map(str::to_owned))
            };
            let settings = sidecar::Settings::load(lookup, None).unwrap_or_else(|invalid| panic!("{file}: {invalid}"));
            types.insert(settings.identity.name());
        }
    }
    assert_eq!(
        types.into_iter().collect::<Vec<_>>(),
        ["aadApplication", "systemAssigned", "userAssigned", "workloadIdentity"]
    );
}

#[test]
fn the_settings_of_the_unit_are_accepted_once_filled_in() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sidecar.yaml");
    let unit = text("systemd/remora-sidecar.service");
    let written = text("systemd/remora-sidecar.yaml");
    // The lines that belong together, with or without their comment signs.
    let taken = |text: &str, from: &str, to: &str| {
        let (before, rest) = text.split_once(from).unwrap();
        let (lines, after) = rest.split_once(to).unwrap();
        format!("{before}{}{}{to}{after}", from.replacen('#', "", 1), lines.replace("\n  #", "\n  "))
    };
    let identity = written.replace("\n  type: systemAssigned", "");
    let user = taken(&identity, "  #type: userAssigned", "  # An application");
    let application = taken(&identity, "  #type: aadApplication", "  # With a secret");
    let outbound = written.replace("\n#outbound", "\noutbound").replace("\n#  ", "\n  ").replace("ca_file", "#ca_file");
    for (settings, kind) in [
        (&written, "systemAssigned"),
        (&user, "userAssigned"),
        (&application, "aadApplication"),
        (&outbound, "systemAssigned"),
    ] {
        let prose_aside: String = settings
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect();
        fs::write(&file, filled_in(&prose_aside)).unwrap();
        // The file alone: `ledger` and `doctor` do not know what a unit would add to it.
        let settings = sidecar::Settings::load(|_| None, Some(&file)).unwrap_or_else(|invalid| panic!("{invalid}"));
        assert_eq!(settings.identity.name(), kind);
        let queue = settings.queue.expect("the file has a queue");
        let state = unit.lines().find_map(|line| line.strip_prefix("StateDirectory=")).unwrap();
        assert_eq!(queue.directory, Path::new("/var/lib").join(state), "the unit lets nothing else be written to");
    }
    let credential = |text: &str, before: &str, end: char| {
        let rest = text.split_once(before).unwrap().1;
        rest.split(end).next().unwrap().to_owned()
    };
    assert_eq!(
        credential(&unit, "\n#LoadCredential=", ':'),
        credential(&written, "/run/credentials/remora-sidecar.service/", '\n'),
        "unit and settings name one file"
    );
    assert_ne!(written, outbound, "what is commented out is tried too");
    for line in text("systemd/remora-sidecar.env").lines() {
        if let Some((name, _)) = line.trim_start_matches('#').split_once('=') {
            assert!(sidecar::variables::by_name(name).is_some(), "there is no variable {name}");
        }
    }
}

#[test]
fn systemd_takes_the_unit_and_finds_little_exposed() {
    let directory = tempfile::tempdir().unwrap();
    let unit = directory.path().join("remora-sidecar.service");
    let written = text("systemd/remora-sidecar.service");
    let program = env!("CARGO_BIN_EXE_remora-sidecar");
    fs::write(&unit, written.replace("/usr/local/bin/remora-sidecar", program)).unwrap();
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).arg(&unit).output().ok()?;
        Some((output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()))
    };
    let Some((taken, said)) = analyze(&["verify"]) else {
        eprintln!("systemd is not on this machine: the unit is not tried");
        return;
    };
    // Other units of the machine may have faults of their own.
    let about_ours: Vec<&str> = said.lines().filter(|line| line.contains("remora-sidecar.service")).collect();
    assert!(taken && about_ours.is_empty(), "{said}");
    if let Some((little, said)) = analyze(&["security", "--offline=true", "--threshold=20"])
        && !said.contains("nrecognized option")
    {
        assert!(little, "{}", said.lines().last().unwrap_or_default());
    }
}

#[test]
fn the_image_gets_what_it_copies() {
    let ignored = text("Dockerfile.dockerignore");
    assert!(ignored.starts_with("*\n"), "nothing goes to the builder but what is named");
    let image = text("Dockerfile");
    assert!(image.contains("\nFROM scratch\n") && image.contains("\nUSER 65532:65532\n"));
    let copies = image.lines().filter_map(|line| line.strip_prefix("COPY "));
    let sources: Vec<&str> = copies
        .flat_map(|copy| {
            let words: Vec<&str> = copy.split(' ').filter(|word| !word.starts_with("--")).collect();
            words[..words.len() - 1].to_vec()
        })
        .collect();
    assert!(sources.len() >= 3);
    for source in sources {
        assert!(ignored.lines().any(|line| line == format!("!{source}")), "{source} does not reach the builder");
    }
}
