//! `/v1.0/applications/{id}/federatedIdentityCredentials`.

use catalog::{Application, CredentialChange, Federation};
use http::StatusCode;
use serde_json::{Value, json};

use super::{application, not_found, reads, writes};
use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::federation;
use crate::route::{Route, Verb, handler};
use crate::schema::{Field, Kind, answered, check, optional, required};

pub(crate) const ROUTES: &[Route] = &[
    reads(Verb::Get, "/v1.0/applications/{application}/federatedIdentityCredentials", handler!(list)),
    reads(Verb::Get, "/v1.0/applications/{application}/federatedIdentityCredentials/{credential}", handler!(show)),
    writes(Verb::Post, "/v1.0/applications/{application}/federatedIdentityCredentials", handler!(create)),
    writes(Verb::Patch, "/v1.0/applications/{application}/federatedIdentityCredentials/{credential}", handler!(patch)),
    writes(
        Verb::Delete,
        "/v1.0/applications/{application}/federatedIdentityCredentials/{credential}",
        handler!(delete),
    ),
];

const CREATE: &[Field] = &[
    required("name", Kind::Text),
    required("issuer", Kind::Text),
    required("subject", Kind::Text),
    required("audiences", Kind::ListOf(&Kind::Text)),
    // A remark that decides nothing, and that is not kept.
    answered("description"),
    answered("id"),
];
const PATCH: &[Field] = &[
    optional("issuer", Kind::Text),
    optional("subject", Kind::Text),
    optional("audiences", Kind::ListOf(&Kind::Text)),
    answered("name"),
    answered("description"),
    answered("id"),
];

async fn list(call: Call) -> Result<Answer, ArmError> {
    let value: Vec<Value> = application(&call)?.federations.iter().map(shape).collect();
    Ok(Answer::ok(json!({ "value": value })))
}

async fn show(call: Call) -> Result<Answer, ArmError> {
    let application = application(&call)?;
    Ok(Answer::ok(shape(named(&application, call.param("credential"))?)))
}

async fn create(call: Call) -> Result<Answer, ArmError> {
    let body = Value::Object(check(call.json().await?, CREATE).map_err(|problems| ArmError::invalid(&problems))?);
    let application = application(&call)?;
    let name = body.get("name").and_then(Value::as_str).unwrap_or("");
    if named(&application, name).is_ok() {
        let message = format!("FederatedIdentityCredential with name {name} already exists.");
        return Err(ArmError::new(model::ErrorKind::Conflict, "Request_MultipleObjectsWithSameKeyValue", message));
    }
    let wanted =
        federation::of(name, &body, "", &application.federations).map_err(|problems| ArmError::invalid(&problems))?;
    let wanted = Federation { id: federation::new_id(&*call.parts.rng), ..wanted };
    put(&call, &application, wanted.clone()).await?;
    Ok(Answer::new(StatusCode::CREATED, Some(shape(&wanted))))
}

async fn patch(call: Call) -> Result<Answer, ArmError> {
    let body = check(call.json().await?, PATCH).map_err(|problems| ArmError::invalid(&problems))?;
    let application = application(&call)?;
    let before = named(&application, call.param("credential"))?;
    let mut merged = shape(before);
    for (field, value) in body {
        merged[field] = value;
    }
    let wanted = federation::of(&before.name, &merged, "", &application.federations);
    let wanted = Federation { id: before.id, ..wanted.map_err(|problems| ArmError::invalid(&problems))? };
    put(&call, &application, wanted).await?;
    Ok(Answer::no_content())
}

async fn delete(call: Call) -> Result<Answer, ArmError> {
    let application = application(&call)?;
    let change = CredentialChange::RemoveFederation(named(&application, call.param("credential"))?.name.clone());
    call.store().change_application(&call.actor(), application.client_id, change).await?;
    Ok(Answer::no_content())
}

async fn put(call: &Call, application: &Application, wanted: Federation) -> Result<(), ArmError> {
    let change = CredentialChange::PutFederation(wanted);
    call.store().change_application(&call.actor(), application.client_id, change).await?;
    Ok(())
}

/// By name or by id.
fn named<'a>(application: &'a Application, name: &str) -> Result<&'a Federation, ArmError> {
    let is = |federation: &&Federation| {
        federation.name.eq_ignore_ascii_case(name) || federation.id.to_string().eq_ignore_ascii_case(name)
    };
    application.federations.iter().find(is).ok_or_else(|| not_found(name))
}

fn shape(federation: &Federation) -> Value {
    json!({
        "id": federation.id,
        "name": federation.name,
        "issuer": federation.issuer,
        "subject": federation.subject,
        "audiences": [federation.audience],
        "description": null,
    })
}
