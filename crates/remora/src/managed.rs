//! The service with its catalogue and all that follows it: what `up` and `serve` have in common.
//!
//! The order at the start: catalogue → places for the databases of what is in it, none of them open → policies, quotas and
//! principals as it says → from now on they follow it → what is declared is made → background tasks → the edges. At the end the
//! other way round: tasks, the last platform metrics, databases, catalogue.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use access::{Issuer, Verifier};
use anyhow::Context;
use authority::Authority;
use catalog::{Store, StoreSettings};
use environment::Clock;
use http_serving::metrics::ConnectionMetrics;
use identity::Environment;
use model::{AccountId, EndpointDomain, ResourceId};
use quota::Quotas;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tsdb::{Engine, EngineSettings};

use crate::backup::Backups;
use crate::budgets::Budgets;
use crate::data_directory::DataDirectory;
use crate::databases::{Databases, FollowCatalog, Opener, Resting};
use crate::declared::{Declared, system_workspace};
use crate::principals::Principals;
use crate::propagation::{Propagation, Span};
use crate::recording::Recording;
use crate::service::{self, Service};
use crate::settings::{Audiences, QuerySettings, StorageSettings};

/// What a managed service is started with.
pub(crate) struct ManagedSettings {
    pub(crate) directory: Arc<DataDirectory>,
    pub(crate) backup_directory: Option<PathBuf>,
    pub(crate) storage: StorageSettings,
    pub(crate) resting: Resting,
    pub(crate) store: StoreSettings,
    pub(crate) limits: quota::Limits,
    pub(crate) role_propagation: Span,
    pub(crate) declared: Declared,
    pub(crate) issuers: Vec<Issuer>,
    /// One in this process: it follows the catalogue.
    pub(crate) authority: Option<Arc<Authority>>,
    pub(crate) audiences: Audiences,
    pub(crate) published: Published,
    pub(crate) body_bytes_max: Option<u64>,
    pub(crate) queries: QuerySettings,
}

/// How clients find the service and the authority.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// Of the service, without a slash at the end.
    pub(crate) url: String,
    pub(crate) endpoint_domain: Option<EndpointDomain>,
    pub(crate) region: String,
    pub(crate) tenant_id: String,
    /// The authority's address, without the directory.
    pub(crate) login_endpoint: String,
    /// Where a client without a token is sent for one.
    pub(crate) authorization_uri: String,
}

/// A running service's parts that must end well.
pub(crate) struct Managed {
    store: Arc<Store>,
    databases: Arc<Databases>,
    tasks: Vec<JoinHandle<()>>,
    recording: (oneshot::Sender<()>, JoinHandle<()>),
}

