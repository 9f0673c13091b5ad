//! Replays the fuzz corpora, and neighbours of each entry, on the stable toolchain.

use std::path::{Path, PathBuf};

use environment::{Rng, UnixTime};
use identity::{SigningCertificate, TokenAnswer};
use testkit::SeededRng;

const MUTANTS_PER_ENTRY: u64 = 40;

/// Every file of `fuzz/corpus/<target>`, oldest name first.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&directory).expect("the corpus is part of the repository");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable directory").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", directory.display());
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("a readable file"))).collect()
}

/// `bytes` with one to four places changed, cut or repeated.
fn mutant(bytes: &[u8], rng: &SeededRng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + rng.next_u64() % 4 {
        if bytes.is_empty() {
            break;
        }
        let at = (rng.next_u64() % bytes.len() as u64) as usize;
        let byte = rng.next_u64() as u8;
        match rng.next_u64() % 5 {
            0 => bytes[at] = byte,
            1 => bytes[at] ^= 1 << (byte & 7),
            2 => bytes.insert(at, byte),
            3 => drop(bytes.remove(at)),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

fn replay(target: &str, check: impl Fn(&[u8])) {
    let rng = SeededRng::new(11);
    for (path, bytes) in corpus(target) {
        check(&bytes);
        for number in 0..MUTANTS_PER_ENTRY {
            let mutant = mutant(&bytes, &rng);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&mutant)));
            assert!(outcome.is_ok(), "mutant {number} of {} panics", path.display());
        }
    }
}

#[test]
fn certificates() {
    replay("identity_certificate", |file| {
        for password in [None, Some("hunter2")] {
            if let Ok(certificate) = SigningCertificate::parse(file, password) {
                assert!(!certificate.chain().is_empty());
            }
        }
    });
}

#[test]
fn token_answers() {
    let now = UnixTime::from_secs(1_732_273_600);
    replay("identity_token_answer", |body| {
        for issuer_now in [None, Some(UnixTime::from_secs(1_732_277_200))] {
            if let Ok(answer) = TokenAnswer::parse(body, now, issuer_now) {
                assert!(answer.token.expires_at() > now);
            }
        }
    });
}
