//! Records platform metrics into the system workspace, once a minute and at the end.

use std::sync::Arc;

use catalog::Store;
use environment::Clock;
use model::ResourceId;
use platform_metrics::{Parts, Recorded, Recorder, until_next_minute};
use quota::Quotas;
use tokio::sync::oneshot;

use crate::databases::{Databases, OnDemand};

/// What is recorded, and where.
pub(crate) struct Recording {
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) store: Arc<Store>,
    pub(crate) databases: Arc<Databases>,
    /// The system workspace. Without one, nothing is recorded.
    pub(crate) system: ResourceId,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Recording {
    /// Records until told to end.
    pub(crate) async fn run(self, mut ends: oneshot::Receiver<()>) {
        let mut recorder = None;
        let mut complaint = String::new();
        loop {
            let is_last = tokio::select! {
                () = self.clock.sleep(until_next_minute(self.clock.now())) => false,
                _ = &mut ends => true,
            };
            let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
            if let Some(recorder) = self.current(&mut recorder) {
                let recorded = match is_last {
                    false => recorder.record(now, monotonic).await,
                    true => recorder.finish(now, monotonic).await,
                };
                tell(&recorded, &mut complaint);
            }
            if is_last {
                return;
            }
        }
    }

    /// The recorder, into the system workspace that there is: one that was deleted and made again is another.
    fn current<'r>(&self, recorder: &'r mut Option<Recorder>) -> Option<&'r mut Recorder> {
        let catalog = self.store.catalog();
        let system = catalog.snapshot().workspaces().get(&catalog::key(&self.system))?.account_id;
        let recorder = recorder.get_or_insert_with(|| {
            let (quotas, workspaces) = (Arc::clone(&self.quotas), Arc::new(OnDemand(Arc::clone(&self.databases))));
            Recorder::new(Parts { quotas, catalog, workspaces, system })
        });
        recorder.set_system(system);
        Some(recorder)
    }
}

/// A reason is logged once, not every minute.
fn tell(recorded: &Recorded, complaint: &mut String) {
    match recorded {
        Recorded::Stored { samples, refused } => {
            complaint.clear();
            tracing::debug!(samples, refused, "Platform metrics recorded");
        }
        Recorded::NotAfter(_) => {}
        Recorded::Unwritten(reason) if reason != complaint => {
            tracing::warn!(reason, "Platform metrics are not recorded; they will be with those of a later minute");
            complaint.clone_from(reason);
        }
        Recorded::Unwritten(_) => {}
    }
}
