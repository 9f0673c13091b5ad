//! The body of a PUT of a role assignment → what is asked for, with everything that is wrong with it.

use access::Policy;
use catalog::AssignmentSpec;
use model::{ErrorKind, ResourceId};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::error::{ArmError, Detail};

/// What is asked for.
pub(super) fn assignment(id: ResourceId, body: &Value, policy: &Policy) -> Result<AssignmentSpec, ArmError> {
    let mut problems = Problems::default();
    if id.name().parse::<Uuid>().is_err() {
        let message =
            format!("The role assignment ID '{}' is not valid. The role assignment ID must be a GUID.", id.name());
        problems.add("InvalidRoleAssignmentId", "name", message);
    }
    let none = Map::new();
    let properties = match body.get("properties") {
        // As the first versions of this API, some clients send what is asked for without an envelope.
        None => body.as_object(),
        Some(properties) => properties.as_object(),
    };
    let properties = properties.unwrap_or_else(|| {
        problems.add("InvalidRequestContent", "properties", "An object is expected.".to_owned());
        &none
    });
    let role = role(properties, policy, &mut problems);
    let principal_id = principal_id(properties, &mut problems);
    let principal_type = principal_type(properties, &mut problems);
    let issuer = text(properties, "remoraIssuer", ISSUER_CHARS_MAX, &mut problems);
    let description = text(properties, "description", DESCRIPTION_CHARS_MAX, &mut problems);
    for name in ["condition", "conditionVersion", "delegatedManagedIdentityResourceId"] {
        if properties.get(name).is_some_and(|value| !value.is_null()) {
            let message =
                format!("'{name}' is not supported here: an assignment holds without conditions. Leave it out.");
            problems.add("UnsupportedProperty", &format!("properties.{name}"), message);
        }
    }
    if let Some(scope) = properties.get("scope").filter(|scope| !scope.is_null()) {
        let named = scope.as_str().and_then(|scope| scope.parse::<ResourceId>().ok());
        if named.as_ref() != scope_of(&id).as_ref() {
            let message = "The scope differs from that of the request's path; leave it out.".to_owned();
            problems.add("InvalidScope", "properties.scope", message);
        }
    }
    match (role, principal_id) {
        (Some(role), Some(principal_id)) if problems.0.is_empty() => {
            Ok(AssignmentSpec { id, role, principal_id, principal_type, issuer, description })
        }
        _ => Err(problems.into_error()),
    }
}

/// The scope of an assignment, from its id.
pub(super) fn scope_of(id: &ResourceId) -> Option<ResourceId> {
    let text = id.as_str();
    let at = text.len().checked_sub(KIND.len() + id.name().len() + 1)?;
    let (scope, kind) = text.split_at_checked(at)?;
    if !kind.get(..KIND.len())?.eq_ignore_ascii_case(KIND) {
        return None;
    }
    if scope.is_empty() { "/".parse().ok() } else { scope.parse().ok() }
}

fn role(properties: &Map<String, Value>, policy: &Policy, problems: &mut Problems) -> Option<String> {
    let target = "properties.roleDefinitionId";
    let Some(given) = properties.get("roleDefinitionId").and_then(Value::as_str) else {
        let message = "The role definition's id is missing: .../roleDefinitions/{guid} is expected.".to_owned();
        problems.add("InvalidRoleDefinitionId", target, message);
        return None;
    };
    let name = given.rsplit('/').next().unwrap_or(given);
    if name.parse::<Uuid>().is_err() {
        let shown: String = name.chars().take(SHOWN_CHARS).collect();
        let message = format!("The role definition ID '{shown}' is not valid. The role definition ID must be a GUID.");
        problems.add("InvalidRoleDefinitionId", target, message);
        return None;
    }
    let found = policy.role(name).map(|role| role.id.clone());
    if found.is_none() {
        let message = format!("The specified role definition with ID '{name}' does not exist.");
        problems.add("RoleDefinitionDoesNotExist", target, message);
    }
    found
}

/// Principals of other issuers are not known here, and their ids need not be GUIDs: any is taken, as GUIDs in lower case.
fn principal_id(properties: &Map<String, Value>, problems: &mut Problems) -> Option<String> {
    let target = "properties.principalId";
    let given = properties.get("principalId").and_then(Value::as_str).unwrap_or("");
    if given.is_empty() || given.chars().count() > PRINCIPAL_CHARS_MAX || given.chars().any(char::is_control) {
        let message = format!(
            "The principal ID is not valid: the object id of a user, group or service principal is expected, of 1 to \
             {PRINCIPAL_CHARS_MAX} characters."
        );
        problems.add("InvalidPrincipalId", target, message);
        return None;
    }
    Some(given.parse::<Uuid>().map_or_else(|_| given.to_owned(), |guid| guid.to_string()))
}

fn principal_type(properties: &Map<String, Value>, problems: &mut Problems) -> String {
    let given = properties.get("principalType").filter(|value| !value.is_null());
    let Some(given) = given else { return "ServicePrincipal".to_owned() };
    let found =
        PRINCIPAL_TYPES.iter().find(|known| given.as_str().is_some_and(|text| known.eq_ignore_ascii_case(text)));
    if found.is_none() {
        let message = format!("The principal type is not valid: one of {} is expected.", PRINCIPAL_TYPES.join(", "));
        problems.add("InvalidPrincipalType", "properties.principalType", message);
    }
    found.copied().unwrap_or_default().to_owned()
}

fn text(properties: &Map<String, Value>, name: &str, chars_max: usize, problems: &mut Problems) -> Option<String> {
    let value = properties.get(name).filter(|value| !value.is_null())?;
    let text = value.as_str().filter(|text| text.chars().count() <= chars_max);
    if text.is_none() {
        let message = format!("'{name}' must be a text of at most {chars_max} characters.");
        problems.add("InvalidProperty", &format!("properties.{name}"), message);
    }
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// What is wrong, in the order of the request.
#[derive(Default)]
struct Problems(Vec<Detail>);

impl Problems {
    fn add(&mut self, code: &'static str, target: &str, message: String) {
        self.0.push(Detail { code, target: target.to_owned(), message });
    }

    /// The first problem, and all of them as details if there are several.
    fn into_error(self) -> ArmError {
        let Some(first) = self.0.first() else {
            return ArmError::new(ErrorKind::Internal, "InternalServerError", "A refusal without a reason.");
        };
        let error = ArmError::bad_request(first.code, first.message.clone()).with_target(first.target.clone());
        if self.0.len() == 1 { error } else { ArmError { details: self.0, ..error } }
    }
}

/// Between the scope and the name.
pub(super) const KIND: &str = "/providers/Microsoft.Authorization/roleAssignments";
const PRINCIPAL_TYPES: &[&str] = &["User", "Group", "ServicePrincipal", "ForeignGroup", "Device"];
const PRINCIPAL_CHARS_MAX: usize = 256;
const DESCRIPTION_CHARS_MAX: usize = 1024;
const ISSUER_CHARS_MAX: usize = 2048;
const SHOWN_CHARS: usize = 100;

#[cfg(test)]
mod tests;
