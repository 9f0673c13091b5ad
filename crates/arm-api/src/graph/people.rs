//! Users and groups, of which there are none: people come with tokens of other issuers.

use serde_json::json;

use super::{bad_request, not_found, reads};
use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::route::{Route, Verb, handler};

pub(crate) const ROUTES: &[Route] = &[
    reads(Verb::Get, "/v1.0/me", handler!(me)),
    reads(Verb::Get, "/v1.0/me/ownedObjects", handler!(me)),
    reads(Verb::Get, "/v1.0/users", handler!(none)),
    reads(Verb::Get, "/v1.0/users/{object}", handler!(unknown)),
    reads(Verb::Get, "/v1.0/groups", handler!(none)),
    reads(Verb::Get, "/v1.0/groups/{object}", handler!(unknown)),
    reads(Verb::Get, "/v1.0/oauth2PermissionGrants", handler!(none)),
];

async fn me(_call: Call) -> Result<Answer, ArmError> {
    Err(bad_request("/me request is only valid with delegated authentication flow."))
}

async fn none(_call: Call) -> Result<Answer, ArmError> {
    Ok(Answer::ok(json!({ "value": [] })))
}

async fn unknown(call: Call) -> Result<Answer, ArmError> {
    Err(not_found(call.param("object")))
}
