//! Applications of the local authority.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::credential;
use crate::draft::Draft;
use crate::names::Problems;
use crate::{Application, ApplicationSpec, CredentialChange, StoreError};

pub(crate) fn create(draft: &mut Draft<'_>, spec: ApplicationSpec) -> Result<Arc<Application>, StoreError> {
    let mut problems = Problems::default();
    if spec.name.is_empty() || spec.name.chars().count() > NAME_CHARS_MAX {
        problems.add("displayName", format!("an application's name has 1 to {NAME_CHARS_MAX} characters"));
    }
    problems.finish()?;
    let (client_id, object_id) = spec.ids.unwrap_or_else(|| (draft.uuid(), draft.uuid()));
    let application_object_id = draft.uuid();
    draft.require_new_principal(&[client_id, object_id, application_object_id])?;
    let mut certificates = Vec::with_capacity(spec.certificates.len());
    for certificate in spec.certificates {
        credential::add_certificate(&mut certificates, certificate)?;
    }
    let application = draft.put_application(Application {
        client_id,
        application_object_id,
        object_id,
        name: spec.name,
        created: draft.stamp(),
        etag: draft.etag(),
        secrets: Vec::new(),
        certificates,
        federations: Vec::new(),
    });
    draft.log("Microsoft.Graph/applications/write", target(&application), Some(detail(&application)));
    Ok(application)
}

pub(crate) fn change(
    draft: &mut Draft<'_>,
    client_id: Uuid,
    change: CredentialChange,
) -> Result<Arc<Application>, StoreError> {
    let Some(existing) = draft.next.applications().get(&client_id) else { return Err(unknown(client_id)) };
    let mut application = Application::clone(existing);
    match change {
        CredentialChange::AddSecret(secret) => credential::add_secret(&mut application.secrets, secret)?,
        CredentialChange::AddCertificate(added) => credential::add_certificate(&mut application.certificates, added)?,
        CredentialChange::Certificates { add, remove } => {
            // What goes makes room for what comes.
            for key_id in remove {
                remove_key(&mut application, key_id)?;
            }
            for certificate in add {
                credential::add_certificate(&mut application.certificates, certificate)?;
            }
        }
        CredentialChange::RemoveKey(key_id) => remove_key(&mut application, key_id)?,
        CredentialChange::PutFederation(added) => credential::put_federation(&mut application.federations, added)?,
        CredentialChange::RemoveFederation(name) => credential::remove_federation(&mut application.federations, &name)?,
    }
    application.etag = draft.etag();
    let application = draft.put_application(application);
    draft.log("Microsoft.Graph/applications/credentials/write", target(&application), Some(detail(&application)));
    Ok(application)
}

/// Takes an application away. Roles that it was given stay, as in Azure.
pub(crate) fn delete(draft: &mut Draft<'_>, client_id: Uuid) -> bool {
    let Some(application) = draft.next.applications().get(&client_id).cloned() else { return false };
    draft.remove_application(&application);
    draft.log("Microsoft.Graph/applications/delete", target(&application), None);
    true
}

fn remove_key(application: &mut Application, key_id: Uuid) -> Result<(), StoreError> {
    let count = |application: &Application| application.secrets.len() + application.certificates.len();
    let before = count(application);
    application.secrets.retain(|secret| secret.key_id != key_id);
    application.certificates.retain(|certificate| certificate.key_id != key_id);
    match count(application) == before {
        true => Err(StoreError::Unknown { what: "secret or certificate", id: key_id.to_string() }),
        false => Ok(()),
    }
}

/// For the audit log: which secrets there are, and nothing that helps to guess one.
fn detail(application: &Application) -> Value {
    let secrets: Vec<Value> = application
        .secrets
        .iter()
        .map(|secret| json!({ "keyId": secret.key_id, "name": secret.name, "expiresAt": secret.expires_at }))
        .collect();
    let certificates: Vec<Value> = application
        .certificates
        .iter()
        .map(|certificate| json!({ "keyId": certificate.key_id, "name": certificate.name }))
        .collect();
    json!({
        "clientId": application.client_id,
        "objectId": application.object_id,
        "name": application.name,
        "secrets": secrets,
        "certificates": certificates,
        "federations": application.federations,
    })
}

fn target(application: &Application) -> String {
    format!("applications/{}", application.client_id)
}

fn unknown(client_id: Uuid) -> StoreError {
    StoreError::Unknown { what: "application", id: client_id.to_string() }
}

const NAME_CHARS_MAX: usize = 120;
