//! The order to end: SIGTERM or SIGINT, told to everything that serves.

use std::future::Future;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Tells any number of tasks that the program is to end.
#[derive(Clone)]
pub(crate) struct Shutdown {
    ordered: watch::Receiver<bool>,
}

impl Shutdown {
    /// Listens for the signals from now on. A second signal ends the process at once.
    ///
    /// # Errors
    /// When the system does not let the program listen.
    pub(crate) fn on_signals() -> anyhow::Result<Self> {
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let (order, ordered) = watch::channel(false);
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "Ending: finishing what is under way");
            let _nobody_listens = order.send(true);
            tokio::select! {
                _ = terminate.recv() => {},
                _ = interrupt.recv() => {},
            }
            tracing::warn!("Ending at once on a second signal");
            std::process::exit(EXIT_INTERRUPTED);
        });
        Ok(Self { ordered })
    }

    /// Whether the order has been given.
    pub(crate) fn is_ordered(&self) -> bool {
        *self.ordered.borrow()
    }

    /// Resolves when the order is given. Those who wait hear of it one after the other: what one does then may be seen
    /// before another resolves.
    pub(crate) fn ordered(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let mut ordered = self.ordered.clone();
        async move {
            // The sender lives as long as the process; were it gone, ending would be right, too.
            let _ = ordered.wait_for(|ordered| *ordered).await;
        }
    }
}

/// What shells show for a program that a signal ended (128 + SIGINT).
const EXIT_INTERRUPTED: i32 = 130;
