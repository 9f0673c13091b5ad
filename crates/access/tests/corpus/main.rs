//! Replays the fuzz corpora on the stable toolchain: each entry, and neighbours of it.
//!
//! An entry whose name starts with `good_` or `bad_` must be taken or refused, accordingly.

mod targets;

use std::path::Path;

#[track_caller]
fn replay(target: &str, run: fn(&[u8]) -> bool) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let (mut good, mut bad) = (0, 0);
    for entry in entries {
        let entry = entry.expect("the directory can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        let input = std::fs::read(entry.path()).expect("a corpus holds files only");
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

/// The entry cut short, and with single bits and bytes changed, at up to 64 places.
fn neighbours(input: &[u8], run: fn(&[u8]) -> bool) {
    let step = input.len() / 64 + 1;
    for at in (0..input.len()).step_by(step) {
        run(&input[..at]);
        let mut changed = input.to_vec();
        for flip in [0x01, 0x04, 0x80, 0xff] {
            changed[at] = input[at] ^ flip;
            run(&changed);
        }
        changed.remove(at);
        run(&changed);
    }
}

#[test]
fn access_token() {
    replay("access_token", targets::access_token);
}

#[test]
fn access_key_set() {
    replay("access_key_set", targets::access_key_set);
}
