//! What a rule's `properties` mean: destinations by name, and flows of streams to them.
//!
//! Only destinations of the kind `monitoringAccounts` are served, for the Prometheus stream. All others are kept as they were
//! written, checked for their names alone, and stated by [`Rule::unserved_destinations`].

use std::collections::{BTreeMap, BTreeSet};

use model::{AccountId, ResourceId};
use serde_json::{Map, Value};

use crate::names::{Problems, excerpt, excerpt_of_id};
use crate::{PROMETHEUS_STREAM, Route, Rule, Snapshot};

/// Properties that hold together.
pub(crate) struct Read {
    pub(crate) endpoint: Option<ResourceId>,
    pub(crate) routes: Vec<Route>,
    /// As they were written, with the `accountId` of every workspace.
    pub(crate) properties: Map<String, Value>,
}

/// Reads `properties` of a rule in `location` that replaces `existing`. What is returned counts only without new problems.
pub(crate) fn read(
    snapshot: &Snapshot,
    problems: &mut Problems,
    existing: Option<&Rule>,
    location: &str,
    mut properties: Map<String, Value>,
) -> Read {
    check_size(problems, &properties);
    match properties.get("description") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => super::check_description(problems, Some(text)),
        Some(_) => problems.add("properties.description", "must be text"),
    }
    check_sources(problems, &properties);
    let endpoint = endpoint(snapshot, problems, location, &properties);
    let destinations = destinations(snapshot, problems, existing, &mut properties);
    let routes = flows(problems, &destinations, &properties);
    Read { endpoint, routes, properties }
}

/// What a name stands for in flows.
enum Destination {
    Workspace(AccountId),
    /// A workspace that was deleted after it was written here, or a service that is not served.
    Unserved,
}

/// Destinations by name in lower case.
type Destinations = BTreeMap<String, Destination>;

fn destinations(
    snapshot: &Snapshot,
    problems: &mut Problems,
    existing: Option<&Rule>,
    properties: &mut Map<String, Value>,
) -> Destinations {
    let mut found = Destinations::new();
    let kinds = match properties.get_mut("destinations") {
        Some(Value::Object(kinds)) => kinds,
        None | Some(Value::Null) => {
            problems.add("properties.destinations", "is required: name at least one workspace as a destination");
            return found;
        }
        Some(_) => {
            problems.add("properties.destinations", "must be an object");
            return found;
        }
    };
    let mut count = 0;
    for (kind, list) in kinds {
        let target = format!("properties.destinations.{}", excerpt(kind));
        let elements = match list {
            Value::Array(elements) => elements.as_mut_slice(),
            // The one kind that is no list.
            Value::Object(_) if kind == "azureMonitorMetrics" => std::slice::from_mut(list),
            Value::Null => continue,
            _ => {
                problems.add(target, "must be a list");
                continue;
            }
        };
        count += elements.len();
        if count > DESTINATIONS_MAX {
            problems.add("properties.destinations", format!("a rule has at most {DESTINATIONS_MAX} destinations"));
            return found;
        }
        for (at, element) in elements.iter_mut().enumerate() {
            let target = format!("{target}[{at}]");
            let Value::Object(element) = element else {
                problems.add(target, "must be an object");
                continue;
            };
            let destination = if kind.eq_ignore_ascii_case(SERVED_KIND) {
                workspace(snapshot, problems, existing, &target, element)
            } else {
                Some(Destination::Unserved)
            };
            let Some(name) = name(problems, &target, element) else { continue };
            let twice = found.insert(name.to_lowercase(), destination.unwrap_or(Destination::Unserved)).is_some();
            if twice {
                problems.add(format!("{target}.name"), format!("another destination is called {name:?}"));
            }
        }
    }
    if count == 0 {
        problems.add("properties.destinations", "is empty: name at least one workspace as a destination");
    }
    found
}

