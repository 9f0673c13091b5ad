//! Data collection rules (`Microsoft.Insights/dataCollectionRules`).

use std::sync::Arc;

use catalog::{Precondition, Rule, RuleSpec, Snapshot, StoreError, key};
use model::{AccountId, ResourceId};
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::bodies;
use crate::call::Call;
use crate::error::ArmError;
use crate::etag::{self, ATTEMPTS_MAX};
use crate::paging::Page;
use crate::route::{At, Right, Route, Verb, handler};
use crate::{Settings, accounts, addresses, endpoints, shape};

pub(crate) const ROUTES: &[Route] = &[
    Route::new(Verb::Get, IN_SUBSCRIPTION, Right::List(READ, At::Subscription), VERSIONS, handler!(list)),
    Route::new(Verb::Get, IN_GROUP, Right::List(READ, At::Group), VERSIONS, handler!(list)),
    Route::new(Verb::Get, ONE, Right::Action(READ, At::Path), VERSIONS, handler!(show)),
    Route::new(Verb::Put, ONE, Right::Action(WRITE, At::Path), VERSIONS, handler!(put)),
    Route::new(Verb::Patch, ONE, Right::Action(WRITE, At::Path), VERSIONS, handler!(patch)),
    Route::new(Verb::Delete, ONE, Right::Action(DELETE, At::Path), VERSIONS, handler!(delete)),
];

pub(crate) const TYPE: &str = "Microsoft.Insights/dataCollectionRules";
pub(crate) const VERSIONS: &[&str] =
    &["2019-11-01-preview", "2021-04-01", "2021-09-01-preview", "2022-06-01", "2023-03-11", "2024-03-11"];
const IN_SUBSCRIPTION: &str = "/subscriptions/{subscription}/providers/Microsoft.Insights/dataCollectionRules";
const IN_GROUP: &str =
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Insights/dataCollectionRules";
const ONE: &str =
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Insights/dataCollectionRules/{name}";
pub(crate) const READ: &str = "Microsoft.Insights/dataCollectionRules/read";
const WRITE: &str = "Microsoft.Insights/dataCollectionRules/write";
const DELETE: &str = "Microsoft.Insights/dataCollectionRules/delete";

async fn list(call: Call) -> Result<Answer, ArmError> {
    let (prefix, page) = (call.list_prefix()?, Page::of(&call)?);
    let snapshot = call.snapshot();
    Ok(page.of_table(&call, snapshot.rules(), &prefix, |rule| {
        call.may_see(&rule.envelope.id).then(|| shape(rule, &snapshot, &call.settings))
    }))
}

async fn show(call: Call) -> Result<Answer, ArmError> {
    let (rule, snapshot) = found(&call)?;
    Ok(answer(&call, &rule, &snapshot))
}

async fn put(call: Call) -> Result<Answer, ArmError> {
    let precondition = call.precondition()?;
    call.subscription()?;
    let spec = bodies::rule(call.json().await?).map_err(|problems| ArmError::invalid(&problems))?;
    for _ in 0..ATTEMPTS_MAX {
        let before = call.snapshot().rules().get(&key(&call.path())).cloned();
        check_linked(&call, &spec.properties, before.as_ref().map(|rule| &rule.properties))?;
        // What the caller may name was decided by what the rule was: it must still be that when it is written.
        let pinned = match (&precondition, &before) {
            (Precondition::None, Some(rule)) => Precondition::Match(rule.envelope.etag.clone()),
            (Precondition::None, None) => Precondition::Absent,
            (Precondition::Exists, Some(rule)) => Precondition::Match(rule.envelope.etag.clone()),
            _ => precondition.clone(),
        };
        match call.store().put_rule(&call.actor(), &call.path(), spec.clone(), pinned).await {
            Err(StoreError::PreconditionFailed { .. }) if may_try_again(&precondition, before.is_some()) => {}
            outcome => return Ok(answer(&call, &outcome?.resource, &call.snapshot())),
        }
    }
    Err(etag::overtaken())
}

/// Whether a failed precondition was only ours, so that the caller knows nothing of it.
fn may_try_again(asked: &Precondition, existed: bool) -> bool {
    match asked {
        Precondition::None => true,
        Precondition::Exists => existed,
        Precondition::Match(_) | Precondition::Absent => false,
    }
}

async fn patch(call: Call) -> Result<Answer, ArmError> {
    let precondition = call.precondition()?;
    let patch = bodies::tags_patch(call.json().await?).map_err(|problems| ArmError::invalid(&problems))?;
    for _ in 0..ATTEMPTS_MAX {
        let (rule, _) = found(&call)?;
        let pinned = etag::pinned(&precondition, &rule.envelope.etag);
        let spec = RuleSpec {
            location: rule.envelope.location.clone(),
            tags: patch.tags.clone().unwrap_or_else(|| rule.envelope.tags.clone()),
            kind: rule.kind.clone(),
            properties: rule.properties.clone(),
            immutable_id: None,
        };
        match call.store().put_rule(&call.actor(), &call.path(), spec, pinned).await {
            Err(StoreError::PreconditionFailed { .. }) if precondition == Precondition::None => {}
            outcome => return Ok(answer(&call, &outcome?.resource, &call.snapshot())),
        }
    }
    Err(etag::overtaken())
}

