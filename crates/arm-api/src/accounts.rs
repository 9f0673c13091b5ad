//! Workspaces (`Microsoft.Monitor/accounts`).

use std::sync::Arc;

use catalog::{Precondition, Profile, Snapshot, StoreError, Workspace, WorkspaceSpec, WorkspaceStorage, key};
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::bodies::{self, Patch};
use crate::call::Call;
use crate::error::ArmError;
use crate::etag::{self, ATTEMPTS_MAX};
use crate::paging::Page;
use crate::route::{At, Right, Route, Verb, handler};
use crate::{Settings, addresses, operations, shape};

pub(crate) const ROUTES: &[Route] = &[
    Route::new(Verb::Get, IN_SUBSCRIPTION, Right::List(READ, At::Subscription), VERSIONS, handler!(list)),
    Route::new(Verb::Get, IN_GROUP, Right::List(READ, At::Group), VERSIONS, handler!(list)),
    Route::new(Verb::Get, ONE, Right::Action(READ, At::Path), VERSIONS, handler!(show)),
    Route::new(Verb::Put, ONE, Right::Action(WRITE, At::Path), VERSIONS, handler!(put)),
    Route::new(Verb::Patch, ONE, Right::Action(WRITE, At::Path), VERSIONS, handler!(patch)),
    Route::new(Verb::Delete, ONE, Right::Action(DELETE, At::Path), VERSIONS, handler!(delete)),
];

pub(crate) const TYPE: &str = "Microsoft.Monitor/accounts";
/// Api-versions that the service is known with (contract §5.1).
pub(crate) const VERSIONS: &[&str] = &[
    "2021-06-01-preview",
    "2021-06-03-preview",
    "2023-04-01",
    "2023-04-03",
    "2023-06-01-preview",
    "2024-04-01-preview",
    "2024-04-03-preview",
    "2024-10-01-preview",
    "2024-10-03-preview",
    "2025-05-01-preview",
    "2025-05-03-preview",
    "2025-10-03-preview",
    "2025-10-03",
];
const IN_SUBSCRIPTION: &str = "/subscriptions/{subscription}/providers/Microsoft.Monitor/accounts";
const IN_GROUP: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Monitor/accounts";
const ONE: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Monitor/accounts/{name}";
pub(crate) const READ: &str = "Microsoft.Monitor/accounts/read";
pub(crate) const WRITE: &str = "Microsoft.Monitor/accounts/write";
pub(crate) const DELETE: &str = "Microsoft.Monitor/accounts/delete";

async fn list(call: Call) -> Result<Answer, ArmError> {
    let (prefix, page) = (call.list_prefix()?, Page::of(&call)?);
    let snapshot = call.snapshot();
    Ok(page.of_table(&call, snapshot.workspaces(), &prefix, |workspace| {
        call.may_see(&workspace.envelope.id).then(|| shape(workspace, &snapshot, &call.settings))
    }))
}

async fn show(call: Call) -> Result<Answer, ArmError> {
    let (workspace, snapshot) = found(&call)?;
    Ok(answer(&call, &workspace, &snapshot))
}

async fn put(call: Call) -> Result<Answer, ArmError> {
    let precondition = call.precondition()?;
    call.subscription()?;
    let spec = bodies::workspace(call.json().await?).map_err(|problems| ArmError::invalid(&problems))?;
    let put = call.store().put_workspace(&call.actor(), &call.path(), spec, precondition).await?;
    // 200 for a new one too, as the service it stands for does.
    Ok(answer(&call, &put.resource, &call.snapshot()))
}

async fn patch(call: Call) -> Result<Answer, ArmError> {
    let precondition = call.precondition()?;
    let patch = bodies::workspace_patch(call.json().await?).map_err(|problems| ArmError::invalid(&problems))?;
    for _ in 0..ATTEMPTS_MAX {
        let (workspace, _) = found(&call)?;
        let pinned = etag::pinned(&precondition, &workspace.envelope.etag);
        let spec = patched(&workspace, &patch);
        match call.store().put_workspace(&call.actor(), &call.path(), spec, pinned).await {
            Err(StoreError::PreconditionFailed { .. }) if precondition == Precondition::None => {}
            outcome => return Ok(answer(&call, &outcome?.resource, &call.snapshot())),
        }
    }
    Err(etag::overtaken())
}

