//! Data collection endpoints.

use std::sync::Arc;

use model::ResourceId;

use super::{Common, json, refuse_managed};
use crate::draft::{Draft, check_precondition};
use crate::names::{self, ENDPOINT, Place, Problems, excerpt};
use crate::{Endpoint, EndpointSpec, Precondition, Put, StoreError, snapshot};

pub(crate) fn put(
    draft: &mut Draft<'_>,
    id: &ResourceId,
    spec: EndpointSpec,
    precondition: &Precondition,
) -> Result<Put<Endpoint>, StoreError> {
    let place = Place::of(id, ENDPOINT)?;
    draft.require_group(&place)?;
    let existing = draft.next.endpoint_by_id(id).cloned();
    let old = existing.as_ref().map(|endpoint| &endpoint.envelope);
    check_precondition(old.map(|old| old.etag.as_str()), precondition)?;

    let mut problems = Problems::default();
    if old.is_none() {
        names::endpoint(&mut problems, place.name);
    }
    let location = names::region(&mut problems, &spec.location);
    names::tags(&mut problems, &spec.tags);
    super::check_description(&mut problems, spec.description.as_deref());
    super::check_kind(&mut problems, spec.kind.as_deref());
    let public_network_access = access(&mut problems, spec.public_network_access.as_deref());
    if let Some(wanted) = &spec.immutable_id {
        check_immutable_id(draft, &mut problems, existing.as_deref(), wanted);
    }
    problems.finish()?;

    let envelope = draft.envelope(id, old, Common { location, tags: spec.tags })?;
    let (immutable_id, host_label) = match &existing {
        Some(existing) => (existing.immutable_id.clone(), existing.host_label.clone()),
        None => (spec.immutable_id.unwrap_or_else(|| draft.immutable_id(PREFIX)), draft.host_label(place.name)),
    };
    let (kind, description) = (spec.kind, spec.description);
    let endpoint = Endpoint { envelope, immutable_id, host_label, kind, description, public_network_access };
    let resource = draft.put_endpoint(endpoint);
    draft.log(WRITE, &resource.envelope.id, json(&*resource));
    Ok(Put { resource, created: existing.is_none() })
}

pub(crate) fn delete(draft: &mut Draft<'_>, id: &ResourceId, precondition: &Precondition) -> Result<bool, StoreError> {
    Place::of(id, ENDPOINT)?;
    let existing = draft.next.endpoint_by_id(id).cloned();
    check_precondition(existing.as_ref().map(|endpoint| endpoint.envelope.etag.as_str()), precondition)?;
    let Some(endpoint) = existing else { return Ok(false) };
    refuse_managed(&endpoint.envelope)?;
    remove(draft, &endpoint)?;
    Ok(true)
}

/// Takes an endpoint away that no rule is bound to.
pub(crate) fn remove(draft: &mut Draft<'_>, endpoint: &Arc<Endpoint>) -> Result<(), StoreError> {
    let id = &endpoint.envelope.id;
    let bound: Vec<&str> = draft
        .next
        .rules()
        .values()
        .filter(|rule| rule.endpoint.as_ref() == Some(id))
        .map(|rule| rule.envelope.id.as_str())
        .take(NAMED_MAX)
        .collect();
    if !bound.is_empty() {
        let message = format!(
            "data collection rules are bound to {id}: bind them to another endpoint or delete them first: {}",
            bound.join(", ")
        );
        return Err(StoreError::Conflict { code: "Conflict", message });
    }
    draft.remove_assignments_below(id);
    draft.remove_endpoint(endpoint);
    draft.log(DELETE, id, None);
    Ok(())
}

impl Draft<'_> {
    /// A free label for the hosts of the endpoint `name`.
    pub(crate) fn host_label(&self, name: &str) -> String {
        let base: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        self.suffixed(&base, |label| self.next.endpoint_by_host_label(label).is_none())
    }
}

fn access(problems: &mut Problems, wanted: Option<&str>) -> String {
    let Some(wanted) = wanted else { return ACCESS[0].to_owned() };
    match ACCESS.iter().find(|value| value.eq_ignore_ascii_case(wanted)) {
        Some(value) => (*value).to_owned(),
        None => {
            let message = format!("{:?} is none of {}", excerpt(wanted), ACCESS.join(", "));
            problems.add("properties.networkAcls.publicNetworkAccess", message);
            String::new()
        }
    }
}

fn check_immutable_id(draft: &Draft<'_>, problems: &mut Problems, existing: Option<&Endpoint>, wanted: &str) {
    const TARGET: &str = "properties.immutableId";
    if let Err(error) = snapshot::check_immutable_id(wanted, PREFIX) {
        problems.add(TARGET, error.to_string());
    } else if existing.is_some_and(|existing| existing.immutable_id != wanted) {
        problems.add(TARGET, "never changes: leave it out");
    } else if existing.is_none() && draft.next.endpoints().values().any(|other| other.immutable_id == wanted) {
        problems.add(TARGET, format!("{wanted:?} is another endpoint's"));
    }
}

pub(crate) const PREFIX: &str = "dce-";
pub(crate) const WRITE: &str = "Microsoft.Insights/dataCollectionEndpoints/write";
pub(crate) const DELETE: &str = "Microsoft.Insights/dataCollectionEndpoints/delete";
const ACCESS: [&str; 3] = ["Enabled", "Disabled", "SecuredByPerimeter"];
/// So many resources are named in one message.
const NAMED_MAX: usize = 10;
