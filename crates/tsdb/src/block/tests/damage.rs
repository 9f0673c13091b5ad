//! Damage is noticed, told, counted, and costs no more than what is damaged.

use super::*;

/// Flips a bit and reads everything there is.
fn read_damaged(disk: &MemoryDisk, ulid: Ulid, part: BlockPart, byte: usize, bit: u8) -> Outcome {
    let path = Path::new(DIRECTORY).join(ulid.to_string()).join(part.path());
    let mut bytes = disk.read(&path).unwrap();
    bytes[byte] ^= 1 << bit;
    let damaged = disk.after_process_crash();
    damaged.put(path, bytes);
    let block = match open(damaged, ulid) {
        Ok(block) => block,
        Err(error) => {
            assert!(error.is_damage(), "{error}");
            return Outcome::NotOpened;
        }
    };
    let found = read(&block, &[]);
    let counters = &block.counters;
    match (counters.broken_blocks.get(), counters.corrupt_series.get(), counters.corrupt_chunks.get()) {
        (0, 0, 0) => Outcome::Read(found),
        (0, ..) => Outcome::Part(found),
        _ => {
            assert!(found.is_empty() && block.is_broken());
            Outcome::Broken
        }
    }
}

#[derive(PartialEq, Debug)]
enum Outcome {
    NotOpened,
    Broken,
    Part(BTreeMap<Labels, Vec<(i64, String)>>),
    Read(BTreeMap<Labels, Vec<(i64, String)>>),
}

#[test]
fn flipped_bits_never_change_an_answer() {
    for fixture in ["prometheus-openmetrics", "prometheus-histograms", "thanos-raw", "prometheus-v1"] {
        let (disk, ulids) = disk_with(&[fixture]);
        let ulid = ulids[0];
        let whole = read(&open(disk.clone(), ulid).unwrap(), &[]);
        for part in [BlockPart::Index, BlockPart::Chunks(0), BlockPart::Tombstones] {
            let path = Path::new(DIRECTORY).join(ulid.to_string()).join(part.path());
            let length = disk.read(&path).unwrap().len();
            let mut noticed = 0;
            for byte in (0..length).step_by(length / 700 + 1) {
                match read_damaged(&disk, ulid, part, byte, (byte % 8) as u8) {
                    Outcome::NotOpened | Outcome::Broken => noticed += 1,
                    Outcome::Part(found) => {
                        noticed += 1;
                        let same = found.iter().all(|(labels, values)| {
                            whole.get(labels).is_some_and(|all| values.iter().all(|value| all.contains(value)))
                        });
                        assert!(same, "{fixture} {part:?} byte {byte}");
                    }
                    // Padding, lists that were not read, parts that nobody reads any more.
                    Outcome::Read(found) => assert_eq!(found, whole, "{fixture} {part:?} byte {byte}"),
                }
            }
            assert!(noticed > 0, "{fixture} {part:?}");
        }
    }
}

#[test]
fn files_that_are_cut_or_missing_are_noticed_when_the_block_is_opened() {
    for part in [BlockPart::Index, BlockPart::Meta, BlockPart::Chunks(0)] {
        let (disk, ulids) = disk_with(&["thanos-raw"]);
        let path = Path::new(DIRECTORY).join(ulids[0].to_string()).join(part.path());
        let bytes = disk.read(&path).unwrap();
        disk.put(
            &path,
            bytes[..bytes.len().min(if part == BlockPart::Chunks(0) { 7 } else { bytes.len() - 1 })].into(),
        );
        let error = open(disk.clone(), ulids[0]).err().unwrap();
        assert!(error.is_damage(), "{error}");
        if part != BlockPart::Chunks(0) {
            disk.remove_file(&path).unwrap();
            let error = open(disk, ulids[0]).err().unwrap();
            assert!(matches!(error, BlockError::Missing { part: missing, .. } if missing == part), "{error}");
        }
    }
}

#[test]
fn a_damaged_chunk_costs_its_samples_alone_and_is_told_once() {
    let (disk, ulids) = disk_with(&["thanos-raw"]);
    let whole = read(&open(disk.clone(), ulids[0]).unwrap(), &[]);
    let path = Path::new(DIRECTORY).join(ulids[0].to_string()).join("chunks/000001");
    let mut bytes = disk.read(&path).unwrap();
    bytes[30] ^= 1;
    disk.put(&path, bytes);
    for block in [open(disk.clone(), ulids[0]).unwrap(), open(Mapping(disk), ulids[0]).unwrap()] {
        for _ in 0..3 {
            let found = read(&block, &[]);
            let lost: Vec<_> = whole.iter().filter(|(labels, values)| found.get(*labels) != Some(values)).collect();
            assert_eq!((found.len(), lost.len()), (4, 1), "one series has half of its samples");
            assert_eq!(found[lost[0].0][..], lost[0].1[lost[0].1.len() - found[lost[0].0].len()..]);
        }
        assert_eq!(block.counters.corrupt_chunks.get(), 1);
    }
}

#[test]
fn a_store_that_does_not_answer_is_no_damage() {
    let (disk, ulids) = disk_with(&["thanos-raw"]);
    let fault = |at| testkit::Fault { at, error: io::ErrorKind::Other, torn: 0, lasting: false };
    disk.inject_read(fault(disk.reads()));
    let error = open(disk.clone(), ulids[0]).err().unwrap();
    assert!(matches!(error, BlockError::Unreadable { .. }) && !error.is_damage(), "{error}");
    assert!(Blocks::open(Arc::new(disk.clone()), Path::new(DIRECTORY)).is_ok(), "the fault has passed");

    let block = open(disk.clone(), ulids[0]).unwrap();
    disk.inject_read(fault(disk.reads()));
    assert!(matches!(block.select(&[], TimeRange::ALL, Want::Samples), Err(QueryError::Unavailable(_))));
    assert_eq!(read(&block, &[]).len(), 4, "and is tried again");
    let block = open(disk.clone(), ulids[0]).unwrap();
    let mut series = block.select(&[], TimeRange::ALL, Want::Samples).unwrap();
    let chunk = series.next().unwrap().unwrap().chunks.remove(0).data;
    disk.inject_read(fault(disk.reads()));
    assert!(matches!(chunk.load().err().unwrap(), QueryError::Unavailable(_)));
    assert!(chunk.load().is_ok());
    assert_eq!(block.counters.corrupt_chunks.get() + block.counters.broken_blocks.get(), 0);
}
