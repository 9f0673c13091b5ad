//! The catalogue on disk, and every change of it.
//!
//! A change is checked against the current snapshot, written in one transaction together with its line in the audit log,
//! and only then seen: by a new snapshot, and by the [`Observer`]s, before the caller is told that it is made. All of that
//! happens on a thread of the store's own: a caller that goes away leaves the change made, or not begun.

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use environment::{Clock, Rng, UnixTime};
use futures_executor::block_on;
use model::{AccountId, ResourceId};
use sqlx::Connection as _;
use uuid::Uuid;

use crate::database::{self, Connection, dialect, failed};
use crate::draft::{Draft, Entry};
use crate::worker::Worker;
use crate::writer::{Observers, Writer, WriterParts};
use crate::{
    Actor, Application, ApplicationSpec, Assignment, AssignmentSpec, AuditRecord, Catalog, CredentialChange,
    DeletedWorkspace, Endpoint, EndpointSpec, GroupSpec, Identity, IdentitySpec, Item, Observer, Precondition, Profile,
    Put, ResourceGroup, Rule, RuleSpec, Snapshot, StoreError, Subscription, Workspace, WorkspaceLimits, WorkspaceSpec,
    change, file,
};

/// What a store can be set to.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// For how long a deleted workspace can be restored.
    pub workspace_retention: Duration,
    /// What workspaces are created with when the request does not say.
    pub profile: Profile,
    /// For how long lines of the audit log are kept.
    pub audit_retention: Duration,
}

impl Default for StoreSettings {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        Self { workspace_retention: days(14), profile: Profile::Strict, audit_retention: days(90) }
    }
}

/// The catalogue on disk.
pub struct Store {
    catalog: Arc<Catalog>,
    observers: Observers,
    audit_retention: Duration,
    /// Beside the writer, so that a copy or a long look into the audit log holds no change up. None in memory, where only
    /// one connection sees the tables. Declared first, as fields are dropped in order: the writer tidies up last.
    reader: Option<Worker<Connection>>,
    writer: Worker<Writer>,
}

impl Store {
    /// Opens the catalogue in the file `path`; makes it when there is none. `:memory:` is one that is forgotten.
    ///
    /// # Errors
    /// When the file cannot be used, or was written by a newer version.
    pub async fn open(
        path: &Path,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        settings: StoreSettings,
    ) -> Result<Self, StoreError> {
        let catalog = Arc::new(Catalog::new(Snapshot::default()));
        let observers = Observers::default();
        let audit_retention = settings.audit_retention;
        let file = (path != Path::new(":memory:")).then(|| path.to_owned());
        let parts = WriterParts {
            file: file.clone(),
            catalog: Arc::clone(&catalog),
            observers: Arc::clone(&observers),
            settings,
            clock,
            rng,
        };
        let writer = Worker::start("catalog-writer", move || Writer::open(parts), Writer::close).await?;
        let reader = match file {
            Some(file) => {
                let connect = move || block_on(dialect::connect_reader(&file)).map_err(failed("opened"));
                let close = |connection: Connection| drop(block_on(connection.close()));
                Some(Worker::start("catalog-reader", connect, close).await?)
            }
            None => None,
        };
        Ok(Self { catalog, observers, audit_retention, reader, writer })
    }