/// The workspace that an element of `monitoringAccounts` names; its `accountId` is filled in.
fn workspace(
    snapshot: &Snapshot,
    problems: &mut Problems,
    existing: Option<&Rule>,
    target: &str,
    element: &mut Map<String, Value>,
) -> Option<Destination> {
    let id_target = format!("{target}.accountResourceId");
    let id: ResourceId = match element.get("accountResourceId") {
        Some(Value::String(text)) => match text.parse() {
            Ok(id) => id,
            Err(_) => {
                problems.add(id_target, format!("{:?} is not a resource id", excerpt(text)));
                return None;
            }
        },
        None | Some(Value::Null) => {
            problems.add(id_target, "is required: the resource id of a workspace");
            return None;
        }
        Some(_) => {
            problems.add(id_target, "must be text: the resource id of a workspace");
            return None;
        }
    };
    let account_target = format!("{target}.accountId");
    let wanted = match element.get("accountId") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => match text.parse::<AccountId>() {
            Ok(account) => Some(account),
            Err(_) => {
                problems.add(account_target, format!("{:?} is not a GUID", excerpt(text)));
                return None;
            }
        },
        Some(_) => {
            problems.add(account_target, "must be text: the accountId of the workspace");
            return None;
        }
    };
    match (snapshot.workspace_by_id(&id), wanted) {
        (Some(found), Some(wanted)) if found.account_id != wanted && !stood_before(existing, element) => {
            problems.add(account_target, format!("{wanted} is not the accountId of {id}: leave it out, or correct it"));
            None
        }
        (Some(found), Some(wanted)) if found.account_id != wanted => Some(Destination::Unserved),
        (Some(found), _) => {
            element.insert("accountId".to_owned(), Value::String(found.account_id.to_string()));
            Some(Destination::Workspace(found.account_id))
        }
        (None, _) if stood_before(existing, element) => Some(Destination::Unserved),
        (None, _) => {
            problems.add(id_target, format!("the workspace {:?} does not exist", excerpt_of_id(id.as_str())));
            None
        }
    }
}

/// Whether the rule has exactly this destination already: its workspace was deleted since, which must not keep anybody from
/// changing the rest of the rule.
fn stood_before(existing: Option<&Rule>, element: &Map<String, Value>) -> bool {
    let Some(Value::Object(kinds)) = existing.and_then(|rule| rule.properties.get("destinations")) else {
        return false;
    };
    kinds
        .iter()
        .filter(|(kind, _)| kind.eq_ignore_ascii_case(SERVED_KIND))
        .filter_map(|(_, list)| list.as_array())
        .flatten()
        .any(|old| old.as_object() == Some(element))
}

fn flows(problems: &mut Problems, destinations: &Destinations, properties: &Map<String, Value>) -> Vec<Route> {
    const TARGET: &str = "properties.dataFlows";
    let flows = match properties.get("dataFlows") {
        Some(Value::Array(flows)) if !flows.is_empty() => flows,
        None | Some(Value::Null | Value::Array(_)) => {
            problems.add(TARGET, format!("is required: say which streams, such as {PROMETHEUS_STREAM}, go where"));
            return Vec::new();
        }
        Some(_) => {
            problems.add(TARGET, "must be a list");
            return Vec::new();
        }
    };
    if flows.len() > FLOWS_MAX {
        problems.add(TARGET, format!("has {} flows, a rule has at most {FLOWS_MAX}", flows.len()));
        return Vec::new();
    }
    let mut streams_seen = BTreeSet::new();
    let mut workspaces = Vec::new();
    for (at, flow) in flows.iter().enumerate() {
        let target = format!("{TARGET}[{at}]");
        let Value::Object(flow) = flow else {
            problems.add(target, "must be an object");
            continue;
        };
        let streams = texts(problems, &format!("{target}.streams"), flow.get("streams"), STREAMS_MAX);
        for (at, stream) in &streams {
            check_stream(problems, &format!("{target}.streams[{at}]"), stream);
            streams_seen.insert(stream.to_ascii_lowercase());
        }
        let carries = streams.iter().any(|(_, stream)| stream.eq_ignore_ascii_case(PROMETHEUS_STREAM));
        for (at, name) in texts(problems, &format!("{target}.destinations"), flow.get("destinations"), DESTINATIONS_MAX)
        {
            match destinations.get(&name.to_lowercase()) {
                Some(Destination::Workspace(account)) if carries && !workspaces.contains(account) => {
                    workspaces.push(*account);
                }
                Some(_) => {}
                None => {
                    let message = format!("no destination is called {:?}", excerpt(name));
                    problems.add(format!("{target}.destinations[{at}]"), message);
                }
            }
        }
    }
    if streams_seen.len() > STREAMS_MAX {
        problems.add(TARGET, format!("name {} streams, a rule has at most {STREAMS_MAX}", streams_seen.len()));
    }
    match workspaces.is_empty() {
        true => Vec::new(),
        false => vec![Route { stream: PROMETHEUS_STREAM.to_owned(), workspaces }],
    }
}

/// The texts of a list that must have one to `most` of them, each with its place.
fn texts<'a>(problems: &mut Problems, target: &str, list: Option<&'a Value>, most: usize) -> Vec<(usize, &'a str)> {
    let elements = match list {
        Some(Value::Array(elements)) if !elements.is_empty() => elements,
        None | Some(Value::Null | Value::Array(_)) => {
            problems.add(target, "is required");
            return Vec::new();
        }
        Some(_) => {
            problems.add(target, "must be a list");
            return Vec::new();
        }
    };
    if elements.len() > most {
        problems.add(target, format!("has {} elements, at most {most} are allowed", elements.len()));
        return Vec::new();
    }
    let mut texts = Vec::with_capacity(elements.len());
    for (at, element) in elements.iter().enumerate() {
        match element.as_str() {
            Some(text) => texts.push((at, text)),
            None => problems.add(format!("{target}[{at}]"), "must be text"),
        }
    }
    texts
}

