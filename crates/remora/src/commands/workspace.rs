//! `remora workspace`.

use serde_json::{Value, json};

use super::Session;
use super::describe::{self, Fields};
use crate::cli::workspace::{Create, Delete, Storage, Update, Verb};
use crate::client::{ClientError, WORKSPACE, encode_id, text};

pub(super) async fn perform(session: &mut Session, verb: Verb) -> Result<(), ClientError> {
    match verb {
        Verb::List => list(session).await,
        Verb::Show { workspace } => {
            let found = session.client.resolve(&WORKSPACE, &workspace).await?;
            print(session, &found)
        }
        Verb::Create(arguments) => create(session, arguments).await,
        Verb::Update(arguments) => update(session, arguments).await,
        Verb::Delete(arguments) => delete(session, arguments).await,
        Verb::ListDeleted => list_deleted(session).await,
        Verb::Restore { workspace } => restore(session, &workspace).await,
        Verb::Purge { workspace, confirmation } => purge(session, &workspace, confirmation.yes).await,
    }
}

async fn list(session: &mut Session) -> Result<(), ClientError> {
    let workspaces = session.client.list_kind(&WORKSPACE).await?;
    let columns = ["NAME", "RESOURCE GROUP", "PROFILE", "ACCOUNT ID", "QUERY URL"];
    session.console.resources(&workspaces, describe::name, &columns, |workspace| {
        vec![
            describe::name(workspace),
            describe::group(workspace),
            text(workspace, "/properties/remora/profile").to_owned(),
            text(workspace, "/properties/accountId").to_owned(),
            text(workspace, "/properties/metrics/prometheusQueryEndpoint").to_owned(),
        ]
    })
}

async fn create(session: &mut Session, arguments: Create) -> Result<(), ClientError> {
    let place = session.client.id_to_create(&WORKSPACE, &arguments.name).await?;
    let mut body = json!({
        "location": arguments.location.unwrap_or(place.region),
        "tags": describe::new_tags(&arguments.tags),
        "properties": {},
    });
    if let Some(profile) = arguments.profile {
        body["properties"]["remora"]["profile"] = Value::from(profile.name());
    }
    set_storage(&mut body, &arguments.storage);
    let created = session.client.create(&place.path, WORKSPACE.api_version, &body).await;
    let created = created.map_err(|error| exists(error, "workspace", &arguments.name))?;
    print(session, &created)?;
    let (options, id) = (&session.options, describe::shell_word(&describe::name(&created)));
    session.console.note(&format!(
        "\nWho is to query it needs a role (PRINCIPAL: an object id, client id or name):\n\n  remora role create --principal \
         PRINCIPAL --role 'Monitoring Data Reader' --workspace {id}{options}\n\nWho is to write to it, a rule and a role on \
         that:\n\n  remora rule create NAME --workspace {id} --create-endpoint --publisher PRINCIPAL{options}"
    ))
}

async fn update(session: &mut Session, arguments: Update) -> Result<(), ClientError> {
    let no_storage = arguments.storage.fields().next().is_none();
    if arguments.profile.is_none()
        && arguments.public_network_access.is_none()
        && no_storage
        && arguments.tags.is_empty()
    {
        return Err(nothing_to_change());
    }
    let found = session.client.resolve(&WORKSPACE, &arguments.workspace).await?;
    let path = encode_id(text(&found, "/id"));
    let updated = session.client.update(&path, WORKSPACE.api_version, |workspace| {
        describe::change_tags(workspace, &arguments.tags);
        if let Some(profile) = arguments.profile {
            workspace["properties"]["remora"]["profile"] = Value::from(profile.name());
        }
        if let Some(access) = arguments.public_network_access {
            workspace["properties"]["publicNetworkAccess"] = Value::from(access.name());
        }
        set_storage(workspace, &arguments.storage);
        Ok(())
    });
    print(session, &updated.await?)
}

fn set_storage(workspace: &mut Value, storage: &Storage) {
    for (name, value) in storage.fields() {
        workspace["properties"]["remora"]["storage"][name] = Value::from(value);
    }
}

async fn delete(session: &mut Session, arguments: Delete) -> Result<(), ClientError> {
    let found = session.client.resolve(&WORKSPACE, &arguments.workspace).await?;
    let id = text(&found, "/id").to_owned();
    let how = if arguments.purge { " with all its data, for good" } else { "" };
    session.console.confirm(&format!("delete the workspace {id}{how}"), arguments.confirmation.yes)?;
    let query = if arguments.purge { "?purge=true" } else { "" };
    session.client.delete(&format!("{}{query}", encode_id(&id)), WORKSPACE.api_version).await?;
    if arguments.purge {
        return session.console.note(&format!("{id} is gone, with its data"));
    }
    let (account, options) = (text(&found, "/properties/accountId"), &session.options);
    session.console.note(&format!(
        "{id} is deleted; for some time this brings it back:\n\n  remora workspace restore {account}{options}"
    ))
}

