//! `remora role`.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Value, json};
use uuid::Uuid;

use super::Session;
use super::describe::{self, Fields};
use crate::cli::role::{Create, Delete, List, PrincipalType, Scope, Update, Verb};
use crate::client::versions::ROLE_ASSIGNMENTS as VERSION;
use crate::client::{ClientError, ENDPOINT, Principal, RULE, WORKSPACE, encode_id, filtered_path, text};

pub(super) async fn perform(session: &mut Session, verb: Verb) -> Result<(), ClientError> {
    match verb {
        Verb::List(arguments) => list(session, arguments).await,
        Verb::Show { assignment } => {
            let found = find(session, &assignment).await?;
            print(session, &found).await
        }
        Verb::Create(arguments) => create(session, arguments).await,
        Verb::Update(arguments) => update(session, arguments).await,
        Verb::Delete(arguments) => delete(session, arguments).await,
        Verb::Definitions => definitions(session).await,
    }
}

async fn list(session: &mut Session, arguments: List) -> Result<(), ClientError> {
    let mut principal = None;
    if let Some(named) = &arguments.principal {
        principal = Some(self::principal(session, named).await?.object_id);
    }
    let assignments = match (named_scope(session, &arguments.scope).await?, &principal) {
        (Some(scope), _) => assignments(session, &scope, "atScope()").await?,
        (None, Some(principal)) => {
            let container = session.client.container().await?;
            assignments(session, &container, &format!("principalId eq '{}'", principal.replace('\'', "''"))).await?
        }
        (None, None) => {
            let container = session.client.container().await?;
            assignments(session, &container, "").await?
        }
    };
    let names = Names::of(session, &assignments).await?;
    let mut role = None;
    if let Some(named) = &arguments.role {
        role = Some(definition_guid(session, named).await?);
    }
    let is_asked_for = |assignment: &Value| {
        let (own_role, own_principal) = (role_guid(assignment), text(assignment, "/properties/principalId"));
        role.as_ref().is_none_or(|role| own_role.eq_ignore_ascii_case(role))
            && principal.as_ref().is_none_or(|principal| own_principal.eq_ignore_ascii_case(principal))
    };
    let found: Vec<Value> = assignments.into_iter().filter(is_asked_for).collect();
    let columns = ["PRINCIPAL", "OBJECT ID", "ROLE", "SCOPE", "NAME"];
    session.console.resources(&found, describe::name, &columns, |assignment| {
        vec![
            names.principal(assignment),
            text(assignment, "/properties/principalId").to_owned(),
            names.role(assignment),
            describe::place(text(assignment, "/properties/scope")),
            describe::name(assignment),
        ]
    })
}

async fn create(session: &mut Session, arguments: Create) -> Result<(), ClientError> {
    let principal = principal(session, &arguments.principal).await?;
    let scope = scope(session, &arguments.scope).await?;
    let details = Details { kind: arguments.principal_type, description: arguments.description };
    let given = give(session, &principal, &arguments.role, &scope, Some(details)).await?;
    print(session, &given.assignment).await?;
    session.console.note(&format!("\n{given}."))
}

/// What more can be said of a role assignment.
#[derive(Default)]
pub(super) struct Details {
    kind: Option<PrincipalType>,
    description: Option<String>,
}

/// A role that somebody has.
pub(super) struct Given {
    assignment: Value,
    whom: String,
    role: String,
    is_new: bool,
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = if self.is_new { "now has" } else { "had already" };
        write!(f, "{} {has} the role {} there", self.whom, self.role)
    }
}

/// Gives a role, or finds that it is given already.
pub(super) async fn give(
    session: &Session,
    principal: &Principal,
    role: &str,
    scope: &str,
    details: Option<Details>,
) -> Result<Given, ClientError> {
    let guid = definition_guid(session, role).await?;
    let details = details.unwrap_or_default();
    let mut properties = json!({
        "roleDefinitionId": format!("/subscriptions/{}{DEFINITIONS}/{guid}", session.client.subscription().await?),
        "principalId": principal.object_id,
        "principalType": details.kind.unwrap_or(PrincipalType::ServicePrincipal).name(),
    });
    if let Some(description) = &details.description {
        properties["description"] = Value::from(description.as_str());
    }
    let path = format!("{}{ASSIGNMENTS}/{}", below(scope), session.client.draw_guid());
    let whom = if principal.name.is_empty() { &principal.object_id } else { &principal.name };
    let given = |assignment, is_new| Given { assignment, whom: whom.clone(), role: role.to_owned(), is_new };
    match session.client.create(&path, VERSION, &json!({"properties": properties})).await {
        Ok(made) => Ok(given(made, true)),
        Err(ClientError::Refused(refusal)) if refusal.code == "RoleAssignmentExists" => {
            let found = assigned(session, &principal.object_id, &guid, scope).await?;
            found.map(|found| given(found, false)).ok_or(ClientError::Refused(refusal))
        }
        Err(error) => Err(error),
    }
}

