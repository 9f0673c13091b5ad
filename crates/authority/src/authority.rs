//! The authority: settings and keys in, answers out.

mod answer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use access::Issuer;
use arc_swap::ArcSwap;
use environment::{Clock, Disk, HttpClient, Rng};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

pub(crate) use answer::BODY_BYTES_MAX;

use crate::asked::HostNames;
use crate::config::{Application, Config, ConfigError, Federation, ManagedIdentity, TokenLifetimes};
use crate::directory::{Directory, Principal};
use crate::federated_issuers::{FederatedIssuers, FederatedVerifiers, SharedKeys};
use crate::signing_key::{SigningKeyError, SigningKeys};
use crate::token::{self, Issued, Proof, Subject};

/// What an authority needs of the outside world.
#[derive(Clone)]
pub struct Environment {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance, for the names of tokens and answers. Keys are made by the cryptographic library.
    pub rng: Arc<dyn Rng>,
    /// Files: the keys.
    pub disk: Arc<dyn Disk>,
    /// The network: keys of federated issuers.
    pub http: Arc<dyn HttpClient>,
}

/// Who asks, over what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Whether the client is on this machine.
    pub loopback: bool,
}

/// An authority cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Its settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its keys.
    #[error(transparent)]
    Keys(#[from] SigningKeyError),
}

/// A local Entra.
pub struct Authority {
    tenant_id: Uuid,
    tenant_names: Vec<String>,
    issuer: String,
    workload_issuer: String,
    hosts: HostNames,
    metadata_hosts: HostNames,
    audiences: Vec<String>,
    principals: ArcSwap<Principals>,
    imds: bool,
    app_service_header: Option<SecretString>,
    lifetimes: TokenLifetimes,
    keys: Arc<SigningKeys>,
    workload_keys: Option<Arc<SigningKeys>>,
    federated_issuers: FederatedIssuers,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
}

/// Who is there at one time, and what verifies the tokens of others that stand for them.
pub(crate) struct Principals {
    pub(crate) directory: Directory,
    pub(crate) federated: FederatedVerifiers,
}

impl Authority {
    /// Opens the authority that keeps its keys in `directory`; makes them when there are none.
    ///
    /// # Errors
    /// When the settings do not fit together, or the keys cannot be read or kept.
    pub fn open(config: Config, directory: &Path, environment: Environment) -> Result<Self, AuthorityError> {
        let base = config.check()?;
        let Environment { clock, rng, disk, http } = environment;
        let (issuer, workload_issuer) = (config.issuer(), config.workload_issuer_name());
        let directory_of_principals = Directory::new(config.applications, config.managed_identities)?;
        let keys = Arc::new(SigningKeys::open(Arc::clone(&disk), directory.join("signing-keys.pem"))?);
        let workload_keys = match config.workload_issuer {
            true => Some(Arc::new(SigningKeys::open(disk, directory.join("workload-keys.pem"))?)),
            false => None,
        };
        let local = workload_keys.as_ref().map(|keys| (workload_issuer.clone(), Arc::clone(keys)));
        let federated_issuers = FederatedIssuers { local, http, clock: Arc::clone(&clock) };
        let mut federated = FederatedVerifiers::default();
        for (client_id, federation) in directory_of_principals.federations() {
            let verifier = federated_issuers.verifier(federation, &federated);
            federated.insert(federation, verifier.map_err(|source| ConfigError::Federation { client_id, source })?);
        }
        let names: Vec<String> = config.host_names.into_iter().chain(base.host_str().map(str::to_owned)).collect();
        Ok(Self {
            tenant_id: config.tenant_id,
            tenant_names: config.tenant_names,
            issuer,
            workload_issuer,
            metadata_hosts: HostNames::new(names.iter().cloned().chain([IMDS_ADDRESS.to_owned()])),
            hosts: HostNames::new(names),
            audiences: config.audiences,
            principals: ArcSwap::from_pointee(Principals { directory: directory_of_principals, federated }),
            imds: config.imds,
            app_service_header: config.app_service_header,
            lifetimes: config.lifetimes,
            keys,
            workload_keys,
            federated_issuers,
            clock,
            rng,
        })
    }

