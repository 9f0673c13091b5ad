//! Role assignments that a list shows.
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

/// The assignments behind the key `after` that are wanted, in the order of their keys.
pub(super) fn assignments<'t>(
    table: &'t Table<Assignment>,
    scope: &ResourceId,
    wanted: &Wanted,
    after: Option<&str>,
) -> impl Iterator<Item = (&'t Arc<str>, &'t Arc<Assignment>)> {
    let within = prefixes(scope, wanted.at_scope).into_iter().flat_map(move |prefix| {
        let start = match after {
            Some(after) if after >= prefix.as_str() => Bound::Excluded(after),
            _ => Bound::Included(prefix.as_str()),
        };
        let range = table.range::<_, str>((start, Bound::Unbounded));
        range.take_while(move |(key, _)| key.starts_with(&prefix))
    });
    within.filter(|(_, assignment)| wanted.takes(assignment))
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
