//! The activity log (`Microsoft.Insights/eventtypes/management/values`): the catalogue's audit log, as Azure shows it.

use catalog::AuditRecord;
use jiff::Timestamp;
use model::ResourceId;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::filter::{Comparison, Filter};
use crate::paging::PAGE_ITEMS;
use crate::route::{At, Right, Route, Verb, handler};
use crate::shape;

pub(crate) const ROUTES: &[Route] = &[
    Route::new(
        Verb::Get,
        "/subscriptions/{subscription}/providers/Microsoft.Insights/eventtypes/management/values",
        Right::Action("Microsoft.Insights/eventtypes/values/read", At::Subscription),
        VERSIONS,
        handler!(of_subscription),
    ),
    Route::new(
        Verb::Get,
        "/providers/Microsoft.Insights/eventtypes/management/values",
        Right::Action("Microsoft.Insights/eventtypes/values/read", At::Root),
        VERSIONS,
        handler!(of_installation),
    ),
];

const VERSIONS: &[&str] = &["2015-04-01"];

async fn of_subscription(call: Call) -> Result<Answer, ArmError> {
    let subscription = call.subscription()?;
    events(&call, Some(format!("/subscriptions/{subscription}"))).await
}

async fn of_installation(call: Call) -> Result<Answer, ArmError> {
    events(&call, None).await
}

/// Newest first, so that a page is a stretch of the log and its end a sequence.
async fn events(call: &Call, within: Option<String>) -> Result<Answer, ArmError> {
    let wanted = Wanted::parse(call.query.filled("$filter"))?;
    let mut before = call.query.filled("$skipToken").map(token).transpose()?;
    let size = match call.query.filled("$top").map(str::parse::<usize>) {
        None => PAGE_ITEMS,
        Some(Ok(top)) if top > 0 => top.min(PAGE_ITEMS),
        Some(_) => return Err(invalid("$top", "a whole number above zero is expected")),
    };
    let prefix = wanted.narrowest(within.as_deref())?;
    let mut value = Vec::new();
    let mut looked_at = 0;
    let more = loop {
        let records = call.store().audit(prefix.as_deref(), wanted.since_ms, before, READ_RECORDS).await?;
        let exhausted = records.len() < READ_RECORDS as usize;
        looked_at += records.len();
        let mut left = records.into_iter();
        for record in left.by_ref() {
            before = Some(record.sequence);
            if wanted.takes(&record) {
                value.push(shape(&record));
                if value.len() == size {
                    break;
                }
            }
        }
        // A filter that takes little must not read the whole log for one page.
        match (value.len() == size || looked_at >= LOOKED_AT_MAX, exhausted && left.len() == 0) {
            (_, true) => break false,
            (true, false) => break true,
            (false, false) => {}
        }
    };
    let next = before.filter(|_| more).map(|before| call.link_with("$skipToken", &before.to_string()));
    Ok(Answer::ok(json!({ "value": value, "nextLink": next })))
}

/// What `$filter` asks for: a span of time, and what the event is about.
#[derive(Clone, PartialEq, Debug, Default)]
struct Wanted {
    since_ms: Option<i64>,
    until_ms: Option<i64>,
    group: Option<String>,
    resource: Option<ResourceId>,
    caller: Option<String>,
    correlation: Option<String>,
}

impl Wanted {
    fn parse(text: Option<&str>) -> Result<Self, ArmError> {
        let mut wanted = Self::default();
        let Some(text) = text else { return Ok(wanted) };
        let filter = Filter::parse(text).map_err(|error| invalid("$filter", &error.to_string()))?;
        for term in filter.terms() {
            let Filter::Compare { field, comparison, literal } = term else {
                return Err(invalid("$filter", "comparisons joined by and are expected"));
            };
            let text = literal.as_str();
            match (field.to_ascii_lowercase().as_str(), comparison) {
                ("eventtimestamp", Comparison::Greater | Comparison::GreaterOrEqual) => {
                    wanted.since_ms = Some(time(text)?);
                }
                ("eventtimestamp", Comparison::Less | Comparison::LessOrEqual) => wanted.until_ms = Some(time(text)?),
                ("resourcegroupname", Comparison::Equal) => wanted.group = Some(text.to_owned()),
                ("resourceuri" | "resourceid", Comparison::Equal) => {
                    let id = text.parse().map_err(|_| invalid("$filter", &format!("{text:?} is no resource id")))?;
                    wanted.resource = Some(id);
                }
                ("resourceprovider" | "channels" | "eventchannels", Comparison::Equal) => {}
                ("caller", Comparison::Equal) => wanted.caller = Some(text.to_owned()),
                ("correlationid", Comparison::Equal) => wanted.correlation = Some(text.to_owned()),
                _ => return Err(invalid("$filter", &format!("the comparison of {field} is not understood here"))),
            }
        }
        Ok(wanted)
    }