async fn list_deleted(session: &mut Session) -> Result<(), ClientError> {
    let deleted = deleted(session).await?;
    let columns = ["NAME", "ACCOUNT ID", "DELETED", "BY", "GONE FOR GOOD", "ID"];
    session.console.resources(&deleted, describe::name, &columns, |workspace| {
        vec![
            former_name(workspace),
            text(workspace, "/properties/accountId").to_owned(),
            describe::short_time(text(workspace, "/properties/deletionDate")),
            text(workspace, "/properties/deletedBy").to_owned(),
            describe::short_time(text(workspace, "/properties/scheduledPurgeDate")),
            text(workspace, "/properties/accountResourceId").to_owned(),
        ]
    })
}

async fn restore(session: &mut Session, named: &str) -> Result<(), ClientError> {
    let path = deleted_path(session, named).await?;
    let restored = session.client.post(&format!("{path}/restore"), WORKSPACE.api_version, &json!({})).await?;
    print(session, &restored)
}

async fn purge(session: &mut Session, named: &str, yes: bool) -> Result<(), ClientError> {
    let path = deleted_path(session, named).await?;
    session.console.confirm(&format!("forget the deleted workspace {named} with all its data, for good"), yes)?;
    session.client.delete(&path, WORKSPACE.api_version).await?;
    session.console.note(&format!("{named} is gone, with its data"))
}

async fn deleted(session: &Session) -> Result<Vec<Value>, ClientError> {
    let path =
        format!("/subscriptions/{}/providers/Microsoft.Monitor/deletedAccounts", session.client.subscription().await?);
    session.client.list(&path, WORKSPACE.api_version).await
}

/// What a deleted workspace was called.
fn former_name(deleted: &Value) -> String {
    describe::last_segment(text(deleted, "/properties/accountResourceId")).to_owned()
}

/// Where a deleted workspace is, by accountId or by name.
async fn deleted_path(session: &Session, named: &str) -> Result<String, ClientError> {
    let deleted = deleted(session).await?;
    let account = |workspace: &Value| text(workspace, "/properties/accountId").to_owned();
    let is_named = |workspace: &&Value| {
        account(workspace).eq_ignore_ascii_case(named) || former_name(workspace).eq_ignore_ascii_case(named)
    };
    let found: Vec<String> = deleted.iter().filter(is_named).map(account).collect();
    match found.as_slice() {
        [account] => Ok(format!(
            "/subscriptions/{}/providers/Microsoft.Monitor/deletedAccounts/{account}",
            session.client.subscription().await?
        )),
        [] => Err(ClientError::Failed(format!(
            "there is no deleted workspace {named:?}; `remora workspace list-deleted` shows those there are"
        ))),
        several => Err(ClientError::Usage(format!(
            "several deleted workspaces were called {named:?}; give one by its accountId: {}",
            several.join(", ")
        ))),
    }
}

fn print(session: &mut Session, workspace: &Value) -> Result<(), ClientError> {
    session.console.resource(workspace, text(workspace, "/name"), fields(workspace))
}

fn fields(workspace: &Value) -> Fields {
    let own = |pointer: &str| text(workspace, pointer).to_owned();
    let rule = own("/properties/defaultIngestionSettings/dataCollectionRuleImmutableId");
    let mut fields = describe::common(workspace);
    fields.extend([
        ("account id", own("/properties/accountId")),
        ("handle", own("/properties/remora/handle")),
        ("profile", own("/properties/remora/profile")),
        ("storage", storage(workspace)),
        ("state", own("/properties/provisioningState")),
        ("public access", own("/properties/publicNetworkAccess")),
        ("query URL", own("/properties/metrics/prometheusQueryEndpoint")),
        (
            "ingestion URL",
            describe::ingestion_url(
                text(workspace, "/properties/defaultIngestionSettings/ingestionEndpoints/metrics"),
                &rule,
            ),
        ),
        ("default rule", own("/properties/defaultIngestionSettings/dataCollectionRuleResourceId")),
        ("default endpoint", own("/properties/defaultIngestionSettings/dataCollectionEndpointResourceId")),
    ]);
    fields.extend(describe::history(workspace));
    fields
}

/// What a workspace has of its own; the rest is as the service is set.
fn storage(workspace: &Value) -> String {
    let own = |name: &str| workspace.pointer(&format!("/properties/remora/storage/{name}")).and_then(Value::as_u64);
    let said = [
        own("retentionInDays").map(|days| format!("retention {days}d")),
        own("retentionInBytes").map(|bytes| format!("at most {bytes} bytes")),
        own("outOfOrderWindowInSeconds").map(|seconds| format!("samples at most {seconds}s late")),
    ];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What a refused creation means when the thing is there already.
pub(super) fn exists(error: ClientError, noun: &str, name: &str) -> ClientError {
    match error {
        ClientError::Refused(refusal) if refusal.status == http::StatusCode::PRECONDITION_FAILED => {
            ClientError::Failed(format!(
                "the {noun} {name} exists already; `remora {noun} show` shows it, `remora {noun} update` changes it"
            ))
        }
        error => error,
    }
}

/// An update that names nothing.
pub(super) fn nothing_to_change() -> ClientError {
    ClientError::Usage("nothing is named that should change; --help shows what can".to_owned())
}

#[cfg(test)]
mod tests;
