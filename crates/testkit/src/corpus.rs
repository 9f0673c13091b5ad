//! Replays fuzz corpora on the stable toolchain: each entry, and neighbours of it.

use std::path::Path;

/// Runs a body over inputs near to one.
pub type Neighbours = fn(input: &[u8], run: &mut dyn FnMut(&[u8]));

/// Runs `target`'s body over every entry of `fuzz/corpus/<target>/` and over [`neighbours`] of each. The body asserts what
/// must hold for any input and returns whether the input is taken.
///
/// # Panics
/// When an entry called `good_…` is refused or one called `bad_…` is taken, when there is none of either, or when the
/// body panics.
#[track_caller]
pub fn replay(target: &str, run: impl Fn(&[u8]) -> bool) {
    replay_with(target, neighbours, run);
}

/// As [`replay`], with neighbours that fit the format better.
///
/// # Panics
/// As [`replay`].
#[track_caller]
pub fn replay_with(target: &str, neighbours: Neighbours, run: impl Fn(&[u8]) -> bool) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let (mut good, mut bad) = (0, 0);
    for entry in entries {
        let path = entry.expect("the directory can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let input = std::fs::read(&path).expect("a corpus holds readable files only");
        let taken = run(&input);
        if name.starts_with("good_") {
            good += 1;
            assert!(taken, "{target}/{name} must be taken");
        } else if name.starts_with("bad_") {
            bad += 1;
            assert!(!taken, "{target}/{name} must be refused");
        }
        neighbours(&input, &mut |neighbour| {
            run(neighbour);
        });
    }
    assert!(good > 0 && bad > 0, "{target} has {good} good and {bad} bad entries in {}", directory.display());
}

/// The input cut short, and with bits and bytes changed, at up to 64 places.
pub fn neighbours(input: &[u8], run: &mut dyn FnMut(&[u8])) {
    let step = input.len() / 64 + 1;
    for at in (0..input.len()).step_by(step) {
        run(&input[..at]);
        let mut changed = input.to_vec();
        for flip in [0x01, 0x04, 0x10, 0x80, 0xff] {
            changed[at] = input[at] ^ flip;
            run(&changed);
        }
        changed.remove(at);
        run(&changed);
    }
}