    /// The part of the log to read: the narrowest that the filter and the path name. What lies outside the path is refused,
    /// since the right was asked for there.
    fn narrowest(&self, within: Option<&str>) -> Result<Option<String>, ArmError> {
        let Some(resource) = &self.resource else { return Ok(within.map(str::to_owned)) };
        let inside =
            within.and_then(|within| within.parse::<ResourceId>().ok()).is_none_or(|outer| outer.covers(resource));
        match inside {
            true => Ok(Some(resource.to_string())),
            false => Err(invalid("$filter", "the resource lies outside of the path's subscription")),
        }
    }

    fn takes(&self, record: &AuditRecord) -> bool {
        let equal =
            |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(is));
        let target = record.target.parse::<ResourceId>().ok();
        let inside = |outer: &ResourceId| target.as_ref().is_some_and(|target| outer.covers(target));
        self.since_ms.is_none_or(|since| record.at_ms >= since)
            && self.until_ms.is_none_or(|until| record.at_ms <= until)
            && self.resource.as_ref().is_none_or(inside)
            && equal(&self.caller, &record.actor.id)
            && equal(&self.correlation, record.actor.request_id.as_deref().unwrap_or(""))
            && (self.group.is_none()
                || equal(&self.group, target.as_ref().and_then(|id| id.segment_after("resourceGroups")).unwrap_or("")))
    }
}

fn time(text: &str) -> Result<i64, ArmError> {
    // Clients also send times without a zone, and dates alone; both are meant as UTC.
    let parsed = ["", "Z", "T00:00:00Z"].iter().find_map(|zone| format!("{text}{zone}").parse::<Timestamp>().ok());
    parsed.map(Timestamp::as_millisecond).ok_or_else(|| invalid("$filter", &format!("{text:?} is no time")))
}

fn token(text: &str) -> Result<i64, ArmError> {
    text.parse().map_err(|_| invalid("$skipToken", "it is not one that an answer's nextLink has"))
}

fn invalid(name: &str, why: &str) -> ArmError {
    ArmError::bad_request("InvalidQueryParameter", format!("The query parameter '{name}' is invalid: {why}."))
        .with_target(name)
}

fn shape(record: &AuditRecord) -> Value {
    let target = record.target.parse::<ResourceId>().ok();
    let group = target.as_ref().and_then(|id| id.segment_after("resourceGroups"));
    let subscription = target.as_ref().and_then(|id| id.segment_after("subscriptions"));
    let provider = record.operation.split('/').next().unwrap_or("");
    let localized = |text: &str| json!({ "value": text, "localizedValue": text });
    let at = shape::time(record.at_ms);
    let event = record.sequence.to_string();
    json!({
        "id": format!("{}/events/{event}", record.target),
        "eventDataId": event,
        "eventName": localized("EndRequest"),
        "category": localized("Administrative"),
        "eventTimestamp": at,
        "submissionTimestamp": at,
        "level": "Informational",
        "status": localized("Succeeded"),
        "operationName": localized(&record.operation),
        "operationId": record.actor.request_id,
        "correlationId": record.actor.request_id,
        "resourceId": record.target,
        "resourceGroupName": group,
        "resourceProviderName": localized(provider),
        "subscriptionId": subscription,
        "caller": record.actor.id,
        "claims": { "name": record.actor.name },
        "authorization": { "action": record.operation, "scope": record.target },
        "httpRequest": { "clientIpAddress": record.actor.address, "clientRequestId": record.actor.request_id },
        "properties": { "responseBody": record.detail.as_ref().map(Value::to_string) },
    })
}

/// How many lines are read at a time.
const READ_RECORDS: u32 = 500;
/// How many lines one page looks at.
const LOOKED_AT_MAX: usize = 20_000;
