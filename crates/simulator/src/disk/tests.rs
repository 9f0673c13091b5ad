use super::*;

fn path(text: &str) -> &Path {
    Path::new(text)
}

/// Names of all files after power cuts of many kinds.
fn outcomes(disk: &SimulatedDisk) -> BTreeSet<Vec<String>> {
    let names = |disk: SimulatedDisk| disk.files().iter().map(|(path, _)| path.display().to_string()).collect();
    (0..400).map(|seed| names(disk.now().after_power_cut(&mut Chance::new(seed)))).collect()
}

fn sets(all: &[&[&str]]) -> BTreeSet<Vec<String>> {
    all.iter().map(|names| names.iter().map(|name| (*name).to_owned()).collect()).collect()
}

#[test]
fn names_are_durable_after_a_sync_of_their_directory() {
    let disk = SimulatedDisk::new();
    disk.create_directory(path("d/e")).unwrap();
    let mut file = disk.create(path("d/e/f")).unwrap();
    file.append(b"hello").unwrap();
    file.sync().unwrap();
    disk.sync_directory(path("d/e")).unwrap();
    disk.sync_directory(path("")).unwrap();
    assert_eq!(outcomes(&disk), sets(&[&[], &["d/e/f"]]), "nothing has synced d");
    disk.sync_directory(path("d")).unwrap();
    assert_eq!(outcomes(&disk), sets(&[&["d/e/f"]]));
    assert_eq!(disk.now().after_power_cut(&mut Chance::new(1)).read(path("d/e/f")).unwrap(), b"hello");
}

#[test]
fn a_rename_happens_or_does_not() {
    let disk = SimulatedDisk::new();
    for directory in ["a", "b"] {
        disk.create_directory(path(directory)).unwrap();
    }
    for name in ["a/old", "b/there"] {
        disk.create(path(name)).unwrap();
    }
    for directory in ["", "a", "b"] {
        disk.sync_directory(path(directory)).unwrap();
    }
    disk.rename(path("a/old"), path("b/there")).unwrap();
    disk.create(path("b/later")).unwrap();
    disk.create(path("a/later")).unwrap();
    let seen = outcomes(&disk);
    let expected: &[&[&str]] = &[
        &["a/old", "b/there"],
        &["b/there"],
        &["b/later", "b/there"],
        &["a/later", "b/there"],
        &["a/later", "b/later", "b/there"],
    ];
    assert_eq!(seen, sets(expected));
    disk.sync_directory(path("a")).unwrap();
    assert_eq!(outcomes(&disk), sets(&[&["a/later", "b/there"], &["a/later", "b/later", "b/there"]]));
}

#[test]
fn a_directory_that_came_and_went_may_be_there() {
    let disk = SimulatedDisk::new();
    disk.create_directory(path("d")).unwrap();
    disk.create(path("d/f")).unwrap();
    disk.remove_directory(path("d")).unwrap();
    assert_eq!(outcomes(&disk), sets(&[&[], &["d/f"]]));
}

#[test]
fn a_linked_file_stays_when_its_first_name_goes() {
    let disk = SimulatedDisk::new();
    disk.create(path("f")).unwrap().append(b"hello").unwrap();
    disk.link(path("f"), path("g")).unwrap();
    assert_eq!(disk.used(), 5, "one file");
    let open = disk.open_read(path("f")).unwrap();
    disk.remove_file(path("f")).unwrap();
    assert_eq!(disk.read(path("g")).unwrap(), b"hello");
    disk.remove_file(path("g")).unwrap();
    let mut buffer = [0; 5];
    assert_eq!((open.read_at(&mut buffer, 0).unwrap(), &buffer), (5, b"hello"), "open files can be read on");
    assert_eq!(disk.used(), 0);
}

#[test]
fn every_change_can_be_the_last() {
    let work = |disk: &SimulatedDisk| {
        disk.create_directory(path("d"))?;
        let mut file = disk.create(path("d/f"))?;
        file.append(&[7; 100])?;
        file.sync()?;
        disk.sync_directory(path("d"))?;
        disk.remove_directory(path("d"))
    };
    let disk = SimulatedDisk::new();
    disk.record();
    work(&disk).unwrap();
    let moments = disk.take_moments();
    assert_eq!((disk.changes(), moments.len()), (7, 8), "an append has two moments");
    for at in 0..disk.changes() {
        let disk = SimulatedDisk::new();
        disk.set_faults(Faults { off: Some((at, 250)), ..Faults::default() });
        assert!(work(&disk).is_err() && disk.is_off());
        assert!(disk.create(path("g")).is_err(), "nothing happens any more");
        let after = disk.now().after_process_crash(&mut Chance::new(1));
        let expected: &[(PathBuf, usize)] = match at {
            0 | 1 | 6 => &[],
            2 => &[("d/f".into(), 25)],
            _ => &[("d/f".into(), 100)],
        };
        assert_eq!(after.files(), expected, "change {at}");
        assert!(after.create(path("g")).is_ok());
    }
}

#[test]
fn space_runs_out_and_calls_fail_as_told() {
    let disk = SimulatedDisk::new();
    let mut file = disk.create(path("f")).unwrap();
    disk.set_capacity(Some(10));
    assert_eq!(file.append(&[1; 15]).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.used(), 10);
    file.truncate(4).unwrap();
    file.append(&[2; 6]).unwrap();
    disk.set_capacity(None);
    let fault = |at, lasting| Fault { at, lasting, error: io::ErrorKind::Other, torn: 500 };
    disk.set_faults(Faults {
        changes: vec![fault(disk.changes(), false)],
        reads: vec![fault(disk.reads() + 1, true)],
        ..Faults::default()
    });
    assert!(file.append(&[3; 8]).is_err());
    file.append(&[4; 1]).unwrap();
    assert_eq!(disk.read(path("f")).unwrap(), [&[1; 4][..], &[2; 6], &[3; 4], &[4]].concat());
    assert!(disk.read(path("f")).is_err() && disk.list(path("")).is_err());
}

#[test]
fn locks_end_with_the_process() {
    let disk = SimulatedDisk::new();
    let lock = disk.lock(path("lock")).unwrap();
    assert_eq!(disk.lock(path("lock")).err().unwrap().kind(), io::ErrorKind::WouldBlock);
    assert!(disk.now().after_process_crash(&mut Chance::new(1)).lock(path("lock")).is_ok());
    drop(lock);
    assert!(disk.lock(path("lock")).is_ok());
}
