//! A store under a clock that stands still, and short ways to ask it for things.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use catalog::*;
use environment::{Clock, UnixTime};
use futures_executor::block_on;
use model::{AccountId, ResourceId};
use serde_json::{Map, Value, json};
use testkit::{ManualClock, SeededRng};
use uuid::Uuid;

/// Where a store keeps its tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Backend {
    File,
    Memory,
}

/// See the module.
pub(crate) struct Fixture {
    backend: Backend,
    /// How often; chance is another each time.
    opened: u64,
    directory: tempfile::TempDir,
    pub(crate) clock: ManualClock,
    pub(crate) store: Arc<Store>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) actor: Actor,
}

pub(crate) const SUBSCRIPTION: &str = "00000000-0000-0000-0000-0000000000aa";
pub(crate) const OWNER: &str = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
pub(crate) const START_MS: u64 = 1_700_000_000_000;
pub(crate) const RETENTION: Duration = Duration::from_secs(14 * 24 * 3600);

impl Fixture {
    /// With a subscription and the group `g`.
    pub(crate) fn new(backend: Backend) -> Self {
        let fixture = Self::empty(backend);
        fixture.subscription();
        fixture.group("g");
        fixture
    }

    pub(crate) fn empty(backend: Backend) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(UnixTime::from_millis(START_MS));
        let store = Arc::new(open(&path(backend, &directory), &clock, 1).unwrap());
        let seen = Arc::new(Seen::default());
        store.observe(Arc::clone(&seen) as Arc<dyn Observer>);
        let actor = Actor {
            id: "11111111-0000-0000-0000-000000000000".to_owned(),
            name: "alice".to_owned(),
            kind: ActorKind::User,
            address: Some("192.0.2.7".to_owned()),
            request_id: Some("request-1".to_owned()),
        };
        Self { backend, opened: 1, directory, clock, store, seen, actor }
    }

    /// As after a restart; `false` when this backend forgets.
    pub(crate) fn reopen(&mut self) -> bool {
        if self.backend == Backend::Memory {
            return false;
        }
        block_on(self.store.close());
        self.opened += 1;
        self.store = Arc::new(open(&self.path(), &self.clock, self.opened).unwrap());
        self.seen = Arc::new(Seen::default());
        self.store.observe(Arc::clone(&self.seen) as Arc<dyn Observer>);
        true
    }

    pub(crate) fn path(&self) -> PathBuf {
        path(self.backend, &self.directory)
    }

    pub(crate) fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.store.catalog().snapshot()
    }

    pub(crate) fn subscription(&self) {
        block_on(self.store.put_subscription(&self.actor, SUBSCRIPTION.parse().unwrap(), "main")).unwrap();
    }

    pub(crate) fn group(&self, name: &str) -> Arc<ResourceGroup> {
        let spec = GroupSpec { location: "local".to_owned(), ..GroupSpec::default() };
        block_on(self.store.put_group(&self.actor, &group(name), spec, Precondition::None)).unwrap().resource
    }

    pub(crate) fn try_workspace(&self, id: &ResourceId, spec: WorkspaceSpec) -> Result<Put<Workspace>, StoreError> {
        block_on(self.store.put_workspace(&self.actor, id, spec, Precondition::None))
    }

    /// With defaults.
    pub(crate) fn workspace(&self, name: &str) -> Arc<Workspace> {
        self.try_workspace(&workspace(name), with_defaults()).unwrap().resource
    }

    pub(crate) fn delete_workspace(&self, name: &str, purge: bool) -> Arc<Workspace> {
        self.try_delete_workspace(name, purge).unwrap().unwrap()
    }

    pub(crate) fn try_delete_workspace(&self, name: &str, purge: bool) -> Result<Option<Arc<Workspace>>, StoreError> {
        block_on(self.store.delete_workspace(&self.actor, &workspace(name), Precondition::None, purge))
    }

    pub(crate) fn restore(&self, account: AccountId) -> Result<Put<Workspace>, StoreError> {
        block_on(self.store.restore_workspace(&self.actor, account))
    }

    pub(crate) fn try_rule(&self, name: &str, properties: Value) -> Result<Put<Rule>, StoreError> {
        let spec = RuleSpec { location: "local".to_owned(), properties: object(properties), ..RuleSpec::default() };
        block_on(self.store.put_rule(&self.actor, &rule(name), spec, Precondition::None))
    }

    /// One that routes to the workspaces of these names.
    pub(crate) fn rule(&self, name: &str, workspaces: &[&str]) -> Arc<Rule> {
        self.try_rule(name, routing(workspaces)).unwrap().resource
    }

    pub(crate) fn rule_now(&self, name: &str) -> Arc<Rule> {
        Arc::clone(self.snapshot().rule_by_id(&rule(name)).unwrap())
    }

    pub(crate) fn endpoint(&self, name: &str) -> Arc<Endpoint> {
        let spec = EndpointSpec { location: "local".to_owned(), ..EndpointSpec::default() };
        block_on(self.store.put_endpoint(&self.actor, &endpoint(name), spec, Precondition::None)).unwrap().resource
    }

    pub(crate) fn identity(&self, name: &str) -> Arc<Identity> {
        let spec = IdentitySpec { location: "local".to_owned(), ..IdentitySpec::default() };
        block_on(self.store.put_identity(&self.actor, &identity(name), spec, Precondition::None)).unwrap().resource
    }

    pub(crate) fn application(&self, name: &str) -> Arc<Application> {
        let spec = ApplicationSpec { name: name.to_owned(), ..ApplicationSpec::default() };
        block_on(self.store.create_application(&self.actor, spec)).unwrap()
    }

    pub(crate) fn try_assign(&self, scope: &str, name: u128, principal: &str) -> Result<Put<Assignment>, StoreError> {
        block_on(self.store.put_assignment(&self.actor, assignment(scope, name, principal)))
    }

    pub(crate) fn assign(&self, scope: &str, name: u128, principal: &str) -> Arc<Assignment> {
        self.try_assign(scope, name, principal).unwrap().resource
    }

    pub(crate) fn audit(&self) -> Vec<AuditRecord> {
        block_on(self.store.audit(None, None, None, 1000)).unwrap()
    }
}

