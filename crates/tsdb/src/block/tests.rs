//! Blocks of others and damaged ones. What is written here is tested where it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use environment::{Disk, DiskFile, DiskLock, DiskRead, FileKind};
use model::{Labels, MatchOp};
use storage::{Batch, SampleIterator as _};
use testkit::MemoryDisk;

use super::*;
use crate::merge::{Witness, samples};
use crate::part::PartSeries;

mod damage;
mod foreign;
mod memory;
mod select;
mod set;

/// Where blocks of the tests stand.
const DIRECTORY: &str = "db";

/// A disk that maps files, as the system's does.
#[derive(Clone)]
struct Mapping(MemoryDisk);

impl Disk for Mapping {
    fn map(&self, path: &Path) -> io::Result<Option<Bytes>> {
        self.0.read(path).map(|bytes| Some(bytes.into()))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        self.0.open_read(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.0.lock(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<(PathBuf, FileKind)>> {
        self.0.list(directory)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        self.0.create_directory(directory)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.0.create(path)
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.0.open_append(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }

    fn remove_directory(&self, directory: &Path) -> io::Result<()> {
        self.0.remove_directory(directory)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.0.sync_directory(directory)
    }
}

/// A disk with these fixtures, each in a directory of its ULID; returns the ULIDs, too.
fn disk_with(fixtures: &[&str]) -> (MemoryDisk, Vec<Ulid>) {
    let disk = MemoryDisk::new();
    disk.create_directory(Path::new(DIRECTORY)).unwrap();
    let ulids = fixtures.iter().map(|fixture| put_fixture(&disk, fixture));
    (disk.clone(), ulids.collect())
}

fn put_fixture(disk: &MemoryDisk, fixture: &str) -> Ulid {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blocks").join(fixture);
    let meta = meta::decode(&std::fs::read(from.join("meta.json")).unwrap()).unwrap();
    let to = Path::new(DIRECTORY).join(&meta.ulid);
    disk.create_directory(&to.join("chunks")).unwrap();
    for part in [BlockPart::Meta, BlockPart::Index, BlockPart::Tombstones, BlockPart::Chunks(0)] {
        if let Ok(bytes) = std::fs::read(from.join(part.path())) {
            disk.put(to.join(part.path()), bytes);
        }
    }
    meta.ulid.parse().unwrap()
}

fn open(disk: impl Disk, ulid: Ulid) -> Result<Arc<Block>, BlockError> {
    let source = LocalBlock::new(Arc::new(disk), &Path::new(DIRECTORY).join(ulid.to_string()));
    Block::open(Arc::new(source), &Arc::default())
}

/// Leaves out what is damaged.
struct Skipping;

impl Witness for Skipping {
    fn conflict(&self) {}

    fn unreadable(&self, error: QueryError) -> Result<(), QueryError> {
        match error {
            QueryError::Corrupt(_) => Ok(()),
            QueryError::Unavailable(_) => Err(error),
        }
    }
}

/// All samples of a selection: of each series a line for each sample, its time and value.
fn read(block: &Block, matchers: &[Matcher]) -> BTreeMap<Labels, Vec<(i64, String)>> {
    read_range(block, matchers, TimeRange::ALL)
}

fn read_range(block: &Block, matchers: &[Matcher], range: TimeRange) -> BTreeMap<Labels, Vec<(i64, String)>> {
    let mut found = BTreeMap::new();
    let mut series = block.select(matchers, range, Want::Samples).unwrap();
    while let Some(PartSeries { labels, chunks }) = series.next().unwrap() {
        assert!(!chunks.is_empty(), "{labels}");
        let mut values = Vec::new();
        let (mut samples, mut batch) = (samples(chunks, range, Skipping), Batch::default());
        while samples.next_batch(&mut batch).unwrap() {
            for (index, at) in batch.timestamps.iter().enumerate() {
                let value = match batch.floats.get(index) {
                    Some(value) => value.to_string(),
                    None => format!("{:?}", batch.histograms[index]),
                };
                values.push((at.0, value));
            }
        }
        assert!(found.last_key_value().is_none_or(|(last, _)| *last < labels), "series come in order");
        found.insert(labels, values);
    }
    found
}

fn matcher(op: MatchOp, name: &str, value: &str) -> Matcher {
    Matcher::new(op, name, value).unwrap()
}
