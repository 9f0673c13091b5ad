//! `/v1.0/servicePrincipals`: those of applications, and managed identities.

use catalog::Snapshot;
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::applications::{Wanted, change_certificates};
use super::{application_of_principal, bad_request, list, not_found, objects, passwords, reads, writes};
use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::route::{Route, Verb, handler};

pub(crate) const ROUTES: &[Route] = &[
    reads(Verb::Get, "/v1.0/servicePrincipals", handler!(all)),
    reads(Verb::Get, "/v1.0/servicePrincipals/{principal}", handler!(show)),
    reads(Verb::Get, "/v1.0/servicePrincipals/{principal}/owners", handler!(owners)),
    writes(Verb::Post, "/v1.0/servicePrincipals", handler!(create)),
    writes(Verb::Patch, "/v1.0/servicePrincipals/{principal}", handler!(patch)),
    writes(Verb::Delete, "/v1.0/servicePrincipals/{principal}", handler!(delete)),
    writes(Verb::Post, "/v1.0/servicePrincipals/{principal}/addPassword", handler!(add_password)),
    writes(Verb::Post, "/v1.0/servicePrincipals/{principal}/removePassword", handler!(remove_password)),
];

/// All of them.
pub(super) fn of(snapshot: &Snapshot, tenant_id: &str) -> impl Iterator<Item = Value> {
    let applications = snapshot.applications().values();
    let identities = snapshot.identities().values();
    applications
        .map(move |application| objects::principal_of_application(application, tenant_id))
        .chain(identities.map(move |identity| objects::principal_of_identity(identity, tenant_id)))
}

/// The one with this object id.
pub(super) fn by_object_id(snapshot: &Snapshot, id: Uuid, tenant_id: &str) -> Option<Value> {
    let application = snapshot.applications().values().find(|application| application.object_id == id);
    let identity = || snapshot.identities().values().find(|identity| identity.principal_id == id);
    application
        .map(|application| objects::principal_of_application(application, tenant_id))
        .or_else(|| identity().map(|identity| objects::principal_of_identity(identity, tenant_id)))
}

async fn all(call: Call) -> Result<Answer, ArmError> {
    let snapshot = call.snapshot();
    list::answer(&call, "servicePrincipals", of(&snapshot, &call.settings.tenant_id))
}

async fn show(call: Call) -> Result<Answer, ArmError> {
    let (snapshot, text) = (call.snapshot(), call.param("principal"));
    let found = text.parse().ok().and_then(|id| by_object_id(&snapshot, id, &call.settings.tenant_id));
    found.map(Answer::ok).ok_or_else(|| not_found(text))
}

async fn owners(call: Call) -> Result<Answer, ArmError> {
    show(call).await?;
    Ok(Answer::ok(json!({ "value": [] })))
}

/// An application's service principal is there from the beginning: this tells which one it is.
async fn create(call: Call) -> Result<Answer, ArmError> {
    let body = call.json().await?;
    let text = body.get("appId").and_then(Value::as_str).unwrap_or("");
    let snapshot = call.snapshot();
    let Some(application) = text.parse::<Uuid>().ok().and_then(|id| snapshot.applications().get(&id)) else {
        let shown: String = text.chars().take(ID_SHOWN_CHARS).collect();
        let message =
            format!("The appId '{shown}' of the service principal does not reference a valid application object.");
        return Err(bad_request(message));
    };
    let principal = objects::principal_of_application(application, &call.settings.tenant_id);
    Ok(Answer::new(StatusCode::CREATED, Some(principal)))
}

async fn patch(call: Call) -> Result<Answer, ArmError> {
    let body = call.json().await?;
    let before = application_of_principal(&call)?;
    let wanted = Wanted::of(&body, Some(&before), &call)?;
    change_certificates(&call, &before, wanted.certificates).await?;
    Ok(Answer::no_content())
}

/// Takes the application with it: what is left of an application without a principal can do nothing.
async fn delete(call: Call) -> Result<Answer, ArmError> {
    let application = application_of_principal(&call)?;
    call.store().delete_application(&call.actor(), application.client_id).await?;
    Ok(Answer::no_content())
}

async fn add_password(call: Call) -> Result<Answer, ArmError> {
    passwords::add(&call, &*application_of_principal(&call)?).await
}

async fn remove_password(call: Call) -> Result<Answer, ArmError> {
    passwords::remove(&call, &*application_of_principal(&call)?).await
}

const ID_SHOWN_CHARS: usize = 100;
