//! What a call asks, once it is known who asks and of which workspaces.

use std::sync::Arc;

use storage::Queryable;

/// One call over the data of its workspaces.
pub(crate) struct Call {
    /// The data.
    pub(crate) view: Arc<dyn Queryable>,
    /// Whether its workspaces behave as Azure's do.
    pub(crate) azure: bool,
}
