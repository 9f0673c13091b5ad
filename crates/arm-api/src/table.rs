//! The route table: every row of every part of the API.

use crate::route::Route;

/// Rows, one slice a part.
pub(crate) const TABLE: &[&[Route]] = &[
    crate::subscriptions::ROUTES,
    crate::groups::ROUTES,
    crate::operations::ROUTES,
    crate::accounts::ROUTES,
    crate::endpoints::ROUTES,
    crate::rules::ROUTES,
    crate::metrics_containers::ROUTES,
    crate::usages::ROUTES,
    crate::providers::ROUTES,
    crate::resources::ROUTES,
    crate::deleted_accounts::ROUTES,
    crate::backups::ROUTES,
    crate::activity_log::ROUTES,
    crate::authorization::ROLE_DEFINITIONS,
    crate::authorization::ROLE_ASSIGNMENTS,
    crate::authorization::PERMISSIONS,
    crate::managed_identity::IDENTITIES,
    crate::managed_identity::FEDERATED_CREDENTIALS,
    crate::metadata_endpoints::ROUTES,
    crate::metrics::ROUTES,
    crate::graph::APPLICATIONS,
    crate::graph::FEDERATED_CREDENTIALS,
    crate::graph::SERVICE_PRINCIPALS,
    crate::graph::DIRECTORY_OBJECTS,
    crate::graph::PEOPLE,
];
