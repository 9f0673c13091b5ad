//! What went wrong with blocks, counted.

use crate::stats::Counter;

/// Shared by all blocks of a database.
#[derive(Default)]
pub(crate) struct BlockCounters {
    /// Chunks found damaged, each once while its block is in use.
    pub(crate) corrupt_chunks: Counter,
    /// Series whose entry in an index was found damaged, each once while its block is in use.
    pub(crate) corrupt_series: Counter,
    /// Blocks found damaged as they were opened or used, each once, since the database was opened.
    pub(crate) broken_blocks: Counter,
    /// Blocks moved out of the way, since the database was opened.
    pub(crate) set_aside: Counter,
}
