//! A data directory of Prometheus, or of ours → another database.
//!
//! Blocks are copied as they are, after each was checked whole; what the log holds is written into new blocks.

use std::path::Path;
use std::sync::Arc;

use environment::{Clock, Disk, FileKind};
use storage::{Batch, TimeRange};
use tsdb_format::block::meta;

use super::import::Importer;
use super::list::{ListedBlock, list};
use super::verify::{Finding, Verified};
use super::verify_block::verify_block;
use super::view::{Logs, Offline};
use super::{OfflineError, Progress};
use crate::compaction::{FROM_OUT_OF_ORDER, replace_file};
use crate::merge::SeriesMerge;
use crate::part::{SeriesSource as _, Want};
use crate::stats::Counter;
use storage::SampleIterator as _;

/// What became of blocks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ImportedBlocks {
    /// Names of those that were copied.
    pub copied: Vec<String>,
    /// How many were there already.
    pub known: u64,
    /// What is wrong with those that were left out.
    pub damaged: Vec<Finding>,
    /// Samples in copied blocks.
    pub samples: u64,
}

/// Brings what is in the data directory `from` into the database that `importer` writes to: blocks by copying them, samples of
/// the logs through the importer. The directory is not changed.
///
/// # Errors
/// When a program has it open, or the disk does not do its part. What was copied stays, and is known when it is tried again.
pub fn import_directory(
    importer: &mut Importer,
    clock: &Arc<dyn Clock>,
    from: &Path,
    progress: &dyn Progress,
) -> Result<ImportedBlocks, OfflineError> {
    let disk = Arc::clone(&importer.disk);
    // Locked to the end: blocks do not disappear meanwhile.
    let source = Offline::open(&disk, clock, from, Logs::Read)?;
    let found = list(&*disk, from)?;
    let mut imported = ImportedBlocks::default();
    progress.begin("blocks", found.len() as u64);
    for one in found {
        let name = one.path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if importer.knows(&name) {
            imported.known += 1;
        } else {
            let mut verified = Verified::default();
            verify_block(&*disk, &one.path, &mut verified);
            match one.block {
                Ok(block) if verified.findings.is_empty() => {
                    imported.samples += verified.samples;
                    copy_block(&*disk, &one.path, &importer.directory, block)?;
                    imported.copied.push(name);
                }
                _ => imported.damaged.append(&mut verified.findings),
            }
        }
        progress.advance(1);
    }
    import_logs(importer, &source, progress)?;
    Ok(imported)
}

/// What the logs hold, series by series.
fn import_logs(importer: &mut Importer, source: &Offline, progress: &dyn Progress) -> Result<(), OfflineError> {
    let Some(head) = source.head().filter(|head| head.overlaps(TimeRange::ALL)) else { return Ok(()) };
    let mut merge = SeriesMerge::new(vec![head.select(&[], TimeRange::ALL, Want::Samples)?])?;
    progress.begin("series of the log", 0);
    let (mut batch, conflicts) = (Batch::default(), Counter::default());
    while let Some(series) = merge.next()? {
        let mut samples = crate::merge::samples(series.chunks, TimeRange::ALL, &conflicts);
        while samples.next_batch(&mut batch)? {
            for (at, value) in batch.timestamps.iter().zip(&batch.floats) {
                importer.push_float(&series.labels, *at, *value)?;
            }
            for (at, histogram) in batch.timestamps.iter().zip(&batch.histograms) {
                importer.push_histogram(&series.labels, *at, Arc::clone(histogram))?;
            }
        }
        progress.advance(1);
    }
    Ok(())
}

/// Copies a block under another name, describes it, and gives it its name when it is durable.
fn copy_block(disk: &dyn Disk, from: &Path, to: &Path, block: ListedBlock) -> Result<(), OfflineError> {
    let mut meta = block.meta;
    let making = to.join(format!("{}.tmp-for-creation", meta.ulid));
    match disk.remove_directory(&making) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(OfflineError::at("remove", &making)(error));
        }
        _ => {}
    }
    copy_tree(disk, from, &making)?;
    // Says that its times do not tell how far the head was written out, and what version its index really has.
    if !meta.compaction.hints.iter().any(|hint| hint == FROM_OUT_OF_ORDER) {
        meta.compaction.hints.push(FROM_OUT_OF_ORDER.to_owned());
    }
    if meta.version == 1 {
        replace_file(disk, &making.join("meta.json"), &meta::encode(&meta))
            .map_err(OfflineError::at("write", &making))?;
    }
    let place = to.join(&meta.ulid);
    disk.rename(&making, &place).map_err(OfflineError::at("rename", &making))?;
    disk.sync_directory(to).map_err(OfflineError::at("sync", to))
}

fn copy_tree(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), OfflineError> {
    disk.create_directory(to).map_err(OfflineError::at("make", to))?;
    for (path, kind) in disk.list(from).map_err(OfflineError::at("read", from))? {
        let target = to.join(path.file_name().unwrap_or_default());
        match kind {
            FileKind::Directory => copy_tree(disk, &path, &target)?,
            FileKind::File => copy_file(disk, &path, &target)?,
            FileKind::Other => {}
        }
    }
    disk.sync_directory(to).map_err(OfflineError::at("sync", to))
}

fn copy_file(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), OfflineError> {
    let source = disk.open_read(from).map_err(OfflineError::at("read", from))?;
    let mut target = disk.create(to).map_err(OfflineError::at("create", to))?;
    let (mut buffer, mut offset) = (vec![0; COPIED_BYTES], 0);
    loop {
        let read = source.read_at(&mut buffer, offset).map_err(OfflineError::at("read", from))?;
        if read == 0 {
            break;
        }
        target.append(&buffer[..read]).map_err(OfflineError::at("write", to))?;
        offset += read as u64;
    }
    target.sync().map_err(OfflineError::at("sync", to))
}

const COPIED_BYTES: usize = 1 << 20;
