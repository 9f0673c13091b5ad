//! `docs/sidecar.md` against the code: every variable, key, metric and log line stands there, and nothing else does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The lines of the chapter `title`.
fn chapter(title: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("docs/sidecar.md")).unwrap();
    let mut lines = text.lines().skip_while(|line| *line != format!("## {title}"));
    assert!(lines.next().is_some(), "docs/sidecar.md has no chapter {title:?}");
    lines.take_while(|line| !line.starts_with("## ")).map(str::to_owned).collect()
}

/// What stands in backticks in column `column` of the tables of a chapter.
fn names(title: &str, column: usize) -> BTreeSet<String> {
    let rows = chapter(title).into_iter().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let cell = row.split(" | ").nth(column).unwrap_or_default().trim_matches(['|', ' ']).to_owned();
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    })
    .collect()
}

#[track_caller]
fn assert_same(what: &str, documented: &BTreeSet<String>, real: &BTreeSet<String>) {
    assert!(!real.is_empty(), "found no {what} in the code");
    let missing: Vec<_> = real.difference(documented).collect();
    let invented: Vec<_> = documented.difference(real).collect();
    assert!(missing.is_empty(), "docs/sidecar.md lacks these {what}: {missing:#?}");
    assert!(invented.is_empty(), "docs/sidecar.md has {what} that the code has not: {invented:#?}");
}

#[test]
fn variables_and_keys() {
    use sidecar::variables::all;
    let variables =
        all().flat_map(|variable| [Some(variable.name), variable.alias]).flatten().map(str::to_owned).collect();
    assert_same("variables", &names("Every variable", 0), &variables);
    let keys = all().filter_map(|variable| variable.key).map(str::to_owned).collect();
    assert_same("keys", &names("Every variable", 1), &keys);
}

#[test]
fn metrics() {
    let sample = |(name, kind, _): &(&str, &str, &str)| match *kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        _ => (*name).to_owned(),
    };
    let metrics = proxy::METRICS.iter().map(sample).collect();
    assert_same("metrics", &names("Every metric", 0), &metrics);
}

#[test]
fn log_lines() {
    let mut messages = BTreeSet::new();
    for name in ["delivery", "identity", "proxy", "sidecar", "spool"] {
        sources(&root().join("crates").join(name).join("src"), &mut |text| messages.extend(log_messages(text)));
    }
    assert_same("log lines", &names("Every log line", 0), &messages);
}

fn sources(directory: &Path, visit: &mut impl FnMut(&str)) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, visit);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            visit(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// Messages of the macros for `info`, `warn` and `error` in a source text: the last literal of each that is no argument of
/// a nested call, with `…` where values go and without backticks, which mark them in the document.
fn log_messages(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for level in ["info", "warn", "error"] {
        for (at, start) in source.match_indices(&format!("tracing::{level}!(")) {
            let body = macro_body(&source[at + start.len()..]);
            let message = last_literal(body).unwrap_or_else(|| panic!("no message in {level}!({body})"));
            found.push(with_ellipses(&message).replace('`', ""));
        }
    }
    found
}

/// Up to the parenthesis that closes the macro.
fn macro_body(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    panic!("a macro without an end");
}

fn last_literal(body: &str) -> Option<String> {
    let (mut literals, mut current, mut escaped, mut depth) = (Vec::new(), None::<String>, false, 0);
    for character in body.chars() {
        match (&mut current, character) {
            (Some(text), _) if escaped => {
                escaped = false;
                text.push(character);
            }
            (Some(_), '\\') => escaped = true,
            (Some(_), '"') => literals.extend(current.take().filter(|_| depth == 0)),
            (Some(text), _) => text.push(character),
            (None, '"') => current = Some(String::new()),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, _) => {}
        }
    }
    // A literal that goes on in the next line of the source.
    literals.pop().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn with_ellipses(message: &str) -> String {
    let (mut out, mut depth) = (String::new(), 0);
    for character in message.chars() {
        match character {
            '{' => {
                depth += 1;
                if depth == 1 {
                    out.push('…');
                }
            }
            '}' => depth -= 1,
            _ if depth == 0 => out.push(character),
            _ => {}
        }
    }
    out
}

#[test]
fn messages_are_found_in_sources() {
    let source = r#"
        tracing::info!(address = %a("x)"), "Listening on {address:?}, {} \
            more");
        tracing::warn!("one");
        tracing::debug!("not this");
    "#;
    assert_eq!(log_messages(source), ["Listening on …, … more", "one"]);
}
