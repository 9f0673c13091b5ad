//! What exists: workspaces, data collection endpoints and rules, and how they hang together.
//!
//! Readers on hot paths take a [`Snapshot`] without a lock; a change builds a new snapshot and puts it in place at once.
//! Not here: who may do what (`access`), samples (`storage`). Contents come from the program's settings; a persistent
//! store takes their place behind the same snapshot.

mod resources;
mod snapshot;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use resources::{Endpoint, Profile, Rule, Workspace};
pub use snapshot::{CatalogError, Snapshot};

/// The stream of Prometheus metrics, the only one that rules here carry.
pub const PROMETHEUS_STREAM: &str = "Microsoft-PrometheusMetrics";

/// The current snapshot, replaced as a whole.
pub struct Catalog {
    current: ArcSwap<Snapshot>,
}

impl Catalog {
    /// A catalogue that holds `snapshot`.
    pub fn new(snapshot: Snapshot) -> Self {
        Self { current: ArcSwap::from_pointee(snapshot) }
    }

    /// What exists now. Does not lock; the snapshot stays as it is while it is held.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts `snapshot` in place; requests that begin afterwards see it.
    pub fn replace(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
    }
}
