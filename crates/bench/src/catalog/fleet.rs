//! A catalogue of the size that is asked for, in the file where the service looks for it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use catalog::{Actor, ActorKind, Fleet, IdentitySpec, Precondition, Store, StoreSettings};
use host::{HostClock, HostRng};
use uuid::Uuid;

/// Opens the catalogue of a data directory as the service does.
pub(crate) async fn open(data: &Path) -> anyhow::Result<Store> {
    let file = data.join("catalog/catalog.db");
    let settings = StoreSettings::default();
    Ok(Store::open(&file, Arc::new(HostClock::new()), Arc::new(HostRng), settings).await?)
}

/// Makes it all at once; then the milliseconds of one change more, durable, as the API makes it.
pub(crate) async fn make(data: &Path, fleet: &Fleet) -> anyhow::Result<Vec<f64>> {
    std::fs::create_dir_all(data.join("catalog"))?;
    let store = open(data).await?;
    store.put_subscription(&actor(), fleet.subscription, "remora").await?;
    store.put_all(&actor(), fleet.items()).await?;
    let workspace = fleet.workspace(0);
    let group = workspace.as_str().split("/providers/").next().unwrap_or_default();
    let mut millis = Vec::new();
    for number in 0..CHANGES {
        let spec = IdentitySpec { location: "local".to_owned(), ..IdentitySpec::default() };
        let id =
            format!("{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/sender-{number}").parse()?;
        let started = Instant::now();
        store.put_identity(&actor(), &id, spec, Precondition::None).await?;
        millis.push(started.elapsed().as_secs_f64() * 1e3);
    }
    store.close().await;
    Ok(millis)
}

fn actor() -> Actor {
    Actor { id: "bench".into(), name: "bench".into(), kind: ActorKind::Key, address: None, request_id: None }
}

/// The default subscription of `remora serve`.
pub(crate) const SUBSCRIPTION: Uuid = Uuid::nil();
const CHANGES: usize = 200;
