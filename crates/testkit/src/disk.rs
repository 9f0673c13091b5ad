//! A disk in memory that can fail, tear writes, and lose what was not synced.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use environment::{Disk, DiskFile, DiskLock, DiskRead, FileKind};

/// Files in memory. Clones share them; [`MemoryDisk::after_process_crash`] and [`MemoryDisk::after_power_cut`] copy.
///
/// Like a real disk in one respect that matters: what was appended but not synced survives the process, not a power cut.
/// Simpler in another: creations, renames and removals count as synced at once.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Shared>);

#[derive(Default)]
struct Shared {
    files: Mutex<Files>,
    /// Told when creations are held or let go on, and when one begins to wait.
    held: Condvar,
}

#[derive(Clone, Default)]
struct Files {
    files: BTreeMap<PathBuf, File>,
    directories: BTreeSet<PathBuf>,
    /// Calls that change something, so far.
    changes: u64,
    fault: Option<Fault>,
    syncs: u64,
    /// Positioned reads so far.
    reads: u64,
    read_fault: Option<Fault>,
    locked: BTreeSet<PathBuf>,
    /// Bytes that fit; none is no bound.
    capacity: Option<usize>,
    /// Creations of files whose path has this in it wait.
    held: Option<String>,
    waiting: usize,
}

#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    synced: usize,
}

/// What goes wrong, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// At which change (append, truncate, create, rename, remove, sync) counted from 0 since the disk was made; for
    /// [`MemoryDisk::inject_read`], at which read through [`DiskRead`].
    pub at: u64,
    /// What the system reports.
    pub error: io::ErrorKind,
    /// How many bytes of an append still reach the file.
    pub torn: usize,
    /// Whether every later change fails, too.
    pub lasting: bool,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes changes fail from now on as `fault` says.
    pub fn inject(&self, fault: Fault) {
        self.lock_files().fault = Some(fault);
    }

    /// Makes reads through [`DiskRead`] fail from now on as `fault` says.
    pub fn inject_read(&self, fault: Fault) {
        self.lock_files().read_fault = Some(fault);
    }

    /// Lets only so many bytes fit from now on, or any number. An append that does not fit is torn where the disk is full.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.lock_files().capacity = bytes;
    }

    /// Ends all faults.
    pub fn heal(&self) {
        let mut files = self.lock_files();
        (files.fault, files.read_fault) = (None, None);
    }

    /// Lets those who create files whose path has `part` in it wait until [`MemoryDisk::go_on`].
    pub fn hold(&self, part: &str) {
        self.lock_files().held = Some(part.to_owned());
    }

    /// Waits until somebody waits for [`MemoryDisk::go_on`]; says whether that came true within a minute.
    #[must_use]
    pub fn wait_until_held(&self) -> bool {
        let is_free = |files: &mut Files| files.waiting == 0;
        let waited = self.0.held.wait_timeout_while(self.lock_files(), Duration::from_secs(60), is_free);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Lets all go on who wait, and ends the holding.
    pub fn go_on(&self) {
        self.lock_files().held = None;
        self.0.held.notify_all();
    }

    /// Number of reads through [`DiskRead`] so far.
    pub fn reads(&self) -> u64 {
        self.lock_files().reads
    }

    /// Number of changes so far.
    pub fn changes(&self) -> u64 {
        self.lock_files().changes
    }

    /// Number of times a file was synced.
    pub fn syncs(&self) -> u64 {
        self.lock_files().syncs
    }

    /// What a process started after the death of this one finds: all bytes written. Without faults and locks.
    #[must_use]
    pub fn after_process_crash(&self) -> Self {
        let Files { files, directories, .. } = self.lock_files().clone();
        let files = Files { files, directories, ..Files::default() };
        Self(Arc::new(Shared { files: Mutex::new(files), held: Condvar::new() }))
    }

    /// What is found after a power cut: of every file the synced bytes, and `extra(unsynced)` bytes of the rest.
    #[must_use]
    pub fn after_power_cut(&self, mut extra: impl FnMut(usize) -> usize) -> Self {
        let after = self.after_process_crash();
        for file in after.lock_files().files.values_mut() {
            let unsynced = file.bytes.len() - file.synced;
            file.bytes.truncate(file.synced + extra(unsynced).min(unsynced));
        }
        after
    }

    /// Replaces a file's content (creating it), without regard to faults: damage, or a fixture.
    pub fn put(&self, path: impl Into<PathBuf>, bytes: Vec<u8>) {
        let synced = bytes.len();
        self.lock_files().files.insert(path.into(), File { bytes, synced });
    }

    /// Paths of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.lock_files().files.keys().cloned().collect()
    }

    fn lock_files(&self) -> MutexGuard<'_, Files> {
        self.0.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn holds(&self, path: &Path) -> bool {
        self.held.as_ref().is_some_and(|part| path.to_string_lossy().contains(part))
    }

    /// Counts a change; on a fault, says how many bytes of it still happen.
    fn change(&mut self) -> Result<(), (io::Error, usize)> {
        let now = self.changes;
        self.changes += 1;
        match self.fault {
            Some(fault) if now == fault.at || (now > fault.at && fault.lasting) => {
                let torn = if now == fault.at { fault.torn } else { 0 };
                Err((io::Error::new(fault.error, "injected fault"), torn))
            }
            _ => Ok(()),
        }
    }

    /// How many of so many bytes fit, and what the system says of the rest.
    fn fit(&self, bytes: usize) -> (usize, io::Result<()>) {
        let used: usize = self.files.values().map(|file| file.bytes.len()).sum();
        let free = self.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(used));
        match bytes <= free {
            true => (bytes, Ok(())),
            false => (free, Err(io::ErrorKind::StorageFull.into())),
        }
    }

    fn change_whole(&mut self) -> io::Result<()> {
        self.change().map_err(|(error, _)| error)
    }

    fn file(&mut self, path: &Path) -> io::Result<&mut File> {
        self.files.get_mut(path).ok_or_else(|| missing(path))
    }
}

