//! `remora up`: everything on this machine.
//!
//! The order of events: take the data directory → open the listeners, whose ports everything else is told → authority →
//! databases → service and authority serve → sidecar → own metrics flow → once all of it answers, `up.json` and the text
//! for the user. At the end the other way round: the sidecar drains into the service, then the databases close.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use access::{RoleAssignment, Verifier, roles};
use anyhow::{Context, anyhow, ensure};
use authority::{Authority, AuthorityHandler, Config, Federation, LocalCa, RegisteredCertificate, TokenLifetimes};
use bytes::Bytes;
use catalog::{Catalog, Endpoint, PROMETHEUS_STREAM, Profile, Rule, Snapshot, Workspace};
use environment::Disk;
use http_serving::metrics::ConnectionMetrics;
use http_serving::{Certificate, Server, bind};
use identity::Environment;
use model::ResourceId;
use sidecar::Sidecar;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tsdb::WalSync;

use crate::cli;
use crate::data_directory::{self, DataDirectory};
use crate::databases::Databases;
use crate::installation::{Installation, Principal};
use crate::private_file;
use crate::self_scrape::{self, Target};
use crate::service::{self, Service};
use crate::settings::{Audiences, WAL_SYNC_INTERVAL};
use crate::shutdown::Shutdown;
use crate::up_facts::Facts;

/// Runs until told to end.
///
/// # Errors
/// When a part of it cannot start, or data could not be kept at the end.
pub(crate) async fn run(arguments: cli::Up) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let directory = match arguments.data_dir.clone() {
        Some(directory) => directory,
        None => data_directory::default_path()?,
    };
    let roots = host::tls::roots(None)?;
    let world = sidecar::host_environment(roots);
    let directory = Arc::new(DataDirectory::take(directory, &*world.disk)?);
    Facts::remove(directory.path(), &*world.disk)?;
    let listeners = Listeners::open(&arguments)?;
    let installation = Installation::open(directory.path(), &*world.disk, &*world.rng, &*world.clock)?;
    let local = LocalAuthority::open(&installation, &directory, &listeners, &world)?;

    let workspace = resources(&installation)?;
    let databases = open_databases(&workspace, &directory, &world.disk, arguments.sync_every_commit).await?;
    let verifier = Verifier::new([local.authority.trusted_issuer()], Arc::clone(&world.http), Arc::clone(&world.clock));
    let verifier = Arc::new(verifier.context("the local authority cannot be trusted")?);
    let connections = ConnectionMetrics::default();
    let service = Service::new(
        service::Parts {
            catalog: Arc::new(Catalog::new(workspace)),
            verifier,
            policy: service::policy(role_assignments(&installation)?)?,
            databases: Arc::clone(&databases),
            clock: Arc::clone(&world.clock),
            audiences: Audiences::default(),
            authorization_uri: format!("{}/{}", listeners.authority_url("https"), installation.ids.tenant_id),
            body_bytes_max: None,
        },
        &connections,
    );
    let facts = Facts::new(&installation, &local.ca, &listeners);
    let Listeners { service: service_listener, authority: authority_listener, .. } = listeners;
    // The service ends after the sidecar, so that what the sidecar still holds arrives.
    let (end_service, service_ends) = oneshot::channel::<()>();
    let serving = Server::new(service::LISTENER, service, &*world.rng)
        .with_certificate(Arc::clone(&local.certificate))
        .with_metrics(connections)
        .serve(service_listener, async {
            let _dropped = service_ends.await;
        });
    let issuing = Server::new("authority", AuthorityHandler::new(Arc::clone(&local.authority)), &*world.rng)
        .with_certificate(Arc::clone(&local.certificate))
        .serve(authority_listener, shutdown.ordered());
    let sidecar =
        Sidecar::bind(&sidecar_settings(&facts, arguments.sidecar_address, directory.path())?, world.clone()).await?;
    let facts = facts.with_sidecar(sidecar.address());
    let mut parts = Running::default();
    parts.start("service", serving);
    parts.start("authority", issuing);
    parts.start("sidecar", sidecar.run(shutdown.ordered()));
    let helpers = [
        tokio::spawn(local.keep(installation.files.federated_token.clone(), world.clone())),
        start_self_scrape(&facts, &world),
    ];

    let served = tokio::select! {
        served = announce_and_wait(&facts, directory.path(), &world, &shutdown) => served,
        ended = parts.next_end() => match ended {
            // A part may hear of the order to end, and obey, before this task hears of it.
            Ok(_) if shutdown.is_ordered() => Ok(()),
            Ok(name) => Err(anyhow!("the {name} ended by itself")),
            Err(error) => Err(error),
        },
    };
    helpers.iter().for_each(JoinHandle::abort);
    Facts::remove(directory.path(), &*world.disk)?;
    served?;
    parts.end_of("sidecar").await?;
    let _already_ended = end_service.send(());
    parts.all_ends().await?;
    tokio::task::spawn_blocking(move || databases.close()).await.context("closing the databases panicked")??;
    Ok(())
}

