use std::io::ErrorKind;
use std::path::Path;

use testkit::{Fault, MemoryDisk};

use super::*;

const PATH: &str = "keys/signing-keys.pem";

fn open(disk: &MemoryDisk) -> Result<SigningKeys, SigningKeyError> {
    SigningKeys::open(Arc::new(disk.clone()), PATH.into())
}

fn ids(keys: &SigningKeys) -> Vec<String> {
    keys.ring().keys.iter().map(|key| key.id.clone()).collect()
}

#[test]
fn broken_files_are_named_not_replaced() {
    let disk = MemoryDisk::new();
    let keys = open(&disk).unwrap();
    let good = String::from_utf8(disk.read(Path::new(PATH)).unwrap()).unwrap();
    let two = format!("{good}{good}");
    for (name, content) in [
        ("empty", String::new()),
        ("no PEM", "keys".to_owned()),
        ("cut", good[..good.len() / 2].to_owned()),
        ("three keys", format!("{two}{good}")),
        ("changed", good.replacen("MII", "MIJ", 1)),
    ] {
        let disk = MemoryDisk::new();
        disk.put(PATH, content.clone().into_bytes());
        let error = open(&disk).map(|_| ()).unwrap_err();
        assert!(matches!(&error, SigningKeyError::Content(path) if path == PATH), "{name}: {error}");
        assert_eq!(disk.read(Path::new(PATH)).unwrap(), content.as_bytes(), "{name}: evidence stays");
    }
    assert_eq!(ids(&open(&disk).unwrap()), ids(&keys));
}

/// Whatever change on the disk fails, or is the last before the power goes: the keys in use are those in the file.
#[test]
fn rotation_happens_or_does_not() {
    let fresh = MemoryDisk::new();
    let before = ids(&open(&fresh).unwrap());
    let next = Arc::new(SigningKey::generate().unwrap());
    let mut outcomes = [0, 0];
    for step in 0.. {
        let disk = fresh.after_power_cut(|_| 0);
        let keys = open(&disk).unwrap();
        let at = disk.changes() + step;
        disk.inject(Fault { at, error: ErrorKind::StorageFull, torn: 7, lasting: true });
        let rotated = keys.rotate_to(Arc::clone(&next));
        let stored = ids(&open(&disk.after_power_cut(|_| 0)).unwrap());
        if rotated.is_ok() {
            assert_eq!((ids(&keys), stored.len()), (stored, 2));
            break;
        }
        assert_eq!(ids(&keys), before, "step {step}: a key that is not kept signs nothing");
        outcomes[usize::from(stored != before)] += 1;
        assert!(stored == before || stored[1..] == before[..], "step {step}");
    }
    assert!(outcomes[0] > 2, "{outcomes:?}");
}

#[test]
fn a_rotation_after_a_crash_finds_the_rest_of_the_last() {
    let disk = MemoryDisk::new();
    let keys = open(&disk).unwrap();
    disk.put("keys/signing-keys.pem.new", b"half a key".to_vec());
    keys.rotate().unwrap();
    assert_eq!(ids(&keys).len(), 2);
}
