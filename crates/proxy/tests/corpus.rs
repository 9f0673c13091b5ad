//! Replays the fuzz corpora on the stable toolchain: each entry, and neighbours of it.
//!
//! An entry whose name starts with `good_` or `bad_` must be taken or refused, accordingly.

use std::path::Path;

#[track_caller]
fn replay(target: &str, run: fn(&[u8]) -> bool) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let (mut good, mut bad) = (0, 0);
    for entry in entries {
        let path = entry.expect("a directory entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let input = std::fs::read(&path).expect("a readable corpus entry");
        let taken = run(&input);
        if name.starts_with("good_") {
            good += 1;
            assert!(taken, "{target}/{name} must be taken");
        } else if name.starts_with("bad_") {
            bad += 1;
            assert!(!taken, "{target}/{name} must be refused");
        }
        neighbours(&input, run);
    }
    assert!(good > 0 && bad > 0, "{target} has {good} good and {bad} bad entries in {}", directory.display());
}

/// The entry cut short, with each byte left out, doubled, or changed to those that matter to lines and chunks.
fn neighbours(input: &[u8], run: fn(&[u8]) -> bool) {
    for at in 0..input.len() {
        run(&input[..at]);
        let mut changed = input.to_vec();
        for byte in *b"\r\n \t:;,0f\0\xff" {
            changed[at] = byte;
            run(&changed);
        }
        changed[at] = input[at];
        changed.insert(at, input[at]);
        run(&changed);
        changed.drain(at..at + 2);
        run(&changed);
    }
}

#[test]
fn request_head() {
    replay("proxy_request_head", proxy::fuzzing::request_head);
}

#[test]
fn answer_head() {
    replay("proxy_answer_head", proxy::fuzzing::answer_head);
}

#[test]
fn chunked() {
    replay("proxy_chunked", proxy::fuzzing::chunked);
}
