//! The word to stop, and the time that what is under way has from then on.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Says the word.
pub(crate) struct Stop(watch::Sender<Option<Instant>>);

/// Hears it. Every connection holds one, which is how [`Stop::all_ended`] knows.
#[derive(Clone)]
pub(crate) struct Stopping(watch::Receiver<Option<Instant>>);

impl Stop {
    pub(crate) fn new() -> (Self, Stopping) {
        let (stop, stopping) = watch::channel(None);
        (Self(stop), Stopping(stopping))
    }

    pub(crate) fn now(&self) {
        self.0.send_replace(Some(Instant::now()));
    }

    /// Resolves when nobody listens any more.
    pub(crate) async fn all_ended(&self) {
        self.0.closed().await;
    }
}

impl Stopping {
    pub(crate) fn is_set(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Resolves `grace` after the word to stop, whenever it is asked.
    pub(crate) async fn over(&mut self, grace: Duration) {
        // It is dropped only after it was said, or with everything else.
        let said = self.0.wait_for(Option::is_some).await.ok().and_then(|said| *said);
        if let Some(at) = said
            && !grace.is_zero()
        {
            sleep_until(at + grace).await;
        }
    }
}
