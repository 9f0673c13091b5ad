//! Chores of the repository: `cargo run -p xtask -- licences PACKAGE TARGET` prints what a program contains of others.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use xtask::licences;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["licences", package, target] => {
            let third_parties = licences::third_parties(package, target)?;
            let text = licences::render(package, &third_parties)?;
            std::io::stdout().write_all(text.as_bytes()).context("cannot print")
        }
        _ => bail!("usage: cargo run -p xtask -- licences PACKAGE TARGET"),
    }
}