impl Managed {
    /// Opens everything and makes what is declared.
    ///
    /// # Errors
    /// When a part cannot be opened.
    pub(crate) async fn start(
        settings: ManagedSettings,
        world: &Environment,
        connections: &ConnectionMetrics,
    ) -> anyhow::Result<(Self, Service)> {
        let ManagedSettings { directory, declared, issuers, published, .. } = settings;
        let clock = &world.clock;
        let store = open_store(&directory, settings.store, world).await?;
        let snapshot = store.catalog().snapshot();
        let quotas = Arc::new(Quotas::new(settings.limits));
        let engine = Engine::start(Arc::clone(&world.disk), Arc::clone(clock), EngineSettings::default())?;
        let opener = Opener {
            directory: Arc::clone(&directory),
            disk: Arc::clone(&world.disk),
            engine,
            settings: settings.storage,
            catalog: store.catalog(),
            quotas: Arc::clone(&quotas),
            clock: Arc::clone(clock),
            runtime: Handle::current(),
        };
        let databases = Databases::new(&snapshot, opener, settings.resting);
        let propagation = Propagation::new(&snapshot, settings.role_propagation, Arc::clone(clock));
        store.observe(Arc::new(Budgets::new(Arc::clone(&quotas), &snapshot)));
        store.observe(Arc::new(FollowCatalog(Arc::clone(&databases))));
        store.observe(Arc::clone(&propagation) as _);
        if let Some(authority) = settings.authority {
            let principals = Principals(authority);
            principals.put(&snapshot);
            store.observe(Arc::new(principals));
        }
        let system = system_workspace(declared.subscription.0)?;
        declared.make(&store, &*world.rng).await?;
        databases.tidy(&store.catalog().snapshot())?;

        let verifier = Verifier::new(issuers, Arc::clone(&world.http), Arc::clone(clock));
        let verifier = Arc::new(verifier.context("the issuers cannot be trusted")?);
        let backups = Backups::new(
            settings.backup_directory.unwrap_or_else(|| directory.path().join("backups")),
            Arc::clone(&store),
            Arc::clone(&directory),
            Arc::clone(&databases),
            Arc::clone(&world.disk),
            Arc::clone(clock),
        );
        let parts = service::Parts {
            store: Arc::clone(&store),
            verifier: Arc::clone(&verifier),
            policies: propagation.policies(),
            quotas: Arc::clone(&quotas),
            databases: Arc::clone(&databases),
            administration: Arc::new(backups),
            clock: Arc::clone(clock),
            rng: Arc::clone(&world.rng),
        };
        let settings = service::Settings {
            audiences: settings.audiences,
            published,
            body_bytes_max: settings.body_bytes_max,
            queries: settings.queries,
        };
        let service = Service::new(parts, settings, connections);

        let tasks = vec![
            tokio::spawn(propagation.run()),
            tokio::spawn(Arc::clone(&databases).keep_trying()),
            tokio::spawn(Arc::clone(&databases).close_idle(system_account(Arc::clone(&store), system.clone()))),
            tokio::spawn(Arc::clone(&databases).visit_closed()),
            tokio::spawn(purge_what_is_due(Arc::clone(&store), Arc::clone(clock))),
            tokio::spawn(async move { verifier.keep_keys_fresh().await }),
        ];
        let (end_recording, recording_ends) = oneshot::channel();
        let recording = Recording {
            quotas,
            store: Arc::clone(&store),
            databases: Arc::clone(&databases),
            system,
            clock: Arc::clone(clock),
        };
        let recording = tokio::spawn(recording.run(recording_ends));
        Ok((Self { store, databases, tasks, recording: (end_recording, recording) }, service))
    }

    /// Ends when nothing is served any more.
    ///
    /// # Errors
    /// When data could not be kept.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        let Self { store, databases, tasks, recording: (end_recording, recording) } = self;
        tasks.iter().for_each(JoinHandle::abort);
        let _already_ended = end_recording.send(());
        recording.await.context("recording platform metrics panicked")?;
        let closed = databases.close().await;
        store.close().await;
        closed
    }
}

async fn open_store(
    directory: &DataDirectory,
    settings: StoreSettings,
    world: &Environment,
) -> anyhow::Result<Arc<Store>> {
    let path = directory.catalog();
    let parent = path.parent().context("the catalogue lies in a directory of its own")?;
    world.disk.create_directory(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let started = world.clock.monotonic();
    let store = Store::open(&path, Arc::clone(&world.clock), Arc::clone(&world.rng), settings).await?;
    let milliseconds = world.clock.monotonic().since(started).as_millis();
    tracing::info!(revision = store.catalog().snapshot().revision(), milliseconds, "Catalogue opened");
    Ok(Arc::new(store))
}

/// Finds the system workspace that there is: it is written to every minute.
fn system_account(store: Arc<Store>, system: ResourceId) -> impl Fn() -> Option<AccountId> {
    move || {
        let snapshot = store.catalog().snapshot();
        snapshot.workspaces().get(&catalog::key(&system)).map(|workspace| workspace.account_id)
    }
}

/// Lets go of deleted workspaces whose time is over, now and every hour, for ever.
async fn purge_what_is_due(store: Arc<Store>, clock: Arc<dyn Clock>) {
    loop {
        match store.purge_expired(clock.now()).await {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(count, "Deleted workspaces are gone for good; their time to be restored is over");
            }
            Err(error) => tracing::warn!(%error, "Deleted workspaces could not be purged; it is tried again"),
        }
        clock.sleep(PURGE_INTERVAL).await;
    }
}

const PURGE_INTERVAL: Duration = Duration::from_secs(3600);
