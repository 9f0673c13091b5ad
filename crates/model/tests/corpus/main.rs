//! Replays the fuzz corpus on the stable toolchain: each entry, and neighbours of it.
//!
//! An entry whose name starts with `good_` or `bad_` must be taken or refused, accordingly.

mod targets;

use std::path::Path;

#[test]
fn matcher_regex() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/matcher_regex");
    let (mut good, mut bad) = (0, 0);
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let input = std::fs::read(&path).unwrap();
        let taken = targets::matcher_regex(&input);
        good += usize::from(name.starts_with("good_"));
        bad += usize::from(name.starts_with("bad_"));
        assert!(taken || !name.starts_with("good_"), "{name} must be taken");
        assert!(!taken || !name.starts_with("bad_"), "{name} must be refused");
        neighbours(&input);
    }
    assert!(good > 0 && bad > 0, "the corpus is not where it was: {good} good entries, {bad} bad ones");
}

/// The entry cut short, and with a byte changed or left out, at up to 16 places.
fn neighbours(input: &[u8]) {
    for at in (0..input.len()).step_by(input.len() / 16 + 1) {
        targets::matcher_regex(&input[..at]);
        let mut changed = input.to_vec();
        for flip in [0x01, 0x04, 0x10] {
            changed[at] = input[at] ^ flip;
            targets::matcher_regex(&changed);
        }
        changed.remove(at);
        targets::matcher_regex(&changed);
    }
}
