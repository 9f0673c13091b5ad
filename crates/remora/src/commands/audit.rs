//! `remora audit`.

use std::collections::HashMap;

use http::StatusCode;
use serde_json::Value;

use super::Session;
use super::console::Format;
use super::describe;
use crate::cli::administration::Audit;
use crate::client::{ClientError, encode_segment, filtered_path, rfc3339, text, versions};

pub(super) async fn perform(session: &mut Session, arguments: Audit) -> Result<(), ClientError> {
    let since = session.client.clock().now().minus(arguments.since);
    let mut filter = format!("eventTimestamp ge '{}'", rfc3339(since));
    if let Some(resource) = &arguments.resource {
        filter.push_str(&format!(" and resourceUri eq '{}'", resource.replace('\'', "''")));
    }
    let events = read(session, &filter, usize::try_from(arguments.count).unwrap_or(usize::MAX)).await?;
    let mut names = HashMap::new();
    if session.console.format() == Format::Table {
        names = session.client.principal_names(events.iter().map(|event| text(event, "/caller"))).await;
    }
    let columns = ["WHEN", "WHO", "FROM", "WHAT", "ON"];
    let id = |event: &Value| text(event, "/eventDataId").to_owned();
    session.console.resources(&events, id, &columns, |event| {
        vec![
            describe::short_time(text(event, "/eventTimestamp")),
            names.get(&text(event, "/caller").to_ascii_lowercase()).cloned().unwrap_or_else(|| who(event)),
            text(event, "/httpRequest/clientIpAddress").to_owned(),
            text(event, "/operationName/value").to_owned(),
            describe::place(text(event, "/resourceId")),
        ]
    })
}

/// The log of the whole service, to whom may read it, else that of the subscription.
async fn read(session: &Session, filter: &str, count: usize) -> Result<Vec<Value>, ClientError> {
    let of = async |container: &str| {
        let path = format!("{container}/providers/Microsoft.Insights/eventtypes/management/values");
        session.client.list_first(&filtered_path(&path, filter), versions::ACTIVITY_LOG, count).await
    };
    match of("").await {
        Err(ClientError::Refused(refusal)) if refusal.status == StatusCode::FORBIDDEN => {
            of(&format!("/subscriptions/{}", encode_segment(session.client.subscription().await?))).await
        }
        outcome => outcome,
    }
}

/// Who did it, if the directory does not know the name.
fn who(event: &Value) -> String {
    match text(event, "/caller") {
        "" => text(event, "/claims/name").to_owned(),
        caller => caller.to_owned(),
    }
}

#[cfg(test)]
mod tests;
