//! The resources and role assignments that a settings file declares.

use std::ops::RangeInclusive;

use access::RoleAssignment;
use catalog::{EndpointSpec, PROMETHEUS_STREAM, WorkspaceSpec};
use model::{AccountId, ResourceId};
use uuid::Uuid;

use super::file::{AssignmentEntry, EndpointEntry, File, RuleEntry, WorkspaceEntry};
use super::resolver::Resolver;
use crate::declared::{Declared, ENDPOINTS, RULES, WORKSPACES, resource_id, rule_spec};

impl Resolver {
    pub(super) fn declared(&mut self, file: &File, subscription: (Uuid, String), region: &str) -> Declared {
        let mut declared = Declared::new(subscription, region);
        for entry in &file.workspaces {
            declared.workspaces.extend(self.workspace(entry, &declared));
        }
        for entry in &file.endpoints {
            declared.endpoints.extend(self.endpoint(entry, &declared));
        }
        for entry in &file.rules {
            declared.rules.extend(self.rule(entry, &declared));
        }
        for entry in &file.role_assignments {
            declared.roles.extend(self.assignment(entry, &declared));
        }
        self.check_twice("workspaces", "the name", file.workspaces.iter().map(|entry| &entry.name));
        self.check_twice("workspaces", "the accountId", file.workspaces.iter().map(|entry| &entry.account_id));
        self.check_twice("endpoints", "the name", file.endpoints.iter().map(|entry| &entry.name));
        self.check_twice("endpoints", "the immutableId", file.endpoints.iter().map(|entry| &entry.immutable_id));
        self.check_twice("rules", "the name", file.rules.iter().map(|entry| &entry.name));
        self.check_twice("rules", "the immutableId", file.rules.iter().map(|entry| &entry.immutable_id));
        declared
    }

    fn workspace(&mut self, entry: &WorkspaceEntry, declared: &Declared) -> Option<(ResourceId, WorkspaceSpec)> {
        let place = format!("workspace {:?}", entry.name);
        self.check_name(&place, &entry.name, WORKSPACE_NAME);
        let account_id: Option<AccountId> = entry.account_id.parse().ok();
        if account_id.is_none() {
            self.mistakes.push(format!("{place}: accountId {:?} is not a GUID", entry.account_id));
        }
        let id = self.resource_id(&place, entry.resource_id.as_deref(), WORKSPACES, &entry.name, declared);
        // The name in query paths comes from the id, as it does for workspaces that are made through the API.
        if let Some(id) = id.as_ref().filter(|id| !id.name().eq_ignore_ascii_case(&entry.name)) {
            self.mistakes.push(format!("{place}: resourceId ends in {:?}: give both the same name", id.name()));
        }
        let profile = self.profile(&format!("{place}: profile"), entry.profile.as_deref());
        let storage = self.workspace_storage(&place, &entry.storage);
        let spec = WorkspaceSpec {
            location: declared.region.clone(),
            profile,
            storage,
            account_id: Some(account_id?),
            ..WorkspaceSpec::default()
        };
        Some((id?, spec))
    }

    fn endpoint(&mut self, entry: &EndpointEntry, declared: &Declared) -> Option<(ResourceId, EndpointSpec)> {
        let place = format!("endpoint {:?}", entry.name);
        self.check_name(&place, &entry.name, ENDPOINT_NAME);
        self.check_immutable_id(&place, &entry.immutable_id, "dce-");
        let id = self.resource_id(&place, entry.resource_id.as_deref(), ENDPOINTS, &entry.name, declared)?;
        let spec = EndpointSpec {
            location: declared.region.clone(),
            immutable_id: Some(entry.immutable_id.clone()),
            ..EndpointSpec::default()
        };
        Some((id, spec))
    }

    fn rule(&mut self, entry: &RuleEntry, declared: &Declared) -> Option<(ResourceId, catalog::RuleSpec)> {
        let place = format!("rule {:?}", entry.name);
        self.check_name(&place, &entry.name, RULE_NAME);
        self.check_immutable_id(&place, &entry.immutable_id, "dcr-");
        if entry.workspaces.is_empty() {
            self.mistakes.push(format!("{place}: it has no destination; name at least one in `workspaces`"));
        }
        let mut destinations = Vec::new();
        for name in &entry.workspaces {
            match named(&declared.workspaces, name) {
                Some(id) => destinations.push(id),
                None => self.mistakes.push(format!("{place}: there is no workspace {name:?}")),
            }
        }
        let endpoint = entry.endpoint.as_ref().and_then(|name| {
            let found = named(&declared.endpoints, name);
            if found.is_none() {
                self.mistakes.push(format!("{place}: there is no endpoint {name:?}"));
            }
            found
        });
        let streams = entry.streams.clone().unwrap_or_else(|| vec![PROMETHEUS_STREAM.to_owned()]);
        let id = self.resource_id(&place, entry.resource_id.as_deref(), RULES, &entry.name, declared)?;
        Some((id, rule_spec(&declared.region, &entry.immutable_id, endpoint, &streams, &destinations)))
    }

