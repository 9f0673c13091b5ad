//! What each change does to a draft. All of it is pure; the order of checks is everywhere the same: the form of the id, the
//! subscription and group (404), what manages the resource (409), the precondition (412), everything that is wrong with the
//! request at once (400), and conflicts with what exists (409).

pub(crate) mod application;
pub(crate) mod assignment;
pub(crate) mod credential;
pub(crate) mod deleted;
pub(crate) mod endpoint;
pub(crate) mod group;
pub(crate) mod identity;
pub(crate) mod rule;
pub(crate) mod rule_properties;
pub(crate) mod subscription;
pub(crate) mod workspace;

use std::collections::BTreeMap;

use model::ResourceId;
use serde::Serialize;
use serde_json::Value;

use crate::draft::Draft;
use crate::names::{Place, Problems};
use crate::{Envelope, Item, Precondition, StoreError};

/// Makes or changes one of many resources.
pub(crate) fn put_item(draft: &mut Draft<'_>, item: Item) -> Result<(), StoreError> {
    const ALWAYS: &Precondition = &Precondition::None;
    match item {
        Item::Group(id, spec) => group::put(draft, &id, spec, ALWAYS).map(drop),
        Item::Workspace(id, spec) => workspace::put(draft, &id, spec, ALWAYS).map(drop),
        Item::Endpoint(id, spec) => endpoint::put(draft, &id, spec, ALWAYS).map(drop),
        Item::Rule(id, spec) => rule::put(draft, &id, spec, ALWAYS).map(drop),
        Item::Identity(id, spec) => identity::put(draft, &id, spec, ALWAYS).map(drop),
        Item::Assignment(spec) => assignment::put(draft, spec).map(drop),
        Item::Declaration(name) => {
            draft.declare(&name);
            Ok(())
        }
    }
}

/// What a PUT says of every resource, checked.
struct Common {
    location: String,
    tags: BTreeMap<String, String>,
}

impl Draft<'_> {
    /// The subscription and the group that a resource is to be in exist, and the group is nobody else's.
    fn require_group(&self, place: &Place<'_>) -> Result<(), StoreError> {
        self.require_subscription(place)?;
        match self.next.group_by_id(&place.group) {
            None => Err(StoreError::NoGroup {
                subscription: place.subscription.to_string(),
                group: place.group.name().to_owned(),
            }),
            Some(group) => refuse_managed(&group.envelope),
        }
    }

    fn require_subscription(&self, place: &Place<'_>) -> Result<(), StoreError> {
        match self.next.subscriptions.contains_key(&place.subscription) {
            true => Ok(()),
            false => Err(StoreError::NoSubscription(place.subscription.to_string())),
        }
    }

    /// The envelope of a resource that is new or replaces one with the envelope `old`.
    fn envelope(&self, id: &ResourceId, old: Option<&Envelope>, common: Common) -> Result<Envelope, StoreError> {
        let modified = self.stamp();
        let Some(old) = old else {
            let (etag, created) = (self.etag(), modified.clone());
            let Common { location, tags } = common;
            return Ok(Envelope { id: id.clone(), location, tags, etag, managed_by: None, created, modified });
        };
        if old.location != common.location {
            let message = format!(
                "{} is in {:?} and a location never changes: repeat the request with that location, or delete it first",
                old.id, old.location
            );
            return Err(StoreError::Conflict { code: "InvalidResourceLocation", message });
        }
        Ok(Envelope { tags: common.tags, etag: self.etag(), modified, ..old.clone() })
    }
}

/// What is managed by another resource comes and goes with that one alone.
fn refuse_managed(envelope: &Envelope) -> Result<(), StoreError> {
    match &envelope.managed_by {
        None => Ok(()),
        Some(manager) => Err(StoreError::Conflict {
            code: "ResourceGroupBeingManaged",
            message: format!(
                "{} is managed by {manager}: it and what is in it are made and deleted with that one only; make resources \
                 of your own in another resource group",
                envelope.id
            ),
        }),
    }
}

fn json(resource: &impl Serialize) -> Option<Value> {
    Some(serde_json::to_value(resource).expect("resources are plain data with text as keys"))
}

fn check_description(problems: &mut Problems, description: Option<&str>) {
    if description.is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS_MAX) {
        problems.add("properties.description", format!("has at most {DESCRIPTION_CHARS_MAX} characters"));
    }
}

fn check_kind(problems: &mut Problems, kind: Option<&str>) {
    let word = |kind: &str| kind.len() <= KIND_BYTES_MAX && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if kind.is_some_and(|kind| !word(kind)) {
        problems.add("kind", format!("is one word of at most {KIND_BYTES_MAX} letters and digits"));
    }
}

const DESCRIPTION_CHARS_MAX: usize = 1024;
const KIND_BYTES_MAX: usize = 64;
