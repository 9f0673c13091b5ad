//! `remora endpoint`.

use serde_json::{Value, json};

use super::Session;
use super::describe::{self, Fields};
use super::workspace::{exists, nothing_to_change};
use crate::cli::endpoint::{Create, Delete, Update, Verb};
use crate::client::{ClientError, ENDPOINT, encode_id, text};

pub(super) async fn perform(session: &mut Session, verb: Verb) -> Result<(), ClientError> {
    match verb {
        Verb::List => list(session).await,
        Verb::Show { endpoint } => {
            let found = session.client.resolve(&ENDPOINT, &endpoint).await?;
            print(session, &found)
        }
        Verb::Create(arguments) => {
            let created = create(session, arguments).await?;
            print(session, &created)
        }
        Verb::Update(arguments) => update(session, arguments).await,
        Verb::Delete(arguments) => delete(session, arguments).await,
    }
}

async fn list(session: &mut Session) -> Result<(), ClientError> {
    let endpoints = session.client.list_kind(&ENDPOINT).await?;
    let columns = ["NAME", "RESOURCE GROUP", "REGION", "PUBLIC ACCESS", "METRICS INGESTION URL"];
    session.console.resources(&endpoints, describe::name, &columns, |endpoint| {
        vec![
            describe::name(endpoint),
            describe::group(endpoint),
            text(endpoint, "/location").to_owned(),
            text(endpoint, "/properties/networkAcls/publicNetworkAccess").to_owned(),
            text(endpoint, METRICS_INGESTION).to_owned(),
        ]
    })
}

/// Makes an endpoint that does not exist yet.
pub(super) async fn create(session: &Session, arguments: Create) -> Result<Value, ClientError> {
    let place = session.client.id_to_create(&ENDPOINT, &arguments.name).await?;
    let mut properties = json!({"networkAcls": {"publicNetworkAccess": arguments.public_network_access.name()}});
    if let Some(description) = &arguments.description {
        properties["description"] = Value::from(description.as_str());
    }
    let body = json!({
        "location": arguments.location.unwrap_or(place.region),
        "tags": describe::new_tags(&arguments.tags),
        "properties": properties,
    });
    let created = session.client.create(&place.path, ENDPOINT.api_version, &body).await;
    created.map_err(|error| exists(error, ENDPOINT.noun, &arguments.name))
}

async fn update(session: &mut Session, arguments: Update) -> Result<(), ClientError> {
    if arguments.description.is_none() && arguments.public_network_access.is_none() && arguments.tags.is_empty() {
        return Err(nothing_to_change());
    }
    let found = session.client.resolve(&ENDPOINT, &arguments.endpoint).await?;
    let path = encode_id(text(&found, "/id"));
    let updated = session.client.update(&path, ENDPOINT.api_version, |endpoint| {
        describe::change_tags(endpoint, &arguments.tags);
        if let Some(description) = &arguments.description {
            endpoint["properties"]["description"] = Value::from(description.as_str());
        }
        if let Some(access) = arguments.public_network_access {
            endpoint["properties"]["networkAcls"]["publicNetworkAccess"] = Value::from(access.name());
        }
        Ok(())
    });
    print(session, &updated.await?)
}

async fn delete(session: &mut Session, arguments: Delete) -> Result<(), ClientError> {
    let found = session.client.resolve(&ENDPOINT, &arguments.endpoint).await?;
    let id = text(&found, "/id");
    session.console.confirm(&format!("delete the endpoint {id}"), arguments.confirmation.yes)?;
    session.client.delete(&encode_id(id), ENDPOINT.api_version).await?;
    session.console.note(&format!("{id} is deleted"))
}

fn print(session: &mut Session, endpoint: &Value) -> Result<(), ClientError> {
    session.console.resource(endpoint, text(endpoint, "/name"), fields(endpoint))
}

fn fields(endpoint: &Value) -> Fields {
    let own = |pointer: &str| text(endpoint, pointer).to_owned();
    let mut fields = describe::common(endpoint);
    fields.extend([
        ("immutable id", own("/properties/immutableId")),
        ("description", own("/properties/description")),
        ("public access", own("/properties/networkAcls/publicNetworkAccess")),
        ("metrics ingestion URL", own(METRICS_INGESTION)),
    ]);
    fields.extend(describe::history(endpoint));
    fields
}

/// Where the base of the ingestion URLs of an endpoint's rules stands.
pub(super) const METRICS_INGESTION: &str = "/properties/metricsIngestion/endpoint";
