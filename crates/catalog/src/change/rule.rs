//! Data collection rules.

use std::sync::Arc;

use model::ResourceId;

use super::{Common, json, refuse_managed, rule_properties};
use crate::draft::{Draft, check_precondition};
use crate::names::{self, Place, Problems, RULE};
use crate::{Precondition, Put, Rule, RuleSpec, StoreError, snapshot};

pub(crate) fn put(
    draft: &mut Draft<'_>,
    id: &ResourceId,
    spec: RuleSpec,
    precondition: &Precondition,
) -> Result<Put<Rule>, StoreError> {
    let place = Place::of(id, RULE)?;
    draft.require_group(&place)?;
    let existing = draft.next.rule_by_id(id).cloned();
    let old = existing.as_ref().map(|rule| &rule.envelope);
    check_precondition(old.map(|old| old.etag.as_str()), precondition)?;

    let mut problems = Problems::default();
    if old.is_none() {
        names::rule(&mut problems, place.name);
    }
    let location = names::region(&mut problems, &spec.location);
    names::tags(&mut problems, &spec.tags);
    super::check_kind(&mut problems, spec.kind.as_deref());
    if let Some(wanted) = &spec.immutable_id {
        check_immutable_id(draft, &mut problems, existing.as_deref(), wanted);
    }
    let read = rule_properties::read(&draft.next, &mut problems, existing.as_deref(), &location, spec.properties);
    problems.finish()?;

    let envelope = draft.envelope(id, old, Common { location, tags: spec.tags })?;
    let immutable_id = match &existing {
        Some(existing) => existing.immutable_id.clone(),
        None => spec.immutable_id.unwrap_or_else(|| draft.immutable_id(PREFIX)),
    };
    let rule_properties::Read { endpoint, routes, properties } = read;
    let resource = draft.put_rule(Rule { envelope, immutable_id, kind: spec.kind, endpoint, routes, properties });
    draft.log(WRITE, &resource.envelope.id, json(&*resource));
    Ok(Put { resource, created: existing.is_none() })
}

pub(crate) fn delete(draft: &mut Draft<'_>, id: &ResourceId, precondition: &Precondition) -> Result<bool, StoreError> {
    Place::of(id, RULE)?;
    let existing = draft.next.rule_by_id(id).cloned();
    check_precondition(existing.as_ref().map(|rule| rule.envelope.etag.as_str()), precondition)?;
    let Some(rule) = existing else { return Ok(false) };
    refuse_managed(&rule.envelope)?;
    remove(draft, &rule);
    Ok(true)
}

pub(crate) fn remove(draft: &mut Draft<'_>, rule: &Arc<Rule>) {
    draft.remove_assignments_below(&rule.envelope.id);
    draft.remove_rule(rule);
    draft.log(DELETE, &rule.envelope.id, None);
}

fn check_immutable_id(draft: &Draft<'_>, problems: &mut Problems, existing: Option<&Rule>, wanted: &str) {
    const TARGET: &str = "properties.immutableId";
    if let Err(error) = snapshot::check_immutable_id(wanted, PREFIX) {
        problems.add(TARGET, error.to_string());
    } else if existing.is_some_and(|existing| existing.immutable_id != wanted) {
        problems.add(TARGET, "never changes: leave it out");
    } else if existing.is_none() && draft.next.rule(wanted).is_some() {
        problems.add(TARGET, format!("{wanted:?} is another rule's"));
    }
}

pub(crate) const PREFIX: &str = "dcr-";
pub(crate) const WRITE: &str = "Microsoft.Insights/dataCollectionRules/write";
const DELETE: &str = "Microsoft.Insights/dataCollectionRules/delete";
