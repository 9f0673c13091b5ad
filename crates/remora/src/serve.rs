//! `remora serve`: the service alone, from a settings file.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use catalog::StoreSettings;
use host::HostDisk;
use http_serving::metrics::ConnectionMetrics;
use http_serving::{PlainHttp, Server, bind};

use crate::beside_authority::BesideAuthority;
use crate::certificate_files::CertificateFiles;
use crate::cli;
use crate::data_directory::{self, DataDirectory};
use crate::managed::{Managed, ManagedSettings, Published};
use crate::service;
use crate::settings::{self, Settings};
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
        let of_authority = settings.authority.and_then(|authority| authority.tls);
        for files in settings.tls.into_iter().chain(of_authority) {
            if let Err(error) = CertificateFiles::load(files, Arc::new(HostDisk)) {
                eprintln!("remora: the settings file {} cannot be used:\n{error:#}", path.display());
                return Ok(ExitCode::from(2));
            }
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
    let directory = Arc::new(DataDirectory::take(settings.data_directory.clone(), &*world.disk)?);
    let certificate =
        settings.tls.clone().map(|files| CertificateFiles::load(files, Arc::clone(&world.disk))).transpose()?;
    let service_url = service_url(&settings);
    let authority = settings.authority.as_ref();
    let authority =
        authority.map(|own| BesideAuthority::open(own, service_url.as_deref(), &directory, &world)).transpose()?;

    let connections = ConnectionMetrics::default();
    let (listen, plain) = (settings.listen, settings.plain_http);
    let managed = managed_settings(settings, service_url.clone(), Arc::clone(&directory), authority.as_ref());
    let (managed, service) = Managed::start(managed, &world, &connections).await?;
    let plain = match plain {
        settings::PlainHttp::Loopback => PlainHttp::LoopbackOnly,
        settings::PlainHttp::Allow => PlainHttp::Allow,
        settings::PlainHttp::Refuse => PlainHttp::Refuse,
    };
    let mut server = Server::new(service::LISTENER, service, &*world.rng).with_metrics(connections).with_plain(plain);
    if let Some(files) = certificate {
        server = server.with_certificate(files.certificate());
        tokio::spawn(files.follow(Arc::clone(&world.clock)));
    }
    // Last, so that whoever can connect is answered by a service that is ready.
    let listener =
        bind(listen).with_context(|| format!("cannot listen on {listen}; set `listen` to another address"))?;
    let address = listener.local_addr().context("a bound socket has an address")?;
    let issuing = authority.map(|authority| authority.serve(&world, &shutdown)).transpose()?;
    let public_url = service_url.as_deref().unwrap_or("");
    tracing::info!(%address, public_url, data = %directory.path().display(), "Listening");
    server.serve(listener, shutdown.ordered()).await;
    if let Some(issuing) = issuing {
        issuing.await.context("the authority panicked")?;
    }
    managed.end().await?;
    tracing::info!("Stopped");
    Ok(())
}

fn managed_settings(
    settings: Settings,
    service_url: Option<String>,
    directory: Arc<DataDirectory>,
    authority: Option<&BesideAuthority>,
) -> ManagedSettings {
    let mut declared = settings.declared;
    let mut issuers = settings.issuers;
    let mut published = Published {
        url: service_url.unwrap_or_default(),
        endpoint_domain: settings.endpoint_domain,
        region: settings.region,
        tenant_id: String::new(),
        login_endpoint: String::new(),
        authorization_uri: String::new(),
    };
    match (authority, issuers.first()) {
        (Some(authority), _) => {
            published.tenant_id = authority.tenant_id.to_string();
            published.login_endpoint.clone_from(&authority.public_url);
            published.authorization_uri = format!("{}/{}", authority.public_url, authority.tenant_id);
            declared.applications.push(authority.administrator.application());
            declared.roles.push(authority.administrator.role());
            issuers.push(authority.local.authority.trusted_issuer());
        }
        (None, Some(issuer)) => {
            // Of an Entra tenant's issuer, the part that clients are sent to.
            published.authorization_uri = issuer.name().trim_end_matches("/v2.0").to_owned();
            let (login_endpoint, tenant_id) = split_tenant(&published.authorization_uri);
            (published.login_endpoint, published.tenant_id) = (login_endpoint.to_owned(), tenant_id.to_owned());
        }
        (None, None) => unreachable!("settings have an issuer or an authority"),
    }
    ManagedSettings {
        directory,
        backup_directory: settings.backup_directory,
        storage: settings.storage,
        resting: settings.resting,
        store: StoreSettings {
            workspace_retention: settings.workspace_retention,
            profile: settings.default_profile,
            audit_retention: settings.audit_retention,
        },
        limits: settings.limits,
        role_propagation: settings.role_propagation,
        declared,
        issuers,
        authority: authority.map(|authority| Arc::clone(&authority.local.authority)),
        audiences: settings.audiences,
        published,
        body_bytes_max: settings.body_bytes_max,
        queries: settings.queries,
    }
}

/// Where clients find the service: as is said, else where it listens.
fn service_url(settings: &Settings) -> Option<String> {
    let listened = || {
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let host = match settings.listen.ip() {
            ip if ip.is_unspecified() => "localhost".to_owned(),
            IpAddr::V6(ip) => format!("[{ip}]"),
            IpAddr::V4(ip) => ip.to_string(),
        };
        // A port that the system picks is nobody's public address.
        (settings.listen.port() != 0).then(|| format!("{scheme}://{host}:{}", settings.listen.port()))
    };
    settings.public_url.clone().or_else(listened)
}

/// `https://login.microsoftonline.com/{tenant}` in its two parts; an issuer of another form is its own directory.
fn split_tenant(authority: &str) -> (&str, &str) {
    match authority.rsplit_once('/') {
        Some((endpoint, tenant)) if uuid::Uuid::try_parse(tenant).is_ok() => (endpoint, tenant),
        _ => (authority, NO_TENANT),
    }
}

/// The directory of issuers that have none.
const NO_TENANT: &str = "00000000-0000-0000-0000-000000000000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_of_entra_names_its_directory() {
        let tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47";
        let authority = format!("https://login.microsoftonline.com/{tenant}");
        assert_eq!(split_tenant(&authority), ("https://login.microsoftonline.com", tenant));
        let other = "https://keycloak.example.org/realms/fleet";
        assert_eq!(split_tenant(other), (other, NO_TENANT));
    }
}
