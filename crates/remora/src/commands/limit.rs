//! `remora limit`.

use serde_json::{Value, json};

use super::Session;
use super::usage::{self, Use};
use crate::cli::limit::{Update, Verb};
use crate::client::{ClientError, WORKSPACE, encode_id, text};

pub(super) async fn perform(session: &mut Session, verb: Verb) -> Result<(), ClientError> {
    match verb {
        Verb::List => print(session, &[]).await,
        Verb::Show { resource } => print(session, &[resource]).await,
        Verb::Update(arguments) => update(session, arguments).await,
    }
}

async fn print(session: &mut Session, named: &[String]) -> Result<(), ClientError> {
    let uses = usage::read(&session.client, &usage::targets(&session.client, named).await?).await?;
    let raw: Vec<Value> = uses.iter().map(Use::as_json).collect();
    let name = |one: &Value| format!("{} {}", text(one, "/resource"), text(one, "/name/value"));
    let mut uses = uses.iter();
    session.console.resources(&raw, name, &["RESOURCE", "NAME", "LIMIT", "VALUE"], |_| {
        uses.next().map_or_else(Vec::new, |one| {
            vec![one.noun.to_owned(), one.resource.clone(), one.label().to_owned(), usage::grouped(one.limit)]
        })
    })
}

async fn update(session: &mut Session, arguments: Update) -> Result<(), ClientError> {
    let workspace = session.client.resolve(&WORKSPACE, &arguments.workspace).await?;
    let id = text(&workspace, "/id");
    let path = format!("{}/metricsContainers/default", encode_id(id));
    session
        .client
        .update(&path, WORKSPACE.api_version, |container| {
            // What is not named stays as it is.
            let mut limits = match container.pointer("/properties/limits") {
                Some(Value::Object(limits)) => limits.clone(),
                _ => serde_json::Map::new(),
            };
            let wanted =
                [("maxActiveTimeSeries", arguments.active_series), ("maxEventsPerMinute", arguments.events_per_minute)];
            for (name, value) in wanted {
                if let Some(value) = value {
                    limits.insert(name.to_owned(), Value::from(value));
                }
            }
            *container = json!({"properties": {"limits": limits}});
            Ok(())
        })
        .await?;
    print(session, &[id.to_owned()]).await
}

#[cfg(test)]
mod tests;
