//! What a program contains of others, and under which licence: a list, and the texts that have to go with copies of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

/// A package from elsewhere that is linked into a program.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ThirdParty {
    /// Its name and version.
    pub name: String,
    /// The licence it names, an SPDX expression.
    pub licence: String,
    /// Where its source is.
    pub repository: String,
    /// Folder of its source here.
    folder: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    license_file: Option<String>,
    repository: Option<String>,
    manifest_path: String,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// All packages from elsewhere that `package` uses when built for `target`, those of tests and build scripts apart.
///
/// # Errors
/// When cargo cannot be asked, or does not know `package`.
pub fn third_parties(package: &str, target: &str) -> anyhow::Result<Vec<ThirdParty>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--filter-platform", target])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cannot read what cargo metadata printed")?;
    let packages: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    let nodes: BTreeMap<&str, &Node> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let first = metadata.packages.iter().find(|known| known.name == package && known.source.is_none());
    let mut open = vec![first.with_context(|| format!("there is no package {package}"))?.id.as_str()];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            let edges = nodes[id].deps.iter().filter(|edge| edge.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            open.extend(edges.map(|edge| edge.pkg.as_str()));
        }
    }
    let foreign = seen.into_iter().map(|id| packages[id]).filter(|package| package.source.is_some());
    let mut found: Vec<ThirdParty> = foreign.map(ThirdParty::of).collect();
    found.sort();
    Ok(found)
}

impl ThirdParty {
    fn of(package: &Package) -> Self {
        let licence = package.license.clone().or_else(|| package.license_file.clone());
        let folder = Path::new(&package.manifest_path).parent().unwrap_or(Path::new(""));
        Self {
            name: format!("{} {}", package.name, package.version),
            licence: licence.unwrap_or_else(|| "not stated".to_owned()),
            repository: package.repository.clone().unwrap_or_default(),
            folder: folder.display().to_string(),
        }
    }

    /// The files in its folder that hold licences and notices.
    fn texts(&self) -> anyhow::Result<Vec<String>> {
        let mut paths: Vec<_> = std::fs::read_dir(&self.folder)
            .with_context(|| format!("the source of {} is not in {}", self.name, self.folder))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.is_file() && is_licence(path))
            .collect();
        paths.sort();
        paths
            .iter()
            .map(|path| {
                std::fs::read(path)
                    .map(|text| String::from_utf8_lossy(&text).into_owned())
                    .context("cannot read a licence")
            })
            .collect()
    }
}

fn is_licence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
    let is_source = [".RS", ".TOML", ".JSON", ".HTML"].iter().any(|end| name.ends_with(end));
    !is_source
        && ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"]
            .iter()
            .any(|start| name.starts_with(start))
}

/// The list and all texts, each text once with the packages that it belongs to.
///
/// # Errors
/// When a package's source cannot be read.
pub fn render(program: &str, third_parties: &[ThirdParty]) -> anyhow::Result<String> {
    let mut out = format!(
        "What {program} contains of others, in source form at the addresses given. Besides, it contains the standard library of\n\
         Rust (MIT OR Apache-2.0, https://github.com/rust-lang/rust) and, linked statically, the C library musl (MIT,\n\
         https://musl.libc.org, Copyright 2005-2020 Rich Felker, et al.).\n\n"
    );
    let mut texts: BTreeMap<String, (String, Vec<&str>)> = BTreeMap::new();
    for party in third_parties {
        let _ = writeln!(out, "  {} | {} | {}", party.name, party.licence, party.repository);
        for text in party.texts()? {
            // The same text comes with different line ends and indents.
            let key: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
            texts.entry(key).or_insert_with(|| (text, Vec::new())).1.push(&party.name);
        }
    }
    for (text, parties) in texts.values() {
        let _ = write!(out, "\n{}\n{}\n\n{}\n", "=".repeat(100), parties.join(", "), text.trim());
    }
    Ok(out)
}
