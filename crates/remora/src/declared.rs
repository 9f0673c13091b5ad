//! What a settings file or `remora up` declares: made in the catalogue once, and the API's from then on.
//!
//! Each declared thing has a name that the catalogue remembers. So a start makes what is new in the file, never brings back
//! what somebody deleted, and never changes what is there. A thing that cannot be made because of what people did meanwhile
//! (a rule to a workspace that was deleted, say) is logged and tried again at the next start: the rest must serve.

mod principals;

use std::collections::{BTreeSet, HashSet};

use access::RoleAssignment;
use anyhow::Context;
use catalog::{
    Actor, AssignmentSpec, EndpointSpec, GroupSpec, IdentitySpec, Item, RuleSpec, Snapshot, Store, StoreError,
    WorkspaceSpec,
};
use environment::Rng;
use model::{ResourceId, ResourceIdError};
use serde_json::{Map, json};
use uuid::Uuid;

pub(crate) use principals::DeclaredApplication;

use crate::installation::uuid;

/// Resources and role assignments that are to be there.
#[derive(Debug)]
pub(crate) struct Declared {
    /// The default subscription, with its name.
    pub(crate) subscription: (Uuid, String),
    pub(crate) region: String,
    pub(crate) workspaces: Vec<(ResourceId, WorkspaceSpec)>,
    pub(crate) endpoints: Vec<(ResourceId, EndpointSpec)>,
    pub(crate) rules: Vec<(ResourceId, RuleSpec)>,
    pub(crate) identities: Vec<(ResourceId, IdentitySpec)>,
    pub(crate) applications: Vec<DeclaredApplication>,
    pub(crate) roles: Vec<RoleAssignment>,
}

impl Declared {
    /// Nothing but the default subscription.
    pub(crate) fn new(subscription: (Uuid, String), region: &str) -> Self {
        Self {
            subscription,
            region: region.to_owned(),
            workspaces: Vec::new(),
            endpoints: Vec::new(),
            rules: Vec::new(),
            identities: Vec::new(),
            applications: Vec::new(),
            roles: Vec::new(),
        }
    }

    /// Makes what was not made before, and the system workspace.
    ///
    /// # Errors
    /// When the catalogue cannot be read or written.
    pub(crate) async fn make(&self, store: &Store, rng: &dyn Rng) -> anyhow::Result<()> {
        let (default, name) = &self.subscription;
        make_subscription(store, *default, name).await?;
        let system = system_workspace(*default)?;
        for subscription in self.subscriptions()? {
            make_subscription(store, subscription, &subscription.to_string()).await?;
        }
        let snapshot = store.catalog().snapshot();
        let mut things = self.things(&system, rng)?;
        things.retain(|thing| !snapshot.is_declared(&thing.name));
        if !things.is_empty() {
            make_all(store, &snapshot, things).await?;
        }
        for application in &self.applications {
            application.make(store).await?;
        }
        Ok(())
    }

    /// Everything but subscriptions and applications, in an order in which it can be made.
    fn things(&self, system: &ResourceId, rng: &dyn Rng) -> anyhow::Result<Vec<Thing>> {
        let mut things = Vec::new();
        for group in self.groups(system)? {
            let spec = GroupSpec { location: self.region.clone(), ..GroupSpec::default() };
            things.push(Thing::new("group", &group, |id| Item::Group(id, spec)));
        }
        let own = WorkspaceSpec { location: self.region.clone(), ..WorkspaceSpec::default() };
        // The system workspace comes after those of the file, one of which may want the handle.
        for (id, spec) in self.workspaces.iter().map(|(id, spec)| (id, spec)).chain([(system, &own)]) {
            things.push(Thing::new("workspace", id, |id| Item::Workspace(id, spec.clone())));
        }
        for (id, spec) in &self.endpoints {
            things.push(Thing::new("endpoint", id, |id| Item::Endpoint(id, spec.clone())));
        }
        for (id, spec) in &self.rules {
            things.push(Thing::new("rule", id, |id| Item::Rule(id, spec.clone())));
        }
        for (id, spec) in &self.identities {
            things.push(Thing::new("identity", id, |id| Item::Identity(id, spec.clone())));
        }
        for assignment in &self.roles {
            things.push(role_thing(assignment, rng)?);
        }
        Ok(things)
    }