fn missing(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} does not exist", path.display()))
}

/// Keeps reading what the path held when it was opened, if that is gone; else what it holds now.
struct OpenRead {
    disk: MemoryDisk,
    path: PathBuf,
    opened: Vec<u8>,
}

impl DiskRead for OpenRead {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut files = self.disk.lock_files();
        let now = files.reads;
        files.reads += 1;
        if let Some(fault) = files.read_fault
            && (now == fault.at || (now > fault.at && fault.lasting))
        {
            return Err(io::Error::new(fault.error, "injected fault"));
        }
        let bytes = files.files.get(&self.path).map_or(&self.opened, |file| &file.bytes);
        let start = usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()));
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn len(&self) -> io::Result<u64> {
        let files = self.disk.lock_files();
        Ok(files.files.get(&self.path).map_or(&self.opened, |file| &file.bytes).len() as u64)
    }
}

struct HeldLock {
    disk: MemoryDisk,
    path: PathBuf,
}

impl DiskLock for HeldLock {}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.disk.lock_files().locked.remove(&self.path);
    }
}

struct OpenFile {
    disk: MemoryDisk,
    path: PathBuf,
}

impl DiskFile for OpenFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.disk.lock_files();
        let (written, result) = match files.change() {
            Ok(()) => files.fit(bytes.len()),
            Err((error, torn)) => (torn.min(bytes.len()), Err(error)),
        };
        files.file(&self.path)?.bytes.extend_from_slice(&bytes[..written]);
        result
    }

    fn sync(&self) -> io::Result<()> {
        let mut files = self.disk.lock_files();
        files.change_whole()?;
        files.syncs += 1;
        // A removed file that is still open syncs well.
        if let Ok(file) = files.file(&self.path) {
            file.synced = file.bytes.len();
        }
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut files = self.disk.lock_files();
        files.change_whole()?;
        let file = files.file(&self.path)?;
        file.bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        file.synced = file.synced.min(file.bytes.len());
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock_files().file(&self.path)?.bytes.len() as u64)
    }
}

