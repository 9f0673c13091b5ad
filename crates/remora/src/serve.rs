//! `remora serve`: the service alone, from a settings file.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use access::Verifier;
use anyhow::Context;
use catalog::Catalog;
use host::HostDisk;
use http_serving::metrics::ConnectionMetrics;
use http_serving::{PlainHttp, Server, bind};

use crate::certificate_files::CertificateFiles;
use crate::cli;
use crate::data_directory::{self, DataDirectory};
use crate::databases::Databases;
use crate::service::{self, Service};
use crate::settings::{self, Settings, WAL_SYNC_INTERVAL, WalSync};
use crate::shutdown::Shutdown;

/// Reads the settings and serves until told to end.
///
/// # Errors
/// When a part cannot start, or data could not be kept at the end. Settings that are wrong are no error but exit code 2.
pub(crate) async fn run(arguments: cli::Serve, certificate_authorities: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let path = &arguments.config;
    let text = fs::read_to_string(path).with_context(|| format!("cannot read the settings file {}", path.display()))?;
    let settings = match Settings::parse(&text, data_directory::default_path().unwrap_or_default()) {
        Ok(settings) => settings,
        Err(mistakes) => {
            eprintln!("remora: the settings file {} cannot be used:\n{mistakes}", path.display());
            return Ok(ExitCode::from(2));
        }
    };
    if arguments.check {
        if let Err(error) = settings.tls.map(|files| CertificateFiles::load(files, Arc::new(HostDisk))).transpose() {
            eprintln!("remora: the settings file {} cannot be used:\n{error:#}", path.display());
            return Ok(ExitCode::from(2));
        }
        eprintln!("remora: the settings file {} is right", path.display());
        return Ok(ExitCode::SUCCESS);
    }
    serve(settings, certificate_authorities).await?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(settings: Settings, certificate_authorities: Option<PathBuf>) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let world = sidecar::host_environment(host::tls::roots(certificate_authorities.as_deref())?);
    let directory = Arc::new(DataDirectory::take(settings.data_directory, &*world.disk)?);
    let certificate = settings.tls.map(|files| CertificateFiles::load(files, Arc::clone(&world.disk))).transpose()?;
    let issuer = settings.issuers.first().context("settings name an issuer")?;
    // Of an Entra tenant's issuer, the part that clients are sent to.
    let authorization_uri = issuer.name().trim_end_matches("/v2.0").to_owned();
    let verifier = Verifier::new(settings.issuers, Arc::clone(&world.http), Arc::clone(&world.clock))?;
    let verifier = Arc::new(verifier);
    let wal_sync = match settings.wal_sync {
        WalSync::Interval => tsdb::WalSync::Interval(WAL_SYNC_INTERVAL),
        WalSync::EveryCommit => tsdb::WalSync::EveryCommit,
    };
    let database_settings = tsdb::Settings { wal_sync, ..tsdb::Settings::default() };
    let databases = Databases::open(&settings.catalog, &directory, &world.disk, &database_settings)?;
    let databases = Arc::new(databases);
    let connections = ConnectionMetrics::default();
    let service = Service::new(
        service::Parts {
            catalog: Arc::new(Catalog::new(settings.catalog)),
            verifier: Arc::clone(&verifier),
            policy: service::policy(settings.roles)?,
            databases: Arc::clone(&databases),
            clock: Arc::clone(&world.clock),
            audiences: settings.audiences,
            authorization_uri,
            body_bytes_max: settings.body_bytes_max,
        },
        &connections,
    );
    let plain = match settings.plain_http {
        settings::PlainHttp::Loopback => PlainHttp::LoopbackOnly,
        settings::PlainHttp::Allow => PlainHttp::Allow,
        settings::PlainHttp::Refuse => PlainHttp::Refuse,
    };
    let mut server = Server::new(service::LISTENER, service, &*world.rng).with_metrics(connections).with_plain(plain);
    if let Some(files) = certificate {
        server = server.with_certificate(files.certificate());
        tokio::spawn(files.follow(Arc::clone(&world.clock)));
    }
    tokio::spawn(async move { verifier.keep_keys_fresh().await });
    // Last, so that whoever can connect is answered by a service that is ready.
    let listener = bind(settings.listen)
        .with_context(|| format!("cannot listen on {}; set `listen` to another address", settings.listen))?;
    let address = listener.local_addr().context("a bound socket has an address")?;
    let public_url = settings.public_url.as_deref().unwrap_or("");
    tracing::info!(%address, public_url, data = %directory.path().display(), "Listening");
    server.serve(listener, shutdown.ordered()).await;
    tokio::task::spawn_blocking(move || databases.close()).await.context("closing the databases panicked")??;
    tracing::info!("Stopped");
    Ok(())
}
