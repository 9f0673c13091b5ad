//! `Microsoft.Insights/metrics`, `metricDefinitions` and `metricNamespaces`: the platform metrics of workspaces and rules.

mod request;
mod shape;
mod timespan;

use std::sync::Arc;

use catalog::{Rule, Workspace, key};
use environment::UnixTime;
use model::{ErrorKind, ResourceId};
use platform_metrics::{Query, ReadError, Resource, definitions, read};
use serde_json::{Value, json};
use storage::{NoStorage, Purpose};

use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::route::{At, Right, Route, Verb, handler};
use request::Request;
pub(crate) use timespan::Timespan;

pub(crate) const ROUTES: &[Route] = &[
    Route::new(
        Verb::Get,
        "{scope}/providers/Microsoft.Insights/metrics",
        Right::Action("Microsoft.Insights/Metrics/Read", At::Scope),
        VERSIONS,
        handler!(values),
    ),
    Route::new(
        Verb::Get,
        "{scope}/providers/Microsoft.Insights/metricDefinitions",
        Right::Action("Microsoft.Insights/MetricDefinitions/Read", At::Scope),
        VERSIONS,
        handler!(list_definitions),
    ),
    Route::new(
        Verb::Get,
        "{scope}/providers/Microsoft.Insights/metricNamespaces",
        Right::Action("Microsoft.Insights/MetricNamespaces/Read", At::Scope),
        VERSIONS,
        handler!(namespaces),
    ),
];

const VERSIONS: &[&str] = &["2017-12-01-preview", "2018-01-01", "2019-07-01", "2021-05-01", "2023-10-01", "2024-02-01"];

/// What the path names and has metrics.
enum Subject {
    Workspace(Arc<Workspace>),
    Rule(Arc<Rule>),
}

impl Subject {
    fn of(call: &Call) -> Result<Option<Self>, ArmError> {
        let (id, snapshot) = (call.scope(), call.snapshot());
        let at = key(&id);
        let workspace = snapshot.workspaces().get(&at).cloned().map(Self::Workspace);
        let found = workspace.or_else(|| snapshot.rules().get(&at).cloned().map(Self::Rule));
        let silent = || {
            let scope = id.as_str().trim_end_matches('/').is_empty();
            scope
                || snapshot.endpoints().contains_key(&at)
                || snapshot.identities().contains_key(&at)
                || snapshot.groups().contains_key(&at)
        };
        match found {
            Some(found) => Ok(Some(found)),
            None if silent() => Ok(None),
            None => Err(ArmError::no_resource(&id)),
        }
    }

    fn resource(&self) -> Resource<'_> {
        match self {
            Self::Workspace(workspace) => Resource::Workspace(workspace),
            Self::Rule(rule) => Resource::Rule(rule),
        }
    }

    fn id(&self) -> &ResourceId {
        match self {
            Self::Workspace(workspace) => &workspace.envelope.id,
            Self::Rule(rule) => &rule.envelope.id,
        }
    }

    fn region(&self) -> &str {
        match self {
            Self::Workspace(workspace) => &workspace.envelope.location,
            Self::Rule(rule) => &rule.envelope.location,
        }
    }
}

async fn values(call: Call) -> Result<Answer, ArmError> {
    let Some(subject) = Subject::of(&call)? else { return Err(without_metrics(&call.scope())) };
    let (resource, now) = (subject.resource(), call.parts.clock.now());
    let asked = Request::of(&call.query, resource.resource_type(), now)?;
    let system = call.snapshot().workspace(SYSTEM_HANDLE).map(|workspace| workspace.account_id);
    let system = system.ok_or_else(unavailable)?;
    let storage = call.parts.workspaces.storage(system, Purpose::Read).await.map_err(|none| not_open(&none))?;
    let mut value = Vec::new();
    for metric in &asked.metrics {
        let query = Query {
            definition: metric.definition,
            interval: asked.interval,
            start: asked.timespan.start,
            end: asked.timespan.end,
            filter: metric.filter.clone(),
        };
        let found = read(&*storage, &resource, &query).await.map_err(|error| not_read(&error))?;
        value.push(shape::metric(subject.id(), &asked, metric, asked.top(metric, found)));
    }
    Ok(Answer::ok(json!({
        "cost": 0,
        "timespan": asked.timespan.to_string(),
        "interval": asked.interval.to_string(),
        "namespace": resource.resource_type().namespace(),
        "resourceregion": subject.region(),
        "value": value,
    })))
}

async fn list_definitions(call: Call) -> Result<Answer, ArmError> {
    let subject = Subject::of(&call)?;
    let value: Vec<Value> = subject
        .iter()
        .flat_map(|subject| shape::definitions(subject.id(), subject.resource().resource_type()))
        .collect();
    Ok(Answer::ok(json!({ "value": value })))
}

async fn namespaces(call: Call) -> Result<Answer, ArmError> {
    let subject = Subject::of(&call)?;
    let value: Vec<Value> =
        subject.iter().map(|subject| shape::namespace(subject.id(), subject.resource().resource_type())).collect();
    Ok(Answer::ok(json!({ "value": value })))
}

/// In Azure's words, which clients take apart.
fn unknown_metric(of: platform_metrics::ResourceType, name: &str) -> String {
    let namespace = of.namespace();
    let (provider, kind) = namespace.split_once('/').unwrap_or((namespace, ""));
    let valid: Vec<&str> = definitions(of).iter().map(|definition| definition.name).collect();
    let shown: String = name.chars().take(NAME_SHOWN_CHARS).collect();
    format!(
        "Failed to find metric configuration for provider: {provider}, resource Type: {kind}, metric: {shown}, Valid metrics: {}",
        valid.join(",")
    )
}

fn without_metrics(id: &ResourceId) -> ArmError {
    let message =
        format!("Failed to find metric configuration for {id}: workspaces and data collection rules have metrics.");
    ArmError::bad_request("BadRequest", message)
}

fn unavailable() -> ArmError {
    let message = "There is no system workspace, which would hold the metrics.";
    ArmError::new(ErrorKind::Unavailable, "ServiceUnavailable", message)
}

fn not_open(none: &NoStorage) -> ArmError {
    let message = format!("The system workspace, which holds the metrics, is not open: {none}.");
    ArmError::new(ErrorKind::Unavailable, "ServiceUnavailable", message)
}

fn not_read(error: &ReadError) -> ArmError {
    use model::Kinded as _;
    let code = if error.kind() == ErrorKind::Invalid { "BadRequest" } else { "ServiceUnavailable" };
    let mut message = error.to_string();
    message[..1].make_ascii_uppercase();
    ArmError::new(error.kind(), code, format!("{message}."))
}

/// The time as the metrics API writes it.
fn utc(at: UnixTime) -> String {
    jiff::Timestamp::from_second(at.as_secs()).map_or_else(|_| String::new(), |at| at.to_string())
}

/// The workspace that platform metrics are written to.
const SYSTEM_HANDLE: &str = "system";
const NAME_SHOWN_CHARS: usize = 100;

#[cfg(test)]
mod tests;
