//! Addresses at which endpoints and workspaces are reached: under the service's own, or hosts of their own.

use catalog::{Endpoint, Workspace};

use crate::Settings;

/// Where a workspace answers queries.
pub(crate) fn query(workspace: &Workspace, settings: &Settings) -> String {
    match &settings.endpoint_domain {
        Some(domain) => format!("https://{}", domain.query_host(&workspace.handle, &settings.region)),
        None => format!("{}/workspaces/{}", published(settings), workspace.handle),
    }
}

/// Where an endpoint takes metrics.
pub(crate) fn metrics_ingestion(endpoint: &Endpoint, settings: &Settings) -> String {
    match &settings.endpoint_domain {
        Some(domain) => format!("https://{}", domain.ingestion_host(&endpoint.host_label, &settings.region)),
        None => published(settings).to_owned(),
    }
}

/// Where an endpoint would take logs.
pub(crate) fn logs_ingestion(endpoint: &Endpoint, settings: &Settings) -> String {
    hosted(endpoint, settings, "ingest")
}

/// Where an endpoint would tell agents what to do.
pub(crate) fn configuration_access(endpoint: &Endpoint, settings: &Settings) -> String {
    hosted(endpoint, settings, "handler.control")
}

/// A host that is named because clients expect one; nothing is served there.
fn hosted(endpoint: &Endpoint, settings: &Settings, role: &str) -> String {
    match &settings.endpoint_domain {
        Some(domain) => format!("https://{}.{}-1.{role}.{}", endpoint.host_label, settings.region, domain.as_str()),
        None => published(settings).to_owned(),
    }
}

fn published(settings: &Settings) -> &str {
    settings.public_url.trim_end_matches('/')
}
