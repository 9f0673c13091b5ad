//! The local authority with its certificate authority, and the certificate of its listener, kept fresh.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use authority::{Authority, Config, LocalCa};
use http_serving::Certificate;
use identity::Environment;

use crate::data_directory::DataDirectory;
use crate::settings::{GRAPH_AUDIENCES, MANAGEMENT_AUDIENCES};

/// The authority, its CA, and the one certificate of all listeners that the CA signs for.
#[derive(Clone)]
pub(crate) struct LocalAuthority {
    pub(crate) authority: Arc<Authority>,
    pub(crate) ca: Arc<LocalCa>,
    pub(crate) certificate: Arc<Certificate>,
}

impl LocalAuthority {
    /// Opens the authority whose keys are in the data directory; makes them when there are none. `names` are those of its
    /// certificate, besides the loopback ones.
    ///
    /// # Errors
    /// When settings do not fit together, or files cannot be read or kept.
    pub(crate) fn open(
        config: Config,
        names: &[String],
        directory: &DataDirectory,
        world: &Environment,
    ) -> anyhow::Result<Self> {
        let path = directory.path().join("authority");
        world.disk.create_directory(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let ca = LocalCa::open(Arc::clone(&world.disk), Arc::clone(&world.clock), &path, names)?;
        let material = ca.server_certificate()?;
        let (chain, key) = (material.chain_pem.as_bytes(), material.key_pem.as_bytes());
        let certificate = Certificate::from_pem(host::tls::provider(), chain, key)?;
        let environment = authority::Environment {
            clock: Arc::clone(&world.clock),
            rng: Arc::clone(&world.rng),
            disk: Arc::clone(&world.disk),
            http: Arc::clone(&world.http),
        };
        let authority = Authority::open(config, &path, environment)?;
        Ok(Self { authority: Arc::new(authority), ca: Arc::new(ca), certificate: Arc::new(certificate) })
    }

    /// Renews what expires, for ever: the certificate, the signing keys, and what `more` does, once an hour.
    pub(crate) async fn keep(self, world: Environment, more: impl Fn(&Authority) -> anyhow::Result<()> + Send) {
        for round in 1u64.. {
            world.clock.sleep(UPKEEP_INTERVAL).await;
            for result in [self.renew(round), more(&self.authority)] {
                if let Err(error) = result {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "Upkeep of the local authority failed; it is tried again");
                }
            }
        }
    }

    fn renew(&self, round: u64) -> anyhow::Result<()> {
        let material = self.ca.server_certificate()?;
        self.certificate.replace(material.chain_pem.as_bytes(), material.key_pem.as_bytes())?;
        if round.is_multiple_of(KEY_ROTATION_ROUNDS) {
            self.authority.rotate_keys()?;
        }
        Ok(())
    }
}

/// What the local authority gives tokens for: writing, reading, managing, the directory, and the service by its own URL.
pub(crate) fn audiences(service_url: Option<&str>) -> Vec<String> {
    let known = AUDIENCES.into_iter().chain(MANAGEMENT_AUDIENCES).chain(GRAPH_AUDIENCES).chain(service_url);
    known.map(str::to_owned).collect()
}

const AUDIENCES: [&str; 2] = ["https://monitor.azure.com", "https://prometheus.monitor.azure.com"];

const UPKEEP_INTERVAL: Duration = Duration::from_secs(3600);

/// A week. A rotated key stays published until the next rotation, far longer than its tokens live.
const KEY_ROTATION_ROUNDS: u64 = 7 * 24;
