//! Deletions that are answered with 202, and the places where clients ask whether they are over.
//!
//! A deletion is made, and durable, before its 202 is sent, so that nothing has to be remembered for those who ask later:
//! an operation names what was deleted (a workspace by its `accountId`, a group by its name and the time it was made), and
//! is over when that is not there. It survives restarts for the same reason. An operation tells whoever holds its name
//! only that something it names is gone.

use catalog::{ResourceGroup, Workspace, key};
use http::header::HeaderName;
use model::AccountId;
use serde_json::json;
use uuid::Uuid;

use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::ids;
use crate::route::{Right, Route, Verb, handler};

pub(crate) const ROUTES: &[Route] = &[
    Route::new(Verb::Get, WORKSPACE_RESULT, Right::Token, VERSIONS, handler!(workspace_result)),
    Route::new(Verb::Get, WORKSPACE_STATUS, Right::Token, VERSIONS, handler!(workspace_status)),
    Route::new(Verb::Get, GROUP_RESULT, Right::Token, VERSIONS, handler!(group_result)),
];

const WORKSPACE_RESULT: &str =
    "/subscriptions/{subscription}/providers/Microsoft.Monitor/locations/{location}/operationResults/{operation}";
const WORKSPACE_STATUS: &str =
    "/subscriptions/{subscription}/providers/Microsoft.Monitor/locations/{location}/operationStatuses/{operation}";
const GROUP_RESULT: &str = "/subscriptions/{subscription}/operationresults/{operation}";
const VERSIONS: &[&str] = &["2023-04-03", "2024-11-01", "2025-10-03"];

/// What the deletion of a workspace is answered with.
pub(crate) fn workspace_deleted(call: &Call, workspace: &Workspace) -> Answer {
    let place = |pattern: &str| {
        let path = pattern
            .replace("{subscription}", call.param("subscription"))
            .replace("{location}", &workspace.envelope.location)
            .replace("{operation}", &workspace.account_id.to_string());
        versioned(call, &path)
    };
    Answer::accepted(place(WORKSPACE_RESULT), RETRY_AFTER_SECS)
        .with_header(AZURE_ASYNC_OPERATION, place(WORKSPACE_STATUS))
}

/// What the deletion of a group is answered with.
pub(crate) fn group_deleted(call: &Call, group: &ResourceGroup) -> Answer {
    let operation = format!("{:x}-{}", group.envelope.created.at_ms, group.envelope.id.name());
    let path = GROUP_RESULT.replace("{subscription}", call.param("subscription")).replace("{operation}", &operation);
    Answer::accepted(versioned(call, &path), RETRY_AFTER_SECS)
}

async fn workspace_result(call: Call) -> Result<Answer, ArmError> {
    deleted_workspace(&call)?;
    Ok(Answer::no_content())
}

async fn workspace_status(call: Call) -> Result<Answer, ArmError> {
    let account = deleted_workspace(&call)?;
    Ok(Answer::ok(json!({ "id": call.path().as_str(), "name": account.to_string(), "status": "Succeeded" })))
}

fn deleted_workspace(call: &Call) -> Result<AccountId, ArmError> {
    call.subscription()?;
    let account = call.param("operation").parse::<Uuid>().map(AccountId).map_err(|_| unknown(call))?;
    match call.snapshot().workspace_by_account(account) {
        None => Ok(account),
        Some(_) => Err(unknown(call)),
    }
}

async fn group_result(call: Call) -> Result<Answer, ArmError> {
    let subscription = call.subscription()?;
    let (created, name) = call.param("operation").split_once('-').ok_or_else(|| unknown(&call))?;
    let created = i64::from_str_radix(created, 16).map_err(|_| unknown(&call))?;
    let id = ids::parse(&format!("/subscriptions/{subscription}/resourceGroups/{name}"));
    match call.snapshot().groups().get(&key(&id)) {
        // Another group may have been made under the name since.
        Some(group) if group.envelope.created.at_ms == created => Err(unknown(&call)),
        _ => Ok(Answer::done()),
    }
}

fn versioned(call: &Call, path: &str) -> String {
    let version = call.query.get("api-version").unwrap_or(VERSIONS[VERSIONS.len() - 1]);
    format!("{}?api-version={version}", call.url(path))
}

fn unknown(call: &Call) -> ArmError {
    let name = call.param("operation");
    ArmError::not_found(
        "OperationNotFound",
        format!("There is no deletion '{name}': what it names exists, or it is no name."),
    )
}

const AZURE_ASYNC_OPERATION: HeaderName = HeaderName::from_static("azure-asyncoperation");
/// What is deleted is gone already; clients need not wait.
const RETRY_AFTER_SECS: u32 = 1;
