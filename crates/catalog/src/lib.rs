//! What exists: subscriptions, groups, workspaces, data collection endpoints and rules, principals, role assignments.
//!
//! [`Store`] keeps it in a database and makes changes; readers on hot paths take a [`Snapshot`] of a [`Catalog`] without a
//! lock. Invariants: a change is durable before it is seen, seen before it is answered, and made wholly or not at all; a
//! secret is kept as its digest only. Not here: what a role permits (`access`), samples (`storage`), HTTP (`arm-api`).

mod change;
mod database;
mod draft;
mod error;
mod file;
mod fleet;
mod names;
mod request;
mod resources;
mod snapshot;
mod store;
mod stored;
mod worker;
mod writer;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use error::{CatalogError, Problem, StoreError};
pub use fleet::Fleet;
pub use request::{
    ApplicationSpec, AssignmentSpec, AuditRecord, Change, CredentialChange, EndpointSpec, GroupSpec, IdentitySpec,
    Item, Observer, Precondition, Put, RuleSpec, WorkspaceSpec,
};
pub use resources::{
    Actor, ActorKind, Application, ApplicationCertificate, ApplicationSecret, Assignment, DeletedWorkspace, Endpoint,
    Envelope, Federation, Identity, Profile, ResourceGroup, Route, Rule, Stamp, Subscription, Workspace,
    WorkspaceLimits, WorkspaceStorage,
};
pub use snapshot::{Snapshot, Table, key};
pub use store::{Store, StoreSettings};

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
