//! A real process, killed.

use simulator::kills::kill_again_and_again;

#[test]
fn a_killed_process_keeps_what_it_answered() {
    let directory = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_simulator");
    let report = kill_again_and_again(program.as_ref(), &directory.path().join("data"), 8, 7);
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    // There was something to be interrupted.
    assert!(report.batches > 500 && report.blocks > 1 && report.starts_with_late > 0, "{report:?}");
}
