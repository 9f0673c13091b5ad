//! The repository keeps its own rules.

use xtask::layers::{LAYERS, violations};
use xtask::metadata::{Dependency, Metadata, Package};

#[test]
fn the_workspace_keeps_its_layers() {
    let metadata = Metadata::load().unwrap();
    let found = violations(&metadata.packages);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
    for (row, crates) in LAYERS {
        for name in *crates {
            let known = metadata.packages.iter().any(|package| package.name == *name);
            assert!(known, "row `{row}` names `{name}`, which is no crate: remove it from xtask/src/layers.rs");
        }
    }
}

fn package(name: &str, uses: &[&str]) -> Package {
    Package {
        name: name.to_owned(),
        manifest_path: format!("/crates/{name}/Cargo.toml"),
        dependencies: uses.iter().map(|name| Dependency { name: (*name).to_owned(), kind: None }).collect(),
    }
}

#[test]
fn each_rule_catches_its_case() {
    for (name, uses, expected) in [
        ("promql", "tsdb", "a crate uses only rows before its own"),
        ("model", "tokio", "know no runtime"),
        ("tsdb", "tokio", "engines take time"),
        ("sidecar", "tsdb", "carries nothing of the service"),
        ("ingest", "query-api", "a crate uses only rows before its own"),
        ("proxy", "testkit", "dev-dependency"),
        ("common", "model", "says nothing"),
        ("unheard-of", "model", "has no row"),
    ] {
        let found = violations(&[package(name, &[uses])]).join("\n");
        assert!(found.contains(expected), "{name} using {uses}: {found:?}");
    }
    assert_eq!(violations(&[package("tsdb", &["storage", "model", "parking_lot"])]), Vec::<String>::new());
}
