//! Files in memory, for what need not survive the process.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use environment::{Disk, DiskFile, DiskLock, DiskRead, FileKind};
use parking_lot::{Mutex, RwLock};

/// A file system in memory. Clones share it; with the last of them, and of its open files, it is gone. It is as large as what
/// is written to it: who writes bounds that.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Tree>>);

#[derive(Default)]
struct Tree {
    files: BTreeMap<PathBuf, Content>,
    directories: BTreeSet<PathBuf>,
    locked: BTreeSet<PathBuf>,
}

/// Shared by the tree and by everyone who has the file open, so that it can be read on after it was removed.
type Content = Arc<RwLock<Chunks>>;

/// The bytes of a file, in pieces of which all but the last are full: what is there never moves when more comes, and none of
/// it is held twice meanwhile.
#[derive(Default)]
struct Chunks(Vec<Vec<u8>>);

impl MemoryDisk {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn content(&self, path: &Path) -> io::Result<Content> {
        self.0.lock().files.get(path).cloned().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl Disk for MemoryDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.content(path)?.read().0.concat())
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        Ok(Box::new(MemoryRead(self.content(path)?)))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut tree = self.0.lock();
        tree.check_parent(path)?;
        tree.files.entry(path.to_owned()).or_default();
        if !tree.locked.insert(path.to_owned()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(MemoryLock { tree: Arc::clone(&self.0), path: path.to_owned() }))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<(PathBuf, FileKind)>> {
        let tree = self.0.lock();
        if !tree.directories.contains(directory) {
            return Err(ErrorKind::NotFound.into());
        }
        let files = tree.files.keys().map(|path| (path, FileKind::File));
        let entries = files.chain(tree.directories.iter().map(|path| (path, FileKind::Directory)));
        let inside = entries.filter(|(path, _)| path.parent() == Some(directory));
        let mut listed: Vec<_> = inside.map(|(path, kind)| (path.clone(), kind)).collect();
        listed.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        Ok(listed)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        let mut tree = self.0.lock();
        if directory.ancestors().any(|path| tree.files.contains_key(path)) {
            return Err(ErrorKind::NotADirectory.into());
        }
        tree.directories.extend(directory.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut tree = self.0.lock();
        tree.check_parent(path)?;
        if tree.files.contains_key(path) || tree.directories.contains(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let content = Content::default();
        tree.files.insert(path.to_owned(), Arc::clone(&content));
        Ok(Box::new(MemoryFile(content)))
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(MemoryFile(self.content(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.0.lock();
        tree.check_parent(to)?;
        if tree.directories.contains(from) {
            return tree.rename_directory(from, to);
        }
        if tree.directories.contains(to) {
            return Err(ErrorKind::IsADirectory.into());
        }
        let content = tree.files.remove(from).ok_or(ErrorKind::NotFound)?;
        tree.files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.lock().files.remove(path).map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn remove_directory(&self, directory: &Path) -> io::Result<()> {
        let mut tree = self.0.lock();
        if !tree.directories.contains(directory) {
            return Err(ErrorKind::NotFound.into());
        }
        tree.files.retain(|path, _| !path.starts_with(directory));
        tree.directories.retain(|path| !path.starts_with(directory));
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        if self.0.lock().directories.contains(directory) { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
    }
}

impl Tree {
    fn check_parent(&self, path: &Path) -> io::Result<()> {
        let there = path.parent().is_some_and(|parent| self.directories.contains(parent));
        if there { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
    }

    fn rename_directory(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if self.files.contains_key(to) || self.directories.contains(to) || to.starts_with(from) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let moved = |path: &Path| match path.strip_prefix(from) {
            Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
            Ok(rest) => to.join(rest),
            Err(_) => path.to_owned(),
        };
        self.files =
            std::mem::take(&mut self.files).into_iter().map(|(path, content)| (moved(&path), content)).collect();
        self.directories = self.directories.iter().map(|path| moved(path)).collect();
        Ok(())
    }
}

impl Chunks {
    fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * CHUNK_BYTES + last.len())
    }

    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.0.last().is_none_or(|last| last.len() == CHUNK_BYTES) {
                self.0.push(Vec::new());
            }
            let last = self.0.last_mut().expect("it was just pushed");
            let (taken, rest) = bytes.split_at(bytes.len().min(CHUNK_BYTES - last.len()));
            let needed = last.len() + taken.len();
            if needed > last.capacity() {
                // A small file holds little, a large one nothing beyond its chunks.
                last.reserve_exact(needed.next_power_of_two().min(CHUNK_BYTES) - last.len());
            }
            last.extend_from_slice(taken);
            bytes = rest;
        }
    }

    fn resize(&mut self, len: usize) {
        while self.len() < len {
            let missing = len - self.len();
            self.append(&[0; 512][..missing.min(512)]);
        }
        self.0.truncate(len.div_ceil(CHUNK_BYTES));
        if let Some(last) = self.0.last_mut() {
            last.truncate(len - (len - 1) / CHUNK_BYTES * CHUNK_BYTES);
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: usize) -> usize {
        let mut read = 0;
        while read < buffer.len()
            && let Some(at) = offset.checked_add(read)
            && let Some(chunk) = self.0.get(at / CHUNK_BYTES)
            && let Some(rest) = chunk.get(at % CHUNK_BYTES..).filter(|rest| !rest.is_empty())
        {
            let count = rest.len().min(buffer.len() - read);
            buffer[read..read + count].copy_from_slice(&rest[..count]);
            read += count;
        }
        read
    }
}

struct MemoryFile(Content);

impl DiskFile for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write().append(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| ErrorKind::FileTooLarge)?;
        self.0.write().resize(len);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.read().len() as u64)
    }
}

struct MemoryRead(Content);

impl DiskRead for MemoryRead {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.0.read().read_at(buffer, usize::try_from(offset).unwrap_or(usize::MAX));
        Ok(count)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.read().len() as u64)
    }
}