async fn delete(call: Call) -> Result<Answer, ArmError> {
    let precondition = call.precondition()?;
    call.subscription()?;
    let purge = call.flag("purge")?;
    match call.store().delete_workspace(&call.actor(), &call.path(), precondition, purge).await? {
        Some(workspace) => Ok(operations::workspace_deleted(&call, &workspace)),
        None => Ok(Answer::no_content()),
    }
}

/// The path's workspace, and the state that it was found in.
pub(crate) fn found(call: &Call) -> Result<(Arc<Workspace>, Arc<Snapshot>), ArmError> {
    call.subscription()?;
    let (id, snapshot) = (call.resource(ONE), call.snapshot());
    match snapshot.workspaces().get(&key(&id)).cloned() {
        Some(workspace) => Ok((workspace, snapshot)),
        None => Err(call.missing(&id, &snapshot)),
    }
}

fn patched(workspace: &Workspace, patch: &Patch) -> WorkspaceSpec {
    WorkspaceSpec {
        location: workspace.envelope.location.clone(),
        tags: patch.tags.clone().unwrap_or_else(|| workspace.envelope.tags.clone()),
        public_network_access: patch.public_network_access,
        profile: patch.profile,
        storage: patch.storage,
        account_id: None,
        with_defaults: true,
    }
}

fn answer(call: &Call, workspace: &Workspace, snapshot: &Snapshot) -> Answer {
    Answer::ok(shape(workspace, snapshot, &call.settings)).with_etag(&workspace.envelope.etag)
}

/// The id as the service it stands for writes it: with two segments in lower case.
pub(crate) fn shown_id(workspace: &Workspace) -> String {
    let id = workspace.envelope.id.as_str();
    let id = id.replacen("/resourceGroups/", "/resourcegroups/", 1);
    id.replacen("/providers/Microsoft.Monitor/", "/providers/microsoft.monitor/", 1)
}

pub(crate) fn shape(workspace: &Workspace, snapshot: &Snapshot, settings: &Settings) -> Value {
    let access = if workspace.public_network_access { "Enabled" } else { "Disabled" };
    let profile = match workspace.profile {
        Profile::Strict => "strict",
        Profile::Azure => "azure",
    };
    let mut properties = json!({
        "accountId": workspace.account_id.to_string(),
        "metrics": {
            "prometheusQueryEndpoint": addresses::query(workspace, settings),
            "internalId": format!("mac_{}", workspace.account_id),
            "enableAccessUsingResourcePermissions": true,
        },
        "provisioningState": "Succeeded",
        "publicNetworkAccess": access,
        "remora": { "profile": profile, "handle": workspace.handle },
    });
    let storage = storage(&workspace.storage);
    if !storage.is_empty() {
        properties["remora"]["storage"] = Value::Object(storage);
    }
    if let Some(ingestion) = default_ingestion(workspace, snapshot, settings) {
        properties["defaultIngestionSettings"] = ingestion;
    }
    shape::resource(&workspace.envelope, &shown_id(workspace), TYPE, properties)
}

/// What differs from the installation's settings.
fn storage(storage: &WorkspaceStorage) -> Map<String, Value> {
    let values = [
        (bodies::RETENTION, storage.retention_days.map(u64::from)),
        (bodies::RETENTION_BYTES, storage.retention_bytes),
        (bodies::OUT_OF_ORDER, storage.out_of_order_window_secs),
    ];
    values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?)))).collect()
}

fn default_ingestion(workspace: &Workspace, snapshot: &Snapshot, settings: &Settings) -> Option<Value> {
    let rule = snapshot.rules().get(&key(workspace.default_rule.as_ref()?))?;
    let endpoint = snapshot.endpoints().get(&key(workspace.default_endpoint.as_ref()?))?;
    Some(json!({
        "dataCollectionRuleResourceId": rule.envelope.id.as_str(),
        "dataCollectionEndpointResourceId": endpoint.envelope.id.as_str(),
        "dataCollectionRuleImmutableId": rule.immutable_id,
        "ingestionEndpoints": { "metrics": addresses::metrics_ingestion(endpoint, settings) },
    }))
}