async fn update(session: &mut Session, arguments: Update) -> Result<(), ClientError> {
    let old = find(session, &arguments.assignment).await?;
    let guid = definition_guid(session, &arguments.role).await?;
    if role_guid(&old).eq_ignore_ascii_case(&guid) {
        print(session, &old).await?;
        return session.console.note("\nIt is that role already.");
    }
    let own = |pointer: &str| text(&old, pointer).to_owned();
    let principal = Principal { object_id: own("/properties/principalId"), ..Principal::default() };
    let kind = match text(&old, "/properties/principalType") {
        "User" => PrincipalType::User,
        "Group" => PrincipalType::Group,
        _ => PrincipalType::ServicePrincipal,
    };
    let description = Some(own("/properties/description")).filter(|description| !description.is_empty());
    let details = Details { kind: Some(kind), description };
    let given = give(session, &principal, &arguments.role, &own("/properties/scope"), Some(details)).await?;
    session.client.delete(&encode_id(&own("/id")), VERSION).await?;
    print(session, &given.assignment).await
}

async fn delete(session: &mut Session, arguments: Delete) -> Result<(), ClientError> {
    let found = match (&arguments.assignment, &arguments.principal, &arguments.role) {
        (Some(named), ..) => find(session, named).await?,
        (None, Some(principal), Some(role)) => {
            let principal = self::principal(session, principal).await?;
            let guid = definition_guid(session, role).await?;
            let scope = scope(session, &arguments.scope).await?;
            let found = assigned(session, &principal.object_id, &guid, &scope).await?;
            found.ok_or_else(|| {
                let whom = if principal.name.is_empty() { principal.object_id } else { principal.name };
                ClientError::Failed(format!(
                    "{whom} does not have the role {role} at {scope} itself; `remora role list --principal` shows which it has"
                ))
            })?
        }
        _ => return Err(ClientError::Usage("name the assignment, or --principal and --role".to_owned())),
    };
    let id = text(&found, "/id");
    let names = Names::of(session, std::slice::from_ref(&found)).await?;
    let what = format!(
        "take the role {} at {} away from {}",
        names.role(&found),
        text(&found, "/properties/scope"),
        names.principal(&found)
    );
    session.console.confirm(&what, arguments.confirmation.yes)?;
    session.client.delete(&encode_id(id), VERSION).await?;
    session.console.note(&format!("{id} is deleted"))
}

async fn definitions(session: &mut Session) -> Result<(), ClientError> {
    let definitions = all_definitions(session).await?;
    let name = |definition: &Value| text(definition, "/properties/roleName").to_owned();
    session.console.resources(&definitions, name, &["ROLE", "ID", "DESCRIPTION"], |definition| {
        let description = text(definition, "/properties/description").to_owned();
        vec![name(definition), describe::name(definition), description]
    })
}

/// The assignment that somebody names: by its ARM id, or its name.
async fn find(session: &Session, named: &str) -> Result<Value, ClientError> {
    if named.starts_with('/') {
        return session.client.get(&encode_id(named), VERSION).await;
    }
    let container = format!("/subscriptions/{}", session.client.subscription().await?);
    let all = assignments(session, &container, "").await?;
    all.into_iter().find(|one| describe::name(one).eq_ignore_ascii_case(named)).ok_or_else(|| {
        ClientError::Failed(format!(
            "there is no role assignment {named:?} in the subscription; `remora role list` shows those there are"
        ))
    })
}

/// The assignment of exactly this.
async fn assigned(session: &Session, principal: &str, role: &str, scope: &str) -> Result<Option<Value>, ClientError> {
    let filter = format!("principalId eq '{}'", principal.replace('\'', "''"));
    let found = assignments(session, scope, &filter).await?;
    Ok(found.into_iter().find(|one| {
        role_guid(one).eq_ignore_ascii_case(role)
            && text(one, "/properties/principalId").eq_ignore_ascii_case(principal)
            && below(text(one, "/properties/scope")).eq_ignore_ascii_case(below(scope))
    }))
}

async fn assignments(session: &Session, scope: &str, filter: &str) -> Result<Vec<Value>, ClientError> {
    let path = format!("{}{ASSIGNMENTS}", encode_id(below(scope)));
    session.client.list(&filtered_path(&path, filter), VERSION).await
}

/// The principal that somebody names; a GUID that the directory does not know may be one of another directory.
pub(super) async fn principal(session: &Session, named: &str) -> Result<Principal, ClientError> {
    let is_guid = Uuid::try_parse(named).is_ok();
    let unknown = || Principal { object_id: named.to_owned(), ..Principal::default() };
    match session.client.find_principal(named).await {
        Ok(Some(found)) => Ok(found),
        Ok(None) if is_guid => Ok(unknown()),
        Ok(None) => Err(Principal::missing(named)),
        // Who may not look into the directory may still give roles.
        Err(ClientError::Refused(_) | ClientError::Token { .. }) if is_guid => Ok(unknown()),
        Err(error) => Err(error),
    }
}

