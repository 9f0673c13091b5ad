//! Role assignments that a list shows, a page at a time.
//!
//! Assignments are ordered by their ids in lower case. Those above a scope lie in one range for each of its parts, those at
//! and below it in one more: a list touches these ranges only, however many assignments there are elsewhere.

use std::ops::Bound;
use std::sync::Arc;

use catalog::{Assignment, Table};
use model::ResourceId;

use super::request::KIND;
use crate::filter::Filter;

/// Which assignments are asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Wanted {
    /// None below the scope (`atScope()`).
    pub(super) at_scope: bool,
    /// Of this principal only (`principalId eq`, `assignedTo()`: there are no groups here whose members could count too).
    pub(super) principal_id: Option<String>,
    /// Of this role only.
    pub(super) role: Option<String>,
}

impl Wanted {
    /// What a filter asks for; `None` for one that is not understood here.
    pub(super) fn of(filter: &Filter) -> Option<Self> {
        let mut wanted = Self::default();
        for term in filter.terms() {
            if let Some([]) = term.call("atScope") {
                wanted.at_scope = true;
            } else if let Some([principal]) = term.call("assignedTo") {
                wanted.take_principal(principal.as_str())?;
            } else if let Some(principal) = term.equals("principalId") {
                wanted.take_principal(principal)?;
            } else if let Some(role) = term.equals("roleDefinitionId") {
                wanted.role = Some(role.rsplit('/').next().unwrap_or(role).to_ascii_lowercase());
            } else {
                return None;
            }
        }
        Some(wanted)
    }

    fn take_principal(&mut self, id: &str) -> Option<()> {
        match &self.principal_id {
            Some(other) if !other.eq_ignore_ascii_case(id) => None,
            _ => {
                self.principal_id = Some(id.to_owned());
                Some(())
            }
        }
    }

    fn takes(&self, assignment: &Assignment) -> bool {
        self.principal_id.as_ref().is_none_or(|id| id.eq_ignore_ascii_case(&assignment.principal_id))
            && self.role.as_ref().is_none_or(|role| *role == assignment.role)
    }
}

/// At most `count` assignments behind the key `after` that are wanted and that `visible` lets through, and the key to go on
/// from if there may be more.
pub(super) fn page<'t>(
    table: &'t Table<Assignment>,
    scope: &ResourceId,
    wanted: &Wanted,
    after: Option<&str>,
    count: usize,
    visible: impl Fn(&Assignment) -> bool,
) -> (Vec<&'t Arc<Assignment>>, Option<Arc<str>>) {
    let mut found: Vec<&Arc<Assignment>> = Vec::new();
    let mut last: Option<Arc<str>> = None;
    for prefix in prefixes(scope, wanted.at_scope) {
        let start = match after {
            Some(after) if after >= prefix.as_str() => Bound::Excluded(after),
            _ => Bound::Included(prefix.as_str()),
        };
        let range = table.range::<_, str>((start, Bound::Unbounded));
        for (key, assignment) in range.take_while(|(key, _)| key.starts_with(&prefix)) {
            if !wanted.takes(assignment) || !visible(assignment) {
                continue;
            }
            if found.len() == count {
                return (found, last);
            }
            found.push(assignment);
            last = Some(Arc::clone(key));
        }
    }
    (found, None)
}

/// What the keys of the assignments begin with, in order; none begins another.
fn prefixes(scope: &ResourceId, at_scope: bool) -> Vec<String> {
    let own = scope.as_str().trim_end_matches('/').to_ascii_lowercase();
    if own.is_empty() && !at_scope {
        return vec!["/".to_owned()];
    }
    let kind = format!("{}/", KIND.to_ascii_lowercase());
    let above = own.match_indices('/').map(|(at, _)| &own[..at]);
    let mut prefixes: Vec<String> = above.map(|above| format!("{above}{kind}")).collect();
    prefixes.push(if at_scope { format!("{own}{kind}") } else { format!("{own}/") });
    prefixes.sort();
    prefixes.dedup();
    prefixes
}

#[cfg(test)]
mod tests;
