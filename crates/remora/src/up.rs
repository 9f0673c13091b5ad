//! `remora up`: everything on this machine.
//!
//! The order of events: take the data directory → open the listeners, whose ports everything else is told → authority →
//! catalogue and databases → service and authority serve → sidecar → own metrics flow → once all of it answers, `up.json`
//! and the text for the user. At the end the other way round: the sidecar drains into the service, then the databases close.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use authority::{Authority, AuthorityHandler, Config, TokenLifetimes};
use bytes::Bytes;
use catalog::StoreSettings;
use environment::Disk;
use host::HostHttp;
use http_serving::metrics::ConnectionMetrics;
use http_serving::{Server, bind};
use identity::Environment;
use rustls::RootCertStore;
use sidecar::Sidecar;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::cli;
use crate::data_directory::{self, DataDirectory};
use crate::databases::Resting;
use crate::installation::Installation;
use crate::local_authority::{self, LocalAuthority};
use crate::managed::{Managed, ManagedSettings, Published};
use crate::private_file;
use crate::self_scrape::{self, Target};
use crate::service;
use crate::settings::{Audiences, DEFAULT_REGION, QuerySettings, StorageSettings};
use crate::shutdown::Shutdown;
use crate::up_declared::{self, FEDERATION_AUDIENCE, WORKLOAD_SUBJECT};
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
    let config = authority_config(&installation, &listeners);
    let workload_issuer = config.workload_issuer_name();
    let local = LocalAuthority::open(config, &[], &directory, &world)?;
    write_federated_token(&local.authority, &installation.files.federated_token, &*world.disk)?;

    let connections = ConnectionMetrics::default();
    let settings = ManagedSettings {
        directory: Arc::clone(&directory),
        backup_directory: None,
        storage: StorageSettings { wal_sync: arguments.wal_sync, ..StorageSettings::default() },
        resting: Resting::default(),
        store: StoreSettings { profile: arguments.profile.into(), ..StoreSettings::default() },
        limits: quota::Limits::default(),
        role_propagation: arguments.role_propagation,
        declared: up_declared::declared(&installation, &workload_issuer, &*world.rng)?,
        issuers: vec![local.authority.trusted_issuer()],
        authority: Some(Arc::clone(&local.authority)),
        audiences: Audiences::default(),
        published: published(&installation, &listeners),
        body_bytes_max: None,
        queries: QuerySettings::default(),
    };
    let (managed, service) = Managed::start(settings, &world, &connections).await?;
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
    let helpers = [tokio::spawn(keep(local, installation, &world)), start_self_scrape(&facts, &world)];

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
    managed.end().await
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

/// Renews what expires, for ever; the federated token as a kubelet does.
fn keep(
    local: LocalAuthority,
    installation: Installation,
    world: &Environment,
) -> impl Future<Output = ()> + Send + use<> {
    let (path, disk) = (installation.files.federated_token, Arc::clone(&world.disk));
    local.keep(world.clone(), move |authority| write_federated_token(authority, &path, &*disk))
}

fn write_federated_token(authority: &Authority, path: &Path, disk: &dyn Disk) -> anyhow::Result<()> {
    let token = authority.issue_workload_token(WORKLOAD_SUBJECT, FEDERATION_AUDIENCE, FEDERATED_TOKEN_LIFETIME);
    let token = token.context("the local authority has a workload issuer")?;
    private_file::replace(disk, path, token.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// Without principals: they come from the catalogue.
fn authority_config(installation: &Installation, listeners: &Listeners) -> Config {
    Config {
        tenant_id: installation.ids.tenant_id,
        tenant_names: Vec::new(),
        issuer_base: listeners.authority_url("https"),
        host_names: Vec::new(),
        audiences: local_authority::audiences(Some(&listeners.service_url("https"))),
        applications: Vec::new(),
        managed_identities: Vec::new(),
        imds: true,
        app_service_header: Some(installation.identity_header.clone()),
        workload_issuer: true,
        lifetimes: TokenLifetimes::default(),
    }
}

fn published(installation: &Installation, listeners: &Listeners) -> Published {
    let (login_endpoint, tenant_id) = (listeners.authority_url("https"), installation.ids.tenant_id.to_string());
    Published {
        url: listeners.service_url("https"),
        endpoint_domain: None,
        region: DEFAULT_REGION.to_owned(),
        authorization_uri: format!("{login_endpoint}/{tenant_id}"),
        tenant_id,
        login_endpoint,
    }
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
    // Both targets are on this machine, over plain HTTP: nothing is trusted and no proxy is in between.
    let http = HostHttp::new(Arc::new(RootCertStore::empty()), None).with_body_bytes_max(self_scrape::SCRAPE_BYTES_MAX);
    tokio::spawn(self_scrape::run(Arc::new(http), Arc::clone(&world.clock), write_url, targets))
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

const FEDERATED_TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

const READY_PAUSE: Duration = Duration::from_millis(20);
const READY_TRIES: u32 = 1500;
const READY_TIMEOUT: Duration = Duration::from_secs(5);
