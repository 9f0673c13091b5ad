//! What the caller may at a scope, and kinds of rights that exist in Azure and never here.

use serde_json::{Value, json};

use super::VERSIONS;
use super::role_definitions::permissions;
use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::route::{At, Right, Route, Verb, handler};

pub(crate) const ROUTES: &[Route] = &[
    Route::new(
        Verb::Get,
        "{scope}/providers/Microsoft.Authorization/permissions",
        Right::Token,
        VERSIONS,
        handler!(own),
    ),
    Route::new(
        Verb::Get,
        "{scope}/providers/Microsoft.Authorization/denyAssignments",
        Right::List("Microsoft.Authorization/denyAssignments/read", At::Scope),
        VERSIONS,
        handler!(none),
    ),
    Route::new(
        Verb::Get,
        "/subscriptions/{subscription}/providers/Microsoft.Authorization/classicAdministrators",
        Right::List("Microsoft.Authorization/classicAdministrators/read", At::Subscription),
        VERSIONS,
        handler!(none),
    ),
];

/// One entry for every role that the caller has at the scope or above it.
async fn own(call: Call) -> Result<Answer, ArmError> {
    let roles = call.caller.as_ref().map(|caller| call.policy.roles_at(caller, &call.scope())).unwrap_or_default();
    let value: Vec<Value> = roles.iter().map(|role| permissions(role)).collect();
    Ok(Answer::ok(json!({ "value": value, "nextLink": null })))
}

/// Deny assignments come of Azure's blueprints and deployment stacks, classic administrators of its first portal.
async fn none(_call: Call) -> Result<Answer, ArmError> {
    Ok(Answer::ok(json!({ "value": [] })))
}
