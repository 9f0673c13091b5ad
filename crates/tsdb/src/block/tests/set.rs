//! The blocks of a database.

use super::*;

const ALL: [&str; 3] = ["thanos-raw", "mimir", "prometheus-snapshot"];

fn open_all(disk: &MemoryDisk) -> Blocks {
    Blocks::open(Arc::new(disk.clone()), Path::new(DIRECTORY)).unwrap()
}

fn listed(disk: &MemoryDisk) -> Vec<String> {
    let entries = disk.list(Path::new(DIRECTORY)).unwrap();
    entries.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn blocks_come_in_order_and_by_range() {
    let (disk, ulids) = disk_with(&ALL);
    let blocks = open_all(&disk);
    let all = blocks.all();
    assert!(all.iter().map(|block| block.range().start).is_sorted());
    assert_eq!(all.len(), 3);
    let mimir = open(disk, ulids[1]).unwrap();
    let found = blocks.in_range(mimir.range());
    assert_eq!(found.iter().map(|block| block.ulid()).collect::<Vec<_>>(), [ulids[1]]);
    let at = |at| TimeRange { start: TimestampMs(at), end: TimestampMs(at) };
    assert_eq!(blocks.in_range(at(mimir.meta().max_time - 1)).len(), 1);
    assert_eq!(blocks.in_range(at(mimir.meta().max_time)).len(), 0, "the end does not belong to it");
    assert_eq!(blocks.in_range(TimeRange::ALL).len(), 3);
    assert!(blocks.in_range(TimeRange::ALL).iter().map(|block| block.first_stored()).is_sorted());
}

#[test]
fn what_crashes_leave_is_removed_and_the_rest_is_not() {
    let (disk, ulids) = disk_with(&ALL);
    for leftover in ["tmp-for-creation", "tmp-for-deletion", "tmp"] {
        let path = Path::new(DIRECTORY).join(format!("01JFJBS3YP1SHZ3PJQ6HK76EC4.{leftover}"));
        disk.create_directory(&path.join("chunks")).unwrap();
        disk.put(path.join("index"), vec![1, 2, 3]);
    }
    let shell = Path::new(DIRECTORY).join("01JFJBS3YP1SHZ3PJQ6HK76EC5");
    disk.create_directory(&shell.join("chunks")).unwrap();
    for other in ["wal", "notes", "01JFJBS3YP1SHZ3PJQ6HK76EC4.tmpest"] {
        disk.create_directory(&Path::new(DIRECTORY).join(other)).unwrap();
    }
    disk.put(Path::new(DIRECTORY).join("01JFJBS3YP1SHZ3PJQ6HK76EC6"), vec![]);
    let blocks = open_all(&disk);
    assert_eq!(blocks.all().len(), 3);
    let mut expected: Vec<String> = ulids.iter().map(Ulid::to_string).collect();
    expected
        .extend(["wal", "notes", "01JFJBS3YP1SHZ3PJQ6HK76EC4.tmpest", "01JFJBS3YP1SHZ3PJQ6HK76EC6"].map(str::to_owned));
    expected.sort();
    assert_eq!(listed(&disk), expected);
    assert_eq!(blocks.counters().set_aside.get(), 0);
}

#[test]
fn damaged_blocks_are_set_aside_at_the_start_and_later() {
    let (disk, ulids) = disk_with(&ALL);
    // One is cut, which is seen at once; one has a damaged symbol, which is seen when it is used; of one the name is gone.
    let in_block = |ulid: Ulid, file: &str| Path::new(DIRECTORY).join(ulid.to_string()).join(file);
    let mut index = disk.read(&in_block(ulids[0], "index")).unwrap();
    index.pop();
    disk.put(in_block(ulids[0], "index"), index);
    let mut index = disk.read(&in_block(ulids[1], "index")).unwrap();
    index[20] ^= 1;
    disk.put(in_block(ulids[1], "index"), index);
    disk.remove_file(&in_block(ulids[2], "meta.json")).unwrap();
    put_fixture(&disk, "prometheus-openmetrics");

    let blocks = open_all(&disk);
    assert_eq!((blocks.all().len(), blocks.counters().set_aside.get()), (2, 2));
    for block in blocks.in_range(TimeRange::ALL) {
        let _ = read(&block, &[]);
    }
    blocks.set_broken_aside().unwrap();
    assert_eq!((blocks.all().len(), blocks.counters().set_aside.get()), (1, 3));
    assert_eq!(blocks.counters().broken_blocks.get(), 3, "each once");
    let aside = disk.list(&Path::new(DIRECTORY).join("set-aside")).unwrap();
    assert_eq!(aside.len(), 3);
    assert_eq!(open_all(&disk).all().len(), 1, "they stay there");
    // The same name may be set aside twice.
    put_fixture(&disk, ALL[0]);
    disk.remove_file(&in_block(ulids[0], "index")).unwrap();
    assert_eq!(open_all(&disk).all().len(), 1);
    assert_eq!(disk.list(&Path::new(DIRECTORY).join("set-aside")).unwrap().len(), 4);
}

#[test]
fn replaced_blocks_disappear_in_one_step_and_their_files_when_nobody_reads_them() {
    let (disk, ulids) = disk_with(&ALL);
    let blocks = open_all(&disk);
    let before = blocks.all();
    let query =
        before.iter().find(|block| block.ulid() == ulids[0]).unwrap().select(&[], TimeRange::ALL, Want::Samples);
    let mut query = query.unwrap();
    drop(before);
    let new = put_fixture(&disk, "prometheus-openmetrics");
    let block = blocks.open_block(new).unwrap();
    blocks.publish(vec![block], &[ulids[0], ulids[1]]);
    let now: BTreeSet<Ulid> = blocks.all().iter().map(|block| block.ulid()).collect();
    assert_eq!(now, BTreeSet::from([ulids[2], new]));
    // One is still read.
    assert_eq!(blocks.remove_retired().unwrap(), 1);
    assert!(listed(&disk).contains(&ulids[0].to_string()) && !listed(&disk).contains(&ulids[1].to_string()));
    let mut series = 0;
    while let Some(found) = query.next().unwrap() {
        assert!(found.chunks.iter().all(|chunk| chunk.data.load().is_ok()));
        series += 1;
    }
    assert_eq!(series, 4);
    drop(query);
    assert_eq!(blocks.remove_retired().unwrap(), 0);
    assert!(!listed(&disk).contains(&ulids[0].to_string()));
}

#[test]
fn parents_that_a_crash_left_are_removed_unless_their_merge_is_damaged() {
    for damaged in [false, true] {
        let (disk, ulids) = disk_with(&["thanos-raw", "mimir"]);
        let path = Path::new(DIRECTORY).join(ulids[0].to_string());
        let mut meta = meta::decode(&disk.read(&path.join("meta.json")).unwrap()).unwrap();
        meta.compaction.parents = vec![meta::BlockDescription { ulid: ulids[1].to_string(), min_time: 0, max_time: 1 }];
        disk.put(path.join("meta.json"), meta::encode(&meta));
        if damaged {
            let mut index = disk.read(&path.join("index")).unwrap();
            index[20] ^= 1;
            disk.put(path.join("index"), index);
        }
        let blocks = open_all(&disk);
        let left = if damaged { ulids[1] } else { ulids[0] };
        assert_eq!(blocks.all().iter().map(|block| block.ulid()).collect::<Vec<_>>(), [left]);
        assert_eq!(listed(&disk).contains(&ulids[1].to_string()), damaged);
        assert_eq!(blocks.counters().set_aside.get(), u64::from(damaged));
    }
}

#[test]
fn a_removal_that_fails_is_tried_again_and_leaves_no_half_block() {
    let (disk, ulids) = disk_with(&ALL);
    for fault in 0.. {
        let disk = disk.after_process_crash();
        let blocks = open_all(&disk);
        blocks.publish(Vec::new(), &[ulids[0]]);
        disk.inject(testkit::Fault {
            at: disk.changes() + fault,
            error: io::ErrorKind::Other,
            torn: 0,
            lasting: false,
        });
        let first = blocks.remove_retired();
        disk.heal();
        // A crash here leaves the whole block, or none.
        let again = open_all(&disk.after_process_crash());
        let present = again.all().iter().any(|block| block.ulid() == ulids[0]);
        assert!(again.all().len() == 2 + usize::from(present));
        assert_eq!(again.counters().set_aside.get(), 0);
        let failed = first.is_err();
        assert!(blocks.remove_retired().is_ok());
        assert!(!listed(&disk).iter().any(|name| name.starts_with(&ulids[0].to_string())), "{:?}", listed(&disk));
        if !failed {
            assert!(fault >= 3, "renaming, syncing and removing can fail");
            break;
        }
    }
}
