//! `remora rule`.

use serde_json::{Value, json};

use super::Session;
use super::describe::{self, Fields};
use super::endpoint::{self, METRICS_INGESTION};
use super::role::{self, Given};
use super::sidecar_environment::{self, Environment};
use super::workspace::{exists, nothing_to_change};
use crate::cli::rule::{Create, Delete, Env, Update, Verb};
use crate::cli::{self, service::NewTags};
use crate::client::{ClientError, ENDPOINT, Principal, RULE, WORKSPACE, encode_id, text};

pub(super) async fn perform(session: &mut Session, verb: Verb) -> Result<(), ClientError> {
    match verb {
        Verb::List => list(session).await,
        Verb::Show { rule } => {
            let found = session.client.resolve(&RULE, &rule).await?;
            print(session, &found).await
        }
        Verb::Create(arguments) => create(session, arguments).await,
        Verb::Env(arguments) => env(session, arguments).await,
        Verb::Update(arguments) => update(session, arguments).await,
        Verb::Delete(arguments) => delete(session, arguments).await,
    }
}

async fn list(session: &mut Session) -> Result<(), ClientError> {
    let rules = session.client.list_kind(&RULE).await?;
    let columns = ["NAME", "RESOURCE GROUP", "IMMUTABLE ID", "WORKSPACES", "ENDPOINT"];
    session.console.resources(&rules, describe::name, &columns, |rule| {
        vec![
            describe::name(rule),
            describe::group(rule),
            text(rule, "/properties/immutableId").to_owned(),
            workspaces(rule),
            describe::last_segment(endpoint_id(rule)).to_owned(),
        ]
    })
}

async fn create(session: &mut Session, arguments: Create) -> Result<(), ClientError> {
    // Everything that is named must be there before anything is made.
    let mut publishers = Vec::new();
    for named in &arguments.publisher {
        publishers.push(role::principal(session, named).await?);
    }
    let destinations = destinations(session, &arguments.workspace).await?;
    let place = session.client.id_to_create(&RULE, &arguments.name).await?;
    let endpoint = match (&arguments.endpoint, arguments.create_endpoint) {
        (Some(named), false) => Some(session.client.resolve(&ENDPOINT, named).await?),
        (None, false) => None,
        (named, true) => Some(create_endpoint(session, named.as_ref().unwrap_or(&arguments.name), &arguments).await?),
    };
    let region = arguments.location.clone().unwrap_or_else(|| {
        let of = |resource: Option<&Value>| resource.map(|resource| text(resource, "/location").to_owned());
        of(endpoint.as_ref()).or_else(|| of(destinations.first())).unwrap_or(place.region)
    });
    let mut body = json!({
        "location": region,
        "tags": describe::new_tags(&arguments.tags),
        "properties": {"dataSources": {}},
    });
    route(&mut body, &destinations);
    if let Some(endpoint) = &endpoint {
        body["properties"]["dataCollectionEndpointId"] = endpoint["id"].clone();
    }
    if let Some(description) = &arguments.description {
        body["properties"]["description"] = Value::from(description.as_str());
    }
    let created = session.client.create(&place.path, RULE.api_version, &body).await;
    let created = created.map_err(|error| exists(error, RULE.noun, &arguments.name))?;
    let mut given = Vec::new();
    for publisher in &publishers {
        given.push(role::give(session, publisher, PUBLISHER, text(&created, "/id"), None).await?);
    }
    print(session, &created).await?;
    explain(session, &created, &destinations, &publishers, &given).await
}

async fn create_endpoint(session: &Session, name: &str, arguments: &Create) -> Result<Value, ClientError> {
    let wanted = cli::endpoint::Create {
        name: name.to_owned(),
        location: arguments.location.clone(),
        description: None,
        public_network_access: cli::workspace::Access::Enabled,
        tags: NewTags { tags: arguments.tags.tags.clone() },
    };
    endpoint::create(session, wanted).await
}

/// What a sender needs beside the rule: its environment, and the right to write.
async fn explain(
    session: &mut Session,
    rule: &Value,
    destinations: &[Value],
    publishers: &[Principal],
    given: &[Given],
) -> Result<(), ClientError> {
    let environment = environment(session, rule, destinations, publishers.first()).await?;
    session.console.note("\nThe environment of a sidecar that writes through it:\n")?;
    if session.console.format() == super::console::Format::Table {
        session.console.write(&environment.as_exports())?;
    }
    let (id, options) = (describe::shell_word(text(rule, "/id")), &session.options);
    let mut notes: Vec<String> = given.iter().map(|given| format!("{given} and may write through it.")).collect();
    if given.is_empty() {
        let whom = describe::shell_word(&environment.client_id);
        notes.push(format!(
            "Nobody was given the right to write through it yet. This gives it:\n\n  remora role create --principal {whom} \
             --role '{PUBLISHER}' --rule {id}{options}"
        ));
    }
    session.console.note(&format!("\n{}", notes.join("\n")))
}

async fn env(session: &mut Session, arguments: Env) -> Result<(), ClientError> {
    let rule = session.client.resolve(&RULE, &arguments.rule).await?;
    let publisher = match &arguments.publisher {
        Some(named) => Some(role::principal(session, named).await?),
        None => None,
    };
    let mut destinations = Vec::new();
    for id in destination_ids(&rule) {
        // Who may use the rule need not be one who may read its workspaces.
        if let Ok(workspace) = session.client.get(&encode_id(id), WORKSPACE.api_version).await {
            destinations.push(workspace);
        }
    }
    let environment = environment(session, &rule, &destinations, publisher.as_ref()).await?;
    session.console.write(&environment.as_exports())
}

