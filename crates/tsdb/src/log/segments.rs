//! The files of a log: segments by number, the newest checkpoint, and what an earlier start left unfinished.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use environment::{Disk, DiskRead, FileKind};

use crate::db::OpenError;

/// A segment, or the file of a checkpoint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
}

/// What lies in the directory of a log.
#[derive(Default, Debug)]
pub(crate) struct Listing {
    /// The newest checkpoint: it stands for all segments up to its number.
    pub(crate) checkpoint: Option<Segment>,
    /// Its files, rising.
    pub(crate) checkpoint_files: Vec<Segment>,
    /// The segments that it does not stand for, rising.
    pub(crate) segments: Vec<Segment>,
    /// Checkpoints and segments that a newer checkpoint stands for, and what was never finished.
    pub(crate) leftovers: Vec<(PathBuf, FileKind)>,
}

impl Listing {
    /// Lists the directory of a log; empty when there is none.
    pub(crate) fn of(disk: &dyn Disk, directory: &Path) -> Result<Self, OpenError> {
        let mut listing = Self::default();
        let mut checkpoints = Vec::new();
        for (path, kind) in list(disk, directory)? {
            let name = name_of(&path);
            match (kind, name.strip_prefix(CHECKPOINT)) {
                (FileKind::File, _) if name.ends_with(REPAIR) => listing.leftovers.push((path, kind)),
                (FileKind::File, None) => listing.segments.extend(segment(path)),
                (FileKind::Directory, Some(rest)) => match number(rest) {
                    Some(number) => checkpoints.push(Segment { number, path }),
                    None if rest.ends_with(UNFINISHED) => listing.leftovers.push((path, kind)),
                    None => {}
                },
                _ => {}
            }
        }
        listing.segments.sort();
        checkpoints.sort();
        let Some(newest) = checkpoints.pop() else { return Ok(listing) };
        for (path, kind) in list(disk, &newest.path)? {
            match kind {
                FileKind::File if name_of(&path).ends_with(REPAIR) => listing.leftovers.push((path, kind)),
                FileKind::File => listing.checkpoint_files.extend(segment(path)),
                _ => {}
            }
        }
        listing.checkpoint_files.sort();
        listing.leftovers.extend(checkpoints.into_iter().map(|older| (older.path, FileKind::Directory)));
        let covered = listing.segments.partition_point(|segment| segment.number <= newest.number);
        listing.leftovers.extend(listing.segments.drain(..covered).map(|segment| (segment.path, FileKind::File)));
        listing.checkpoint = Some(newest);
        Ok(listing)
    }

    /// Removes what is not needed. What is still there the next time is listed again.
    pub(crate) fn remove_leftovers(&self, disk: &dyn Disk) -> Result<(), OpenError> {
        // A process that died after it named the checkpoint may not have made the name durable. Then a power cut could take it, and
        // keep what is removed here from what it stands for: the files of an older checkpoint are in another directory.
        let named_in = self.checkpoint.as_ref().and_then(|checkpoint| checkpoint.path.parent());
        if let Some(directory) = named_in.filter(|_| !self.leftovers.is_empty()) {
            disk.sync_directory(directory).map_err(OpenError::at("sync", directory))?;
        }
        for (path, kind) in &self.leftovers {
            let removed = match kind {
                FileKind::Directory => disk.remove_directory(path),
                _ => disk.remove_file(path),
            };
            removed.map_err(OpenError::at("remove", path))?;
        }
        Ok(())
    }

    /// The number of the segment that comes after all of these.
    pub(crate) fn next_number(&self) -> u64 {
        self.segments.last().or(self.checkpoint.as_ref()).map_or(0, |last| last.number + 1)
    }
}

/// The path of a segment.
pub(crate) fn segment_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:08}"))
}

/// The path of a checkpoint that stands for all segments up to `number`.
pub(crate) fn checkpoint_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{CHECKPOINT}{number:08}"))
}

/// The name under which something is written before it takes its place.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    path.with_file_name(format!("{}{suffix}", name_of(path)))
}

pub(crate) fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn list(disk: &dyn Disk, directory: &Path) -> Result<Vec<(PathBuf, FileKind)>, OpenError> {
    match disk.list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(OpenError::at("list", directory)),
    }
}

fn segment(path: PathBuf) -> Option<Segment> {
    Some(Segment { number: number(name_of(&path))?, path })
}

fn number(name: &str) -> Option<u64> {
    (name.len() >= 8 && name.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.parse().ok())?
}

/// Reads a file from its beginning to its end.
pub(crate) struct Sequential {
    file: Box<dyn DiskRead>,
    offset: u64,
}

impl Sequential {
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        Ok(Self { file: disk.open_read(path)?, offset: 0 })
    }
}

impl Read for Sequential {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

const CHECKPOINT: &str = "checkpoint.";

/// Of a checkpoint that is being written.
pub(crate) const UNFINISHED: &str = ".tmp";

/// Of a segment that is being written again without its damage.
pub(crate) const REPAIR: &str = ".repair";

#[cfg(test)]
mod tests {
    use testkit::MemoryDisk;

    use super::*;

    #[test]
    fn the_newest_checkpoint_stands_for_what_is_before_it() {
        let disk = MemoryDisk::new();
        let directories = ["checkpoint.00000002", "checkpoint.00000005", "checkpoint.00000007.tmp", "00000001.d"];
        for directory in directories {
            disk.create_directory(&Path::new("wal").join(directory)).unwrap();
        }
        let files = [
            "00000004",
            "00000005",
            "00000006",
            "00000007",
            "00000006.repair",
            "lock",
            "1",
            "checkpoint.00000005/00000000",
            "checkpoint.00000005/00000001",
            "checkpoint.00000005/00000001.repair",
            "checkpoint.00000007.tmp/00000000",
        ];
        files.iter().for_each(|file| disk.put(Path::new("wal").join(file), Vec::new()));
        let listing = Listing::of(&disk, Path::new("wal")).unwrap();
        let names = |segments: &[Segment]| segments.iter().map(|s| name_of(&s.path).to_owned()).collect::<Vec<_>>();
        assert_eq!(listing.checkpoint.as_ref().unwrap().number, 5);
        assert_eq!(names(&listing.checkpoint_files), ["00000000", "00000001"]);
        assert_eq!(names(&listing.segments), ["00000006", "00000007"]);
        assert_eq!(listing.next_number(), 8);
        let mut leftovers: Vec<_> = listing.leftovers.iter().map(|(path, _)| name_of(path)).collect();
        leftovers.sort_unstable();
        let expected = [
            "00000001.repair",
            "00000004",
            "00000005",
            "00000006.repair",
            "checkpoint.00000002",
            "checkpoint.00000007.tmp",
        ];
        assert_eq!(leftovers, expected);

        listing.remove_leftovers(&disk).unwrap();
        let listing = Listing::of(&disk, Path::new("wal")).unwrap();
        assert_eq!((listing.leftovers.len(), listing.segments.len()), (0, 2));
        assert_eq!(Listing::of(&disk, Path::new("none")).unwrap().next_number(), 0);
    }
}
