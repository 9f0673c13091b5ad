//! Resources of every type together (`/resources`).

use std::ops::Bound;
use std::sync::Arc;

use catalog::{Envelope, Snapshot, Table};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::paging::Page;
use crate::resource_filter::{ResourceFilter, Seen};
use crate::route::{At, Right, Route, Verb, handler};
use crate::{accounts, endpoints, rules, shape};

pub(crate) const ROUTES: &[Route] = &[
    Route::new(
        Verb::Get,
        "/subscriptions/{subscription}/resources",
        Right::List(READ, At::Subscription),
        VERSIONS,
        handler!(list),
    ),
    Route::new(
        Verb::Get,
        "/subscriptions/{subscription}/resourceGroups/{group}/resources",
        Right::List(READ, At::Group),
        VERSIONS,
        handler!(list),
    ),
];

const READ: &str = "Microsoft.Resources/subscriptions/resources/read";
const VERSIONS: &[&str] = &["2020-10-01", "2021-04-01", "2022-09-01", "2024-11-01"];
const IDENTITY_TYPE: &str = "Microsoft.ManagedIdentity/userAssignedIdentities";

async fn list(call: Call) -> Result<Answer, ArmError> {
    let (prefix, page) = (call.list_prefix()?, Page::of(&call)?);
    let filter = ResourceFilter::parse(call.query.filled("$filter"))?;
    let expand = Expand::parse(call.query.filled("$expand"))?;
    let snapshot = call.snapshot();
    let listed = listed(&snapshot, &prefix);
    let wanted = listed.iter().filter(|listed| filter.takes(listed.seen()) && call.may_see(&listed.envelope.id));
    Ok(page.answer(&call, wanted.map(|listed| (listed.key.to_string(), listed.shape(expand)))))
}

/// A resource in the list; what it shows is made only when it is on the page.
struct Listed<'s> {
    key: &'s Arc<str>,
    resource_type: &'static str,
    envelope: &'s Envelope,
    kind: Option<&'s str>,
}

/// All resources below `prefix`, by their keys.
fn listed<'s>(snapshot: &'s Snapshot, prefix: &str) -> Vec<Listed<'s>> {
    let mut all = Vec::new();
    add(&mut all, snapshot.workspaces(), prefix, accounts::TYPE, |one| (&one.envelope, None));
    add(&mut all, snapshot.endpoints(), prefix, endpoints::TYPE, |one| (&one.envelope, one.kind.as_deref()));
    add(&mut all, snapshot.rules(), prefix, rules::TYPE, |one| (&one.envelope, one.kind.as_deref()));
    add(&mut all, snapshot.identities(), prefix, IDENTITY_TYPE, |one| (&one.envelope, None));
    all.sort_unstable_by_key(|listed| listed.key);
    all
}

fn add<'s, T>(
    all: &mut Vec<Listed<'s>>,
    table: &'s Table<T>,
    prefix: &str,
    resource_type: &'static str,
    parts: impl Fn(&'s T) -> (&'s Envelope, Option<&'s str>),
) {
    let below = table.range::<(Bound<&str>, Bound<&str>), str>((Bound::Included(prefix), Bound::Unbounded));
    all.extend(below.take_while(|(key, _)| key.starts_with(prefix)).map(|(key, one)| {
        let (envelope, kind) = parts(one);
        Listed { key, resource_type, envelope, kind }
    }));
}

impl Listed<'_> {
    fn seen(&self) -> Seen<'_> {
        let id = &self.envelope.id;
        Seen {
            resource_type: self.resource_type,
            name: id.name(),
            group: id.segment_after("resourceGroups").unwrap_or(""),
            location: &self.envelope.location,
            tags: &self.envelope.tags,
        }
    }

    fn shape(&self, expand: Expand) -> Value {
        let envelope = self.envelope;
        let mut shape = json!({
            "id": envelope.id.as_str(),
            "name": envelope.id.name(),
            "type": self.resource_type,
            "location": envelope.location,
            "tags": shape::tags(&envelope.tags),
        });
        let mut set = |name: &str, value: String| shape[name] = Value::from(value);
        if let Some(kind) = self.kind {
            set("kind", kind.to_owned());
        }
        if let Some(manager) = &envelope.managed_by {
            set("managedBy", manager.to_string());
        }
        if expand.created {
            set("createdTime", shape::time(envelope.created.at_ms));
        }
        if expand.changed {
            set("changedTime", shape::time(envelope.modified.at_ms));
        }
        if expand.state {
            set("provisioningState", "Succeeded".to_owned());
        }
        shape
    }
}

/// What `$expand` adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Expand {
    created: bool,
    changed: bool,
    state: bool,
}

impl Expand {
    fn parse(text: Option<&str>) -> Result<Self, ArmError> {
        let mut expand = Self::default();
        for name in text.unwrap_or("").split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name.to_ascii_lowercase().as_str() {
                "createdtime" => expand.created = true,
                "changedtime" => expand.changed = true,
                "provisioningstate" => expand.state = true,
                _ => {
                    let known = "createdTime, changedTime, provisioningState";
                    let message = format!("The query parameter '$expand' is invalid: {name:?} is not one of {known}.");
                    return Err(ArmError::bad_request("InvalidQueryParameter", message).with_target("$expand"));
                }
            }
        }
        Ok(expand)
    }
}
