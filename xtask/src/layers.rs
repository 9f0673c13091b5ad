//! Which crate may use which.

use crate::metadata::Package;

/// Rows from the innermost to the outermost. A crate uses only crates of rows before its own.
pub const LAYERS: &[(&str, &[&str])] = &[
    ("values", &["model"]),
    ("bytes", &["remote-write", "exposition", "tsdb-format", "promql-syntax"]),
    ("seams", &["environment", "storage"]),
    ("engines", &["tsdb", "promql", "identity", "access", "catalog", "quota", "spool"]),
    ("tasks", &["delivery", "platform-metrics"]),
    ("between", &["host", "http-serving"]),
    ("edges", &["proxy", "ingest", "query-api", "arm-api", "authority", "doctor"]),
    ("programs", &["sidecar"]),
    ("whole", &["remora"]),
];

/// Crates for development only: nothing above may use them but in tests.
pub const ASIDE: &[&str] = &["testkit", "promqltest", "simulator", "bench", "differential", "xtask"];

/// Names that say nothing about what is inside.
pub const REFUSED_NAMES: &[&str] = &["common", "utils", "util", "core", "shared", "helpers", "misc"];

/// External crates that a row must not use, and why.
const FORBIDDEN: &[(&[&str], &[&str], &str)] = &[
    (
        &["values", "bytes", "seams"],
        &[
            "tokio",
            "hyper",
            "hyper-util",
            "reqwest",
            "tracing",
            "tracing-subscriber",
            "log",
            "rand",
            "socket2",
            "rustix",
        ],
        "values, bytes and seams know no runtime, socket, file system, clock or logger",
    ),
    (
        &["engines", "tasks"],
        &["tokio", "hyper", "hyper-util", "reqwest", "socket2", "rand", "rustix"],
        "engines take time, chance, disk and network as arguments (crate `environment`)",
    ),
];

/// Edges between our own crates that no row order forbids and that must not be, and why.
const REFUSED_EDGES: &[(&str, &str, &str)] = &[
    ("sidecar", "tsdb", "the sidecar carries nothing of the service"),
    ("sidecar", "promql", "the sidecar carries nothing of the service"),
    ("sidecar", "catalog", "the sidecar carries nothing of the service"),
    ("proxy", "tsdb", "the sidecar carries nothing of the service"),
    ("proxy", "promql", "the sidecar carries nothing of the service"),
    ("proxy", "catalog", "the sidecar carries nothing of the service"),
    ("tsdb", "remote-write", "one database knows samples, not the protocol that brought them"),
    ("tsdb", "promql-syntax", "the database answers selections, not queries"),
    ("arm-api", "tsdb", "edges see storage through the seam"),
    ("sidecar", "quota", "the sidecar carries nothing of the service"),
    ("sidecar", "platform-metrics", "the sidecar carries nothing of the service"),
    ("query-api", "tsdb", "edges see storage through the seam"),
    ("ingest", "tsdb", "edges see storage through the seam"),
];

/// Everything in `packages` that breaks the rules, one sentence each, with the mend.
pub fn violations(packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        let name = package.name.as_str();
        if REFUSED_NAMES.contains(&name) {
            found.push(format!("crate `{name}`: the name says nothing; call it after the one thing that it does"));
        }
        let folder = package.manifest_path.rsplit('/').nth(1).unwrap_or("");
        if folder != name {
            found.push(format!("crate `{name}` lives in the folder `{folder}`: folder and crate have one name"));
        }
        if ASIDE.contains(&name) {
            continue;
        }
        let Some(row) = row_of(name) else {
            found.push(format!("crate `{name}` has no row: give it one in xtask/src/layers.rs and in ARCHITECTURE.md"));
            continue;
        };
        for used in package.uses() {
            found.extend(edge_violation(name, row, used));
        }
    }
    found
}

fn edge_violation(name: &str, row: usize, used: &str) -> Option<String> {
    if ASIDE.contains(&used) {
        return Some(format!("`{name}` uses `{used}`, which is for tests: make it a dev-dependency"));
    }
    if let Some((_, _, why)) = REFUSED_EDGES.iter().find(|(from, to, _)| *from == name && *to == used) {
        return Some(format!("`{name}` uses `{used}`: {why}"));
    }
    let layer = LAYERS[row].0;
    match row_of(used) {
        Some(other) if other >= row => Some(format!(
            "`{name}` ({layer}) uses `{used}` ({}): a crate uses only rows before its own; move what is needed inwards",
            LAYERS[other].0
        )),
        Some(_) => None,
        None => FORBIDDEN
            .iter()
            .find(|(rows, crates, _)| rows.contains(&layer) && crates.contains(&used))
            .map(|(_, _, why)| format!("`{name}` ({layer}) uses `{used}`: {why}")),
    }
}

fn row_of(name: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, crates)| crates.contains(&name))
}
