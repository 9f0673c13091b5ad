//! Everything that the sidecar contains may be given on with it.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use xtask::licences::{render, third_parties};

/// Licences that ask for no more than their text, or (MPL, by file) for that and where the source is to be had, which the
/// list says.
const ALLOWED: [&str; 13] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MPL-2.0",
    "MPL-2.0+",
    "OpenSSL",
    "Unicode-3.0",
    "Zlib",
];

/// Whether one side of every choice in an SPDX expression is allowed. `A/B` is how it was written once.
fn may_be_given_on(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], " ").replace('/', " OR ");
    // Brackets stand around choices in all that is used: every part joined by AND needs one that is allowed.
    flat.split(" AND ").all(|part| {
        part.split(" OR ").any(|name| {
            let name = name.trim().split(" WITH ").next().unwrap_or_default();
            ALLOWED.contains(&name)
        })
    })
}

#[test]
fn expressions_are_judged() {
    for (expression, allowed) in [
        ("MIT", true),
        ("MIT OR Apache-2.0", true),
        ("GPL-3.0 OR MIT", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("ISC AND (Apache-2.0 OR ISC) AND OpenSSL", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("MIT/Apache-2.0", true),
        ("MPL-2.0+", true),
        ("MIT AND GPL-3.0", false),
        ("AGPL-3.0", false),
        ("not stated", false),
    ] {
        assert_eq!(may_be_given_on(expression), allowed, "{expression}");
    }
}

#[test]
fn what_the_sidecar_contains_may_be_given_on() {
    let found = third_parties("sidecar", "x86_64-unknown-linux-musl").unwrap();
    assert!(found.iter().any(|party| party.name.starts_with("aws-lc-sys ")), "{found:?}");
    assert!(!found.iter().any(|party| party.name.starts_with("criterion ")), "those of tests do not count");
    for party in &found {
        assert!(may_be_given_on(&party.licence), "{} is under {:?}: use another package", party.name, party.licence);
    }
    let text = render("remora-sidecar", &found).unwrap();
    for party in &found {
        assert!(text.contains(&format!("  {} | ", party.name)));
    }
    assert!(text.contains("Apache License") && text.contains("Permission is hereby granted"), "the texts are there");
}
