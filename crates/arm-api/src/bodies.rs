//! Bodies of changes: the fields that Azure's published shapes have, and what of them is kept.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use catalog::{EndpointSpec, GroupSpec, Problem, Profile, RuleSpec, WorkspaceSpec, WorkspaceStorage};
use serde_json::{Map, Value};

use crate::schema::{Field, Kind, answered, check, optional, required};
use crate::shape::{object, text, texts};

/// Problems of a body.
pub(crate) type Checked<T> = Result<T, Vec<Problem>>;

/// What a PATCH changes; what is not given stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Patch {
    /// All tags, if they change.
    pub(crate) tags: Option<BTreeMap<String, String>>,
    /// `properties.publicNetworkAccess` of a workspace.
    pub(crate) public_network_access: Option<bool>,
    /// `properties.remora.profile` of a workspace.
    pub(crate) profile: Option<Profile>,
    /// `properties.remora.storage` of a workspace.
    pub(crate) storage: WorkspaceStorage,
}

/// What a metrics container is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ContainerSpec {
    pub(crate) active_series_max: Option<u64>,
    pub(crate) events_per_minute_max: Option<u64>,
}

pub(crate) fn group(body: Value) -> Checked<GroupSpec> {
    let map = check(body, GROUP)?;
    Ok(GroupSpec { location: text(&map, "location").unwrap_or_default(), tags: texts(map.get("tags")) })
}

pub(crate) fn workspace(body: Value) -> Checked<WorkspaceSpec> {
    let map = check(body, WORKSPACE)?;
    let Patch { public_network_access, profile, storage, .. } = patched(&map)?;
    Ok(WorkspaceSpec {
        location: text(&map, "location").unwrap_or_default(),
        tags: texts(map.get("tags")),
        public_network_access,
        profile,
        storage,
        account_id: None,
        with_defaults: true,
    })
}

pub(crate) fn workspace_patch(body: Value) -> Checked<Patch> {
    patched(&check(body, WORKSPACE_PATCH)?)
}

/// For everything of which only tags can be changed.
pub(crate) fn tags_patch(body: Value) -> Checked<Patch> {
    let map = check(body, TAGS_PATCH)?;
    Ok(Patch { tags: map.get("tags").map(|tags| texts(Some(tags))), ..Patch::default() })
}

pub(crate) fn group_patch(body: Value) -> Checked<Patch> {
    let map = check(body, GROUP_PATCH)?;
    Ok(Patch { tags: map.get("tags").map(|tags| texts(Some(tags))), ..Patch::default() })
}

pub(crate) fn endpoint(body: Value) -> Checked<EndpointSpec> {
    let map = check(body, ENDPOINT)?;
    refuse_identity(&map)?;
    let properties = object(&map, "properties");
    let acls = properties.and_then(|properties| object(properties, "networkAcls"));
    Ok(EndpointSpec {
        location: text(&map, "location").unwrap_or_default(),
        tags: texts(map.get("tags")),
        kind: text(&map, "kind"),
        description: properties.and_then(|properties| text(properties, "description")),
        public_network_access: acls.and_then(|acls| text(acls, "publicNetworkAccess")),
        immutable_id: None,
    })
}

pub(crate) fn rule(body: Value) -> Checked<RuleSpec> {
    let mut map = check(body, RULE)?;
    refuse_identity(&map)?;
    let properties = match map.remove("properties") {
        Some(Value::Object(properties)) => properties,
        _ => Map::new(),
    };
    Ok(RuleSpec {
        location: text(&map, "location").unwrap_or_default(),
        tags: texts(map.get("tags")),
        kind: text(&map, "kind"),
        properties,
        immutable_id: None,
    })
}

pub(crate) fn container(body: Value) -> Checked<ContainerSpec> {
    let map = check(body, CONTAINER)?;
    let limits = object(&map, "properties").and_then(|properties| object(properties, "limits"));
    let limit = |name: &str| limits.and_then(|limits| limits.get(name)).and_then(Value::as_u64);
    Ok(ContainerSpec {
        active_series_max: limit("maxActiveTimeSeries"),
        events_per_minute_max: limit("maxEventsPerMinute"),
    })
}