    /// The snapshots of this store, for those who only read.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog)
    }

    /// Tells `observer` of every change from now on.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.observers.lock().unwrap_or_else(PoisonError::into_inner).push(observer);
    }

    /// Makes a subscription, or renames it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is changed then. So for all methods below.
    pub async fn put_subscription(&self, actor: &Actor, id: Uuid, name: &str) -> Result<Put<Subscription>, StoreError> {
        let name = name.to_owned();
        self.change(actor, move |draft| change::subscription::put(draft, id, &name)).await
    }

    /// Makes or changes a resource group.
    pub async fn put_group(
        &self,
        actor: &Actor,
        id: &ResourceId,
        spec: GroupSpec,
        precondition: Precondition,
    ) -> Result<Put<ResourceGroup>, StoreError> {
        let id = id.clone();
        self.change(actor, move |draft| change::group::put(draft, &id, spec, &precondition)).await
    }

    /// Deletes a resource group with everything in it (workspaces softly). `false`: there was none.
    pub async fn delete_group(
        &self,
        actor: &Actor,
        id: &ResourceId,
        precondition: Precondition,
    ) -> Result<bool, StoreError> {
        let id = id.clone();
        self.change(actor, move |draft| change::group::delete(draft, &id, &precondition)).await
    }

    /// Makes or changes a workspace; one that is made with defaults gets its managed group, endpoint and rule in the same
    /// transaction.
    pub async fn put_workspace(
        &self,
        actor: &Actor,
        id: &ResourceId,
        spec: WorkspaceSpec,
        precondition: Precondition,
    ) -> Result<Put<Workspace>, StoreError> {
        let id = id.clone();
        self.change(actor, move |draft| change::workspace::put(draft, &id, spec, &precondition)).await
    }

    /// Sets what a workspace may take. Whether that is allowed (contract §4.3) is for the caller to say.
    pub async fn set_limits(
        &self,
        actor: &Actor,
        id: &ResourceId,
        limits: WorkspaceLimits,
        precondition: Precondition,
    ) -> Result<Put<Workspace>, StoreError> {
        let id = id.clone();
        self.change(actor, move |draft| change::workspace::set_limits(draft, &id, limits, &precondition)).await
    }

    /// Deletes a workspace with what was made with it; rules of others lose it as a destination (a rule without one stays and
    /// takes nothing). It can be restored until `workspace_retention` has passed, or is gone at once with `purge`.
    /// `None`: there was none.
    pub async fn delete_workspace(
        &self,
        actor: &Actor,
        id: &ResourceId,
        precondition: Precondition,
        purge: bool,
    ) -> Result<Option<Arc<Workspace>>, StoreError> {
        let id = id.clone();
        self.change(actor, move |draft| change::workspace::delete(draft, &id, &precondition, purge)).await
    }

    /// Brings a deleted workspace back, with its data, its default endpoint and rule, and the role assignments on them;
    /// a handle that was taken meanwhile is replaced by a free one.
    pub async fn restore_workspace(&self, actor: &Actor, account: AccountId) -> Result<Put<Workspace>, StoreError> {
        self.change(actor, move |draft| change::deleted::restore(draft, account)).await
    }

    /// Forgets a deleted workspace before its time.
    pub async fn purge_workspace(
        &self,
        actor: &Actor,
        account: AccountId,
    ) -> Result<Arc<DeletedWorkspace>, StoreError> {
        self.change(actor, move |draft| change::deleted::purge(draft, account)).await
    }

    /// Forgets deleted workspaces whose time is over at `now`; how many.
    pub async fn purge_expired(&self, now: UnixTime) -> Result<usize, StoreError> {
        let audit_start = now.minus(self.audit_retention).as_millis();
        let purge = move |writer: &mut Writer| {
            let purged =
                writer.change(&Actor::program("expiry"), |draft| Ok(change::deleted::purge_expired(draft, now)))?;
            block_on(database::audit::forget_before(writer.connection(), audit_start))?;
            Ok(purged)
        };
        self.writer.run("written", purge).await?
    }

    /// Makes or changes an endpoint.
    pub async fn put_endpoint(
        &self,
        actor: &Actor,
        id: &ResourceId,
        spec: EndpointSpec,
        precondition: Precondition,
    ) -> Result<Put<Endpoint>, StoreError> {
        let id = id.clone();
        self.change(actor, move |draft| change::endpoint::put(draft, &id, spec, &precondition)).await
    }

    /// Deletes an endpoint. Refused while a rule is bound to it. `false`: there was none.
    pub async fn delete_endpoint(
        &self,
        actor: &Actor,
        id: &ResourceId,
        precondition: Precondition,
    ) -> Result<bool, StoreError> {
        let id = id.clone();
        self.change(actor, move |draft| change::endpoint::delete(draft, &id, &precondition)).await
    }

    /// Makes or changes a rule. Everything that is wrong with its references is said at once.
    pub async fn put_rule(
        &self,
        actor: &Actor,
        id: &ResourceId,
        spec: RuleSpec,
        precondition: Precondition,
    ) -> Result<Put<Rule>, StoreError> {
        let id = id.clone();
        self.change(actor, move |draft| change::rule::put(draft, &id, spec, &precondition)).await
    }

    /// Deletes a rule. `false`: there was none.
    pub async fn delete_rule(
        &self,
        actor: &Actor,
        id: &ResourceId,
        precondition: Precondition,
    ) -> Result<bool, StoreError> {
        let id = id.clone();
        self.change(actor, move |draft| change::rule::delete(draft, &id, &precondition)).await
    }

    /// Makes or changes a managed identity.
    pub async fn put_identity(
        &self,
        actor: &Actor,
        id: &ResourceId,
        spec: IdentitySpec,
        precondition: Precondition,
    ) -> Result<Put<Identity>, StoreError> {
        let id = id.clone();
        self.change(actor, move |draft| change::identity::put(draft, &id, spec, &precondition)).await
    }

    /// Changes what stands for a managed identity (federations alone).
    pub async fn change_identity(
        &self,
        actor: &Actor,
        id: &ResourceId,
        change: CredentialChange,
    ) -> Result<Arc<Identity>, StoreError> {
        let id = id.clone();
        self.change(actor, move |draft| change::identity::change(draft, &id, change)).await
    }

    /// Deletes a managed identity. Role assignments of it stay, as in Azure. `false`: there was none.
    pub async fn delete_identity(
        &self,
        actor: &Actor,
        id: &ResourceId,
        precondition: Precondition,
    ) -> Result<bool, StoreError> {
        let id = id.clone();
        self.change(actor, move |draft| change::identity::delete(draft, &id, &precondition)).await
    }

    /// Makes a role assignment. The same one again changes nothing; another of the same principal, role and scope is a
    /// conflict `RoleAssignmentExists`, and so is one of the same id with other contents (`RoleAssignmentUpdateNotPermitted`).
    pub async fn put_assignment(&self, actor: &Actor, spec: AssignmentSpec) -> Result<Put<Assignment>, StoreError> {
        self.change(actor, move |draft| change::assignment::put(draft, spec)).await
    }

    /// Deletes a role assignment. `None`: there was none.
    pub async fn delete_assignment(
        &self,
        actor: &Actor,
        id: &ResourceId,
    ) -> Result<Option<Arc<Assignment>>, StoreError> {
        let id = id.clone();
        self.change(actor, move |draft| Ok(change::assignment::delete(draft, &id))).await
    }

    /// Makes an application.
    pub async fn create_application(
        &self,
        actor: &Actor,
        spec: ApplicationSpec,
    ) -> Result<Arc<Application>, StoreError> {
        self.change(actor, move |draft| change::application::create(draft, spec)).await
    }

    /// Changes what stands for an application.
    pub async fn change_application(
        &self,
        actor: &Actor,
        client_id: Uuid,
        change: CredentialChange,
    ) -> Result<Arc<Application>, StoreError> {
        self.change(actor, move |draft| change::application::change(draft, client_id, change)).await
    }

    /// Deletes an application. `false`: there was none.
    pub async fn delete_application(&self, actor: &Actor, client_id: Uuid) -> Result<bool, StoreError> {
        self.change(actor, move |draft| Ok(change::application::delete(draft, client_id))).await
    }

    /// Makes or changes many resources in their order, all of them or none, in one transaction: for start-up and tests.
    pub async fn put_all(&self, actor: &Actor, items: Vec<Item>) -> Result<(), StoreError> {
        self.change(actor, move |draft| items.into_iter().try_for_each(|item| change::put_item(draft, item))).await
    }

    /// Whether something that a settings file declares was made before, and notes that it is from now on: what was declared
    /// and then deleted by somebody stays deleted.
    ///
    /// Ask [`Snapshot::is_declared`] first, make it, then note it: what is noted and not yet made when the process dies would
    /// never be made. In one transaction: [`Self::put_all`] with [`Item::Declaration`].
    pub async fn declare(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        let declare = move |draft: &mut Draft<'_>| {
            let before = draft.next.is_declared(&name);
            if !before {
                draft.declare(&name);
            }
            Ok(before)
        };
        self.change(&Actor::program("settings"), declare).await
    }

    /// Writes a line into the audit log about something that changes nothing in here.
    pub async fn note(
        &self,
        actor: &Actor,
        operation: &'static str,
        target: &ResourceId,
        detail: serde_json::Value,
    ) -> Result<(), StoreError> {
        let (actor, target) = (actor.clone(), target.to_string());
        let note = move |writer: &mut Writer| writer.note(&actor, Entry { operation, target, detail: Some(detail) });
        self.writer.run("written", note).await?
    }

    /// The newest lines of the audit log that match, newest first: from `before` (a sequence, exclusive) backwards.
    pub async fn audit(
        &self,
        target_prefix: Option<&str>,
        since_ms: Option<i64>,
        before: Option<i64>,
        count_max: u32,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let asked = database::audit::Query {
            target_prefix: target_prefix.map(|prefix| prefix.trim_end_matches('/').to_ascii_lowercase()),
            since_ms,
            before,
            count_max,
        };
        self.read(move |connection| block_on(database::audit::query(connection, &asked))).await
    }

    /// Writes a copy of the catalogue, consistent in itself, to the file `to`, which must not exist; changes go on meanwhile.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let to = to.to_owned();
        self.read(move |connection| copy(connection, &to)).await
    }

    /// Waits for changes under way and closes the file.
    pub async fn close(&self) {
        if let Some(reader) = &self.reader {
            reader.close().await;
        }
        self.writer.close().await;
    }

    async fn change<T: Send + 'static>(
        &self,
        actor: &Actor,
        work: impl FnOnce(&mut Draft<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let actor = actor.clone();
        self.writer.run("written", move |writer| writer.change(&actor, work)).await?
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match &self.reader {
            Some(reader) => reader.run("read", work).await?,
            None => self.writer.run("read", move |writer| work(writer.connection())).await?,
        }
    }
}

/// Copies what `connection` reads to the new file `to`; durable when it returns.
fn copy(connection: &mut Connection, to: &Path) -> Result<(), StoreError> {
    let failed_on = |reason: String| StoreError::Database { action: "copied", reason };
    let named = |error: std::io::Error| failed_on(format!("{}: {error}", to.display()));
    let text = to.to_str().ok_or_else(|| failed_on(format!("{}: the path is not UTF-8", to.display())))?;
    let file = file::create_private(to).map_err(named)?;
    let copied = block_on(dialect::copy_to(connection, text)).map_err(failed("copied"));
    let copied = copied.and_then(|()| file.sync_all().map_err(named));
    if copied.is_err() {
        // A torn copy must not be taken for a backup. That it cannot be removed changes nothing in what is answered.
        let _ = std::fs::remove_file(to);
    }
    copied
}
