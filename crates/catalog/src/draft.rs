//! One change while it is worked out: the state it leads to, which rows differ, who is told what.
//!
//! Pure: no I/O, so that everything that can be wrong with a change is found before the database is touched. Dropping a
//! draft undoes it.

use std::collections::BTreeSet;
use std::sync::Arc;

use environment::{Rng, UnixTime};
use model::{AccountId, ResourceId};
use serde_json::Value;
use uuid::{Builder, Uuid};

use crate::names::LABEL_BYTES_MAX;
use crate::{
    Actor, Application, Assignment, Change, DeletedWorkspace, Endpoint, Identity, Precondition, ResourceGroup, Rule,
    Snapshot, Stamp, StoreError, StoreSettings, Subscription, Workspace, key,
};

/// A table of the database. In the order in which rows are written: what is referred to comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Rows {
    Subscriptions,
    Groups,
    Workspaces,
    Endpoints,
    Rules,
    Identities,
    Assignments,
    Applications,
    Deleted,
    Declared,
}

/// A line for the audit log.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) operation: &'static str,
    pub(crate) target: String,
    pub(crate) detail: Option<Value>,
}

/// See the module.
pub(crate) struct Draft<'a> {
    pub(crate) next: Snapshot,
    pub(crate) actor: &'a Actor,
    pub(crate) now: UnixTime,
    pub(crate) settings: &'a StoreSettings,
    rng: &'a dyn Rng,
    touched: BTreeSet<(Rows, Arc<str>)>,
    changes: Vec<Change>,
    entries: Vec<Entry>,
    /// Whether `changes` says already that principals changed.
    principals_told: bool,
}

/// A draft that is worked out.
pub(crate) struct Plan {
    pub(crate) next: Snapshot,
    /// Rows that differ: a row whose resource `next` does not hold is deleted.
    pub(crate) touched: BTreeSet<(Rows, Arc<str>)>,
    pub(crate) changes: Vec<Change>,
    pub(crate) entries: Vec<Entry>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(
        start: &Snapshot,
        actor: &'a Actor,
        now: UnixTime,
        settings: &'a StoreSettings,
        rng: &'a dyn Rng,
    ) -> Self {
        let (touched, changes, entries) = (BTreeSet::new(), Vec::new(), Vec::new());
        Self { next: start.clone(), actor, now, settings, rng, touched, changes, entries, principals_told: false }
    }

    /// `None` when nothing differs.
    pub(crate) fn finish(mut self) -> Option<Plan> {
        if self.touched.is_empty() {
            return None;
        }
        self.next.revision += 1;
        Some(Plan { next: self.next, touched: self.touched, changes: self.changes, entries: self.entries })
    }

    pub(crate) fn log(&mut self, operation: &'static str, target: impl ToString, detail: Option<Value>) {
        self.entries.push(Entry { operation, target: target.to_string(), detail });
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { by: self.actor.id.clone(), kind: self.actor.kind, at_ms: self.now.as_millis() }
    }

