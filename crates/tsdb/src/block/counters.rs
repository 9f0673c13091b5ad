//! What went wrong with blocks, counted.

use crate::stats::Counter;

/// Shared by all blocks of a database.
#[derive(Default)]
pub(crate) struct BlockCounters {
    /// Chunks that cannot be read, each time they are asked for.
    pub(crate) corrupt_chunks: Counter,
    /// Series whose entry in an index cannot be read, each time they are asked for.
    pub(crate) corrupt_series: Counter,
    /// Blocks whose index cannot be read, since the database was opened.
    pub(crate) broken_blocks: Counter,
    /// Blocks moved out of the way, since the database was opened.
    pub(crate) set_aside: Counter,
}
