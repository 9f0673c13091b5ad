//! Resource groups.

use std::sync::Arc;

use catalog::{GroupSpec, Precondition, ResourceGroup, StoreError, key};
use http::StatusCode;
use model::ResourceId;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::bodies;
use crate::call::Call;
use crate::error::ArmError;
use crate::etag::{self, ATTEMPTS_MAX};
use crate::operations;
use crate::paging::Page;
use crate::resource_filter::{ResourceFilter, Seen};
use crate::route::{At, Right, Route, Verb, handler};
use crate::shape;

pub(crate) const ROUTES: &[Route] = &[
    Route::new(Verb::Get, LIST, Right::List(READ, At::Subscription), VERSIONS, handler!(list)),
    Route::new(Verb::Get, ONE, Right::Action(READ, At::Group), VERSIONS, handler!(show)),
    Route::new(Verb::Head, ONE, Right::Action(READ, At::Group), VERSIONS, handler!(exists)),
    Route::new(Verb::Put, ONE, Right::Action(WRITE, At::Group), VERSIONS, handler!(put)),
    Route::new(Verb::Patch, ONE, Right::Action(WRITE, At::Group), VERSIONS, handler!(patch)),
    Route::new(Verb::Delete, ONE, Right::Action(DELETE, At::Group), VERSIONS, handler!(delete)),
];

const TYPE: &str = "Microsoft.Resources/resourceGroups";
const LIST: &str = "/subscriptions/{subscription}/resourceGroups";
const ONE: &str = "/subscriptions/{subscription}/resourceGroups/{group}";
const READ: &str = "Microsoft.Resources/subscriptions/resourceGroups/read";
const WRITE: &str = "Microsoft.Resources/subscriptions/resourceGroups/write";
const DELETE: &str = "Microsoft.Resources/subscriptions/resourceGroups/delete";
const VERSIONS: &[&str] = &["2020-10-01", "2021-04-01", "2022-09-01", "2024-11-01"];

async fn list(call: Call) -> Result<Answer, ArmError> {
    let (subscription, page) = (call.subscription()?, Page::of(&call)?);
    let filter = ResourceFilter::parse(call.query.filled("$filter"))?;
    let snapshot = call.snapshot();
    let prefix = format!("/subscriptions/{subscription}/");
    Ok(page.of_table(&call, snapshot.groups(), &prefix, |group| {
        let envelope = &group.envelope;
        let (name, location) = (envelope.id.name(), envelope.location.as_str());
        let seen = Seen { resource_type: TYPE, name, group: name, location, tags: &envelope.tags };
        (filter.takes(seen) && call.may_see(&envelope.id)).then(|| self::shape(group))
    }))
}

async fn show(call: Call) -> Result<Answer, ArmError> {
    Ok(Answer::ok(self::shape(&found(&call)?)))
}

async fn exists(call: Call) -> Result<Answer, ArmError> {
    // A HEAD's answer has no body, so that a group that is not there is a bare 404.
    Ok(match found(&call) {
        Ok(_) => Answer::no_content(),
        Err(_) => Answer::new(StatusCode::NOT_FOUND, None),
    })
}

async fn put(call: Call) -> Result<Answer, ArmError> {
    let precondition = call.precondition()?;
    call.subscription()?;
    let spec = bodies::group(call.json().await?).map_err(|problems| ArmError::invalid(&problems))?;
    let put = call.store().put_group(&call.actor(), &call.path(), spec, precondition).await?;
    Ok(Answer::put(put.created, self::shape(&put.resource)))
}

async fn patch(call: Call) -> Result<Answer, ArmError> {
    let precondition = call.precondition()?;
    let patch = bodies::group_patch(call.json().await?).map_err(|problems| ArmError::invalid(&problems))?;
    for _ in 0..ATTEMPTS_MAX {
        let group = found(&call)?;
        let ResourceGroup { envelope } = &*group;
        let tags = patch.tags.clone().unwrap_or_else(|| envelope.tags.clone());
        let spec = GroupSpec { location: envelope.location.clone(), tags };
        let pinned = etag::pinned(&precondition, &envelope.etag);
        match call.store().put_group(&call.actor(), &call.path(), spec, pinned).await {
            Err(StoreError::PreconditionFailed { .. }) if precondition == Precondition::None => {}
            outcome => return Ok(Answer::ok(self::shape(&outcome?.resource))),
        }
    }
    Err(etag::overtaken())
}

async fn delete(call: Call) -> Result<Answer, ArmError> {
    // Of a group that is not there Azure says so, unlike of a resource.
    let (group, id) = (found(&call)?, call.path());
    if !call.store().delete_group(&call.actor(), &id, call.precondition()?).await? {
        return Err(missing(&id));
    }
    Ok(operations::group_deleted(&call, &group))
}

fn found(call: &Call) -> Result<Arc<ResourceGroup>, ArmError> {
    call.subscription()?;
    let id = call.path();
    call.snapshot().groups().get(&key(&id)).cloned().ok_or_else(|| missing(&id))
}

pub(crate) fn missing(id: &ResourceId) -> ArmError {
    let name = id.segment_after("resourceGroups").unwrap_or("");
    ArmError::not_found("ResourceGroupNotFound", format!("Resource group '{name}' could not be found."))
}

fn shape(group: &Arc<ResourceGroup>) -> Value {
    let envelope = &group.envelope;
    let mut shape = json!({
        "id": envelope.id.as_str(),
        "name": envelope.id.name(),
        "type": TYPE,
        "location": envelope.location,
        "tags": shape::tags(&envelope.tags),
        "properties": { "provisioningState": "Succeeded" },
    });
    if let Some(manager) = &envelope.managed_by {
        shape["managedBy"] = Value::from(manager.as_str());
    }
    shape
}
