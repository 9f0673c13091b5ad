//! Which refused series were sent again, so that they are not sent a third time unasked: a file beside the ring.
//!
//! One line for each, a digest of the refusal in hexadecimal. The file is replaced when a replay begins, without those that
//! have left the ring, and a line is added as soon as one is taken, so that a replay that is broken off forgets nothing.
//! A line that is no digest, such as one cut short, counts as none.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use environment::{Disk, DiskFile};
use spool::Refusal;
use xxhash_rust::xxh3::Xxh3;

/// What is remembered in one queue's directory.
pub(super) struct Replayed {
    path: PathBuf,
    digests: BTreeSet<u128>,
    file: Option<Box<dyn DiskFile>>,
}

impl Replayed {
    /// What earlier replays remembered.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(super) fn read(disk: &dyn Disk, directory: &Path) -> (Self, io::Result<()>) {
        let path = directory.join(FILE_NAME);
        let (bytes, read) = match disk.read(&path) {
            Ok(bytes) => (bytes, Ok(())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        let text = String::from_utf8_lossy(&bytes);
        let digests = text.lines().filter(|line| line.len() == DIGITS);
        let digests = digests.filter_map(|line| u128::from_str_radix(line, 16).ok()).collect();
        (Self { path, digests, file: None }, read)
    }

    pub(super) fn contains(&self, refusal: &Refusal) -> bool {
        self.digests.contains(&digest(refusal))
    }

    /// Gets ready to remember more; forgets what is not among `refusals`, the whole ring.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing is remembered from here on.
    pub(super) fn begin(&mut self, disk: &dyn Disk, refusals: &[Refusal]) -> io::Result<()> {
        let ring: BTreeSet<u128> = refusals.iter().map(digest).collect();
        self.digests.retain(|digest| ring.contains(digest));
        let text: String = self.digests.iter().map(|digest| line(*digest)).collect();
        let new = self.path.with_extension("new");
        // Left by a replay that was broken off.
        let _ = disk.remove_file(&new);
        let mut file = disk.create(&new)?;
        file.append(text.as_bytes())?;
        file.sync()?;
        disk.rename(&new, &self.path)?;
        self.file = Some(file);
        Ok(())
    }

    /// This one was taken.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing is remembered from here on.
    pub(super) fn remember(&mut self, refusal: &Refusal) -> io::Result<()> {
        let digest = digest(refusal);
        if !self.digests.insert(digest) {
            return Ok(());
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file.append(line(digest).as_bytes());
        if written.is_err() {
            self.file = None;
        }
        written
    }

    /// Where it is remembered.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn line(digest: u128) -> String {
    format!("{digest:0DIGITS$x}\n")
}

/// Of what makes a refusal that one: a series that is refused again is another.
fn digest(refusal: &Refusal) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&refusal.entry.0.to_le_bytes());
    hash.update(&refusal.at.since_epoch().as_nanos().to_le_bytes());
    for part in [refusal.reason.name().as_bytes(), refusal.series.as_bytes(), &refusal.body] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.digest128()
}

const FILE_NAME: &str = "replayed";
const DIGITS: usize = 32;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use environment::UnixTime;
    use host::MemoryDisk;
    use spool::{Counts, EntryId, Rejection};

    use super::*;

    fn refusal(entry: u64, series: &str) -> Refusal {
        Refusal {
            at: UnixTime::from_secs(1_790_000_000),
            entry: EntryId(entry),
            reason: Rejection::Invalid,
            status: Some(400),
            answer: "no".to_owned(),
            series: series.to_owned(),
            tally: Counts::default(),
            body: Bytes::from_static(b"body"),
        }
    }

    fn known(disk: &MemoryDisk, refusals: &[Refusal]) -> Vec<bool> {
        let (replayed, read) = Replayed::read(disk, Path::new("/q"));
        read.unwrap();
        refusals.iter().map(|refusal| replayed.contains(refusal)).collect()
    }

    #[test]
    fn what_was_taken_is_known_until_it_leaves_the_ring() {
        let disk = MemoryDisk::new();
        disk.create_directory(Path::new("/q")).unwrap();
        let refusals = [refusal(1, "a"), refusal(1, "b"), refusal(2, "a")];
        assert_eq!(known(&disk, &refusals), [false; 3]);
        for (taken, expected) in [(0, [true, false, false]), (2, [true, false, true])] {
            let (mut replayed, _) = Replayed::read(&disk, Path::new("/q"));
            replayed.begin(&disk, &refusals).unwrap();
            replayed.remember(&refusals[taken]).unwrap();
            assert_eq!(known(&disk, &refusals), expected);
        }
        // A line cut short by a crash, and one of somebody else.
        disk.open_append(Path::new("/q/replayed")).unwrap().append(b"0123456789abcdef\nnobody\n").unwrap();
        let (mut replayed, _) = Replayed::read(&disk, Path::new("/q"));
        replayed.begin(&disk, &refusals[1..]).unwrap();
        assert_eq!(known(&disk, &refusals), [false, false, true]);
        assert_eq!(disk.read(Path::new("/q/replayed")).unwrap().len(), DIGITS + 1);
    }
}
