//! The part of `cargo metadata` that the rules need.

use std::process::Command;

use anyhow::{Context, ensure};
use serde::Deserialize;

/// The workspace's packages.
#[derive(Deserialize)]
pub struct Metadata {
    /// Packages of the workspace, without those from elsewhere.
    pub packages: Vec<Package>,
}

/// One package.
#[derive(Deserialize)]
pub struct Package {
    /// Its name, which is also its folder's.
    pub name: String,
    /// Path of its manifest.
    pub manifest_path: String,
    /// What it declares to use.
    pub dependencies: Vec<Dependency>,
}

/// A declared dependency.
#[derive(Deserialize)]
pub struct Dependency {
    /// The package used.
    pub name: String,
    /// `None` for an ordinary one, else `dev` or `build`.
    pub kind: Option<String>,
}

impl Metadata {
    /// Asks cargo about the workspace that this crate belongs to.
    ///
    /// # Errors
    /// When cargo cannot be run, or its answer not be read.
    pub fn load() -> anyhow::Result<Self> {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .context("cannot run cargo metadata")?;
        ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("cannot read what cargo metadata printed")
    }
}

impl Package {
    /// What the package's own code uses; tests and build scripts may use more.
    pub fn uses(&self) -> impl Iterator<Item = &str> {
        self.dependencies
            .iter()
            .filter(|dependency| dependency.kind.is_none())
            .map(|dependency| dependency.name.as_str())
    }
}
