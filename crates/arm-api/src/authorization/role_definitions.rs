//! Role definitions: the built-in ones; they can be read only.

use access::RoleDefinition;
use serde_json::{Value, json};

use super::{VERSIONS, role_definition_id};
use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::filter::Filter;
use crate::route::{At, Right, Route, Verb, handler};

pub(crate) const ROUTES: &[Route] = &[
    Route::new(
        Verb::Get,
        "{scope}/providers/Microsoft.Authorization/roleDefinitions",
        Right::List(READ, At::Scope),
        VERSIONS,
        handler!(list),
    ),
    Route::new(
        Verb::Get,
        "{scope}/providers/Microsoft.Authorization/roleDefinitions/{role}",
        Right::List(READ, At::Scope),
        VERSIONS,
        handler!(show),
    ),
];

const READ: &str = "Microsoft.Authorization/roleDefinitions/read";

async fn list(call: Call) -> Result<Answer, ArmError> {
    let filter = match call.query.filled("$filter") {
        Some(text) => {
            Some(Filter::parse(text).map_err(|error| ArmError::bad_request("InvalidFilter", not_read(text, &error)))?)
        }
        None => None,
    };
    let terms = filter.as_ref().map_or(&[][..], Filter::terms);
    let mut value = Vec::new();
    for role in call.policy.roles() {
        let mut wanted = true;
        for term in terms {
            wanted &= holds(term, role).ok_or_else(|| unsupported(call.query.filled("$filter").unwrap_or("")))?;
        }
        if wanted {
            value.push(shape(&call, role));
        }
    }
    Ok(Answer::ok(json!({ "value": value })))
}

async fn show(call: Call) -> Result<Answer, ArmError> {
    let id = call.param("role");
    if id.parse::<uuid::Uuid>().is_err() {
        let message = format!("The role definition ID '{id}' is not valid. The role definition ID must be a GUID.");
        return Err(ArmError::bad_request("InvalidRoleDefinitionId", message));
    }
    match call.policy.role(id) {
        Some(role) => Ok(Answer::ok(shape(&call, role))),
        None => {
            let message = format!("The specified role definition with ID '{id}' does not exist.");
            Err(ArmError::not_found("RoleDefinitionDoesNotExist", message))
        }
    }
}

/// Whether a term of a filter holds for a role; `None` for a term that is not understood here.
fn holds(term: &Filter, role: &RoleDefinition) -> Option<bool> {
    if let Some(name) = term.equals("roleName") {
        return Some(role.name.to_lowercase() == name.to_lowercase());
    }
    if let Some(kind) = term.equals("type") {
        return Some(kind.eq_ignore_ascii_case(BUILT_IN));
    }
    // Built-in roles can be assigned everywhere.
    let everywhere = term.call("atScopeAndBelow").or_else(|| term.call("atScope"));
    everywhere.filter(|arguments| arguments.is_empty()).map(|_| true)
}

fn shape(call: &Call, role: &RoleDefinition) -> Value {
    let permissions = permissions(role);
    json!({
        "properties": {
            "roleName": role.name,
            "type": BUILT_IN,
            "description": role.description,
            "assignableScopes": ["/"],
            "permissions": [permissions],
            "createdBy": null,
            "updatedBy": null,
        },
        "id": role_definition_id(&role.id, &call.scope()),
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": role.id,
    })
}

/// What a role permits.
pub(super) fn permissions(role: &RoleDefinition) -> Value {
    json!({
        "actions": role.actions,
        "notActions": role.not_actions,
        "dataActions": role.data_actions,
        "notDataActions": role.not_data_actions,
    })
}

/// For a filter that cannot be read.
pub(super) fn not_read(filter: &str, error: &crate::filter::FilterError) -> String {
    let shown: String = filter.chars().take(FILTER_SHOWN_CHARS).collect();
    format!("The filter '{shown}' cannot be read: {error}.")
}

fn unsupported(filter: &str) -> ArmError {
    let message = format!(
        "The filter '{filter}' is not supported. Supported are roleName eq '{{name}}', type eq '{BUILT_IN}', \
         atScopeAndBelow() and these joined by 'and'."
    );
    ArmError::bad_request("UnsupportedQuery", message)
}

const BUILT_IN: &str = "BuiltInRole";
const FILTER_SHOWN_CHARS: usize = 300;
