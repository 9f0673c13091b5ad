//! Subscriptions.

use std::sync::Arc;

use uuid::Uuid;

use super::json;
use crate::draft::Draft;
use crate::names::Problems;
use crate::{Put, StoreError, Subscription};

pub(crate) fn put(draft: &mut Draft<'_>, id: Uuid, name: &str) -> Result<Put<Subscription>, StoreError> {
    let mut problems = Problems::default();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        problems.add("name", format!("a subscription's name has 1 to {NAME_CHARS_MAX} characters"));
    }
    problems.finish()?;
    let existing = draft.next.subscriptions().get(&id).cloned();
    if let Some(same) = existing.as_ref().filter(|existing| existing.name == name) {
        return Ok(Put { resource: Arc::clone(same), created: false });
    }
    let created = existing.as_ref().map_or_else(|| draft.stamp(), |existing| existing.created.clone());
    let resource = draft.put_subscription(Subscription { id, name: name.to_owned(), created });
    draft.log("Microsoft.Subscription/subscriptions/write", format!("/subscriptions/{id}"), json(&*resource));
    Ok(Put { resource, created: existing.is_none() })
}

const NAME_CHARS_MAX: usize = 100;
