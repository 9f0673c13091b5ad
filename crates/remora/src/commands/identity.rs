//! `remora identity`.

use serde_json::{Value, json};

use super::Session;
use super::describe::{self, Fields};
use super::workspace::exists;
use crate::cli::principal::IdentityVerb as Verb;
use crate::client::{ClientError, IDENTITY, encode_id, text};

pub(super) async fn perform(session: &mut Session, verb: Verb) -> Result<(), ClientError> {
    match verb {
        Verb::List => list(session).await,
        Verb::Show { identity } => {
            let found = session.client.resolve(&IDENTITY, &identity).await?;
            print(session, &found)
        }
        Verb::Create { name, location, tags } => {
            let place = session.client.id_to_create(&IDENTITY, &name).await?;
            let body = json!({"location": location.unwrap_or(place.region), "tags": describe::new_tags(&tags)});
            let created = session.client.create(&place.path, IDENTITY.api_version, &body).await;
            let created = created.map_err(|error| exists(error, "identity", &name))?;
            print(session, &created)
        }
        Verb::Delete { identity, confirmation } => {
            let found = session.client.resolve(&IDENTITY, &identity).await?;
            let id = text(&found, "/id");
            session.console.confirm(&format!("delete the managed identity {id}"), confirmation.yes)?;
            session.client.delete(&encode_id(id), IDENTITY.api_version).await?;
            session.console.note(&format!("{id} is deleted"))
        }
    }
}

async fn list(session: &mut Session) -> Result<(), ClientError> {
    let identities = session.client.list_kind(&IDENTITY).await?;
    let columns = ["NAME", "RESOURCE GROUP", "CLIENT ID", "OBJECT ID"];
    session.console.resources(&identities, describe::name, &columns, |identity| {
        vec![
            describe::name(identity),
            describe::group(identity),
            text(identity, "/properties/clientId").to_owned(),
            text(identity, "/properties/principalId").to_owned(),
        ]
    })
}

fn print(session: &mut Session, identity: &Value) -> Result<(), ClientError> {
    session.console.resource(identity, text(identity, "/name"), fields(identity))
}

fn fields(identity: &Value) -> Fields {
    let own = |pointer: &str| text(identity, pointer).to_owned();
    let mut fields = describe::common(identity);
    fields.extend([("client id", own("/properties/clientId")), ("object id", own("/properties/principalId"))]);
    fields.extend(describe::history(identity));
    fields
}
