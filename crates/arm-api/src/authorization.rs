//! `Microsoft.Authorization`: which roles there are, who has which of them where, and what the caller may.

mod listing;
mod permissions;
mod request;
mod role_assignments;
mod role_definitions;

use model::ResourceId;

pub(crate) use permissions::ROUTES as PERMISSIONS;
pub(crate) use role_assignments::ROUTES as ROLE_ASSIGNMENTS;
pub(crate) use role_definitions::ROUTES as ROLE_DEFINITIONS;

const VERSIONS: &[&str] =
    &["2015-07-01", "2018-01-01-preview", "2020-04-01-preview", "2022-04-01", "2022-05-01-preview"];

/// The id of a role definition, as clients that look from `scope` know it: within their subscription, if they are in one.
/// Clients compare these ids as texts.
fn role_definition_id(role: &str, scope: &ResourceId) -> String {
    let subscription = scope.segment_after("subscriptions").map(|id| format!("/subscriptions/{id}"));
    let subscription = subscription.unwrap_or_default();
    format!("{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}")
}

#[cfg(test)]
mod tests;
