use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_created_is_private() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("a/b");
    HostDisk.create_directory(&directory).unwrap();
    HostDisk.create_directory(&directory).unwrap();
    HostDisk.create(&directory.join("f")).unwrap();
    assert_eq!((mode(&directory), mode(&root.path().join("a")), mode(&directory.join("f"))), (0o700, 0o700, 0o600));
}

#[test]
fn a_file_grows_is_cut_and_is_found_again() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("log");
    let mut file = HostDisk.create(&path).unwrap();
    assert!(file.is_empty().unwrap());
    file.append(b"hello world").unwrap();
    file.truncate(5).unwrap();
    file.append(b"!").unwrap();
    file.sync().unwrap();
    drop(file);

    let mut again = HostDisk.open_append(&path).unwrap();
    again.append(b"?").unwrap();
    assert_eq!(again.len().unwrap(), 7);
    assert_eq!(HostDisk.read(&path).unwrap(), b"hello!?");
    assert_eq!(HostDisk.create(&path).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn directories_list_sorted_and_go_whole() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    HostDisk.create_directory(&at("d/inner")).unwrap();
    for name in ["c", "a", "b"] {
        HostDisk.create(&at(name)).unwrap();
    }
    HostDisk.rename(&at("c"), &at("a")).unwrap();
    HostDisk.sync_directory(root.path()).unwrap();
    let expected = [(at("a"), FileKind::File), (at("b"), FileKind::File), (at("d"), FileKind::Directory)];
    assert_eq!(HostDisk.list(root.path()).unwrap(), expected);
    HostDisk.remove_directory(&at("d")).unwrap();
    HostDisk.remove_file(&at("b")).unwrap();
    assert_eq!(HostDisk.list(root.path()).unwrap().len(), 1);
    for error in [
        HostDisk.read(&at("none")).err().unwrap(),
        HostDisk.list(&at("none")).err().unwrap(),
        HostDisk.open_append(&at("none")).err().unwrap(),
        HostDisk.remove_file(&at("none")).err().unwrap(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}

#[test]
fn a_file_is_read_anywhere_while_it_grows_and_after_it_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("log");
    let mut file = HostDisk.create(&path).unwrap();
    let read = HostDisk.open_read(&path).unwrap();
    assert!(read.is_empty().unwrap());
    file.append(b"hello world").unwrap();
    let mut buffer = [0; 5];
    assert_eq!((read.read_at(&mut buffer, 6).unwrap(), &buffer), (5, b"world"));
    HostDisk.remove_file(&path).unwrap();
    assert_eq!((read.read_at(&mut buffer, 9).unwrap(), &buffer[..2]), (2, &b"ld"[..]));
    assert_eq!((read.read_at(&mut buffer, 100).unwrap(), read.len().unwrap()), (0, 11));
    assert_eq!(HostDisk.open_read(&path).err().unwrap().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_lock_is_for_one_until_it_is_dropped() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("lock");
    let lock = HostDisk.lock(&path).unwrap();
    assert_eq!(HostDisk.lock(&path).err().unwrap().kind(), io::ErrorKind::WouldBlock);
    drop(lock);
    HostDisk.lock(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
}
