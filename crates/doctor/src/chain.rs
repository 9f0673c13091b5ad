//! Steps one after the other, each bounded, all within one budget.

use std::sync::Arc;
use std::time::Duration;

use environment::{Clock, Monotonic};

use crate::report::{Link, Step};

/// Nobody waits longer for a whole report.
pub const BUDGET: Duration = Duration::from_secs(60);

/// The steps so far.
pub(crate) struct Chain {
    clock: Arc<dyn Clock>,
    deadline: Monotonic,
    steps: Vec<Step>,
}

impl Chain {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let deadline = clock.monotonic().plus(BUDGET);
        Self { clock, deadline, steps: Vec::new() }
    }

    /// Adds what is known already.
    pub(crate) fn add(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Adds the steps that `look` finds, and gives on what it found besides. A look that takes longer than `limit`, or than
    /// what is left of the budget, fails at `link`.
    pub(crate) async fn look<T>(
        &mut self,
        link: Link,
        limit: Duration,
        look: impl Future<Output = (Vec<Step>, Option<T>)>,
    ) -> Option<T> {
        let begun = self.clock.monotonic();
        let limit = limit.min(self.remaining());
        if limit.is_zero() {
            // Not skipped: nobody may take the report for a clean one.
            self.steps.push(Step::warning(link, "no time was left for it", "mend what took so long, and try again"));
            return None;
        }
        let (mut steps, found) = tokio::time::timeout(limit, look).await.unwrap_or_else(|_| {
            let finding = format!("not known within {} ms", limit.as_millis());
            (vec![Step::failed(link, finding, "try again; if it stays, see the link before this one")], None)
        });
        // Steps that come from one look took the time together; it stands at the first of them.
        if let Some(first) = steps.first_mut() {
            first.took = self.clock.monotonic().since(begun);
        }
        self.steps.append(&mut steps);
        found
    }

    /// What is left of the budget.
    pub(crate) fn remaining(&self) -> Duration {
        self.deadline.since(self.clock.monotonic())
    }

    /// All links in order; those that nothing was found at stand as skipped.
    pub(crate) fn finish(mut self) -> Vec<Step> {
        for link in Link::ALL {
            if !self.steps.iter().any(|step| step.link == link) {
                self.steps.push(Step::skipped(link, "not reached"));
            }
        }
        // A stable sort: what was looked at earlier stays before what came later at the same link.
        self.steps.sort_by_key(|step| step.link);
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use host::HostClock;

    use super::*;
    use crate::report::Status;

    #[tokio::test(start_paused = true)]
    async fn a_look_that_never_ends_fails_in_time() {
        let mut chain = Chain::new(Arc::new(HostClock::new()));
        let found =
            chain.look(Link::Dns, Duration::from_secs(5), std::future::pending::<(Vec<Step>, Option<()>)>()).await;
        assert!(found.is_none());
        let found = chain
            .look(Link::Configuration, Duration::from_secs(5), async {
                (vec![Step::ok(Link::Configuration, "fine")], Some(7))
            })
            .await;
        assert_eq!(found, Some(7));
        let steps = chain.finish();
        let links: Vec<Link> = steps.iter().map(|step| step.link).collect();
        assert_eq!(links, Link::ALL);
        let seen: Vec<_> =
            steps.iter().filter(|step| step.status != Status::Skipped).map(|step| (step.link, step.status)).collect();
        assert_eq!(seen, [(Link::Configuration, Status::Ok), (Link::Dns, Status::Failed)]);
        assert_eq!(steps[2].finding, "not known within 5000 ms");
    }

    #[tokio::test]
    async fn what_no_time_is_left_for_is_no_clean_report() {
        let clock = testkit::ManualClock::new(environment::UnixTime::EPOCH);
        let mut chain = Chain::new(Arc::new(clock.clone()));
        let slow = async {
            clock.advance(BUDGET);
            (vec![Step::ok(Link::Token, "fine")], Some(()))
        };
        assert!(chain.look(Link::Token, BUDGET, slow).await.is_some());
        let next = async { (vec![Step::ok(Link::Write, "fine")], Some(())) };
        assert!(chain.look(Link::Write, BUDGET, next).await.is_none());
        let steps = chain.finish();
        assert_eq!(steps.iter().find(|step| step.link == Link::Token).map(|step| step.took), Some(BUDGET));
        let write = steps.iter().find(|step| step.link == Link::Write).unwrap();
        assert!(write.status == Status::Warning && write.finding.contains("no time"), "{write:?}");
    }
}
