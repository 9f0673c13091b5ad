//! Principals, found by any of their ids.

use std::collections::HashMap;
use std::sync::Arc;

use model::ResourceId;
use uuid::Uuid;

use crate::config::{Application, ConfigError, Federation, ManagedIdentity};
use crate::{ClientSecret, RegisteredCertificate};

/// All principals of the directory. Invariant: no two share an id.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    by_client_id: HashMap<Uuid, Arc<Principal>>,
    by_object_id: HashMap<Uuid, Arc<Principal>>,
    by_resource_id: HashMap<ResourceId, Arc<Principal>>,
    default_identity: Option<Arc<Principal>>,
}

/// An application or a managed identity.
#[derive(Debug)]
pub(crate) struct Principal {
    pub(crate) client_id: Uuid,
    pub(crate) object_id: Uuid,
    /// A managed identity's ARM id; applications have none.
    pub(crate) resource_id: Option<ResourceId>,
    pub(crate) secrets: Vec<ClientSecret>,
    pub(crate) certificates: Vec<RegisteredCertificate>,
    pub(crate) federations: Vec<Federation>,
}

/// How a request says which managed identity it means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Selector<'a> {
    Default,
    ClientId(&'a str),
    ObjectId(&'a str),
    ResourceId(&'a str),
}

impl Directory {
    pub(crate) fn new(applications: Vec<Application>, identities: Vec<ManagedIdentity>) -> Result<Self, ConfigError> {
        let mut directory = Self::default();
        for application in applications {
            let Application { client_id, object_id, secrets, certificates, federations, name: _ } = application;
            directory.add(Principal { client_id, object_id, resource_id: None, secrets, certificates, federations })?;
        }
        for identity in identities {
            let ManagedIdentity { client_id, object_id, resource_id, is_default, federations } = identity;
            let principal = directory.add(Principal {
                client_id,
                object_id,
                resource_id: Some(resource_id),
                secrets: Vec::new(),
                certificates: Vec::new(),
                federations,
            })?;
            if is_default && let Some(first) = directory.default_identity.replace(principal) {
                return Err(ConfigError::TwoDefaults(first.client_id, client_id));
            }
        }
        Ok(directory)
    }

    pub(crate) fn by_client_id(&self, id: &str) -> Option<&Arc<Principal>> {
        self.by_client_id.get(&parse(id)?)
    }

    /// The managed identity that is meant; applications are none.
    pub(crate) fn managed_identity(&self, selector: &Selector<'_>) -> Option<&Arc<Principal>> {
        let found = match selector {
            Selector::Default => self.default_identity.as_ref(),
            Selector::ClientId(id) => self.by_client_id(id),
            Selector::ObjectId(id) => self.by_object_id.get(&parse(id)?),
            Selector::ResourceId(id) => self.by_resource_id.get(&id.parse().ok()?),
        };
        found.filter(|principal| principal.resource_id.is_some())
    }

    /// Every federation, with whose it is.
    pub(crate) fn federations(&self) -> impl Iterator<Item = (Uuid, &Federation)> {
        self.by_client_id
            .values()
            .flat_map(|principal| principal.federations.iter().map(|federation| (principal.client_id, federation)))
    }

    fn add(&mut self, principal: Principal) -> Result<Arc<Principal>, ConfigError> {
        let principal = Arc::new(principal);
        for (index, id) in
            [(&mut self.by_client_id, principal.client_id), (&mut self.by_object_id, principal.object_id)]
        {
            if index.insert(id, Arc::clone(&principal)).is_some() {
                return Err(ConfigError::DuplicateId(id));
            }
        }
        if let Some(id) = &principal.resource_id
            && self.by_resource_id.insert(id.clone(), Arc::clone(&principal)).is_some()
        {
            return Err(ConfigError::DuplicateResourceId(id.clone()));
        }
        Ok(principal)
    }
}

/// Only the hyphenated form: the others that the parser knows are never seen on the wire.
fn parse(id: &str) -> Option<Uuid> {
    Uuid::try_parse(id).ok().filter(|_| id.len() == 36)
}
