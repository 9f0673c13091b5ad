//! Replays the fuzz corpora on the stable toolchain: each entry, and neighbours of it.
//!
//! An entry whose name starts with `good_` or `bad_` must be taken or refused, accordingly.

use testkit::corpus::replay_with;

#[track_caller]
fn replay(target: &str, run: fn(&[u8]) -> bool) {
    replay_with(target, neighbours, run);
}

/// The entry cut short, with each byte left out, doubled, or changed to those that matter to lines and chunks.
fn neighbours(input: &[u8], run: &mut dyn FnMut(&[u8])) {
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