async fn environment(
    session: &Session,
    rule: &Value,
    destinations: &[Value],
    publisher: Option<&Principal>,
) -> Result<Environment, ClientError> {
    let ingestion_url = ingestion_url(session, rule).await?;
    let query_url = match destinations {
        [only] => text(only, "/properties/metrics/prometheusQueryEndpoint"),
        _ => "",
    };
    sidecar_environment::of(session, &ingestion_url, query_url, publisher).await
}

async fn update(session: &mut Session, arguments: Update) -> Result<(), ClientError> {
    let Update { rule, workspace, endpoint, no_endpoint, description, tags } = arguments;
    if workspace.is_empty() && endpoint.is_none() && !no_endpoint && description.is_none() && tags.is_empty() {
        return Err(nothing_to_change());
    }
    let found = session.client.resolve(&RULE, &rule).await?;
    let destinations = destinations(session, &workspace).await?;
    let endpoint = match &endpoint {
        Some(named) => Some(session.client.resolve(&ENDPOINT, named).await?),
        None => None,
    };
    let path = encode_id(text(&found, "/id"));
    let updated = session.client.update(&path, RULE.api_version, |rule| {
        describe::change_tags(rule, &tags);
        if !destinations.is_empty() {
            route(rule, &destinations);
        }
        if let Some(endpoint) = &endpoint {
            rule["properties"]["dataCollectionEndpointId"] = endpoint["id"].clone();
        }
        if let (true, Some(properties)) = (no_endpoint, rule["properties"].as_object_mut()) {
            properties.remove("dataCollectionEndpointId");
        }
        if let Some(description) = &description {
            rule["properties"]["description"] = Value::from(description.as_str());
        }
        Ok(())
    });
    let updated = updated.await?;
    print(session, &updated).await
}

async fn delete(session: &mut Session, arguments: Delete) -> Result<(), ClientError> {
    let found = session.client.resolve(&RULE, &arguments.rule).await?;
    let id = text(&found, "/id");
    session.console.confirm(&format!("delete the rule {id}"), arguments.confirmation.yes)?;
    session.client.delete(&encode_id(id), RULE.api_version).await?;
    session.console.note(&format!("{id} is deleted"))
}

async fn print(session: &mut Session, rule: &Value) -> Result<(), ClientError> {
    let url = match session.console.format() {
        super::console::Format::Table => ingestion_url(session, rule).await?,
        _ => String::new(),
    };
    session.console.resource(rule, text(rule, "/name"), fields(rule, url))
}

fn fields(rule: &Value, ingestion_url: String) -> Fields {
    let own = |pointer: &str| text(rule, pointer).to_owned();
    let mut fields = describe::common(rule);
    fields.extend([
        ("immutable id", own("/properties/immutableId")),
        ("ingestion URL", ingestion_url),
        ("description", own("/properties/description")),
        ("workspaces", destination_ids(rule).join(", ")),
        ("endpoint", endpoint_id(rule).to_owned()),
        ("state", own("/properties/provisioningState")),
    ]);
    fields.extend(describe::history(rule));
    fields
}

/// Where senders write to: at the rule's endpoint, else at the service itself.
async fn ingestion_url(session: &Session, rule: &Value) -> Result<String, ClientError> {
    let endpoint = match endpoint_id(rule) {
        "" => None,
        // A reader of the rule need not be one of its endpoint.
        id => session.client.find(&encode_id(id), ENDPOINT.api_version).await.ok().flatten(),
    };
    let own = endpoint.as_ref().map_or("", |endpoint| text(endpoint, METRICS_INGESTION));
    let base = if own.is_empty() { session.client.published_url().await? } else { own.to_owned() };
    Ok(describe::ingestion_url(&base, text(rule, "/properties/immutableId")))
}

/// The workspaces that are named, each once.
async fn destinations(session: &Session, named: &[String]) -> Result<Vec<Value>, ClientError> {
    let mut found: Vec<Value> = Vec::new();
    for name in named.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
        let workspace = session.client.resolve(&WORKSPACE, name).await?;
        if !found.iter().any(|other| text(other, "/id").eq_ignore_ascii_case(text(&workspace, "/id"))) {
            found.push(workspace);
        }
    }
    Ok(found)
}

/// Routes what a rule is sent to `workspaces`.
fn route(rule: &mut Value, workspaces: &[Value]) {
    // Names of destinations only mean something within the rule; those of workspaces in different groups may be the same.
    let name = |index: usize| {
        let own = text(&workspaces[index], "/name");
        let is_unique = !workspaces[..index].iter().any(|other| text(other, "/name").eq_ignore_ascii_case(own));
        if is_unique { own.to_owned() } else { format!("{own}-{index}") }
    };
    let accounts: Vec<Value> = workspaces
        .iter()
        .enumerate()
        .map(|(index, workspace)| json!({"accountResourceId": workspace["id"], "name": name(index)}))
        .collect();
    let names: Vec<String> = (0..workspaces.len()).map(name).collect();
    rule["properties"]["destinations"] = json!({"monitoringAccounts": accounts});
    rule["properties"]["dataFlows"] = json!([{"streams": [catalog::PROMETHEUS_STREAM], "destinations": names}]);
}

fn destination_ids(rule: &Value) -> Vec<&str> {
    let accounts = rule.pointer("/properties/destinations/monitoringAccounts").and_then(Value::as_array);
    accounts.into_iter().flatten().map(|account| text(account, "/accountResourceId")).collect()
}

fn workspaces(rule: &Value) -> String {
    destination_ids(rule).into_iter().map(describe::last_segment).collect::<Vec<_>>().join(", ")
}

fn endpoint_id(rule: &Value) -> &str {
    text(rule, "/properties/dataCollectionEndpointId")
}

/// The role that lets one write through a rule.
const PUBLISHER: &str = "Monitoring Metrics Publisher";

#[cfg(test)]
mod tests;
