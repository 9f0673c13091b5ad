//! Lists of the directory: filtered, a page at a time.

use serde_json::{Value, json};

use super::bad_request;
use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::filter::Filter;

/// Answers with those of `objects` that the call's `$filter` takes, in the order of their ids.
pub(super) fn answer(call: &Call, kind: &str, objects: impl Iterator<Item = Value>) -> Result<Answer, ArmError> {
    let filter = match call.query.filled("$filter") {
        Some(text) => {
            Some(Filter::parse(text).map_err(|error| bad_request(format!("Invalid filter clause: {error}.")))?)
        }
        None => None,
    };
    let mut found: Vec<(String, Value)> = Vec::new();
    for object in objects {
        let takes = match &filter {
            Some(filter) => filter
                .holds_for(&object)
                .map_err(|error| bad_request(format!("Unsupported filter clause: {error}.")))?,
            None => true,
        };
        if takes {
            let id = object.get("id").and_then(Value::as_str).unwrap_or("").to_owned();
            found.push((id, object));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let after = call.query.filled("$skiptoken").unwrap_or("");
    let size = page_size(call)?;
    let mut rest = found.into_iter().filter(|(id, _)| id.as_str() > after);
    let page: Vec<(String, Value)> = rest.by_ref().take(size).collect();
    let last = page.last().map(|(id, _)| id.clone());
    let value: Vec<Value> = page.into_iter().map(|(_, object)| object).collect();
    let mut body = json!({ "@odata.context": call.url(&format!("/v1.0/$metadata/{kind}")), "value": value });
    if let Some(last) = last.filter(|_| rest.next().is_some()) {
        body["@odata.nextLink"] = Value::from(call.link_with("$skiptoken", &last));
    }
    Ok(Answer::ok(body))
}

fn page_size(call: &Call) -> Result<usize, ArmError> {
    match call.query.filled("$top") {
        None => Ok(PAGE),
        Some(text) => match text.parse::<usize>() {
            Ok(top) if (1..=PAGE_MAX).contains(&top) => Ok(top),
            _ => Err(bad_request(format!(
                "Invalid page size specified: '{text}'. Must be between 1 and {PAGE_MAX} inclusive."
            ))),
        },
    }
}

const PAGE: usize = 100;
const PAGE_MAX: usize = 999;