    /// The issuer of all its tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The issuer for a verifier in this process, which then needs no HTTP to know the keys, rotations included.
    pub fn trusted_issuer(&self) -> Issuer {
        Issuer::local(&self.issuer, SharedKeys(Arc::clone(&self.keys)))
    }

    /// Replaces all principals; requests that begin afterwards see the new ones. A federation whose issuer cannot be reached
    /// safely is left out with a warning: it must not take the others' tokens away.
    ///
    /// # Errors
    /// When two principals share an id; the old ones stay.
    pub fn replace_principals(
        &self,
        mut applications: Vec<Application>,
        mut identities: Vec<ManagedIdentity>,
    ) -> Result<(), ConfigError> {
        let (known, mut federated) = (self.principals.load_full(), FederatedVerifiers::default());
        let mut usable = |client_id: Uuid, federation: &Federation| {
            if federated.of(federation).is_some() {
                return true;
            }
            match self.federated_issuers.verifier(federation, &known.federated) {
                Ok(verifier) => federated.insert(federation, verifier),
                Err(error) => {
                    tracing::warn!(%client_id, issuer = federation.issuer, %error, "A federation is not used");
                    return false;
                }
            }
            true
        };
        for Application { client_id, federations, .. } in &mut applications {
            federations.retain(|federation| usable(*client_id, federation));
        }
        for ManagedIdentity { client_id, federations, .. } in &mut identities {
            federations.retain(|federation| usable(*client_id, federation));
        }
        let directory = Directory::new(applications, identities)?;
        self.principals.store(Arc::new(Principals { directory, federated }));
        Ok(())
    }

    /// Makes a new signing key; the last one stays published until the next rotation. Takes about a tenth of a second
    /// of computing.
    ///
    /// # Errors
    /// When the keys cannot be kept; the old ones stay in use.
    pub fn rotate_keys(&self) -> Result<(), SigningKeyError> {
        self.keys.rotate()
    }

    /// A token as a Kubernetes cluster gives it to a pod, for federations that name the workload issuer. `None` when
    /// there is no such issuer here.
    pub fn issue_workload_token(&self, subject: &str, audience: &str, lifetime: Duration) -> Option<String> {
        let (keys, now) = (self.workload_keys.as_ref()?, self.clock.now());
        Some(keys.sign(&json!({
            "iss": self.workload_issuer,
            "sub": subject,
            "aud": [audience],
            "iat": now.as_secs(),
            "nbf": now.as_secs(),
            "exp": now.plus(lifetime).as_secs(),
        })))
    }

    fn issue(&self, principal: &Principal, proof: Proof, resource: &str, lifetime: Duration) -> Issued {
        let (now, tenant_id) = (self.clock.now(), self.tenant_id);
        let subject = Subject { principal, proof, resource, tenant_id, issuer: &self.issuer };
        let access_token = self.keys.sign(&token::claims(&subject, now, lifetime, &*self.rng));
        Issued {
            access_token,
            resource: resource.to_owned(),
            not_before: token::not_before(now),
            expires_at: now.plus(lifetime),
            lifetime,
        }
    }

    fn application_lifetime(&self) -> Duration {
        let TokenLifetimes { application_min, application_max, .. } = self.lifetimes;
        let span = (application_max - application_min).as_secs_f64() * self.rng.next_f64();
        Duration::from_secs((application_min.as_secs_f64() + span) as u64)
    }

    fn is_tenant(&self, name: &str) -> bool {
        Uuid::try_parse(name).is_ok_and(|id| id == self.tenant_id)
            || self.tenant_names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    fn new_id(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.rng.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

const IMDS_ADDRESS: &str = "169.254.169.254";
#[cfg(test)]
mod tests;
