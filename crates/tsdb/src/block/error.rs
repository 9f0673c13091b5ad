//! Why a block cannot be opened.

use std::io;
use std::path::PathBuf;

use tsdb_format::block::CorruptBlock;

use super::is_missing;
use super::source::{BlockPart, BlockSource};

/// Why a block cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlockError {
    /// Its bytes do not check out.
    #[error("block {block} is damaged: {source}")]
    Corrupt { block: Box<str>, source: CorruptBlock },
    /// A file of it is not there.
    #[error("block {block} has no {}", part.path())]
    Missing { block: Box<str>, part: BlockPart },
    /// It holds sums over stretches of time instead of samples.
    #[error(
        "block {block} was downsampled by Thanos to one value in {seconds} s; only blocks of raw samples can be read \
         (take those of resolution 0)"
    )]
    Downsampled { block: Box<str>, seconds: i64 },
    /// A directory of blocks cannot be looked at or changed.
    #[error("cannot {action} {}", path.display())]
    Directory { action: &'static str, path: PathBuf, source: io::Error },
    /// The disk or store does not answer.
    #[error("cannot read {} of block {block}", part.path())]
    Unreadable { block: Box<str>, part: BlockPart, source: io::Error },
}

impl BlockError {
    pub(super) fn corrupt(block: &dyn BlockSource, source: CorruptBlock) -> Self {
        Self::Corrupt { block: block.name().into(), source }
    }

    pub(super) fn reading(block: &dyn BlockSource, part: BlockPart) -> impl Fn(io::Error) -> Self {
        move |source| {
            let block = block.name().into();
            match source.kind() {
                _ if is_missing(&source) => Self::Missing { block, part },
                // A file shorter than something else in the block says.
                io::ErrorKind::UnexpectedEof => {
                    Self::corrupt_at(block, CorruptBlock { part: "block", offset: 0, what: "a file is cut" })
                }
                _ => Self::Unreadable { block, part, source },
            }
        }
    }

    fn corrupt_at(block: Box<str>, source: CorruptBlock) -> Self {
        Self::Corrupt { block, source }
    }

    /// Whether trying again is in vain.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Missing { .. })
    }
}
