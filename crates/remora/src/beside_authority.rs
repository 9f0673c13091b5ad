//! The local authority beside `remora serve`: for sites without Entra. On a listener of its own, without the metadata
//! service; its principals are the catalogue's.

use std::sync::Arc;

use anyhow::Context;
use authority::{AuthorityHandler, Config, TokenLifetimes};
use http_serving::{Server, bind};
use identity::Environment;
use tokio::task::JoinHandle;
use url::Url;
use uuid::Uuid;

use crate::administrator::Administrator;
use crate::certificate_files::CertificateFiles;
use crate::data_directory::DataDirectory;
use crate::local_authority::{self, LocalAuthority};
use crate::settings::AuthoritySettings;
use crate::shutdown::Shutdown;

/// An authority that is open, and who administers the installation first.
pub(crate) struct BesideAuthority {
    pub(crate) local: LocalAuthority,
    pub(crate) administrator: Administrator,
    pub(crate) tenant_id: Uuid,
    pub(crate) public_url: String,
    settings: AuthoritySettings,
    files: Option<CertificateFiles>,
}

impl BesideAuthority {
    /// Opens it, and makes what it needs in the data directory.
    ///
    /// # Errors
    /// When settings do not fit together, or files cannot be read or kept.
    pub(crate) fn open(
        settings: &AuthoritySettings,
        service_url: Option<&str>,
        directory: &DataDirectory,
        world: &Environment,
    ) -> anyhow::Result<Self> {
        let files = settings.tls.clone().map(|files| CertificateFiles::load(files, Arc::clone(&world.disk)));
        let files = files.transpose().context("authority")?;
        let config = Config {
            tenant_id: settings.tenant_id,
            tenant_names: Vec::new(),
            issuer_base: settings.public_url.clone(),
            host_names: settings.host_names.clone(),
            audiences: local_authority::audiences(service_url),
            applications: Vec::new(),
            managed_identities: Vec::new(),
            imds: false,
            app_service_header: None,
            workload_issuer: false,
            lifetimes: TokenLifetimes::default(),
        };
        let published = Url::parse(&settings.public_url).ok();
        let host = published.as_ref().and_then(Url::host_str).map(|host| host.trim_matches(['[', ']']).to_owned());
        let names: Vec<String> = host.into_iter().chain(settings.host_names.iter().cloned()).collect();
        let local = LocalAuthority::open(config, &names, directory, world).context("authority")?;
        let administrator = Administrator::open(directory.path(), &*world.disk, &*world.rng)?;
        Ok(Self {
            local,
            administrator,
            tenant_id: settings.tenant_id,
            public_url: settings.public_url.clone(),
            settings: settings.clone(),
            files,
        })
    }

    /// Serves until the order to end.
    ///
    /// # Errors
    /// When it cannot listen.
    pub(crate) fn serve(self, world: &Environment, shutdown: &Shutdown) -> anyhow::Result<JoinHandle<()>> {
        let Self { local, administrator, settings, files, .. } = self;
        let listener = bind(settings.listen).with_context(|| {
            format!("cannot listen on {}; set `authority: listen` to another address", settings.listen)
        })?;
        let address = listener.local_addr().context("a bound socket has an address")?;
        let certificate = match files {
            None => Arc::clone(&local.certificate),
            Some(files) => {
                let certificate = files.certificate();
                tokio::spawn(files.follow(Arc::clone(&world.clock)));
                certificate
            }
        };
        let handler = AuthorityHandler::new(Arc::clone(&local.authority));
        let server = Server::new("authority", handler, &*world.rng).with_certificate(certificate);
        tracing::info!(
            %address, public_url = settings.public_url, ca_file = %local.ca.ca_file().display(),
            administrator = %administrator.client_id, secret_file = %administrator.secret_file.display(),
            "The local authority listens"
        );
        tokio::spawn(local.keep(world.clone(), |_| Ok(())));
        Ok(tokio::spawn(server.serve(listener, shutdown.ordered())))
    }
}