/// Where: as the options say, else the group or subscription.
async fn scope(session: &Session, named: &Scope) -> Result<String, ClientError> {
    match named_scope(session, named).await? {
        Some(scope) => Ok(scope),
        None => session.client.container().await,
    }
}

async fn named_scope(session: &Session, named: &Scope) -> Result<Option<String>, ClientError> {
    let (kind, name) = match named {
        Scope { scope: Some(id), .. } if id.starts_with('/') => return Ok(Some(id.clone())),
        Scope { scope: Some(id), .. } => {
            return Err(ClientError::Usage(format!("--scope {id:?}: write an ARM id, which begins with /")));
        }
        Scope { workspace: Some(name), .. } => (&WORKSPACE, name),
        Scope { rule: Some(name), .. } => (&RULE, name),
        Scope { endpoint: Some(name), .. } => (&ENDPOINT, name),
        Scope { .. } => return Ok(None),
    };
    let found = session.client.resolve(kind, name).await?;
    Ok(Some(text(&found, "/id").to_owned()))
}

/// A scope as the start of a path: the root has no segment.
fn below(scope: &str) -> &str {
    scope.trim_end_matches('/')
}

async fn all_definitions(session: &Session) -> Result<Vec<Value>, ClientError> {
    let path = format!("/subscriptions/{}{DEFINITIONS}", session.client.subscription().await?);
    session.client.list(&path, VERSION).await
}

/// The GUID of the role that somebody calls `named`.
async fn definition_guid(session: &Session, named: &str) -> Result<String, ClientError> {
    let last = describe::last_segment(named);
    if Uuid::try_parse(last).is_ok() {
        return Ok(last.to_owned());
    }
    let definitions = all_definitions(session).await?;
    let name = |definition: &Value| text(definition, "/properties/roleName").to_owned();
    let found = definitions.iter().find(|definition| name(definition).eq_ignore_ascii_case(named));
    found.map(describe::name).ok_or_else(|| {
        let names: Vec<String> = definitions.iter().map(name).collect();
        ClientError::Usage(format!("there is no role {named:?}; there are: {}", names.join(", ")))
    })
}

fn role_guid(assignment: &Value) -> &str {
    describe::last_segment(text(assignment, "/properties/roleDefinitionId"))
}

async fn print(session: &mut Session, assignment: &Value) -> Result<(), ClientError> {
    let names = Names::of(session, std::slice::from_ref(assignment)).await?;
    session.console.resource(assignment, text(assignment, "/name"), fields(assignment, &names))
}

fn fields(assignment: &Value, names: &Names) -> Fields {
    let own = |pointer: &str| text(assignment, pointer).to_owned();
    vec![
        ("principal", names.principal(assignment)),
        ("object id", own("/properties/principalId")),
        ("kind", own("/properties/principalType")),
        ("role", names.role(assignment)),
        ("scope", own("/properties/scope")),
        ("description", own("/properties/description")),
        ("name", own("/name")),
        ("id", own("/id")),
        ("created", describe::short_time(text(assignment, "/properties/createdOn"))),
    ]
}

/// Names for people of roles and principals.
struct Names {
    roles: HashMap<String, String>,
    principals: HashMap<String, String>,
}

impl Names {
    /// Those that `assignments` have; without what cannot be looked up.
    async fn of(session: &Session, assignments: &[Value]) -> Result<Self, ClientError> {
        if assignments.is_empty() || session.console.format() != super::console::Format::Table {
            return Ok(Self { roles: HashMap::new(), principals: HashMap::new() });
        }
        let roles = all_definitions(session).await.unwrap_or_default();
        let ids = assignments.iter().map(|one| text(one, "/properties/principalId"));
        let principals = session.client.principal_names(ids).await;
        let role =
            |one: &Value| (describe::name(one).to_ascii_lowercase(), text(one, "/properties/roleName").to_owned());
        Ok(Self { roles: roles.iter().map(role).collect(), principals })
    }

    fn role(&self, assignment: &Value) -> String {
        let guid = role_guid(assignment);
        self.roles.get(&guid.to_ascii_lowercase()).map_or_else(|| guid.to_owned(), String::clone)
    }

    fn principal(&self, assignment: &Value) -> String {
        let id = text(assignment, "/properties/principalId");
        self.principals.get(&id.to_ascii_lowercase()).map_or_else(|| id.to_owned(), String::clone)
    }
}

const ASSIGNMENTS: &str = "/providers/Microsoft.Authorization/roleAssignments";
const DEFINITIONS: &str = "/providers/Microsoft.Authorization/roleDefinitions";

#[cfg(test)]
mod tests;
