//! What names, regions and tags may look like, and where in the tree of resources something stands.
//!
//! Patterns and bounds are those of Azure Resource Manager, so that what is accepted here is accepted there.

use std::collections::BTreeMap;

use model::ResourceId;
use uuid::Uuid;

use crate::{Problem, StoreError};

/// Everything that is wrong with one request, so that it can be said at once.
#[derive(Default, Debug)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, target: impl Into<String>, message: impl Into<String>) {
        // The request that breaks every rule in every element must not make an answer without end.
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(Problem { target: target.into(), message: message.into() });
        }
    }

    pub(crate) fn finish(self) -> Result<(), StoreError> {
        if self.0.is_empty() { Ok(()) } else { Err(StoreError::Invalid(self.0)) }
    }
}

/// A kind of resource that lives in a resource group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kind {
    /// The resource provider.
    pub(crate) provider: &'static str,
    /// The type within it.
    pub(crate) name: &'static str,
}

pub(crate) const WORKSPACE: Kind = Kind { provider: "Microsoft.Monitor", name: "accounts" };
pub(crate) const ENDPOINT: Kind = Kind { provider: "Microsoft.Insights", name: "dataCollectionEndpoints" };
pub(crate) const RULE: Kind = Kind { provider: "Microsoft.Insights", name: "dataCollectionRules" };
pub(crate) const IDENTITY: Kind = Kind { provider: "Microsoft.ManagedIdentity", name: "userAssignedIdentities" };

/// Where a resource stands: in which group, under which name.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) subscription: Uuid,
    pub(crate) group: ResourceId,
    pub(crate) name: &'a str,
}

impl<'a> Place<'a> {
    /// Takes the id of a resource group apart.
    pub(crate) fn of_group(id: &'a ResourceId) -> Result<Self, StoreError> {
        match segments(id).as_slice() {
            [subscriptions, subscription, groups, name] if is(subscriptions, "subscriptions") && is(groups, GROUPS) => {
                Ok(Self { subscription: subscription_id(subscription)?, group: id.clone(), name })
            }
            _ => Err(misplaced(id, "/subscriptions/{subscription}/resourceGroups/{name}")),
        }
    }

    /// Takes the id of a resource of `kind` apart.
    pub(crate) fn of(id: &'a ResourceId, kind: Kind) -> Result<Self, StoreError> {
        match segments(id).as_slice() {
            [subscriptions, subscription, groups, group, providers, provider, own, name]
                if is(subscriptions, "subscriptions")
                    && is(groups, GROUPS)
                    && is(providers, "providers")
                    && is(provider, kind.provider)
                    && is(own, kind.name) =>
            {
                Ok(Self { subscription: subscription_id(subscription)?, group: group_id(subscription, group), name })
            }
            _ => Err(misplaced(id, &format!("{GROUP_PATTERN}/providers/{}/{}/{{name}}", kind.provider, kind.name))),
        }
    }
}

/// The id of a resource group.
pub(crate) fn group_id(subscription: &str, name: &str) -> ResourceId {
    format!("/subscriptions/{subscription}/resourceGroups/{name}").parse().expect("no segment of it is empty")
}

/// The id of a resource in `group`.
pub(crate) fn resource_id(group: &ResourceId, kind: Kind, name: &str) -> ResourceId {
    format!("{group}/providers/{}/{}/{name}", kind.provider, kind.name).parse().expect("no segment of it is empty")
}

/// The id of the group that holds `resource`.
pub(crate) fn group_of(resource: &ResourceId) -> Option<ResourceId> {
    match segments(resource).as_slice() {
        [subscriptions, subscription, groups, group, ..]
            if is(subscriptions, "subscriptions") && is(groups, GROUPS) =>
        {
            Some(group_id(subscription, group))
        }
        _ => None,
    }
}

/// The region as it is kept: names for people (`West Europe`) and names (`westeurope`) are one.
pub(crate) fn region(problems: &mut Problems, text: &str) -> String {
    let region: String = text.chars().filter(|c| *c != ' ').flat_map(char::to_lowercase).collect();
    if region.is_empty() {
        problems.add("location", "is required: name a region, such as \"westeurope\"");
    } else if region.len() > LOCATION_BYTES_MAX
        || !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        problems.add("location", format!("{text:?} is no region: at most {LOCATION_BYTES_MAX} letters and digits"));
    }
    region
}

