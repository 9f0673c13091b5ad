//! A disk as a Linux file system may treat one at its worst: what was not synced may be gone or half there after a power cut,
//! any call may fail, space may run out, bits may flip, and the machine may go off in the middle of any change.
//!
//! A change is one call that alters something: an append, a cut, a sync, a creation, a link, a rename, a removal (of a directory:
//! one for each entry). Changes are counted, so that a run can be repeated with a fault or a crash at each of them.

mod file;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use environment::{Disk, DiskFile, DiskLock, DiskRead, FileKind};

use self::tree::{Inode, Tree};
use crate::chance::Chance;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    tree: Tree,
    locked: BTreeSet<PathBuf>,
    /// Changes and reads so far.
    changes: u64,
    reads: u64,
    faults: Faults,
    /// The machine went off; no call does anything any more.
    off: bool,
    recording: Option<Vec<Moment>>,
    /// Changes are said on the standard error output.
    said: bool,
    maps: bool,
    /// Calls that failed for a fault or for want of space.
    met: u64,
    /// Syncs of files that failed.
    failed_syncs: u64,
    /// Of all changes so far.
    digest: u64,
}

/// What goes wrong, and when.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Changes that fail, counted as [`SimulatedDisk::changes`] counts them.
    pub changes: Vec<Fault>,
    /// Reads that fail (opening a file included), counted as [`SimulatedDisk::reads`] counts them.
    pub reads: Vec<Fault>,
    /// Bytes that fit.
    pub capacity: Option<usize>,
    /// The change at which the machine goes off, and the thousandths of it that still happen when it is an append.
    pub off: Option<(u64, u64)>,
}

/// One call that fails, or all from it on.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The number of the call.
    pub at: u64,
    /// Whether later ones fail, too.
    pub lasting: bool,
    /// What the system says.
    pub error: io::ErrorKind,
    /// The thousandths of an append that still happen.
    pub torn: u64,
}

/// The disk as it was at one moment.
#[derive(Clone)]
pub struct Moment {
    tree: Tree,
    /// The number of the change after which, or in the middle of which, it was.
    pub change: u64,
    /// What the change was, for people.
    pub what: String,
}

impl Moment {
    /// What a process started after the death of the one that wrote this finds.
    pub fn after_process_crash(&self, chance: &mut Chance) -> SimulatedDisk {
        SimulatedDisk::of(self.tree.after_process_crash(chance))
    }

    /// What is found after a power cut.
    pub fn after_power_cut(&self, chance: &mut Chance) -> SimulatedDisk {
        SimulatedDisk::of(self.tree.after_power_cut(chance))
    }
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn of(tree: Tree) -> Self {
        Self(Arc::new(Mutex::new(State { tree, ..State::default() })))
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Sets how many bytes fit.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.state().faults.capacity = bytes;
    }

    /// Whether files can be mapped.
    pub fn set_maps(&self, maps: bool) {
        self.state().maps = maps;
    }

    /// Says every change on the standard error output.
    pub fn say_changes(&self) {
        self.state().said = true;
    }

    /// Remembers the disk after every change, and in the middle of every append, until they are taken.
    pub fn record(&self) {
        self.state().recording = Some(Vec::new());
    }