async fn delete(call: Call) -> Result<Answer, ArmError> {
    let precondition = call.precondition()?;
    call.subscription()?;
    // There are no associations, which are of agents on machines: deleting them or not is the same.
    call.flag("deleteAssociations")?;
    let deleted = call.store().delete_rule(&call.actor(), &call.path(), precondition).await?;
    Ok(if deleted { Answer::done() } else { Answer::no_content() })
}

/// The path's rule, and the state that it was found in.
pub(crate) fn found(call: &Call) -> Result<(Arc<Rule>, Arc<Snapshot>), ArmError> {
    call.subscription()?;
    let (id, snapshot) = (call.resource(ONE), call.snapshot());
    match snapshot.rules().get(&key(&id)).cloned() {
        Some(rule) => Ok((rule, snapshot)),
        None => Err(call.missing(&id, &snapshot)),
    }
}

/// Who makes a rule lets others write to its workspaces, so that a right on each of them is asked for; for the endpoint,
/// the right to see it. What the rule had before was decided before. Said whether or not they exist.
fn check_linked(call: &Call, new: &Map<String, Value>, old: Option<&Map<String, Value>>) -> Result<(), ArmError> {
    let (new, old, snapshot) = (linked(new), old.map(linked).unwrap_or_default(), call.snapshot());
    let decided = |link: &&Link| old.iter().any(|before| before.decides(link, &snapshot));
    let denied = new.iter().filter(|link| !decided(link)).find(|link| !call.may(link.action, &link.id));
    let Some(Link { action, id, .. }) = denied else { return Ok(()) };
    let caller = call.caller.as_ref();
    let (name, object_id) = caller.map_or(("", ""), |caller| (caller.name.as_str(), caller.object_id.as_str()));
    let message = format!(
        "The client '{name}' with object id '{object_id}' has permission to perform action '{WRITE}' on scope '{}'; \
         however, it does not have permission to perform action(s) '{action}' on the linked scope(s) '{id}' or the \
         linked scope(s) are invalid.",
        call.path()
    );
    Err(ArmError::new(model::ErrorKind::Forbidden, "LinkedAuthorizationFailed", message))
}

/// Another resource that a rule names.
struct Link {
    /// What is asked there.
    action: &'static str,
    id: ResourceId,
    /// Which workspace it is; a name may be another's later.
    account: Option<AccountId>,
}

impl Link {
    /// Whether `later` is about the very thing that this one was decided for.
    fn decides(&self, later: &Self, snapshot: &Snapshot) -> bool {
        let current = || snapshot.workspaces().get(&key(&later.id)).map(|workspace| workspace.account_id);
        let meant = later.account.or_else(current);
        self.action == later.action && self.id == later.id && meant.is_none_or(|account| self.account == Some(account))
    }
}

/// What a rule's properties name. What is no id is for the catalogue to refuse.
fn linked(properties: &Map<String, Value>) -> Vec<Link> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let id = |value: Option<&Value>| text(value).and_then(|text| text.parse::<ResourceId>().ok());
    let destinations = shape::object(properties, "destinations");
    let accounts = destinations.and_then(|kinds| kinds.get("monitoringAccounts")).and_then(Value::as_array);
    let accounts = accounts.into_iter().flatten().filter_map(|named| {
        let account = text(named.get("accountId")).and_then(|text| text.parse().ok());
        id(named.get("accountResourceId")).map(|id| Link { action: accounts::WRITE, id, account })
    });
    let endpoint = id(properties.get("dataCollectionEndpointId"));
    accounts.chain(endpoint.map(|id| Link { action: endpoints::READ, id, account: None })).collect()
}

fn answer(call: &Call, rule: &Rule, snapshot: &Snapshot) -> Answer {
    Answer::ok(shape(rule, snapshot, &call.settings)).with_etag(&rule.envelope.etag)
}

pub(crate) fn shape(rule: &Rule, snapshot: &Snapshot, settings: &Settings) -> Value {
    let mut properties = rule.properties.clone();
    properties.insert("immutableId".to_owned(), Value::from(rule.immutable_id.as_str()));
    properties.insert("provisioningState".to_owned(), Value::from("Succeeded"));
    if let Some(endpoint) = rule.endpoint.as_ref().and_then(|id| snapshot.endpoints().get(&key(id))) {
        let endpoints = json!({
            "logsIngestion": addresses::logs_ingestion(endpoint, settings),
            "metricsIngestion": addresses::metrics_ingestion(endpoint, settings),
        });
        properties.insert("endpoints".to_owned(), endpoints);
    }
    let mut shape = shape::resource(&rule.envelope, rule.envelope.id.as_str(), TYPE, Value::Object(properties));
    if let Some(kind) = &rule.kind {
        shape["kind"] = Value::from(kind.as_str());
    }
    shape
}