    fn ids(&self) -> impl Iterator<Item = &ResourceId> {
        (self.workspaces.iter().map(|(id, _)| id))
            .chain(self.endpoints.iter().map(|(id, _)| id))
            .chain(self.rules.iter().map(|(id, _)| id))
            .chain(self.identities.iter().map(|(id, _)| id))
    }

    fn subscriptions(&self) -> anyhow::Result<BTreeSet<Uuid>> {
        let guid = |id: &ResourceId| {
            let text = id.segment_after("subscriptions").context("resources lie in a subscription")?;
            Uuid::try_parse(text).with_context(|| format!("{id}: subscriptions are named by a GUID"))
        };
        self.ids().map(guid).collect()
    }

    /// The groups that resources lie in, each once.
    fn groups(&self, system: &ResourceId) -> anyhow::Result<Vec<ResourceId>> {
        let (mut seen, mut groups) = (HashSet::new(), Vec::new());
        for id in self.ids().chain([system]) {
            let subscription = id.segment_after("subscriptions").context("resources lie in a subscription")?;
            let group = id.segment_after("resourceGroups").context("resources lie in a group")?;
            let group: ResourceId = format!("/subscriptions/{subscription}/resourceGroups/{group}").parse()?;
            if seen.insert(group.clone()) {
                groups.push(group);
            }
        }
        Ok(groups)
    }
}

/// A resource or role assignment, under the name by which the catalogue remembers that it was made.
struct Thing {
    name: String,
    id: ResourceId,
    item: Item,
}

impl Thing {
    fn new(kind: &str, id: &ResourceId, item: impl FnOnce(ResourceId) -> Item) -> Self {
        Self { name: format!("{kind}{}", id.as_str().to_ascii_lowercase()), id: id.clone(), item: item(id.clone()) }
    }

    /// What makes it and notes that, in one transaction. What is there already, made by somebody else, stays as it is.
    fn items(self, snapshot: &Snapshot) -> Vec<Item> {
        let key = catalog::key(&self.id);
        let exists = match &self.item {
            Item::Group(..) => snapshot.groups().contains_key(&key),
            Item::Workspace(..) => snapshot.workspaces().contains_key(&key),
            Item::Endpoint(..) => snapshot.endpoints().contains_key(&key),
            Item::Rule(..) => snapshot.rules().contains_key(&key),
            Item::Identity(..) => snapshot.identities().contains_key(&key),
            _ => false,
        };
        let declaration = Item::Declaration(self.name);
        if exists { vec![declaration] } else { vec![self.item, declaration] }
    }
}

/// All at once, since a file may declare thousands; one by one if that does not go, to make those that can be.
async fn make_all(store: &Store, snapshot: &Snapshot, things: Vec<Thing>) -> anyhow::Result<()> {
    let things: Vec<(String, Vec<Item>)> =
        things.into_iter().map(|thing| (thing.name.clone(), thing.items(snapshot))).collect();
    let all = things.iter().flat_map(|(_, items)| items.iter().cloned()).collect();
    match store.put_all(&actor(), all).await {
        Ok(()) => return Ok(()),
        Err(error) if is_of_the_store(&error) => return Err(error.into()),
        Err(_) => {}
    }
    for (name, items) in things {
        match store.put_all(&actor(), items).await {
            Ok(()) => {}
            Err(error) if is_of_the_store(&error) => return Err(error.into()),
            // Somebody else gave the role.
            Err(StoreError::Conflict { code: "RoleAssignmentExists", .. }) => {
                store.declare(&name).await?;
            }
            Err(error) => tracing::error!(declared = name, %error, "Not made; it is tried again at the next start"),
        }
    }
    Ok(())
}

