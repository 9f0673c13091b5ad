//! The part of Microsoft Graph that `az` asks: applications with their credentials, service principals, and what an id
//! stands for. Users and groups are other issuers'; there are none here.
//!
//! An application and its service principal are one thing here: made together, deleted together. Managed identities are
//! service principals too. Reading is for everybody who has a role anywhere; changing is for those who may give roles at the
//! root, since whoever makes credentials of a principal has its rights.

mod applications;
mod certificates;
mod directory_objects;
mod federated_credentials;
mod list;
mod objects;
mod passwords;
mod people;
mod service_principals;

use std::sync::Arc;

use catalog::Application;
use model::ErrorKind;
use uuid::Uuid;

pub(crate) use applications::ROUTES as APPLICATIONS;
pub(crate) use directory_objects::ROUTES as DIRECTORY_OBJECTS;
pub(crate) use federated_credentials::ROUTES as FEDERATED_CREDENTIALS;
pub(crate) use people::ROUTES as PEOPLE;
pub(crate) use service_principals::ROUTES as SERVICE_PRINCIPALS;

use crate::call::Call;
use crate::error::ArmError;
use crate::route::{At, Handler, Right, Route, Verb};

/// A row that reads.
const fn reads(verb: Verb, pattern: &'static str, handler: Handler) -> Route {
    Route::new(verb, pattern, Right::AnyRole, &[], handler).of_graph()
}

/// A row that changes something.
const fn writes(verb: Verb, pattern: &'static str, handler: Handler) -> Route {
    Route::new(verb, pattern, Right::Action("Microsoft.Authorization/roleAssignments/write", At::Root), &[], handler)
        .of_graph()
}

/// The application that `{application}` in the path names by its own object id, or by its client id, which some take for it.
fn application(call: &Call) -> Result<Arc<Application>, ArmError> {
    let text = call.param("application");
    let found = text.parse::<Uuid>().ok().and_then(|id| {
        let snapshot = call.snapshot();
        let by_object_id = snapshot.applications().values().find(|one| one.application_object_id == id).cloned();
        by_object_id.or_else(|| snapshot.applications().get(&id).cloned())
    });
    found.ok_or_else(|| not_found(text))
}

/// The application whose service principal `{principal}` in the path is.
fn application_of_principal(call: &Call) -> Result<Arc<Application>, ArmError> {
    let text = call.param("principal");
    let Ok(id) = text.parse::<Uuid>() else { return Err(not_found(text)) };
    let snapshot = call.snapshot();
    if let Some(application) = snapshot.applications().values().find(|one| one.object_id == id) {
        return Ok(Arc::clone(application));
    }
    match snapshot.identities().values().any(|identity| identity.principal_id == id) {
        true => Err(bad_request(
            "The service principal is a managed identity's: it is changed and deleted as the resource that it belongs to, and \
             has no credentials but federated ones.",
        )),
        false => Err(not_found(text)),
    }
}

fn not_found(id: &str) -> ArmError {
    let message =
        format!("Resource '{id}' does not exist or one of its queried reference-property objects are not present.");
    ArmError::not_found("Request_ResourceNotFound", message)
}

fn bad_request(message: impl Into<String>) -> ArmError {
    ArmError::new(ErrorKind::Invalid, "Request_BadRequest", message)
}

#[cfg(test)]
mod tests;
