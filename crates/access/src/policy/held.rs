//! The roles that one principal holds, by scope.

use std::sync::Arc;

use imbl::HashMap;

use crate::RoleDefinition;

/// Roles by scope; scopes are in lower case and without the root's slash, see [`lowered`].
///
/// Cheap to clone: what a change leaves alone is shared. Most principals hold a handful, which lies in one slice; one
/// that holds many pays one lookup per depth at which it holds any, however many they are.
#[derive(Clone, Debug)]
pub(super) enum Held {
    /// At most [`FEW_MAX`].
    Few(Arc<[(Arc<str>, Grant)]>),
    /// More.
    Many {
        /// Never empty slices.
        by_scope: HashMap<Arc<str>, Arc<[Grant]>>,
        /// Bit *n*: some scope has *n* segments, or had. So a decision asks for the scopes that can be there only.
        depths: u64,
    },
}

/// A role, and whose principals it is for.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Grant {
    pub(super) issuer: Option<Arc<str>>,
    pub(super) role: Arc<RoleDefinition>,
}

/// How many are looked through one after the other.
const FEW_MAX: usize = 12;

impl Held {
    pub(super) fn none() -> Self {
        Self::Few(Arc::new([]))
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few(few) => few.is_empty(),
            Self::Many { by_scope, .. } => by_scope.is_empty(),
        }
    }

    pub(super) fn add(&mut self, scope: Arc<str>, grant: Grant) {
        match self {
            Self::Few(few) if few.len() < FEW_MAX => {
                *few = few.iter().cloned().chain([(scope, grant)]).collect();
            }
            Self::Few(few) => {
                let mut many = Self::Many { by_scope: HashMap::new(), depths: 0 };
                for (scope, grant) in few.iter().cloned().chain([(scope, grant)]) {
                    many.add(scope, grant);
                }
                *self = many;
            }
            Self::Many { by_scope, depths } => {
                *depths |= depth_bit(segments(&scope));
                let before = by_scope.get(&scope).map_or(&[][..], |grants| grants);
                let grants = before.iter().cloned().chain([grant]).collect();
                by_scope.insert(scope, grants);
            }
        }
    }

    /// Takes one away; whether it was there.
    pub(super) fn remove(&mut self, scope: &str, grant: &Grant) -> bool {
        match self {
            Self::Few(few) => {
                let Some(at) = few.iter().position(|(at, held)| &**at == scope && held == grant) else { return false };
                *few = without(few, at);
            }
            Self::Many { by_scope, .. } => {
                let Some(grants) = by_scope.get(scope) else { return false };
                let Some(at) = grants.iter().position(|held| held == grant) else { return false };
                let rest: Arc<[Grant]> = without(grants, at);
                if rest.is_empty() {
                    by_scope.remove(scope);
                } else {
                    by_scope.insert(scope.into(), rest);
                }
            }
        }
        true
    }

    /// Whether `wanted` says so of any grant at `resource` or above it.
    pub(super) fn any(&self, resource: &str, mut wanted: impl FnMut(&Grant) -> bool) -> bool {
        match self {
            Self::Few(few) => few.iter().any(|(scope, grant)| covers(scope, resource) && wanted(grant)),
            Self::Many { by_scope, depths } => {
                let ends = resource.match_indices('/').map(|(at, _)| at).chain([resource.len()]);
                // The root ends before the first slash; the root itself has no other end.
                let ends = ends.take(if resource.is_empty() { 1 } else { usize::MAX });
                ends.enumerate()
                    .filter(|(depth, _)| depths & depth_bit(*depth) != 0)
                    .filter_map(|(_, end)| by_scope.get(&resource[..end]))
                    .any(|grants| grants.iter().any(&mut wanted))
            }
        }
    }

    /// Every scope and what is held there; a scope may come several times.
    pub(super) fn iter(&self) -> Box<dyn Iterator<Item = (&str, &Grant)> + '_> {
        match self {
            Self::Few(few) => Box::new(few.iter().map(|(scope, grant)| (&**scope, grant))),
            Self::Many { by_scope, .. } => {
                Box::new(by_scope.iter().flat_map(|(scope, grants)| grants.iter().map(move |grant| (&**scope, grant))))
            }
        }
    }
}

/// Hands `id` to `then` as scopes are kept: in lower case, and empty for the root. Allocates for very long ones only.
pub(super) fn lowered<R>(id: &str, then: impl FnOnce(&str) -> R) -> R {
    let id = if id == "/" { "" } else { id };
    let mut buffer = [0; LOWERED_ON_STACK_BYTES];
    match buffer.get_mut(..id.len()) {
        Some(bytes) => {
            bytes.copy_from_slice(id.as_bytes());
            bytes.make_ascii_lowercase();
            then(std::str::from_utf8(bytes).expect("the case of ASCII letters changes no other character"))
        }
        None => then(&id.to_ascii_lowercase()),
    }
}

fn covers(scope: &str, resource: &str) -> bool {
    resource.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn segments(scope: &str) -> usize {
    scope.bytes().filter(|byte| *byte == b'/').count()
}

/// Depths beyond the last bit share it.
fn depth_bit(depth: usize) -> u64 {
    1 << depth.min(63)
}

fn without<T: Clone>(all: &[T], gone: usize) -> Arc<[T]> {
    all.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, one)| one.clone()).collect()
}

/// ARM ids of workspaces and rules have 150 to 250 bytes.
const LOWERED_ON_STACK_BYTES: usize = 320;