struct MemoryLock {
    tree: Arc<Mutex<Tree>>,
    path: PathBuf,
}

impl DiskLock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.tree.lock().locked.remove(&self.path);
    }
}

const CHUNK_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HostDisk;

    /// What every disk is to do, below a directory that is there and empty.
    fn check(disk: &dyn Disk, root: &Path) {
        let (directory, file) = (root.join("a/b"), root.join("a/b/file"));
        let kind_of = |result: io::Result<()>| result.unwrap_err().kind();
        assert_eq!(disk.list(&directory).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(kind_of(disk.create(&file).map(drop)), ErrorKind::NotFound, "without its directory");
        disk.create_directory(&directory).unwrap();
        disk.create_directory(&directory).unwrap();
        let mut appended = disk.create(&file).unwrap();
        assert_eq!(kind_of(disk.create(&file).map(drop)), ErrorKind::AlreadyExists);
        appended.append(b"hello ").unwrap();
        appended.append(b"world").unwrap();
        let read = disk.open_read(&file).unwrap();
        let mut buffer = [0; 5];
        assert_eq!((read.read_at(&mut buffer, 6).unwrap(), &buffer), (5, b"world"));
        assert_eq!(read.read_at(&mut buffer, 9).unwrap(), 2);
        assert_eq!(read.read_at(&mut buffer, 99).unwrap(), 0);
        appended.truncate(5).unwrap();
        appended.append(b"!").unwrap();
        appended.sync().unwrap();
        assert_eq!((appended.len().unwrap(), read.len().unwrap()), (6, 6));
        assert_eq!(disk.read(&file).unwrap(), b"hello!");
        assert_eq!(disk.list(&root.join("a")).unwrap(), [(directory.clone(), FileKind::Directory)]);
        assert_eq!(disk.list(&directory).unwrap(), [(file.clone(), FileKind::File)]);

        let (other, moved) = (root.join("a/b/other"), root.join("a/c"));
        disk.create(&other).unwrap().append(b"x").unwrap();
        disk.rename(&file, &other).unwrap();
        assert_eq!(disk.read(&other).unwrap(), b"hello!");
        assert_eq!(kind_of(disk.rename(&file, &other)), ErrorKind::NotFound);
        disk.open_append(&other).unwrap().append(b"?").unwrap();
        assert_eq!(kind_of(disk.open_append(&file).map(drop)), ErrorKind::NotFound);
        disk.sync_directory(&directory).unwrap();
        disk.rename(&directory, &moved).unwrap();
        assert_eq!(disk.read(&moved.join("other")).unwrap(), b"hello!?");

        let lock = disk.lock(&root.join("lock")).unwrap();
        assert_eq!(kind_of(disk.lock(&root.join("lock")).map(drop)), ErrorKind::WouldBlock);
        drop(lock);
        disk.lock(&root.join("lock")).unwrap();

        disk.remove_file(&moved.join("other")).unwrap();
        assert_eq!(kind_of(disk.remove_file(&moved.join("other"))), ErrorKind::NotFound);
        assert_eq!(read.len().unwrap(), 7, "it can be read on");
        disk.remove_directory(&root.join("a")).unwrap();
        assert_eq!(disk.read(&moved.join("other")).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(disk.list(&moved).is_err() && disk.remove_directory(&moved).is_err());
    }

    #[test]
    fn it_does_what_the_real_one_does() {
        let memory = MemoryDisk::new();
        memory.create_directory(Path::new("/root")).unwrap();
        check(&memory, Path::new("/root"));
        let directory = tempfile::tempdir().unwrap();
        check(&HostDisk, directory.path());
    }

    #[test]
    fn what_was_removed_holds_no_memory() {
        let disk = MemoryDisk::new();
        disk.create_directory(Path::new("/q")).unwrap();
        let path = Path::new("/q/file");
        let mut file = disk.create(path).unwrap();
        for _ in 0..1000 {
            file.append(&[7; 1000]).unwrap();
        }
        let content = disk.content(path).unwrap();
        let held: usize = content.read().0.iter().map(Vec::capacity).sum();
        assert!((1_000_000..1_000_000 + CHUNK_BYTES).contains(&held), "{held}");
        drop(file);
        disk.remove_file(path).unwrap();
        assert_eq!(Arc::strong_count(&content), 1);
    }

    #[test]
    fn files_across_chunks_grow_are_cut_and_read_anywhere() {
        for sizes in [&[1, 2, 3][..], &[CHUNK_BYTES], &[CHUNK_BYTES - 1, 2, CHUNK_BYTES * 3, 5]] {
            let (mut chunks, mut expected) = (Chunks::default(), Vec::new());
            for (number, size) in sizes.iter().enumerate() {
                let bytes: Vec<u8> = (0..*size).map(|at| (at % 251 + number) as u8).collect();
                chunks.append(&bytes);
                expected.extend_from_slice(&bytes);
            }
            for offset in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, expected.len(), usize::MAX] {
                let mut buffer = vec![0; CHUNK_BYTES + 3];
                let count = chunks.read_at(&mut buffer, offset);
                let rest = expected.get(offset..).unwrap_or_default();
                assert_eq!(buffer[..count], rest[..rest.len().min(CHUNK_BYTES + 3)], "{sizes:?} from {offset}");
            }
            for len in [expected.len() + 9, CHUNK_BYTES + 1, CHUNK_BYTES, CHUNK_BYTES - 1, 1, 0] {
                chunks.resize(len);
                expected.resize(len, 0);
                assert_eq!((chunks.len(), chunks.0.concat()), (len, expected.clone()));
                chunks.append(b"x");
                expected.push(b'x');
                assert_eq!(chunks.0.concat(), expected, "resized to {len}");
            }
        }
    }
}