fn patched(map: &Map<String, Value>) -> Checked<Patch> {
    let properties = object(map, "properties");
    let remora = properties.and_then(|properties| object(properties, "remora"));
    let access = properties.and_then(|properties| text(properties, "publicNetworkAccess"));
    Ok(Patch {
        tags: map.get("tags").map(|tags| texts(Some(tags))),
        public_network_access: access.map(|access| access == ENABLED),
        profile: remora.and_then(|remora| text(remora, "profile")).map(|profile| match profile.as_str() {
            AZURE => Profile::Azure,
            _ => Profile::Strict,
        }),
        storage: remora
            .and_then(|remora| object(remora, "storage"))
            .map_or(Ok(WorkspaceStorage::default()), storage)?,
    })
}

/// Zeros stand for the installation's settings.
fn storage(map: &Map<String, Value>) -> Checked<WorkspaceStorage> {
    let mut problems = Vec::new();
    let mut within = |name: &str, bounds: RangeInclusive<u64>| {
        let value = map.get(name).and_then(Value::as_u64)?;
        if value != 0 && !bounds.contains(&value) {
            let (least, most) = bounds.into_inner();
            let bound = if value < least { format!("{least} is the least") } else { format!("{most} is the most") };
            let target = format!("properties.remora.storage.{name}");
            problems.push(Problem { target, message: format!("is {value}; {bound}") });
        }
        Some(value)
    };
    let retention_days = within(RETENTION, 1..=RETENTION_DAYS_MAX).and_then(|days| u32::try_from(days).ok());
    let retention_bytes = within(RETENTION_BYTES, WorkspaceStorage::RETENTION_BYTES_MIN..=u64::MAX);
    let out_of_order_window_secs = within(OUT_OF_ORDER, 1..=RETENTION_DAYS_MAX * 86_400);
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(WorkspaceStorage { retention_days, retention_bytes, out_of_order_window_secs })
}

/// A resource cannot have an identity of its own here; saying so beats forgetting what somebody relies on.
fn refuse_identity(map: &Map<String, Value>) -> Checked<()> {
    match object(map, "identity").map(|identity| text(identity, "type").unwrap_or_default()) {
        Some(kind) if !kind.eq_ignore_ascii_case("None") => {
            let message =
                format!("is {kind:?}; resources have no identity of their own here: say \"None\", or leave it out");
            Err(vec![Problem { target: "identity.type".to_owned(), message }])
        }
        _ => Ok(()),
    }
}

const ENABLED: &str = "Enabled";
const DISABLED: &str = "Disabled";
const STRICT: &str = "strict";
const AZURE: &str = "azure";

const GROUP: &[Field] = &[
    required("location", Kind::Text),
    optional("tags", Kind::Texts),
    answered("properties"),
    answered("managedBy"),
    answered("id"),
    answered("name"),
    answered("type"),
];

const GROUP_PATCH: &[Field] = &[
    optional("tags", Kind::Texts),
    answered("location"),
    answered("properties"),
    answered("managedBy"),
    answered("id"),
    answered("name"),
    answered("type"),
];

/// Fields of `properties.remora.storage`.
pub(crate) const RETENTION: &str = "retentionInDays";
pub(crate) const RETENTION_BYTES: &str = "retentionInBytes";
pub(crate) const OUT_OF_ORDER: &str = "outOfOrderWindowInSeconds";

/// A hundred years.
const RETENTION_DAYS_MAX: u64 = 36_500;

const STORAGE: &[Field] =
    &[optional(RETENTION, Kind::Whole), optional(RETENTION_BYTES, Kind::Whole), optional(OUT_OF_ORDER, Kind::Whole)];

const REMORA: &[Field] = &[
    optional("profile", Kind::OneOf(&[STRICT, AZURE])),
    optional("storage", Kind::Object(STORAGE)),
    answered("handle"),
];

