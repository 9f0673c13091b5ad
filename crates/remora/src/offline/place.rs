//! Where a database is.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use catalog::{Store, StoreSettings};
use host::{HostClock, HostRng};
use model::AccountId;

use crate::cli::tsdb::Place;
use crate::data_directory;

/// The directory that the arguments name.
pub(super) fn directory(place: &Place) -> anyhow::Result<PathBuf> {
    let Some(workspace) = &place.workspace else {
        return place.directory.clone().context("no directory is named");
    };
    let data = place.data_dir.clone().map_or_else(data_directory::default_path, Ok)?;
    let account = match workspace.parse::<AccountId>() {
        Ok(account) => account,
        Err(_) => find(&data, workspace)?,
    };
    Ok(data.join("workspaces").join(account.to_string()))
}

/// The identity of the workspace that the catalogue knows under this name. Deleted ones have no name.
fn find(data: &std::path::Path, name: &str) -> anyhow::Result<AccountId> {
    let file = data.join("catalog").join("catalog.db");
    if !file.exists() {
        bail!("{} is no data directory of a service: it has no catalogue", data.display());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(async {
        let opened = Store::open(&file, Arc::new(HostClock::new()), Arc::new(HostRng), StoreSettings::default()).await;
        let store = opened.with_context(|| {
            format!(
                "cannot look up the workspace {name:?}; beside a running service name it by its accountId, which \
                     `remora workspace show {name}` prints"
            )
        })?;
        let found = store.catalog().snapshot().workspace(name).map(|workspace| workspace.account_id);
        store.close().await;
        found.with_context(|| format!("there is no workspace {name:?} in {}", data.display()))
    })
}