    fn assignment(&mut self, entry: &AssignmentEntry, declared: &Declared) -> Option<RoleAssignment> {
        let scope = if let Some(name) = entry.scope.strip_prefix("workspace/") {
            named(&declared.workspaces, name).cloned()
        } else if let Some(name) = entry.scope.strip_prefix("rule/") {
            named(&declared.rules, name).cloned()
        } else {
            entry.scope.parse().ok()
        };
        let place = format!("role assignment of {:?}", entry.principal);
        if scope.is_none() {
            self.mistakes.push(format!(
                "{place}: scope {:?} is nothing known; write workspace/NAME, rule/NAME or a resource id",
                entry.scope
            ));
        }
        let known = access::RoleDefinition::built_in();
        let role =
            known.iter().find(|role| [&role.id, &role.name].iter().any(|own| own.eq_ignore_ascii_case(&entry.role)));
        if role.is_none() {
            let names: Vec<&str> = known.iter().map(|role| role.name.as_str()).collect();
            self.mistakes.push(format!("{place}: there is no role {:?}; known are: {}", entry.role, names.join(", ")));
        }
        Some(RoleAssignment {
            principal_id: entry.principal.clone(),
            issuer: entry.issuer.as_deref().map(Into::into),
            role_definition_id: role?.id.clone(),
            scope: scope?,
        })
    }

    /// As the catalogue takes them, so that what cannot be made is found before a start.
    fn check_name(&mut self, place: &str, name: &str, lengths: RangeInclusive<usize>) {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !lengths.contains(&name.len()) || !plain || name.starts_with('-') || name.ends_with('-') {
            let (min, max) = (lengths.start(), lengths.end());
            self.mistakes.push(format!("{place}: a name has {min} to {max} letters, digits and inner hyphens"));
        }
    }

    fn check_immutable_id(&mut self, place: &str, id: &str, prefix: &str) {
        let digits = id.strip_prefix(prefix).filter(|rest| rest.len() == 32);
        if !digits.is_some_and(|digits| digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))) {
            self.mistakes.push(format!(
                "{place}: immutableId {id:?} must be `{prefix}` and 32 hexadecimal digits in lower case"
            ));
        }
    }

    fn check_twice<'n>(&mut self, section: &str, what: &str, values: impl Iterator<Item = &'n String>) {
        let mut seen = std::collections::HashSet::new();
        for value in values.map(|value| value.to_ascii_lowercase()) {
            if let Some(double) = seen.replace(value) {
                self.mistakes.push(format!("{section}: {what} {double:?} stands there twice"));
            }
        }
    }

    fn resource_id(
        &mut self,
        place: &str,
        given: Option<&str>,
        kind: &str,
        name: &str,
        declared: &Declared,
    ) -> Option<ResourceId> {
        let Some(text) = given else { return resource_id(declared.subscription.0, kind, name).ok() };
        let id: ResourceId = match text.parse() {
            Ok(id) => id,
            Err(error) => {
                self.mistakes.push(format!("{place}: {error}"));
                return None;
            }
        };
        if is_of_kind(&id, kind) {
            return Some(id);
        }
        self.mistakes.push(format!(
            "{place}: resourceId {text:?} must be /subscriptions/GUID/resourceGroups/GROUP/providers/{kind}/NAME"
        ));
        None
    }
}

/// Whether an id is of a resource of `kind` in a group of a subscription.
fn is_of_kind(id: &ResourceId, kind: &str) -> bool {
    let segments: Vec<&str> = id.as_str().split('/').collect();
    let ["", subscriptions, subscription, groups, _, providers, namespace, kind_name, _] = segments[..] else {
        return false;
    };
    subscriptions.eq_ignore_ascii_case("subscriptions")
        && Uuid::try_parse(subscription).is_ok()
        && groups.eq_ignore_ascii_case("resourceGroups")
        && providers.eq_ignore_ascii_case("providers")
        && format!("{namespace}/{kind_name}").eq_ignore_ascii_case(kind)
}

fn named<'d, T>(declared: &'d [(ResourceId, T)], name: &str) -> Option<&'d ResourceId> {
    declared.iter().map(|(id, _)| id).find(|id| id.name().eq_ignore_ascii_case(name))
}

/// Bytes of names.
const WORKSPACE_NAME: RangeInclusive<usize> = 2..=63;
const ENDPOINT_NAME: RangeInclusive<usize> = 3..=44;
const RULE_NAME: RangeInclusive<usize> = 1..=64;