fn path(backend: Backend, directory: &tempfile::TempDir) -> PathBuf {
    match backend {
        Backend::File => directory.path().join("catalog/catalog.db"),
        Backend::Memory => PathBuf::from(":memory:"),
    }
}

pub(crate) fn open(path: &std::path::Path, clock: &ManualClock, seed: u64) -> Result<Store, StoreError> {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    block_on(Store::open(path, clock, Arc::new(SeededRng::new(seed)), StoreSettings::default()))
}

/// What an observer was told, and in which state the catalogue was then.
#[derive(Default)]
pub(crate) struct Seen(Mutex<Vec<(u64, Vec<Change>)>>);

impl Observer for Seen {
    fn changed(&self, now: &Arc<Snapshot>, changes: &[Change]) {
        self.0.lock().unwrap().push((now.revision(), changes.to_vec()));
    }
}

impl Seen {
    /// What was told since it was asked last.
    pub(crate) fn take(&self) -> Vec<(u64, Vec<Change>)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

pub(crate) fn group(name: &str) -> ResourceId {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}").parse().unwrap()
}

pub(crate) fn inside(group: &ResourceId, kind: &str, name: &str) -> ResourceId {
    format!("{group}/providers/{kind}/{name}").parse().unwrap()
}

pub(crate) fn workspace(name: &str) -> ResourceId {
    inside(&group("g"), "Microsoft.Monitor/accounts", name)
}

pub(crate) fn endpoint(name: &str) -> ResourceId {
    inside(&group("g"), "Microsoft.Insights/dataCollectionEndpoints", name)
}

pub(crate) fn rule(name: &str) -> ResourceId {
    inside(&group("g"), "Microsoft.Insights/dataCollectionRules", name)
}

pub(crate) fn identity(name: &str) -> ResourceId {
    inside(&group("g"), "Microsoft.ManagedIdentity/userAssignedIdentities", name)
}

pub(crate) fn with_defaults() -> WorkspaceSpec {
    WorkspaceSpec { location: "local".to_owned(), with_defaults: true, ..WorkspaceSpec::default() }
}

pub(crate) fn plain() -> WorkspaceSpec {
    WorkspaceSpec { with_defaults: false, ..with_defaults() }
}

pub(crate) fn routing(workspaces: &[&str]) -> Value {
    let accounts: Vec<Value> =
        workspaces.iter().map(|name| json!({ "name": name, "accountResourceId": workspace(name) })).collect();
    json!({
        "destinations": { "monitoringAccounts": accounts },
        "dataFlows": [{ "streams": [PROMETHEUS_STREAM], "destinations": workspaces }],
    })
}

pub(crate) fn assignment(scope: &str, name: u128, principal: &str) -> AssignmentSpec {
    let scope = scope.trim_end_matches('/');
    let name = Uuid::from_u128(name);
    AssignmentSpec {
        id: format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}").parse().unwrap(),
        role: OWNER.to_owned(),
        principal_id: principal.to_owned(),
        principal_type: "ServicePrincipal".to_owned(),
        issuer: None,
        description: None,
    }
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// The targets of everything that is wrong.
#[track_caller]
pub(crate) fn problems<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> Vec<String> {
    match outcome {
        Err(StoreError::Invalid(problems)) => problems.into_iter().map(|problem| problem.target).collect(),
        other => panic!("expected problems: {other:?}"),
    }
}

/// The code of a conflict.
#[track_caller]
pub(crate) fn conflict<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> &'static str {
    match outcome {
        Err(StoreError::Conflict { code, .. }) => code,
        other => panic!("expected a conflict: {other:?}"),
    }
}
