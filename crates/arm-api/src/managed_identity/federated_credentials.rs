//! Tokens of other issuers that stand for an identity: a Kubernetes service account's, a pipeline's.

use catalog::{CredentialChange, Federation, Identity};
use serde_json::{Value, json};

use super::{VERSIONS, identity};
use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::federation;
use crate::route::{At, Right, Route, Verb, handler};
use crate::schema::{Field, Kind, answered, check, required};

pub(crate) const ROUTES: &[Route] = &[
    Route::new(Verb::Get, LIST, Right::Action(READ, At::Path), VERSIONS, handler!(list)),
    Route::new(Verb::Get, PATTERN, Right::Action(READ, At::Path), VERSIONS, handler!(show)),
    Route::new(
        Verb::Put,
        PATTERN,
        Right::Action("Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write", At::Path),
        VERSIONS,
        handler!(put),
    ),
    Route::new(
        Verb::Delete,
        PATTERN,
        Right::Action("Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/delete", At::Path),
        VERSIONS,
        handler!(delete),
    ),
];

const LIST: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{identity}/federatedIdentityCredentials";
const PATTERN: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{identity}/federatedIdentityCredentials/{credential}";
const READ: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/read";

const PUT: &[Field] = &[
    required("properties", Kind::Object(PROPERTIES)),
    answered("id"),
    answered("name"),
    answered("type"),
    answered("systemData"),
];
const PROPERTIES: &[Field] = &[
    required("issuer", Kind::Text),
    required("subject", Kind::Text),
    required("audiences", Kind::ListOf(&Kind::Text)),
];

async fn list(call: Call) -> Result<Answer, ArmError> {
    let identity = identity(&call)?;
    let value: Vec<Value> = identity.federations.iter().map(|federation| shape(&identity, federation)).collect();
    Ok(Answer::ok(json!({ "value": value, "nextLink": null })))
}

async fn show(call: Call) -> Result<Answer, ArmError> {
    let identity = identity(&call)?;
    match named(&identity, call.param("credential")) {
        Some(federation) => Ok(Answer::ok(shape(&identity, federation))),
        None => Err(ArmError::no_resource(&call.path())),
    }
}

async fn put(call: Call) -> Result<Answer, ArmError> {
    let body = check(call.json().await?, PUT).map_err(|problems| ArmError::invalid(&problems))?;
    let identity = identity(&call)?;
    let name = call.param("credential");
    let before = named(&identity, name);
    let properties = body.get("properties").unwrap_or(&Value::Null);
    let (id, known) = (before.map(|federation| federation.id), &identity.federations);
    let wanted =
        federation::of(name, properties, "properties.", known).map_err(|problems| ArmError::invalid(&problems))?;
    let wanted = Federation { id: id.unwrap_or_else(|| federation::new_id(&*call.parts.rng)), ..wanted };
    let change = CredentialChange::PutFederation(wanted);
    let identity = call.store().change_identity(&call.actor(), &identity.envelope.id, change).await?;
    match named(&identity, name) {
        Some(federation) => Ok(Answer::put(id.is_none(), shape(&identity, federation))),
        None => Err(ArmError::no_resource(&call.path())),
    }
}

async fn delete(call: Call) -> Result<Answer, ArmError> {
    let identity = identity(&call)?;
    let Some(federation) = named(&identity, call.param("credential")) else { return Ok(Answer::no_content()) };
    let change = CredentialChange::RemoveFederation(federation.name.clone());
    call.store().change_identity(&call.actor(), &identity.envelope.id, change).await?;
    Ok(Answer::done())
}

fn named<'i>(identity: &'i Identity, name: &str) -> Option<&'i Federation> {
    identity.federations.iter().find(|federation| federation.name.eq_ignore_ascii_case(name))
}

fn shape(identity: &Identity, federation: &Federation) -> Value {
    json!({
        "id": format!("{}/federatedIdentityCredentials/{}", identity.envelope.id, federation.name),
        "name": federation.name,
        "type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials",
        "properties": {
            "issuer": federation.issuer,
            "subject": federation.subject,
            "audiences": [federation.audience],
        },
    })
}
