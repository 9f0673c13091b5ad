//! User-assigned managed identities.

use std::sync::Arc;

use model::ResourceId;
use uuid::Uuid;

use super::{Common, json};
use crate::draft::{Draft, check_precondition};
use crate::names::{self, IDENTITY, Place, Problems};
use crate::{CredentialChange, Identity, IdentitySpec, Precondition, Put, StoreError};

pub(crate) fn put(
    draft: &mut Draft<'_>,
    id: &ResourceId,
    spec: IdentitySpec,
    precondition: &Precondition,
) -> Result<Put<Identity>, StoreError> {
    let place = Place::of(id, IDENTITY)?;
    draft.require_group(&place)?;
    let existing = draft.next.identity_by_id(id).cloned();
    let old = existing.as_ref().map(|identity| &identity.envelope);
    check_precondition(old.map(|old| old.etag.as_str()), precondition)?;

    let mut problems = Problems::default();
    if old.is_none() {
        names::identity(&mut problems, place.name);
    }
    let location = names::region(&mut problems, &spec.location);
    names::tags(&mut problems, &spec.tags);
    problems.finish()?;

    let envelope = draft.envelope(id, old, Common { location, tags: spec.tags })?;
    let is_default = spec.is_default || existing.as_ref().is_some_and(|existing| existing.is_default);
    let identity = match &existing {
        Some(existing) => Identity { envelope, is_default, ..Identity::clone(existing) },
        None => {
            let (client_id, principal_id) = spec.ids.unwrap_or_else(|| (draft.uuid(), draft.uuid()));
            draft.require_new_principal(&[client_id, principal_id])?;
            Identity { envelope, client_id, principal_id, is_default, federations: Vec::new() }
        }
    };
    if is_default {
        retire_other_default(draft, id);
    }
    let resource = draft.put_identity(identity);
    draft.log(WRITE, &resource.envelope.id, json(&*resource));
    Ok(Put { resource, created: existing.is_none() })
}

pub(crate) fn change(
    draft: &mut Draft<'_>,
    id: &ResourceId,
    change: CredentialChange,
) -> Result<Arc<Identity>, StoreError> {
    Place::of(id, IDENTITY)?;
    let Some(existing) = draft.next.identity_by_id(id).cloned() else { return Err(StoreError::NotFound(id.clone())) };
    let mut identity = Identity::clone(&existing);
    let operation = match change {
        CredentialChange::PutFederation(federation) => {
            super::credential::put_federation(&mut identity.federations, federation)?;
            "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write"
        }
        CredentialChange::RemoveFederation(name) => {
            super::credential::remove_federation(&mut identity.federations, &name)?;
            "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/delete"
        }
        CredentialChange::AddSecret(_)
        | CredentialChange::AddCertificate(_)
        | CredentialChange::Certificates { .. }
        | CredentialChange::RemoveKey(_) => {
            let message = format!(
                "{id} is a managed identity, which has no secrets and certificates: give them to an application"
            );
            return Err(StoreError::Conflict { code: "Conflict", message });
        }
    };
    identity.envelope = draft.touched_envelope(&existing.envelope);
    let identity = draft.put_identity(identity);
    draft.log(operation, &identity.envelope.id, json(&*identity));
    Ok(identity)
}

pub(crate) fn delete(draft: &mut Draft<'_>, id: &ResourceId, precondition: &Precondition) -> Result<bool, StoreError> {
    Place::of(id, IDENTITY)?;
    let existing = draft.next.identity_by_id(id).cloned();
    check_precondition(existing.as_ref().map(|identity| identity.envelope.etag.as_str()), precondition)?;
    let Some(identity) = existing else { return Ok(false) };
    remove(draft, &identity);
    Ok(true)
}

/// Takes an identity away. Roles that it was given stay, as in Azure; those given on it go.
pub(crate) fn remove(draft: &mut Draft<'_>, identity: &Arc<Identity>) {
    draft.remove_assignments_below(&identity.envelope.id);
    draft.remove_identity(identity);
    draft.log("Microsoft.ManagedIdentity/userAssignedIdentities/delete", &identity.envelope.id, None);
}

fn retire_other_default(draft: &mut Draft<'_>, id: &ResourceId) {
    let other = draft.next.identities().values().find(|other| other.is_default && other.envelope.id != *id).cloned();
    if let Some(other) = other {
        let envelope = draft.touched_envelope(&other.envelope);
        let other = draft.put_identity(Identity { envelope, is_default: false, ..Identity::clone(&other) });
        draft.log(WRITE, &other.envelope.id, json(&*other));
    }
}

impl Draft<'_> {
    /// Declared ids are nobody's yet, and differ.
    pub(crate) fn require_new_principal(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        for (at, id) in ids.iter().enumerate() {
            let taken = self.next.identity_by_client_id(*id).is_some()
                || self.next.identity_by_principal_id(*id).is_some()
                || self.next.applications().contains_key(id)
                || self.next.application_by_object_id(*id).is_some();
            if taken || ids[..at].contains(id) {
                let message = format!("the id {id} is another principal's: leave it out, and one is drawn");
                return Err(StoreError::Conflict { code: "Conflict", message });
            }
        }
        Ok(())
    }
}

const WRITE: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/write";
