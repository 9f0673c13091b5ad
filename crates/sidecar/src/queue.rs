//! The queue put to work: opened, announced, emptied at the end, closed.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use delivery::Delivery;
use environment::{Clock, Disk, Monotonic};
use host::{HostDisk, MemoryDisk};
use identity::Environment;
use proxy::{Medium, QueueParts};
use spool::{OpenError, Spool, WhenFull};

use crate::quantity::{show_duration, show_size};
use crate::settings::QueueSettings;
use crate::{BindError, Settings};

/// Opens the queue that `settings` describe, and says in the log what was found in it.
pub(crate) fn open(settings: &QueueSettings, clock: &Arc<dyn Clock>) -> Result<Spool, BindError> {
    let disk: Arc<dyn Disk> = match settings.medium {
        Medium::Disk => Arc::new(HostDisk),
        Medium::Memory => Arc::new(MemoryDisk::new()),
    };
    let (spool, recovery) = Spool::open(disk, Arc::clone(clock), &settings.directory, settings.settings.clone())
        .map_err(BindError::Queue)?;
    match settings.medium {
        Medium::Disk => tracing::info!(
            directory = %settings.directory.display(),
            requests = recovery.entries,
            bytes = recovery.bytes,
            tornBytes = recovery.torn_bytes,
            bytesMax = show_size(settings.settings.bytes_max),
            ageMax = show_duration(settings.settings.age_max),
            whenFull = when_full(settings.settings.when_full),
            sync = sync(settings.settings.sync),
            "Queue opened; what waits in it is delivered first"
        ),
        Medium::Memory => tracing::warn!(
            bytesMax = show_size(settings.settings.bytes_max),
            ageMax = show_duration(settings.settings.age_max),
            "Queue is in memory: what waits in it does NOT survive the end of this process"
        ),
    }
    for file in &recovery.set_aside {
        tracing::error!(file = %file.display(), "Damaged file of the queue set aside; what could be read of it is kept");
    }
    Ok(spool)
}

/// What the proxy is told of the queue at its start.
pub(crate) fn parts(
    settings: &Settings,
    queue: &QueueSettings,
    spool: &Spool,
    environment: &Environment,
) -> QueueParts {
    QueueParts {
        spool: spool.clone(),
        medium: queue.medium,
        rng: Arc::clone(&environment.rng),
        settings: changeable(settings, queue),
    }
}

/// What the proxy is told of the queue whenever it changes.
pub(crate) fn changeable(settings: &Settings, queue: &QueueSettings) -> proxy::QueueSettings {
    proxy::QueueSettings {
        policy: delivery::Policy {
            authorization_grace: settings.delivery.authorization_grace,
            age_max: queue.settings.age_max,
            in_flight_max: settings.delivery.in_flight_max,
            ..delivery::Policy::default()
        },
        remote_write_2: settings.delivery.remote_write_2,
        ready_strict: settings.ready_strict,
    }
}

/// Resolves when nothing waits any more, when what waits on disk cannot go at the moment anyway (the target takes nothing, or
/// there is no token), or at `deadline`.
pub(crate) async fn emptied(
    spool: &Spool,
    delivery: &Delivery,
    medium: Medium,
    clock: &dyn Clock,
    deadline: Monotonic,
) {
    let mut looks_without_token = 0;
    while spool.stats().entries > 0 && clock.monotonic() < deadline {
        let state = delivery.state();
        looks_without_token = if state.waits_for_token() { looks_without_token + 1 } else { 0 };
        if medium == Medium::Disk && (state.blocked.is_some() || looks_without_token == LOOKS_WITHOUT_TOKEN_MAX) {
            return;
        }
        clock.sleep(LOOK_INTERVAL).await;
    }
}

/// Closes the queue and says what is left in it.
pub(crate) async fn close(spool: Spool, medium: Medium) {
    let left = spool.stats().entries;
    match (medium, left) {
        (_, 0) => tracing::info!("Queue is empty"),
        (Medium::Disk, left) => tracing::info!(requests = left, "Queue is kept; it is delivered after the next start"),
        (Medium::Memory, left) => {
            let lost = spool.ledger().queued;
            tracing::error!(
                requests = left,
                floats = lost.samples,
                histograms = lost.histograms,
                exemplars = lost.exemplars,
                "Queue in memory ends with samples that were not delivered"
            );
        }
    }
    match tokio::task::spawn_blocking(move || spool.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!("cannot close the queue: {error}"),
        Err(error) => tracing::error!("closing the queue failed: {error}"),
    }
}

/// What to do about a queue that cannot be opened, beside what the error itself says.
pub(crate) fn mend(error: &OpenError) -> &'static str {
    let kind = match error {
        OpenError::Directory { error, .. } | OpenError::Read { error, .. } => error.kind(),
        _ => return "",
    };
    match kind {
        ErrorKind::PermissionDenied => {
            " (in Kubernetes set securityContext.fsGroup so that the volume belongs to the user of the container; elsewhere \
             give the directory to that user with chown)"
        }
        ErrorKind::ReadOnlyFilesystem => {
            " (mount a writable volume there: the root file system of the container is read-only on purpose)"
        }
        _ => "",
    }
}

fn when_full(when_full: WhenFull) -> &'static str {
    match when_full {
        WhenFull::PushBack => "push-back",
        WhenFull::DropOldest => "drop-oldest",
        WhenFull::DropNewest => "drop-newest",
    }
}

fn sync(sync: spool::Sync) -> &'static str {
    match sync {
        spool::Sync::Interval(_) => "interval",
        spool::Sync::EveryRequest => "every-request",
        spool::Sync::Never => "never",
    }
}

const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// A request that is about to be sent looks for a moment like one that waits for a token.
const LOOKS_WITHOUT_TOKEN_MAX: u32 = 10;