fn is_of_the_store(error: &StoreError) -> bool {
    matches!(error, StoreError::Database { .. } | StoreError::NewerLayout { .. })
}

async fn make_subscription(store: &Store, id: Uuid, name: &str) -> anyhow::Result<()> {
    // Subscriptions are never deleted, so what is there says that it was made.
    if !store.catalog().snapshot().subscriptions().contains_key(&id) {
        store.put_subscription(&actor(), id, name).await?;
    }
    Ok(())
}

fn role_thing(assignment: &RoleAssignment, rng: &dyn Rng) -> anyhow::Result<Thing> {
    let RoleAssignment { principal_id, issuer, role_definition_id, scope } = assignment;
    let prefix = scope.as_str().trim_end_matches('/');
    let id: ResourceId = format!("{prefix}/providers/Microsoft.Authorization/roleAssignments/{}", uuid(rng)).parse()?;
    let spec = AssignmentSpec {
        id: id.clone(),
        role: role_definition_id.clone(),
        principal_id: principal_id.clone(),
        principal_type: "ServicePrincipal".to_owned(),
        issuer: issuer.as_deref().map(str::to_owned),
        description: None,
    };
    let scope = scope.as_str().to_ascii_lowercase();
    let issuer = issuer.as_deref().unwrap_or_default();
    Ok(Thing {
        name: format!("role{scope}|{principal_id}|{role_definition_id}|{issuer}"),
        id,
        item: Item::Assignment(spec),
    })
}

/// A rule's specification: all streams go to all destinations.
pub(crate) fn rule_spec(
    region: &str,
    immutable_id: &str,
    endpoint: Option<&ResourceId>,
    streams: &[String],
    destinations: &[&ResourceId],
) -> RuleSpec {
    // Destinations have names of their own within a rule; two workspaces of one name may lie in different groups.
    let names: Vec<String> = (1..=destinations.len()).map(|number| format!("workspace{number}")).collect();
    let accounts: Vec<_> = names
        .iter()
        .zip(destinations)
        .map(|(name, id)| json!({"name": name, "accountResourceId": id.as_str()}))
        .collect();
    let mut properties = Map::new();
    if let Some(endpoint) = endpoint {
        properties.insert("dataCollectionEndpointId".to_owned(), json!(endpoint.as_str()));
    }
    properties.insert("destinations".to_owned(), json!({"monitoringAccounts": accounts}));
    properties.insert("dataFlows".to_owned(), json!([{"streams": streams, "destinations": names}]));
    RuleSpec {
        location: region.to_owned(),
        properties,
        immutable_id: Some(immutable_id.to_owned()),
        ..RuleSpec::default()
    }
}

/// The ARM id of a resource for which none was given: all such resources lie in one group of the default subscription.
pub(crate) fn resource_id(subscription: Uuid, kind: &str, name: &str) -> Result<ResourceId, ResourceIdError> {
    format!("/subscriptions/{subscription}/resourceGroups/{GROUP}/providers/{kind}/{name}").parse()
}

/// Where platform metrics are kept.
pub(crate) fn system_workspace(subscription: Uuid) -> Result<ResourceId, ResourceIdError> {
    format!("/subscriptions/{subscription}/resourceGroups/remora-system/providers/{WORKSPACES}/system").parse()
}

/// Who makes declared things, in stamps and the audit log.
pub(crate) fn actor() -> Actor {
    Actor::program("settings")
}

/// The group of declared resources that name none.
pub(crate) const GROUP: &str = "remora";

/// Kinds of resources.
pub(crate) const WORKSPACES: &str = "Microsoft.Monitor/accounts";
pub(crate) const ENDPOINTS: &str = "Microsoft.Insights/dataCollectionEndpoints";
pub(crate) const RULES: &str = "Microsoft.Insights/dataCollectionRules";