/// Bounds of tags, as Azure has them.
pub(crate) fn tags(problems: &mut Problems, tags: &BTreeMap<String, String>) {
    if tags.len() > TAGS_MAX {
        problems.add("tags", format!("has {} tags, a resource may have {TAGS_MAX}", tags.len()));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (name, value) in tags {
        let target = || format!("tags.{}", excerpt(name));
        if name.is_empty() || name.chars().count() > TAG_NAME_CHARS_MAX {
            problems.add(target(), format!("a tag's name has 1 to {TAG_NAME_CHARS_MAX} characters"));
        }
        if let Some(wrong) = name.chars().find(|c| "<>%&\\?/".contains(*c) || c.is_control()) {
            problems.add(target(), format!("a tag's name must not contain {wrong:?}"));
        }
        if value.chars().count() > TAG_VALUE_CHARS_MAX {
            problems.add(target(), format!("a tag's value has at most {TAG_VALUE_CHARS_MAX} characters"));
        }
        if !seen.insert(name.to_lowercase()) {
            problems.add(target(), "another tag has this name: names of tags compare without regard to case");
        }
    }
}

pub(crate) fn group(problems: &mut Problems, name: &str) {
    let allowed = |c: char| c.is_alphanumeric() || "-_.()".contains(c);
    let length = name.chars().count();
    if length == 0 || length > GROUP_CHARS_MAX || !name.chars().all(allowed) || name.ends_with('.') {
        let rule = "1 to 90 letters, digits, hyphens, underscores, full stops and parentheses, no full stop at the end";
        problems.add("name", format!("{:?} is no name of a resource group: {rule}", excerpt(name)));
    }
}

pub(crate) fn workspace(problems: &mut Problems, name: &str) {
    if !hyphenated(name, 2, LABEL_BYTES_MAX) {
        let rule = "2 to 63 letters, digits and hyphens, no hyphen at either end";
        problems.add("name", format!("{:?} is no name of a workspace: {rule}", excerpt(name)));
    }
}

pub(crate) fn endpoint(problems: &mut Problems, name: &str) {
    if !hyphenated(name, 3, ENDPOINT_BYTES_MAX) {
        let rule = "3 to 44 letters, digits and hyphens, no hyphen at either end";
        problems.add("name", format!("{:?} is no name of a data collection endpoint: {rule}", excerpt(name)));
    }
}

pub(crate) fn rule(problems: &mut Problems, name: &str) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let start = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !start || name.len() > RULE_BYTES_MAX || !name.bytes().all(allowed) || name.ends_with('.') {
        let rule =
            "1 to 64 letters, digits, hyphens, underscores and full stops; a letter or digit first, no full stop last";
        problems.add("name", format!("{:?} is no name of a data collection rule: {rule}", excerpt(name)));
    }
}

pub(crate) fn identity(problems: &mut Problems, name: &str) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let start = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !start || !(3..=IDENTITY_BYTES_MAX).contains(&name.len()) || !name.bytes().all(allowed) {
        let rule = "3 to 128 letters, digits, hyphens and underscores; a letter or digit first";
        problems.add("name", format!("{:?} is no name of a managed identity: {rule}", excerpt(name)));
    }
}

/// Text of a caller, short enough for a message.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// An id of a caller. Of one that is too long for a message the end, where the name is.
pub(crate) fn excerpt_of_id(text: &str) -> String {
    match text.char_indices().rev().nth(ID_EXCERPT_CHARS) {
        Some((at, next)) => format!("…{}", &text[at + next.len_utf8()..]),
        None => text.to_owned(),
    }
}

fn hyphenated(name: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn segments(id: &ResourceId) -> Vec<&str> {
    id.as_str().split('/').skip(1).take(SEGMENTS_MAX).collect()
}

fn is(segment: &str, name: &str) -> bool {
    segment.eq_ignore_ascii_case(name)
}

/// Ids are compared as texts, so that a subscription's has one writing (but for its case): digits with hyphens.
pub(crate) fn subscription_id(text: &str) -> Result<Uuid, StoreError> {
    let id = text.parse::<Uuid>().ok().filter(|id| id.to_string().eq_ignore_ascii_case(text));
    id.ok_or_else(|| StoreError::NoSubscription(excerpt(text)))
}

fn misplaced(id: &ResourceId, pattern: &str) -> StoreError {
    let message = format!("{:?} does not have the form {pattern}", excerpt(id.as_str()));
    StoreError::Invalid(vec![Problem { target: "id".to_owned(), message }])
}

const GROUPS: &str = "resourceGroups";
const GROUP_PATTERN: &str = "/subscriptions/{subscription}/resourceGroups/{group}";
/// More than any id understood here has.
const SEGMENTS_MAX: usize = 16;
/// A label of a host name.
pub(crate) const LABEL_BYTES_MAX: usize = 63;
const GROUP_CHARS_MAX: usize = 90;
const ENDPOINT_BYTES_MAX: usize = 44;
const RULE_BYTES_MAX: usize = 64;
const IDENTITY_BYTES_MAX: usize = 128;
const LOCATION_BYTES_MAX: usize = 64;
const TAGS_MAX: usize = 50;
const TAG_NAME_CHARS_MAX: usize = 512;
const TAG_VALUE_CHARS_MAX: usize = 256;
const PROBLEMS_MAX: usize = 100;
const EXCERPT_CHARS: usize = 100;
/// A subscription, a group, a type and a name, each as long as it may be.
const ID_EXCERPT_CHARS: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_has_one_writing() {
        let id = "1b111111-2222-3333-4444-55555555555f";
        for writing in [id.to_owned(), id.to_uppercase()] {
            assert_eq!(subscription_id(&writing).unwrap().to_string(), id);
        }
        for writing in [id.replace('-', ""), format!("{{{id}}}"), format!("urn:uuid:{id}"), String::new()] {
            assert!(subscription_id(&writing).is_err(), "{writing}");
        }
    }

    #[test]
    fn a_long_id_keeps_its_end() {
        let id = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/group/providers/Microsoft.Monitor/accounts/name";
        assert_eq!(excerpt_of_id(id), id);
        let long = format!("/{}/é-name", "é".repeat(1000));
        let cut = excerpt_of_id(&long);
        assert!(cut.starts_with('…') && cut.ends_with("é/é-name"), "{cut}");
        assert_eq!(cut.chars().count(), ID_EXCERPT_CHARS + 1);
    }
}
