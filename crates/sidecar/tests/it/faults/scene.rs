//! What almost every test begins with: a token endpoint, a sink, and a sidecar with a queue between them.

use super::audit::{Allowed, Scraper, audit};
use super::load::{Load, Plan, Sent};
use super::process::Sidecar;
use super::sink::Sink;
use super::tokens::Tokens;

pub(crate) struct Scene {
    pub(crate) tokens: Tokens,
    pub(crate) sink: Sink,
    pub(crate) sidecar: Sidecar,
}

impl Scene {
    /// Everything runs and behaves.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let mut scene = Self::prepare(&[]);
        scene.sidecar.start();
        scene
    }

    /// The sidecar does not run yet, and gets these variables besides.
    pub(crate) fn prepare(variables: &[(&str, &str)]) -> Self {
        let tokens = Tokens::serve();
        let sink = Sink::open(&tokens);
        let mut sidecar = Sidecar::new(&tokens, &sink);
        for (name, value) in variables {
            sidecar.set(name, *value);
        }
        Self { tokens, sink, sidecar }
    }

    /// Everything runs, the sidecar with these variables besides.
    #[track_caller]
    pub(crate) fn start_with(variables: &[(&str, &str)]) -> Self {
        let mut scene = Self::prepare(variables);
        scene.sidecar.start();
        scene
    }

    /// Senders towards the sidecar.
    pub(crate) fn load(&self, plan: &Plan) -> Load {
        Load::start(plan, self.sidecar.port())
    }

    /// Sends all of a plan.
    pub(crate) fn send(&self, plan: &Plan) -> Sent {
        Load::run(plan, self.sidecar.port())
    }

    /// Reads the metrics all the time.
    pub(crate) fn scrape(&self) -> Scraper {
        Scraper::start(self.sidecar.port())
    }

    /// Waits until the queue is empty and audits; then the sidecar has to end well.
    #[track_caller]
    pub(crate) fn audit(mut self, sent: &Sent, allowed: &Allowed) {
        audit(&mut self.sidecar, &self.sink, sent, allowed);
        let status = self.sidecar.terminate();
        assert!(status.success(), "it must end well on SIGTERM, not with {status}");
    }
}

impl Plan {
    /// So many requests of each sender, one after the other without a pause.
    pub(crate) fn of(requests: usize) -> Self {
        Self { requests: Some(requests), pause: std::time::Duration::ZERO, ..Self::default() }
    }

    /// Until stopped, slowly enough to leave room for other tests.
    pub(crate) fn endless() -> Self {
        Self { pause: std::time::Duration::from_millis(5), ..Self::default() }
    }

    /// Points of one request.
    pub(crate) fn points(&self) -> u64 {
        let series = 0..self.series;
        let exemplars = series.filter(|index| self.histogram_every > 0 && index % self.histogram_every == 2).count();
        (self.series * self.samples + exemplars) as u64
    }
}