    pub(crate) fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.rng.fill(&mut bytes);
        Builder::from_random_bytes(bytes).into_uuid()
    }

    pub(crate) fn etag(&self) -> String {
        self.uuid().to_string()
    }

    /// `prefix` and 32 hexadecimal digits.
    pub(crate) fn immutable_id(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.uuid().simple())
    }

    /// `name`, a hyphen and four characters, so that the whole is a label of a host name for which `free` holds.
    pub(crate) fn suffixed(&self, name: &str, free: impl Fn(&str) -> bool) -> String {
        let base = &name[..name.len().min(LABEL_BYTES_MAX - SUFFIX_CHARS - 1)];
        loop {
            let mut label = format!("{}-", base.trim_end_matches('-'));
            let mut bits = self.rng.next_u64();
            for _ in 0..SUFFIX_CHARS {
                label.push(char::from(SUFFIX_ALPHABET[(bits % SUFFIX_ALPHABET.len() as u64) as usize]));
                bits /= SUFFIX_ALPHABET.len() as u64;
            }
            if free(&label) {
                return label;
            }
        }
    }

    pub(crate) fn put_subscription(&mut self, subscription: Subscription) -> Arc<Subscription> {
        let subscription = Arc::new(subscription);
        let id = subscription.id.to_string();
        self.touch(Rows::Subscriptions, id.as_str());
        self.changes.push(Change::Resource(format!("/subscriptions/{id}").parse().expect("an id of two segments")));
        self.next.set_subscription(Arc::clone(&subscription));
        subscription
    }

    pub(crate) fn put_group(&mut self, group: ResourceGroup) -> Arc<ResourceGroup> {
        let group = Arc::new(group);
        self.touch_resource(Rows::Groups, &group.envelope.id);
        self.next.set_group(Arc::clone(&group));
        group
    }

    pub(crate) fn remove_group(&mut self, id: &ResourceId) {
        self.touch_resource(Rows::Groups, id);
        self.next.unset_group(id);
    }

    pub(crate) fn put_workspace(&mut self, workspace: Workspace) -> Arc<Workspace> {
        let workspace = Arc::new(workspace);
        self.touch(Rows::Workspaces, key(&workspace.envelope.id));
        self.changes.push(Change::Workspace(workspace.account_id));
        self.next.set_workspace(Arc::clone(&workspace));
        workspace
    }

    pub(crate) fn remove_workspace(&mut self, workspace: &Workspace) {
        self.touch(Rows::Workspaces, key(&workspace.envelope.id));
        self.changes.push(Change::Workspace(workspace.account_id));
        self.next.unset_workspace(workspace);
    }

    pub(crate) fn put_endpoint(&mut self, endpoint: Endpoint) -> Arc<Endpoint> {
        let endpoint = Arc::new(endpoint);
        self.touch_resource(Rows::Endpoints, &endpoint.envelope.id);
        self.next.set_endpoint(Arc::clone(&endpoint));
        endpoint
    }

    pub(crate) fn remove_endpoint(&mut self, endpoint: &Endpoint) {
        self.touch_resource(Rows::Endpoints, &endpoint.envelope.id);
        self.next.unset_endpoint(endpoint);
    }

    pub(crate) fn put_rule(&mut self, rule: Rule) -> Arc<Rule> {
        let rule = Arc::new(rule);
        self.touch_resource(Rows::Rules, &rule.envelope.id);
        self.next.set_rule(Arc::clone(&rule));
        rule
    }

    pub(crate) fn remove_rule(&mut self, rule: &Rule) {
        self.touch_resource(Rows::Rules, &rule.envelope.id);
        self.next.unset_rule(rule);
    }

    pub(crate) fn put_identity(&mut self, identity: Identity) -> Arc<Identity> {
        let identity = Arc::new(identity);
        self.touch(Rows::Identities, key(&identity.envelope.id));
        self.principals_changed();
        self.next.set_identity(Arc::clone(&identity));
        identity
    }

    pub(crate) fn remove_identity(&mut self, identity: &Identity) {
        self.touch(Rows::Identities, key(&identity.envelope.id));
        self.principals_changed();
        self.next.unset_identity(identity);
    }

    pub(crate) fn put_assignment(&mut self, assignment: Assignment) -> Arc<Assignment> {
        let after = Arc::new(assignment);
        self.touch(Rows::Assignments, key(&after.id));
        let before = self.next.assignment_by_id(&after.id).cloned();
        self.next.set_assignment(Arc::clone(&after));
        self.changes.push(Change::Assignment { before, after: Some(Arc::clone(&after)) });
        after
    }

    pub(crate) fn remove_assignment(&mut self, assignment: &Arc<Assignment>) {
        self.touch(Rows::Assignments, key(&assignment.id));
        self.next.unset_assignment(assignment);
        self.changes.push(Change::Assignment { before: Some(Arc::clone(assignment)), after: None });
    }

    /// Takes all role assignments at and below `scope` away; what they were.
    pub(crate) fn remove_assignments_below(&mut self, scope: &ResourceId) -> Vec<Arc<Assignment>> {
        let below: Vec<Arc<Assignment>> = Snapshot::below(self.next.assignments(), scope).cloned().collect();
        for assignment in &below {
            self.remove_assignment(assignment);
        }
        below
    }

    pub(crate) fn put_application(&mut self, application: Application) -> Arc<Application> {
        let application = Arc::new(application);
        self.touch(Rows::Applications, application.client_id.to_string());
        self.principals_changed();
        self.next.set_application(Arc::clone(&application));
        application
    }

    pub(crate) fn remove_application(&mut self, application: &Application) {
        self.touch(Rows::Applications, application.client_id.to_string());
        self.principals_changed();
        self.next.unset_application(application);
    }

    pub(crate) fn put_deleted(&mut self, deleted: DeletedWorkspace) -> Arc<DeletedWorkspace> {
        let deleted = Arc::new(deleted);
        self.touch(Rows::Deleted, deleted.workspace.account_id.to_string());
        self.next.set_deleted(Arc::clone(&deleted));
        deleted
    }

    pub(crate) fn remove_deleted(&mut self, account: AccountId) {
        self.touch(Rows::Deleted, account.to_string());
        self.next.unset_deleted(account);
    }

    /// Notes that the data of a workspace go.
    pub(crate) fn purged(&mut self, account: AccountId) {
        self.changes.push(Change::Purged(account));
    }

    pub(crate) fn declare(&mut self, name: &str) {
        self.touch(Rows::Declared, name);
        self.next.declared.insert(name.into());
    }

    fn touch_resource(&mut self, rows: Rows, id: &ResourceId) {
        self.touch(rows, key(id));
        self.changes.push(Change::Resource(id.clone()));
    }

    fn touch(&mut self, rows: Rows, key: impl Into<Arc<str>>) {
        self.touched.insert((rows, key.into()));
    }

    fn principals_changed(&mut self) {
        if !std::mem::replace(&mut self.principals_told, true) {
            self.changes.push(Change::Principals);
        }
    }
}

/// Whether a resource whose etag is `current` (none: there is no resource) may be changed.
pub(crate) fn check_precondition(current: Option<&str>, precondition: &Precondition) -> Result<(), StoreError> {
    let holds = match precondition {
        Precondition::None => true,
        Precondition::Match(etag) => current == Some(etag.trim_matches('"')),
        Precondition::Exists => current.is_some(),
        Precondition::Absent => current.is_none(),
    };
    if holds { Ok(()) } else { Err(StoreError::PreconditionFailed { current: current.map(str::to_owned) }) }
}

const SUFFIX_CHARS: usize = 4;
const SUFFIX_ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
