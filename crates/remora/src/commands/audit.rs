//! `remora audit`.

use serde_json::Value;

use super::Session;
use super::describe;
use crate::cli::administration::Audit;
use crate::client::{ClientError, encode_segment, filtered_path, rfc3339, text, text_or, versions};

pub(super) async fn perform(session: &mut Session, arguments: Audit) -> Result<(), ClientError> {
    let since = session.client.clock().now().minus(arguments.since);
    let mut filter = format!("eventTimestamp ge '{}'", rfc3339(since));
    if let Some(resource) = &arguments.resource {
        filter.push_str(&format!(" and resourceUri eq '{}'", resource.replace('\'', "''")));
    }
    let subscription = encode_segment(session.client.subscription().await?);
    let path = format!("/subscriptions/{subscription}/providers/Microsoft.Insights/eventtypes/management/values");
    let count = usize::try_from(arguments.count).unwrap_or(usize::MAX);
    let events = session.client.list_first(&filtered_path(&path, &filter), versions::ACTIVITY_LOG, count).await?;
    let columns = ["WHEN", "WHO", "FROM", "WHAT", "ON"];
    let id = |event: &Value| text(event, "/eventDataId").to_owned();
    session.console.resources(&events, id, &columns, |event| {
        vec![
            describe::short_time(text(event, "/eventTimestamp")),
            text_or(event, "/claims/name", text(event, "/caller")).to_owned(),
            text(event, "/httpRequest/clientIpAddress").to_owned(),
            text(event, "/operationName/value").to_owned(),
            text(event, "/resourceId").to_owned(),
        ]
    })
}