/// Waits until everything answers, says so, then waits for the order to end.
async fn announce_and_wait(
    facts: &Facts,
    directory: &Path,
    world: &Environment,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    tokio::select! {
        everything = wait_until_ready(facts, world) => everything?,
        () = shutdown.ordered() => return Ok(()),
    }
    facts.publish(directory, &*world.disk)?;
    facts.print(directory);
    shutdown.ordered().await;
    Ok(())
}

/// The parts that serve, each on a task of its own.
#[derive(Default)]
struct Running {
    parts: JoinSet<&'static str>,
    ended: Vec<&'static str>,
}

impl Running {
    fn start(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.parts.spawn(async move {
            part.await;
            name
        });
    }

    /// The name of the next part that ends.
    async fn next_end(&mut self) -> anyhow::Result<&'static str> {
        let ended = self.parts.join_next().await.context("no part runs")?;
        let name = ended.context("a part panicked; the log says where")?;
        self.ended.push(name);
        Ok(name)
    }

    /// Waits until the part `name` has ended.
    async fn end_of(&mut self, name: &str) -> anyhow::Result<()> {
        while !self.ended.contains(&name) {
            self.next_end().await?;
        }
        Ok(())
    }

    async fn all_ends(mut self) -> anyhow::Result<()> {
        while !self.parts.is_empty() {
            self.next_end().await?;
        }
        Ok(())
    }
}

/// Open sockets; nothing answers on them yet.
pub(crate) struct Listeners {
    service: TcpListener,
    authority: TcpListener,
    service_address: SocketAddr,
    authority_address: SocketAddr,
}

impl Listeners {
    fn open(arguments: &cli::Up) -> anyhow::Result<Self> {
        let open = |what: &str, address: SocketAddr| {
            ensure!(
                address.ip().is_loopback(),
                "--{what}-address {address}: `remora up` listens on loopback addresses only"
            );
            let listener = bind(address).with_context(|| {
                format!("cannot listen on {address}; say --{what}-address ADDR (port 0 picks a free one)")
            })?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        ensure!(
            arguments.sidecar_address.ip().is_loopback(),
            "--sidecar-address {}: `remora up` listens on loopback addresses only",
            arguments.sidecar_address
        );
        let (service, service_address) = open("service", arguments.service_address)?;
        let (authority, authority_address) = open("authority", arguments.authority_address)?;
        Ok(Self { service, authority, service_address, authority_address })
    }

    pub(crate) fn service_url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.service_address)
    }

    pub(crate) fn authority_url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.authority_address)
    }
}

/// The authority with its CA, and the one certificate of both listeners.
struct LocalAuthority {
    authority: Arc<Authority>,
    ca: Arc<LocalCa>,
    certificate: Arc<Certificate>,
}