    /// Moments recorded since the last call.
    pub fn take_moments(&self) -> Vec<Moment> {
        self.state().recording.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The disk as it is.
    pub fn now(&self) -> Moment {
        let state = self.state();
        Moment { tree: state.tree.clone(), change: state.changes, what: "now".to_owned() }
    }

    /// Changes so far.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Reads so far.
    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    /// Whether the machine went off.
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// Turns the machine off now.
    pub fn turn_off(&self) {
        self.state().off = true;
    }

    /// Calls that failed because they were told to, or for want of space.
    pub fn faults_met(&self) -> u64 {
        self.state().met
    }

    /// Syncs of files that failed: what they were of may never get to the medium.
    pub fn failed_syncs(&self) -> u64 {
        self.state().failed_syncs
    }

    /// Counts them from zero again: what they did is mended.
    pub fn forget_faults_met(&self) {
        self.state().met = 0;
    }

    /// Whether any are set.
    pub fn has_faults(&self) -> bool {
        let faults = &self.state().faults;
        !faults.changes.is_empty() || !faults.reads.is_empty()
    }

    /// Stands for all changes that were made, in their order: two runs of one seed have the same.
    pub fn digest(&self) -> u64 {
        self.state().digest
    }

    /// Bytes of all files.
    pub fn used(&self) -> usize {
        self.state().tree.used()
    }

    /// All files with their lengths.
    pub fn files(&self) -> Vec<(PathBuf, usize)> {
        let state = self.state();
        state.tree.files().into_iter().map(|(path, inode)| (path, state.tree.file(inode).bytes().len())).collect()
    }

    /// Everything gets to the medium, as it does when nobody writes for a while.
    pub fn write_back(&self) {
        self.state().tree.write_back();
    }

    /// Flips a bit of a file.
    ///
    /// # Panics
    /// Without such a file or bit.
    pub fn flip(&self, path: &Path, bit: usize) {
        let mut state = self.state();
        let inode = state.tree.find_file(path).expect("a file that is there");
        state.tree.file_mut(inode).flip(bit);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Faults {
    fn of(faults: &[Fault], number: u64) -> Option<&Fault> {
        faults.iter().find(|fault| fault.at == number || (fault.lasting && fault.at < number))
    }
}

impl State {
    /// Counts a read, and says whether it fails.
    fn read(&mut self) -> io::Result<()> {
        if self.off {
            return Err(off());
        }
        let number = self.reads;
        self.reads += 1;
        match Faults::of(&self.faults.reads, number) {
            Some(fault) => {
                let error = injected(fault.error);
                self.met += 1;
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// Counts a change; on a failure says how many thousandths of it still happen.
    fn change(&mut self) -> Result<(), (io::Error, u64)> {
        if self.off {
            return Err((off(), 0));
        }
        let number = self.changes;
        self.changes += 1;
        if let Some((at, torn)) = self.faults.off
            && number >= at
        {
            self.off = true;
            return Err((off(), torn));
        }
        match Faults::of(&self.faults.changes, number) {
            Some(fault) => {
                let failed = (injected(fault.error), fault.torn);
                self.met += 1;
                Err(failed)
            }
            None => Ok(()),
        }
    }

    /// A change that happens or does not.
    fn alter<T>(&mut self, what: &str, path: &Path, alter: impl FnOnce(&mut Tree) -> io::Result<T>) -> io::Result<T> {
        self.change().map_err(|(error, _)| error)?;
        let altered = alter(&mut self.tree)?;
        self.digest(what.as_bytes());
        self.digest(path.as_os_str().as_encoded_bytes());
        self.remember(|| format!("{what} {}", path.display()));
        Ok(altered)
    }

    fn digest(&mut self, bytes: &[u8]) {
        for word in bytes.chunks(8) {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            self.digest =
                (self.digest ^ u64::from_le_bytes(padded)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        }
    }

    fn remember(&mut self, what: impl FnOnce() -> String) {
        let change = self.changes - 1;
        if self.said {
            eprintln!("  change {change}: {}", what());
            return;
        }
        if let Some(moments) = &mut self.recording {
            moments.push(Moment { tree: self.tree.clone(), change, what: what() });
        }
    }

    fn append(&mut self, file: Inode, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (len, result) = match self.change() {
            Ok(()) => self.fit(bytes.len()),
            Err((error, torn)) => ((bytes.len() as u64 * torn / 1000) as usize, Err(error)),
        };
        if self.recording.is_some() && len > 1 {
            // A process dies between the pages of a write, too.
            let whole = self.tree.clone();
            self.tree.file_mut(file).append(&bytes[..len / 2]);
            self.remember(|| format!("half of append {} bytes to {}", bytes.len(), path.display()));
            self.tree = whole;
        }
        self.digest(&bytes[..len]);
        self.tree.file_mut(file).append(&bytes[..len]);
        self.remember(|| format!("append {} bytes to {}", bytes.len(), path.display()));
        result
    }

    /// How many of so many bytes fit, and what the system says of the rest.
    fn fit(&mut self, bytes: usize) -> (usize, io::Result<()>) {
        let Some(capacity) = self.faults.capacity else { return (bytes, Ok(())) };
        let free = capacity.saturating_sub(self.tree.used());
        if bytes <= free {
            return (bytes, Ok(()));
        }
        self.met += 1;
        (free, Err(io::ErrorKind::StorageFull.into()))
    }

    fn remove_directory(&mut self, directory: &Path) -> io::Result<()> {
        for (path, kind) in self.tree.list(directory)? {
            match kind {
                FileKind::Directory => self.remove_directory(&path)?,
                _ => self.alter("remove", &path, |tree| tree.remove(&path))?,
            }
        }
        self.alter("remove", directory, |tree| tree.remove(directory))
    }
}

fn injected(error: io::ErrorKind) -> io::Error {
    io::Error::new(error, "injected fault")
}

fn off() -> io::Error {
    io::Error::other("the machine is off")
}

struct File {
    disk: SimulatedDisk,
    inode: Inode,
    /// As it was opened under, for people.
    path: PathBuf,
}

impl DiskFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.state().append(self.inode, &self.path, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Err((error, _)) = state.change() {
            if !state.off {
                state.failed_syncs += 1;
                state.tree.file_mut(self.inode).fail_sync();
            }
            return Err(error);
        }
        state.tree.file_mut(self.inode).sync();
        state.remember(|| format!("sync {}", self.path.display()));
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let inode = self.inode;
        self.disk.state().alter("truncate", &self.path, |tree| {
            tree.file_mut(inode).truncate(usize::try_from(len).unwrap_or(usize::MAX));
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.disk.state();
        Ok(state.tree.file(self.inode).bytes().len() as u64)
    }
}

impl DiskRead for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.read()?;
        let bytes = state.tree.file(self.inode).bytes();
        let start = usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()));
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn len(&self) -> io::Result<u64> {
        DiskFile::len(self)
    }
}

struct Lock {
    disk: SimulatedDisk,
    path: PathBuf,
}

impl DiskLock for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        self.disk.state().locked.remove(&self.path);
    }
}

impl Disk for SimulatedDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        state.read()?;
        let inode = state.tree.find_file(path)?;
        Ok(state.tree.file(inode).bytes().to_vec())
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        let mut state = self.state();
        state.read()?;
        let inode = state.tree.find_file(path)?;
        Ok(Box::new(File { disk: self.clone(), inode, path: path.to_path_buf() }))
    }

    fn map(&self, path: &Path) -> io::Result<Option<Bytes>> {
        if !self.state().maps {
            return Ok(None);
        }
        self.read(path).map(|bytes| Some(bytes.into()))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state().alter("link to", to, |tree| tree.link(from, to))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut state = self.state();
        if state.tree.find_file(path).is_err() {
            state.alter("create", path, |tree| tree.create_file(path))?;
        }
        if !state.locked.insert(path.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Lock { disk: self.clone(), path: path.to_path_buf() }))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<(PathBuf, FileKind)>> {
        let mut state = self.state();
        state.read()?;
        state.tree.list(directory)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state();
        let mut missing: Vec<&Path> = directory.ancestors().filter(|path| state.tree.find(path).is_err()).collect();
        while let Some(path) = missing.pop() {
            state.alter("create directory", path, |tree| tree.create_directory(path))?;
        }
        state.tree.list(directory).map(drop)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.state().alter("create", path, |tree| tree.create_file(path))?;
        Ok(Box::new(File { disk: self.clone(), inode, path: path.to_path_buf() }))
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.state().tree.find_file(path)?;
        Ok(Box::new(File { disk: self.clone(), inode, path: path.to_path_buf() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state().alter("rename to", to, |tree| tree.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.state().alter("remove", path, |tree| {
            tree.find_file(path)?;
            tree.remove(path)
        })
    }

    fn remove_directory(&self, directory: &Path) -> io::Result<()> {
        self.state().remove_directory(directory)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.state().alter("sync directory", directory, |tree| tree.sync_directory(directory))
    }
}