fn check_stream(problems: &mut Problems, target: &str, stream: &str) {
    let rest = ["microsoft-", "custom-"]
        .into_iter()
        .find_map(|prefix| stream.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix)).map(str::len))
        .map(|start| &stream[start..]);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let good =
        rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(allowed)) && stream.len() <= STREAM_BYTES_MAX;
    if !good {
        let message = format!(
            "{:?} is no stream: `Microsoft-` or `Custom-` and letters, digits, hyphens, underscores and full stops follow",
            excerpt(stream)
        );
        problems.add(target, message);
    }
}

fn name<'a>(problems: &mut Problems, target: &str, element: &'a Map<String, Value>) -> Option<&'a str> {
    match element.get("name") {
        Some(Value::String(name)) if !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX => Some(name),
        None | Some(Value::Null) => {
            problems.add(format!("{target}.name"), "is required: data flows name the destination by it");
            None
        }
        Some(_) => {
            problems.add(format!("{target}.name"), format!("must be text of 1 to {NAME_CHARS_MAX} characters"));
            None
        }
    }
}

fn endpoint(
    snapshot: &Snapshot,
    problems: &mut Problems,
    location: &str,
    properties: &Map<String, Value>,
) -> Option<ResourceId> {
    const TARGET: &str = "properties.dataCollectionEndpointId";
    let text = match properties.get("dataCollectionEndpointId") {
        None | Some(Value::Null) => return None,
        Some(Value::String(text)) => text,
        Some(_) => {
            problems.add(TARGET, "must be text: the resource id of a data collection endpoint");
            return None;
        }
    };
    let Ok(id) = text.parse::<ResourceId>() else {
        problems.add(TARGET, format!("{:?} is not a resource id", excerpt(text)));
        return None;
    };
    match snapshot.endpoint_by_id(&id) {
        None => problems.add(TARGET, format!("the endpoint {:?} does not exist", excerpt_of_id(text))),
        Some(found) if found.envelope.location != location => {
            let there = &found.envelope.location;
            problems.add(TARGET, format!("the endpoint is in {there:?}: a rule and its endpoint are in one region"));
        }
        Some(_) => {}
    }
    Some(id)
}

fn check_sources(problems: &mut Problems, properties: &Map<String, Value>) {
    const TARGET: &str = "properties.dataSources";
    match properties.get("dataSources") {
        None | Some(Value::Null) => {}
        Some(Value::Object(kinds)) => {
            let count: usize = kinds.values().filter_map(Value::as_array).map(Vec::len).sum();
            if count > SOURCES_MAX {
                problems.add(TARGET, format!("has {count} data sources, a rule has at most {SOURCES_MAX}"));
            }
        }
        Some(_) => problems.add(TARGET, "must be an object"),
    }
}

fn check_size(problems: &mut Problems, properties: &Map<String, Value>) {
    let bytes = serde_json::to_string(properties).map_or(0, |text| text.len());
    if bytes > PROPERTIES_BYTES_MAX {
        problems.add("properties", format!("has {bytes} bytes, a rule has at most {PROPERTIES_BYTES_MAX}"));
    }
}

impl Rule {
    /// Names of destinations that data flows name and that nothing is sent to: kinds that are not served here, and
    /// workspaces that do not exist any more.
    pub fn unserved_destinations(&self) -> Vec<&str> {
        let Some(Value::Object(kinds)) = self.properties.get("destinations") else { return Vec::new() };
        let mut names = Vec::new();
        for (kind, list) in kinds {
            let elements = list.as_array().map_or(std::slice::from_ref(list), Vec::as_slice);
            for element in elements {
                let account = element.get("accountId").and_then(Value::as_str).and_then(|text| text.parse().ok());
                let routed = |account| self.routes.iter().any(|route| route.workspaces.contains(&account));
                let served = kind.eq_ignore_ascii_case(SERVED_KIND) && account.is_some_and(routed);
                names.extend(element.get("name").and_then(Value::as_str).filter(|_| !served));
            }
        }
        names
    }
}

const SERVED_KIND: &str = "monitoringAccounts";
const FLOWS_MAX: usize = 10;
const STREAMS_MAX: usize = 10;
const SOURCES_MAX: usize = 10;
const DESTINATIONS_MAX: usize = 10;
const NAME_CHARS_MAX: usize = 128;
const STREAM_BYTES_MAX: usize = 128;
const PROPERTIES_BYTES_MAX: usize = 256 * 1024;