impl LocalAuthority {
    fn open(
        installation: &Installation,
        directory: &DataDirectory,
        listeners: &Listeners,
        world: &Environment,
    ) -> anyhow::Result<Self> {
        let path = directory.path().join("authority");
        world.disk.create_directory(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let ca = LocalCa::open(Arc::clone(&world.disk), Arc::clone(&world.clock), &path, &[])?;
        let material = ca.server_certificate()?;
        let (chain, key) = (material.chain_pem.as_bytes(), material.key_pem.as_bytes());
        let certificate = Certificate::from_pem(host::tls::provider(), chain, key)?;
        let environment = authority::Environment {
            clock: Arc::clone(&world.clock),
            rng: Arc::clone(&world.rng),
            disk: Arc::clone(&world.disk),
            http: Arc::clone(&world.http),
        };
        let config = authority_config(installation, listeners.authority_url("https"))?;
        let authority = Authority::open(config, &path, environment)?;
        let authority = Self { authority: Arc::new(authority), ca: Arc::new(ca), certificate: Arc::new(certificate) };
        authority.write_federated_token(&installation.files.federated_token, &*world.disk)?;
        Ok(authority)
    }

    /// Renews what expires, for ever: the federated token as a kubelet does, the server's certificate, the signing keys.
    fn keep(&self, federated_token: PathBuf, world: Environment) -> impl Future<Output = ()> + Send + use<> {
        let local = Self {
            authority: Arc::clone(&self.authority),
            ca: Arc::clone(&self.ca),
            certificate: Arc::clone(&self.certificate),
        };
        async move {
            for round in 1u64.. {
                world.clock.sleep(UPKEEP_INTERVAL).await;
                if let Err(error) = local.renew(round, &federated_token, &*world.disk) {
                    tracing::warn!(error = %format!("{error:#}"), "Upkeep of the local authority failed; it is tried again");
                }
            }
        }
    }

    fn renew(&self, round: u64, federated_token: &Path, disk: &dyn Disk) -> anyhow::Result<()> {
        self.write_federated_token(federated_token, disk)?;
        let material = self.ca.server_certificate()?;
        self.certificate.replace(material.chain_pem.as_bytes(), material.key_pem.as_bytes())?;
        if round.is_multiple_of(KEY_ROTATION_ROUNDS) {
            self.authority.rotate_keys()?;
        }
        Ok(())
    }

    fn write_federated_token(&self, path: &Path, disk: &dyn Disk) -> anyhow::Result<()> {
        let token =
            self.authority.issue_workload_token(WORKLOAD_SUBJECT, FEDERATION_AUDIENCE, FEDERATED_TOKEN_LIFETIME);
        let token = token.context("the local authority has a workload issuer")?;
        private_file::replace(disk, path, token.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn authority_config(installation: &Installation, issuer_base: String) -> anyhow::Result<Config> {
    let ids = &installation.ids;
    let resource_id = ids.resource_id("Microsoft.ManagedIdentity/userAssignedIdentities", "sidecar").parse()?;
    let mut config = Config {
        tenant_id: ids.tenant_id,
        tenant_names: Vec::new(),
        issuer_base,
        host_names: Vec::new(),
        audiences: AUDIENCES.map(str::to_owned).to_vec(),
        applications: Vec::new(),
        managed_identities: vec![authority::ManagedIdentity {
            client_id: ids.managed_identity.client_id,
            object_id: ids.managed_identity.object_id,
            resource_id,
            is_default: true,
            federations: Vec::new(),
        }],
        imds: true,
        app_service_header: Some(installation.identity_header.clone()),
        workload_issuer: true,
        lifetimes: TokenLifetimes::default(),
    };
    let federation = Federation {
        issuer: config.workload_issuer_name(),
        subject: WORKLOAD_SUBJECT.to_owned(),
        audience: FEDERATION_AUDIENCE.to_owned(),
        key_set: None,
    };
    config.applications = vec![
        authority::Application {
            client_id: ids.application.client_id,
            object_id: ids.application.object_id,
            name: "application".to_owned(),
            secrets: vec![installation.client_secret.clone()],
            certificates: vec![RegisteredCertificate::from_der(&installation.certificate_der)?],
            federations: vec![federation],
        },
        authority::Application {
            client_id: ids.admin.client_id,
            object_id: ids.admin.object_id,
            name: "admin".to_owned(),
            secrets: vec![installation.admin_secret.clone()],
            certificates: Vec::new(),
            federations: Vec::new(),
        },
    ];
    Ok(config)
}

/// The workspace `default` with its endpoint and rule.
fn resources(installation: &Installation) -> anyhow::Result<Snapshot> {
    let (ids, ResourceIds { workspace, endpoint, rule }) = (&installation.ids, ResourceIds::of(installation)?);
    let snapshot = Snapshot::new(
        [Workspace {
            account_id: ids.account_id(),
            resource_id: workspace,
            handle: WORKSPACE.to_owned(),
            profile: Profile::Strict,
        }],
        [Endpoint { resource_id: endpoint.clone(), immutable_id: ids.endpoint.clone() }],
        [Rule {
            resource_id: rule,
            immutable_id: ids.rule.clone(),
            endpoint: Some(endpoint),
            streams: vec![PROMETHEUS_STREAM.to_owned()],
            destinations: vec![ids.account_id()],
        }],
    );
    snapshot.context("the ids of the installation do not fit together")
}

struct ResourceIds {
    workspace: ResourceId,
    endpoint: ResourceId,
    rule: ResourceId,
}

impl ResourceIds {
    fn of(installation: &Installation) -> anyhow::Result<Self> {
        let id = |kind| installation.ids.resource_id(kind, WORKSPACE).parse();
        Ok(Self {
            workspace: id("Microsoft.Monitor/accounts")?,
            endpoint: id("Microsoft.Insights/dataCollectionEndpoints")?,
            rule: id("Microsoft.Insights/dataCollectionRules")?,
        })
    }
}

/// The managed identity and the application may write and read; the admin owns everything, which lets it do neither.
fn role_assignments(installation: &Installation) -> anyhow::Result<Vec<RoleAssignment>> {
    let (ids, resources) = (&installation.ids, ResourceIds::of(installation)?);
    let assignment = |principal: Principal, role: &str, scope: &ResourceId| RoleAssignment {
        principal_id: principal.object_id.to_string(),
        issuer: None,
        role_definition_id: role.to_owned(),
        scope: scope.clone(),
    };
    let subscription: ResourceId = format!("/subscriptions/{}", ids.subscription_id).parse()?;
    let mut assignments = vec![assignment(ids.admin, roles::OWNER, &subscription)];
    for principal in [ids.managed_identity, ids.application] {
        assignments.push(assignment(principal, roles::MONITORING_METRICS_PUBLISHER, &resources.rule));
        assignments.push(assignment(principal, roles::MONITORING_DATA_READER, &resources.workspace));
    }
    Ok(assignments)
}

async fn open_databases(
    catalog: &Snapshot,
    directory: &Arc<DataDirectory>,
    disk: &Arc<dyn Disk>,
    sync_every_commit: bool,
) -> anyhow::Result<Arc<Databases>> {
    let wal_sync = if sync_every_commit { WalSync::EveryCommit } else { WalSync::Interval(WAL_SYNC_INTERVAL) };
    let settings = tsdb::Settings { wal_sync, ..tsdb::Settings::default() };
    // Before anything is served: nothing else would run on this thread meanwhile.
    Ok(Arc::new(Databases::open(catalog, directory, disk, &settings)?))
}

fn sidecar_settings(facts: &Facts, address: SocketAddr, directory: &Path) -> anyhow::Result<sidecar::Settings> {
    let facts = facts.clone().with_sidecar(address);
    let variables = facts.sidecar_variables(directory);
    let lookup = |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone());
    Ok(sidecar::Settings::from_env(lookup)?)
}

fn start_self_scrape(facts: &Facts, world: &Environment) -> JoinHandle<()> {
    let targets = vec![Target::new("remora", &facts.service), Target::new("remora-sidecar", &facts.sidecar)];
    let write_url = format!("{}/api/v1/write", facts.sidecar);
    tokio::spawn(self_scrape::run(Arc::clone(&world.http), Arc::clone(&world.clock), write_url, targets))
}

/// Asks every part until it answers.
async fn wait_until_ready(facts: &Facts, world: &Environment) -> anyhow::Result<()> {
    let discovery = format!("{}/{}/v2.0/.well-known/openid-configuration", facts.authority, facts.tenant_id);
    for url in [format!("{}/ready", facts.service), discovery, format!("{}/ready", facts.sidecar)] {
        let mut tries = 0;
        loop {
            let request = http::Request::get(&url).body(Bytes::new()).context("our own URL is one")?;
            let answer = world.http.send(request, READY_TIMEOUT).await;
            match answer {
                Ok(answer) if answer.status().is_success() => break,
                Ok(answer) if tries >= READY_TRIES => anyhow::bail!("{url} answers {}", answer.status()),
                Err(error) if tries >= READY_TRIES => return Err(error).with_context(|| url.clone()),
                _ => tries += 1,
            }
            world.clock.sleep(READY_PAUSE).await;
        }
    }
    Ok(())
}

/// The workspace's name, and its rule's and endpoint's.
pub(crate) const WORKSPACE: &str = "default";

/// What the local authority gives tokens for: writing, reading, managing.
const AUDIENCES: [&str; 4] = [
    "https://monitor.azure.com",
    "https://prometheus.monitor.azure.com",
    "https://management.azure.com",
    "https://management.core.windows.net",
];

/// Whom the federated token speaks for: what a service account of a cluster would be.
const WORKLOAD_SUBJECT: &str = "system:serviceaccount:monitoring:prometheus";
const FEDERATION_AUDIENCE: &str = "api://AzureADTokenExchange";
const FEDERATED_TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

const UPKEEP_INTERVAL: Duration = Duration::from_secs(3600);

/// A week. A rotated key stays published until the next rotation, far longer than its tokens live.
const KEY_ROTATION_ROUNDS: u64 = 7 * 24;

const READY_PAUSE: Duration = Duration::from_millis(20);
const READY_TRIES: u32 = 1500;
const READY_TIMEOUT: Duration = Duration::from_secs(5);
