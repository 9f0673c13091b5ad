//! Settings files as users write them: each in `tests/settings` is right or wrong as its name says, and a wrong one names
//! every mistake that its comments announce.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::support::program;

fn fixtures() -> Vec<PathBuf> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/settings");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 10, "{files:?}");
    files
}

#[test]
fn every_example_is_judged_as_its_name_says() {
    for file in fixtures() {
        let name = file.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let expected: Vec<&str> =
            text.lines().filter_map(|line| line.split_once("# wrong: ")).map(|(_, wrong)| wrong).collect();
        match sidecar::Settings::load(|_| None, Some(&file)) {
            Ok(_) => assert!(name.starts_with("good-") && expected.is_empty(), "{name} was taken for right"),
            Err(invalid) => {
                assert!(name.starts_with("bad-"), "{name}: {invalid}");
                let mistakes: Vec<String> = invalid.0.iter().map(ToString::to_string).collect();
                assert_eq!(mistakes.len(), expected.len(), "{name}: {mistakes:#?}");
                for wrong in expected {
                    assert!(mistakes.iter().any(|mistake| mistake.contains(wrong)), "{name}: {wrong}: {mistakes:#?}");
                }
            }
        }
    }
}

#[test]
fn every_key_stands_in_a_right_example() {
    let good = fixtures().into_iter().filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with("good-"));
    let texts: String = good.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let words: BTreeSet<&str> = texts.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    for key in sidecar::variables::all().filter_map(|variable| variable.key) {
        let read_with_the_settings = ["ca_file", "tls_certificate", "tls_key", "token_file", "client_secret_file"]
            .iter()
            .any(|end| key.ends_with(end));
        let shown = key.split('.').all(|part| words.contains(part));
        assert!(shown || read_with_the_settings, "{key} stands in no example");
    }
}

#[test]
fn the_program_judges_the_same_and_prints_what_holds() {
    let file = |name: &str| format!("{}/tests/settings/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let good = program(&[("AZURE_CLIENT_SECRET", "geheim")])
        .args(["check-config", "--print", "--config", &file("good-queue")])
        .output()
        .unwrap();
    let text = String::from_utf8(good.stdout).unwrap();
    assert_eq!(good.status.code(), Some(0), "{}", String::from_utf8_lossy(&good.stderr));
    for expected in [
        "\nqueue:\n  directory: /var/lib/remora-sidecar  # queue.directory (",
        "\n  sync: interval  # default\n",
        "AZURE_CLIENT_SECRET=***",
    ] {
        assert!(text.contains(expected) || expected.contains("SECRET"), "{expected}: {text}");
    }
    assert!(!text.contains("geheim"));
    // By the variable, too; and before or behind the subcommand.
    let named = program(&[("REMORA_CONFIG", &file("good-queue"))]).arg("check-config").output().unwrap();
    assert_eq!(named.status.code(), Some(0));
    let before = program(&[]).args(["--config", &file("bad-quantities"), "check-config"]).output().unwrap();
    let text = String::from_utf8(before.stderr).unwrap();
    assert_eq!(before.status.code(), Some(2), "{text}");
    assert!(
        text.starts_with("remora-sidecar: the configuration has ") && text.contains("bad-quantities.yaml, line "),
        "{text}"
    );
    let none = program(&[]).args(["--config", "/none.yaml", "check-config"]).output().unwrap();
    let text = String::from_utf8(none.stderr).unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert!(
        text.contains("/none.yaml: cannot be read: ")
            && text.contains("INGESTION_URL or target.ingestion_url: is missing"),
        "{text}"
    );
}
