//! Everything that can be checked about what is stored.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use environment::{Clock, Disk};

use super::list::{bytes_below, list};
use super::verify_block::verify_block;
use super::view::{Logs, Offline};
use super::{OfflineError, Progress};

/// Something that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// In which file.
    pub file: PathBuf,
    /// Where in it, bytes from its start, if it is one place.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// What was looked at, and found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verified {
    /// Blocks.
    pub blocks: u64,
    /// Series of all blocks.
    pub series: u64,
    /// Chunks of all blocks.
    pub chunks: u64,
    /// Samples of all blocks.
    pub samples: u64,
    /// Segments of the logs; `None` when they were not read, as a program has the database open.
    pub segments: Option<u64>,
    /// What is wrong, the first places of each file.
    pub findings: Vec<Finding>,
    /// Places beyond those.
    pub more: u64,
}

impl Verified {
    pub(super) fn find(&mut self, file: &Path, offset: Option<u64>, what: impl Into<String>) {
        let listed = self.findings.iter().rev().take_while(|finding| finding.file == file).count();
        if listed < FINDINGS_OF_A_FILE_MAX {
            self.findings.push(Finding { file: file.to_path_buf(), offset, what: what.into() });
        } else {
            self.more += 1;
        }
    }
}

/// Checks every block in `directory` whole: files, checksums, orders, lists, times, counts, each sample. Then the logs, unless a
/// program has the database open.
///
/// # Errors
/// When the disk does not do its part. What is wrong with the data is the result.
pub fn verify(
    disk: &Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
    directory: &Path,
    progress: &dyn Progress,
) -> Result<Verified, OfflineError> {
    let found = list(&**disk, directory)?;
    progress.begin("checking", found.iter().map(|one| bytes_below(&**disk, &one.path)).sum());
    let mut verified = Verified::default();
    for one in &found {
        verify_block(&**disk, &one.path, &mut verified);
        progress.advance(bytes_below(&**disk, &one.path));
    }
    match Offline::open(disk, clock, directory, Logs::Read) {
        Ok(offline) => {
            let recovery = offline.recovery();
            verified.segments = Some(recovery.segments);
            for damage in &recovery.damage {
                verified.find(&damage.file, Some(damage.offset), format!("{} bytes: {}", damage.bytes, damage.what));
            }
            verified.more += recovery.more_damage;
            let wal = directory.join("wal");
            for (count, what) in [
                (recovery.without_series, "samples whose series no record names"),
                (recovery.unreadable_records, "records that say what cannot be"),
            ] {
                if count > 0 {
                    verified.find(&wal, None, format!("{count} {what}"));
                }
            }
        }
        Err(OfflineError::InUse(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(verified)
}

/// More are counted.
const FINDINGS_OF_A_FILE_MAX: usize = 20;