const WORKSPACE_PROPERTIES: &[Field] = &[
    optional("publicNetworkAccess", Kind::OneOf(&[ENABLED, DISABLED])),
    optional("remora", Kind::Object(REMORA)),
    // The flag within it can be sent in Azure; here access always follows the roles.
    answered("metrics"),
    answered("accountId"),
    answered("provisioningState"),
    answered("defaultIngestionSettings"),
    answered("privateEndpointConnections"),
];

const WORKSPACE: &[Field] = &[
    required("location", Kind::Text),
    optional("tags", Kind::Texts),
    optional("properties", Kind::Object(WORKSPACE_PROPERTIES)),
    answered("id"),
    answered("name"),
    answered("type"),
    answered("etag"),
    answered("systemData"),
    answered("managedBy"),
];

const WORKSPACE_PATCH: &[Field] = &[
    optional("tags", Kind::Texts),
    optional("properties", Kind::Object(WORKSPACE_PROPERTIES)),
    answered("location"),
    answered("id"),
    answered("name"),
    answered("type"),
    answered("etag"),
    answered("systemData"),
    answered("managedBy"),
];

const TAGS_PATCH: &[Field] = &[
    optional("tags", Kind::Texts),
    optional("identity", Kind::AnyObject),
    answered("location"),
    answered("id"),
    answered("name"),
    answered("type"),
    answered("etag"),
    answered("systemData"),
    answered("managedBy"),
];

const LIMITS: &[Field] = &[optional("maxActiveTimeSeries", Kind::Whole), optional("maxEventsPerMinute", Kind::Whole)];

const CONTAINER_PROPERTIES: &[Field] = &[
    optional("limits", Kind::Object(LIMITS)),
    // The query service of this version is the only one there is here.
    optional("version", Kind::OneOf(&["1.0"])),
    answered("provisioningState"),
];

const CONTAINER: &[Field] = &[
    optional("properties", Kind::Object(CONTAINER_PROPERTIES)),
    answered("id"),
    answered("name"),
    answered("type"),
    answered("etag"),
    answered("systemData"),
];

const IDENTITY: &[Field] = &[
    optional("type", Kind::Text),
    optional("userAssignedIdentities", Kind::AnyObject),
    answered("principalId"),
    answered("tenantId"),
];

const ACLS: &[Field] = &[optional("publicNetworkAccess", Kind::OneOf(&[ENABLED, DISABLED, "SecuredByPerimeter"]))];

const ENDPOINT_PROPERTIES: &[Field] = &[
    optional("description", Kind::Text),
    optional("networkAcls", Kind::Object(ACLS)),
    answered("immutableId"),
    answered("configurationAccess"),
    answered("logsIngestion"),
    answered("metricsIngestion"),
    answered("provisioningState"),
    answered("privateLinkScopedResources"),
    answered("failoverConfiguration"),
    answered("metadata"),
];

const ENDPOINT: &[Field] = &[
    required("location", Kind::Text),
    optional("tags", Kind::Texts),
    optional("kind", Kind::Text),
    optional("identity", Kind::Object(IDENTITY)),
    optional("properties", Kind::Object(ENDPOINT_PROPERTIES)),
    answered("sku"),
    answered("id"),
    answered("name"),
    answered("type"),
    answered("etag"),
    answered("systemData"),
    answered("managedBy"),
];

const RULE: &[Field] = &[
    required("location", Kind::Text),
    required("properties", Kind::Object(crate::rule_body::PROPERTIES)),
    optional("tags", Kind::Texts),
    optional("kind", Kind::Text),
    optional("identity", Kind::Object(IDENTITY)),
    answered("sku"),
    answered("id"),
    answered("name"),
    answered("type"),
    answered("etag"),
    answered("systemData"),
    answered("managedBy"),
];

/// Every kind of body, by a name of its own.
pub(crate) const KINDS: &[(&str, &[Field])] = &[
    ("group", GROUP),
    ("group patch", GROUP_PATCH),
    ("workspace", WORKSPACE),
    ("workspace patch", WORKSPACE_PATCH),
    ("tags patch", TAGS_PATCH),
    ("container", CONTAINER),
    ("endpoint", ENDPOINT),
    ("rule", RULE),
];

#[cfg(test)]
mod tests;
