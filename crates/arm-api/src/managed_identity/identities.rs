//! The identities themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{Identity, IdentitySpec, Precondition, StoreError, key};
use serde_json::{Map, Value, json};

use super::{VERSIONS, identity};
use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::etag::{self, ATTEMPTS_MAX};
use crate::paging::Page;
use crate::route::{At, Right, Route, Verb, handler};
use crate::schema::{Field, Kind, answered, check, optional, required};

pub(crate) const ROUTES: &[Route] = &[
    Route::new(Verb::Get, PATTERN, Right::Action(READ, At::Path), VERSIONS, handler!(show)),
    Route::new(Verb::Put, PATTERN, Right::Action(WRITE, At::Path), VERSIONS, handler!(put)),
    Route::new(Verb::Patch, PATTERN, Right::Action(WRITE, At::Path), VERSIONS, handler!(patch)),
    Route::new(
        Verb::Delete,
        PATTERN,
        Right::Action("Microsoft.ManagedIdentity/userAssignedIdentities/delete", At::Path),
        VERSIONS,
        handler!(delete),
    ),
    Route::new(
        Verb::Get,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities",
        Right::List(READ, At::Group),
        VERSIONS,
        handler!(list),
    ),
    Route::new(
        Verb::Get,
        "/subscriptions/{subscription}/providers/Microsoft.ManagedIdentity/userAssignedIdentities",
        Right::List(READ, At::Subscription),
        VERSIONS,
        handler!(list),
    ),
    Route::new(
        Verb::Post,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{identity}/listAssociatedResources",
        Right::Action("Microsoft.ManagedIdentity/userAssignedIdentities/listAssociatedResources/action", At::Path),
        VERSIONS,
        handler!(associated_resources),
    ),
];

const PATTERN: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{identity}";
const READ: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/read";
const WRITE: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/write";

const PUT: &[Field] = &[
    required("location", Kind::Text),
    optional("tags", Kind::Texts),
    answered("id"),
    answered("name"),
    answered("type"),
    answered("properties"),
    answered("systemData"),
];

const PATCH: &[Field] = &[
    optional("tags", Kind::Texts),
    answered("location"),
    answered("id"),
    answered("name"),
    answered("type"),
    answered("properties"),
];

async fn show(call: Call) -> Result<Answer, ArmError> {
    Ok(Answer::ok(shape(&call, &*identity(&call)?)))
}

async fn list(call: Call) -> Result<Answer, ArmError> {
    call.subscription()?;
    let (snapshot, page) = (call.snapshot(), Page::of(&call)?);
    // The list's own path up to the provider is what the ids in it begin with.
    let path = key(&call.path());
    let scope = path.split("/providers/").next().unwrap_or("");
    let shown = |identity: &Arc<Identity>| call.may_see(&identity.envelope.id).then(|| shape(&call, identity));
    Ok(page.of_table(&call, snapshot.identities(), &format!("{scope}/"), shown))
}

async fn put(call: Call) -> Result<Answer, ArmError> {
    let precondition = call.precondition()?;
    let body = check(call.json().await?, PUT).map_err(|problems| ArmError::invalid(&problems))?;
    let location = body.get("location").and_then(Value::as_str).unwrap_or("").to_owned();
    // What is the default stays so: nothing that is sent says anything about it.
    let is_default = call.snapshot().identities().get(&key(&call.path())).is_some_and(|identity| identity.is_default);
    let spec = IdentitySpec { location, tags: tags(&body), ids: None, is_default };
    let put = call.store().put_identity(&call.actor(), &call.path(), spec, precondition).await?;
    Ok(Answer::put(put.created, shape(&call, &put.resource)))
}

async fn patch(call: Call) -> Result<Answer, ArmError> {
    let precondition = call.precondition()?;
    let body = check(call.json().await?, PATCH).map_err(|problems| ArmError::invalid(&problems))?;
    for _ in 0..ATTEMPTS_MAX {
        let before = identity(&call)?;
        let pinned = etag::pinned(&precondition, &before.envelope.etag);
        let tags = if body.contains_key("tags") { tags(&body) } else { before.envelope.tags.clone() };
        let location = before.envelope.location.clone();
        let spec = IdentitySpec { location, tags, ids: None, is_default: before.is_default };
        match call.store().put_identity(&call.actor(), &call.path(), spec, pinned).await {
            Err(StoreError::PreconditionFailed { .. }) if precondition == Precondition::None => {}
            outcome => return Ok(Answer::ok(shape(&call, &outcome?.resource))),
        }
    }
    Err(etag::overtaken())
}

async fn delete(call: Call) -> Result<Answer, ArmError> {
    let precondition = call.precondition()?;
    let existed = call.store().delete_identity(&call.actor(), &call.path(), precondition).await?;
    Ok(if existed { Answer::done() } else { Answer::no_content() })
}

/// Nothing here runs with an identity: programs ask for its tokens.
async fn associated_resources(call: Call) -> Result<Answer, ArmError> {
    identity(&call)?;
    Ok(Answer::ok(json!({ "totalCount": 0, "value": [] })))
}

fn tags(body: &Map<String, Value>) -> BTreeMap<String, String> {
    let tags = body.get("tags").and_then(Value::as_object).into_iter().flatten();
    tags.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn shape(call: &Call, identity: &Identity) -> Value {
    json!({
        "id": identity.envelope.id.as_str(),
        "name": identity.envelope.id.name(),
        "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
        "location": identity.envelope.location,
        "tags": identity.envelope.tags,
        "properties": {
            "tenantId": call.settings.tenant_id,
            "principalId": identity.principal_id,
            "clientId": identity.client_id,
        },
    })
}
