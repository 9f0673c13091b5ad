//! Role assignments: made, read, listed, deleted at any scope.

use catalog::Assignment;
use model::ResourceId;
use serde_json::{Value, json};

use super::listing::{Wanted, assignments};
use super::role_definitions::not_read;
use super::{VERSIONS, request, role_definition_id};
use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::filter::Filter;
use crate::paging::Page;
use crate::route::{At, Right, Route, Verb, handler};
use crate::shape::time;

pub(crate) const ROUTES: &[Route] = &[
    Route::new(
        Verb::Get,
        "{scope}/providers/Microsoft.Authorization/roleAssignments",
        Right::List(READ, At::Scope),
        VERSIONS,
        handler!(list),
    ),
    Route::new(
        Verb::Get,
        "{scope}/providers/Microsoft.Authorization/roleAssignments/{assignment}",
        Right::Action(READ, At::Scope),
        VERSIONS,
        handler!(show),
    ),
    Route::new(
        Verb::Put,
        "{scope}/providers/Microsoft.Authorization/roleAssignments/{assignment}",
        Right::Action("Microsoft.Authorization/roleAssignments/write", At::Scope),
        VERSIONS,
        handler!(put),
    ),
    Route::new(
        Verb::Delete,
        "{scope}/providers/Microsoft.Authorization/roleAssignments/{assignment}",
        Right::Action("Microsoft.Authorization/roleAssignments/delete", At::Scope),
        VERSIONS,
        handler!(delete),
    ),
];

const READ: &str = "Microsoft.Authorization/roleAssignments/read";

async fn list(call: Call) -> Result<Answer, ArmError> {
    let wanted = match call.query.filled("$filter") {
        Some(text) => {
            let filter =
                Filter::parse(text).map_err(|error| ArmError::bad_request("InvalidFilter", not_read(text, &error)))?;
            Wanted::of(&filter).ok_or_else(|| unsupported(text))?
        }
        None => Wanted::default(),
    };
    let (snapshot, scope, page) = (call.snapshot(), call.scope(), Page::of(&call)?);
    let found = assignments(snapshot.assignments(), &scope, &wanted, page.after());
    let visible = found.filter(|(_, assignment)| call.may_see(&assignment.scope));
    Ok(page.answer(&call, visible.map(|(key, assignment)| (key.to_string(), shape(assignment, &scope)))))
}

async fn show(call: Call) -> Result<Answer, ArmError> {
    let (id, snapshot) = (call.path(), call.snapshot());
    match snapshot.assignments().get(&catalog::key(&id)) {
        Some(assignment) => Ok(Answer::ok(shape(assignment, &call.scope()))),
        None => {
            let message = format!("The role assignment '{}' is not found.", id.name());
            Err(ArmError::not_found("RoleAssignmentNotFound", message))
        }
    }
}

async fn put(call: Call) -> Result<Answer, ArmError> {
    let body = call.json().await?;
    let spec = request::assignment(call.path(), &body, &call.policy)?;
    let put = call.store().put_assignment(&call.actor(), spec).await?;
    Ok(Answer::put(put.created, shape(&put.resource, &call.scope())))
}

async fn delete(call: Call) -> Result<Answer, ArmError> {
    match call.store().delete_assignment(&call.actor(), &call.path()).await? {
        Some(assignment) => Ok(Answer::ok(shape(&assignment, &call.scope()))),
        None => Ok(Answer::no_content()),
    }
}

fn shape(assignment: &Assignment, seen_from: &ResourceId) -> Value {
    let mut shape = json!({
        "properties": {
            "roleDefinitionId": role_definition_id(&assignment.role, seen_from),
            "principalId": assignment.principal_id,
            "principalType": assignment.principal_type,
            "scope": assignment.scope.as_str(),
            "condition": null,
            "conditionVersion": null,
            "createdOn": time(assignment.created.at_ms),
            "updatedOn": time(assignment.updated.at_ms),
            "createdBy": assignment.created.by,
            "updatedBy": assignment.updated.by,
            "delegatedManagedIdentityResourceId": null,
            "description": assignment.description,
        },
        "id": assignment.id.as_str(),
        "type": "Microsoft.Authorization/roleAssignments",
        "name": assignment.id.name(),
    });
    if let Some(issuer) = &assignment.issuer {
        shape["properties"]["remoraIssuer"] = Value::from(issuer.as_str());
    }
    shape
}

fn unsupported(filter: &str) -> ArmError {
    let message = format!(
        "The filter '{filter}' is not supported. Supported are atScope(), principalId eq '{{id}}', assignedTo('{{id}}'), \
         roleDefinitionId eq '{{id}}' and these joined by 'and'."
    );
    ArmError::bad_request("UnsupportedQuery", message)
}