impl Disk for MemoryDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.lock_files().file(path)?.bytes.clone())
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        let opened = self.read(path)?;
        Ok(Box::new(OpenRead { disk: self.clone(), path: path.to_path_buf(), opened }))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.lock_files();
        files.change_whole()?;
        if files.files.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // A copy: what is linked is not changed any more.
        let file = files.file(from)?.clone();
        files.files.insert(to.to_path_buf(), file);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut files = self.lock_files();
        if !files.locked.insert(path.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        files.files.entry(path.to_path_buf()).or_default();
        Ok(Box::new(HeldLock { disk: self.clone(), path: path.to_path_buf() }))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<(PathBuf, FileKind)>> {
        let files = self.lock_files();
        if !files.directories.contains(directory) {
            return Err(missing(directory));
        }
        let inside = |path: &&PathBuf| path.parent() == Some(directory);
        let entries = files.files.keys().filter(inside).map(|path| (path.clone(), FileKind::File));
        let directories = files.directories.iter().filter(inside).map(|path| (path.clone(), FileKind::Directory));
        let mut entries: Vec<_> = entries.chain(directories).collect();
        entries.sort_by(|left, right| left.0.cmp(&right.0));
        Ok(entries)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        let mut files = self.lock_files();
        files.change_whole()?;
        files.directories.extend(directory.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut files = self.lock_files();
        if files.holds(path) {
            files.waiting += 1;
            self.0.held.notify_all();
            files = self.0.held.wait_while(files, |files| files.holds(path)).unwrap_or_else(PoisonError::into_inner);
            files.waiting -= 1;
        }
        files.change_whole()?;
        if files.files.contains_key(path) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} exists", path.display())));
        }
        if !path.parent().is_some_and(|parent| files.directories.contains(parent)) {
            return Err(missing(path));
        }
        files.files.insert(path.to_path_buf(), File::default());
        Ok(Box::new(OpenFile { disk: self.clone(), path: path.to_path_buf() }))
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.lock_files().file(path)?;
        Ok(Box::new(OpenFile { disk: self.clone(), path: path.to_path_buf() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.lock_files();
        files.change_whole()?;
        if let Some(file) = files.files.remove(from) {
            files.files.insert(to.to_path_buf(), file);
            return Ok(());
        }
        if !files.directories.contains(from) {
            return Err(missing(from));
        }
        let moved = |path: &Path| path.strip_prefix(from).ok().map(|rest| to.join(rest));
        files.files = std::mem::take(&mut files.files)
            .into_iter()
            .map(|(path, file)| (moved(&path).unwrap_or(path), file))
            .collect();
        files.directories =
            std::mem::take(&mut files.directories).into_iter().map(|path| moved(&path).unwrap_or(path)).collect();
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut files = self.lock_files();
        files.change_whole()?;
        files.files.remove(path).map(drop).ok_or_else(|| missing(path))
    }

    fn remove_directory(&self, directory: &Path) -> io::Result<()> {
        let mut files = self.lock_files();
        files.change_whole()?;
        if !files.directories.contains(directory) {
            return Err(missing(directory));
        }
        files.files.retain(|path, _| !path.starts_with(directory));
        files.directories.retain(|path| !path.starts_with(directory));
        Ok(())
    }

    fn sync_directory(&self, _directory: &Path) -> io::Result<()> {
        self.lock_files().change_whole()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_synced_bytes_survive_a_power_cut() {
        let disk = MemoryDisk::new();
        disk.create_directory(Path::new("d")).unwrap();
        let path = Path::new("d/f");
        let mut file = disk.create(path).unwrap();
        file.append(b"ab").unwrap();
        file.sync().unwrap();
        file.append(b"cdef").unwrap();
        assert_eq!(disk.after_process_crash().read(path).unwrap(), b"abcdef");
        assert_eq!(disk.after_power_cut(|_| 0).read(path).unwrap(), b"ab");
        assert_eq!(disk.after_power_cut(|unsynced| unsynced / 2).read(path).unwrap(), b"abcd");
    }

    #[test]
    fn a_fault_tears_an_append() {
        let disk = MemoryDisk::new();
        disk.create_directory(Path::new("d")).unwrap();
        let mut file = disk.create(Path::new("d/f")).unwrap();
        let fault = Fault { at: disk.changes(), error: io::ErrorKind::StorageFull, torn: 1, lasting: false };
        disk.inject(fault);
        assert_eq!(file.append(b"xy").unwrap_err().kind(), io::ErrorKind::StorageFull);
        file.append(b"z").unwrap();
        assert_eq!(disk.read(Path::new("d/f")).unwrap(), b"xz");
    }

    #[test]
    fn reads_fail_when_told_to_and_locks_are_for_one() {
        let disk = MemoryDisk::new();
        disk.put("f", b"hello".to_vec());
        let read = disk.open_read(Path::new("f")).unwrap();
        let mut buffer = [0; 3];
        assert_eq!((read.read_at(&mut buffer, 3).unwrap(), &buffer[..2]), (2, &b"lo"[..]));
        disk.inject_read(Fault { at: 1, error: io::ErrorKind::Other, torn: 0, lasting: false });
        assert!(read.read_at(&mut buffer, 0).is_err());
        assert_eq!((read.read_at(&mut buffer, 9).unwrap(), read.len().unwrap()), (0, 5));

        let lock = disk.lock(Path::new("lock")).unwrap();
        assert_eq!(disk.lock(Path::new("lock")).err().unwrap().kind(), io::ErrorKind::WouldBlock);
        assert!(disk.after_process_crash().lock(Path::new("lock")).is_ok());
        drop(lock);
        assert!(disk.lock(Path::new("lock")).is_ok());
    }

    #[test]
    fn directories_are_listed_and_renamed() {
        let disk = MemoryDisk::new();
        disk.create_directory(Path::new("a/b")).unwrap();
        disk.create(Path::new("a/f")).unwrap();
        disk.create(Path::new("a/b/g")).unwrap();
        disk.rename(Path::new("a/b"), Path::new("a/c")).unwrap();
        let expected = [(PathBuf::from("a/c"), FileKind::Directory), (PathBuf::from("a/f"), FileKind::File)];
        assert_eq!(disk.list(Path::new("a")).unwrap(), expected);
        assert_eq!(disk.list(Path::new("a/c")).unwrap().len(), 1);
        assert_eq!(disk.list(Path::new("a/b")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(disk.create(Path::new("no/f")).is_err());
    }
}
