//! Lists, page by page, as clients follow them.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use catalog::Fleet;
use serde_json::Value;

use super::fleet::SUBSCRIPTION;
use crate::http_client;

/// What a walk over a list found.
pub(crate) struct Pages {
    pub(crate) items: usize,
    /// Of each page, from the connection to the last byte.
    pub(crate) millis: Vec<f64>,
}

/// The lists that are walked: a name, where it begins, how many items there are at least.
pub(crate) fn lists(fleet: &Fleet) -> Vec<(&'static str, String, u32)> {
    let of = |what: &str| format!("/subscriptions/{SUBSCRIPTION}/{what}");
    vec![
        ("rules", of("providers/Microsoft.Insights/dataCollectionRules?api-version=2023-03-11"), fleet.rules),
        (
            "rules of a group",
            of("resourceGroups/group-0/providers/Microsoft.Insights/dataCollectionRules?api-version=2023-03-11"),
            fleet.rules / 100,
        ),
        ("workspaces", of("providers/Microsoft.Monitor/accounts?api-version=2023-04-03"), fleet.workspaces),
        ("resources", of("resources?api-version=2024-11-01"), fleet.rules + fleet.workspaces),
        (
            "role assignments",
            of("providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01"),
            fleet.assignments,
        ),
    ]
}

/// Follows a list from its first page to its last.
pub(crate) fn walk(address: SocketAddr, headers: &str, path: &str) -> anyhow::Result<Pages> {
    let mut pages = Pages { items: 0, millis: Vec::new() };
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let started = Instant::now();
        let answer = http_client::get(address, &path, headers)?;
        pages.millis.push(started.elapsed().as_secs_f64() * 1e3);
        ensure!(answer.status == 200, "{path} was answered {}: {}", answer.status, answer.body);
        let answer: Value = serde_json::from_str(&answer.body).context("a page that is not JSON")?;
        pages.items += answer["value"].as_array().context("a page without values")?.len();
        ensure!(pages.millis.len() <= PAGES_MAX, "{path}: the list does not end");
        // A URL of its own host; only what stands behind that is asked for here.
        next = answer["nextLink"]
            .as_str()
            .map(|link| link.find("/subscriptions/").map_or(link, |at| &link[at..]).to_owned());
    }
    Ok(pages)
}

const PAGES_MAX: usize = 100_000;
