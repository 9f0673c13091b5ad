//! Data collection endpoints (`Microsoft.Insights/dataCollectionEndpoints`).

use std::sync::Arc;

use catalog::{Endpoint, EndpointSpec, Precondition, StoreError, key};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::bodies;
use crate::call::Call;
use crate::error::ArmError;
use crate::etag::{self, ATTEMPTS_MAX};
use crate::paging::Page;
use crate::route::{At, Right, Route, Verb, handler};
use crate::{Settings, addresses, shape};

pub(crate) const ROUTES: &[Route] = &[
    Route::new(Verb::Get, IN_SUBSCRIPTION, Right::List(READ, At::Subscription), VERSIONS, handler!(list)),
    Route::new(Verb::Get, IN_GROUP, Right::List(READ, At::Group), VERSIONS, handler!(list)),
    Route::new(Verb::Get, ONE, Right::Action(READ, At::Path), VERSIONS, handler!(show)),
    Route::new(Verb::Put, ONE, Right::Action(WRITE, At::Path), VERSIONS, handler!(put)),
    Route::new(Verb::Patch, ONE, Right::Action(WRITE, At::Path), VERSIONS, handler!(patch)),
    Route::new(Verb::Delete, ONE, Right::Action(DELETE, At::Path), VERSIONS, handler!(delete)),
];

pub(crate) const TYPE: &str = "Microsoft.Insights/dataCollectionEndpoints";
pub(crate) const VERSIONS: &[&str] = &["2021-04-01", "2021-09-01-preview", "2022-06-01", "2023-03-11", "2024-03-11"];
const IN_SUBSCRIPTION: &str = "/subscriptions/{subscription}/providers/Microsoft.Insights/dataCollectionEndpoints";
const IN_GROUP: &str =
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Insights/dataCollectionEndpoints";
const ONE: &str =
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Insights/dataCollectionEndpoints/{name}";
pub(crate) const READ: &str = "Microsoft.Insights/dataCollectionEndpoints/read";
const WRITE: &str = "Microsoft.Insights/dataCollectionEndpoints/write";
const DELETE: &str = "Microsoft.Insights/dataCollectionEndpoints/delete";

async fn list(call: Call) -> Result<Answer, ArmError> {
    let (prefix, page) = (call.list_prefix()?, Page::of(&call)?);
    let snapshot = call.snapshot();
    Ok(page.of_table(&call, snapshot.endpoints(), &prefix, |endpoint| {
        call.may_see(&endpoint.envelope.id).then(|| shape(endpoint, &call.settings))
    }))
}

async fn show(call: Call) -> Result<Answer, ArmError> {
    let endpoint = found(&call)?;
    Ok(answer(&call, &endpoint))
}

async fn put(call: Call) -> Result<Answer, ArmError> {
    let precondition = call.precondition()?;
    call.subscription()?;
    let spec = bodies::endpoint(call.json().await?).map_err(|problems| ArmError::invalid(&problems))?;
    let put = call.store().put_endpoint(&call.actor(), &call.path(), spec, precondition).await?;
    Ok(answer(&call, &put.resource))
}

async fn patch(call: Call) -> Result<Answer, ArmError> {
    let precondition = call.precondition()?;
    let patch = bodies::tags_patch(call.json().await?).map_err(|problems| ArmError::invalid(&problems))?;
    for _ in 0..ATTEMPTS_MAX {
        let endpoint = found(&call)?;
        let pinned = etag::pinned(&precondition, &endpoint.envelope.etag);
        let spec = EndpointSpec {
            location: endpoint.envelope.location.clone(),
            tags: patch.tags.clone().unwrap_or_else(|| endpoint.envelope.tags.clone()),
            kind: endpoint.kind.clone(),
            description: endpoint.description.clone(),
            public_network_access: Some(endpoint.public_network_access.clone()),
            immutable_id: None,
        };
        match call.store().put_endpoint(&call.actor(), &call.path(), spec, pinned).await {
            Err(StoreError::PreconditionFailed { .. }) if precondition == Precondition::None => {}
            outcome => return Ok(answer(&call, &outcome?.resource)),
        }
    }
    Err(etag::overtaken())
}

async fn delete(call: Call) -> Result<Answer, ArmError> {
    let precondition = call.precondition()?;
    call.subscription()?;
    let deleted = call.store().delete_endpoint(&call.actor(), &call.path(), precondition).await?;
    Ok(if deleted { Answer::done() } else { Answer::no_content() })
}

fn found(call: &Call) -> Result<Arc<Endpoint>, ArmError> {
    call.subscription()?;
    let (id, snapshot) = (call.path(), call.snapshot());
    let found = snapshot.endpoints().get(&key(&id)).cloned();
    found.ok_or_else(|| call.missing(&id, &snapshot))
}

fn answer(call: &Call, endpoint: &Endpoint) -> Answer {
    Answer::ok(shape(endpoint, &call.settings)).with_etag(&endpoint.envelope.etag)
}

pub(crate) fn shape(endpoint: &Endpoint, settings: &Settings) -> Value {
    let mut properties = json!({
        "immutableId": endpoint.immutable_id,
        "configurationAccess": { "endpoint": addresses::configuration_access(endpoint, settings) },
        "logsIngestion": { "endpoint": addresses::logs_ingestion(endpoint, settings) },
        "metricsIngestion": { "endpoint": addresses::metrics_ingestion(endpoint, settings) },
        "networkAcls": { "publicNetworkAccess": endpoint.public_network_access },
        "provisioningState": "Succeeded",
    });
    if let Some(description) = &endpoint.description {
        properties["description"] = Value::from(description.as_str());
    }
    let mut shape = shape::resource(&endpoint.envelope, endpoint.envelope.id.as_str(), TYPE, properties);
    if let Some(kind) = &endpoint.kind {
        shape["kind"] = Value::from(kind.as_str());
    }
    shape
}
