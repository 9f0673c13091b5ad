//! When role assignments come into force: in the current policy with the change itself, in the delayed one some time later.
//!
//! The delay of an assignment is drawn from its id, within the configured span, and counts from its creation; so a restart
//! changes nothing about it. A deletion is delayed from the moment it is made, and only while the program runs: after a
//! restart, what is deleted counts nowhere.
//! Invariant: the delayed policy is the current one, without assignments that wait to come into force, and with deleted ones
//! that wait to go. An assignment that is deleted before it came into force never does.

mod waiting;

use std::sync::Arc;
use std::time::Duration;

use access::{Policies, Policy, Propagation as When, RoleAssignment};
use catalog::{Assignment, Change, Observer, Snapshot};
use environment::{Clock, UnixTime};
use tokio::sync::Notify;
use waiting::{Step, Waiting};

/// Between which delays that of an assignment lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Span {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

/// Keeps policies as the catalogue's assignments say.
pub(crate) struct Propagation {
    policies: Arc<Policies>,
    span: Span,
    clock: Arc<dyn Clock>,
    waiting: Waiting,
    /// Something new waits, perhaps for less time than what waited before.
    sooner: Notify,
}

impl Propagation {
    /// Policies of the assignments in `snapshot`.
    pub(crate) fn new(snapshot: &Snapshot, span: Span, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (mut current, mut delayed) = (Policy::default(), Policy::default());
        let (now, wall, waiting) = (clock.monotonic(), clock.now(), Waiting::default());
        for assignment in snapshot.assignments().values() {
            assign(&mut current, assignment);
            let in_force_at = UnixTime::from_millis(u64::try_from(assignment.created.at_ms).unwrap_or_default())
                .plus(delay(span, assignment));
            match in_force_at.since(wall) {
                Duration::ZERO => assign(&mut delayed, assignment),
                // A wall clock that was set back must not keep anybody waiting for longer than it ever takes.
                wait => waiting.add(now.plus(wait.min(span.max)), Step::Assign, assignment),
            }
        }
        let policies = Policies::fixed(current);
        policies.replace(When::Delayed, delayed);
        Arc::new(Self { policies: Arc::new(policies), span, clock, waiting, sooner: Notify::new() })
    }

    /// The policies, for those who decide.
    pub(crate) fn policies(&self) -> Arc<Policies> {
        Arc::clone(&self.policies)
    }

    /// Lets come into force what has waited, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let sooner = self.sooner.notified();
            let now = self.clock.monotonic();
            self.apply_due();
            match self.waiting.next() {
                None => sooner.await,
                Some(due) => tokio::select! {
                    () = self.clock.sleep(due.since(now)) => {}
                    () = sooner => {}
                },
            }
        }
    }

    fn apply_due(&self) {
        let due = self.waiting.take_due(self.clock.monotonic());
        if due.is_empty() {
            return;
        }
        self.policies.update(When::Delayed, |policy| {
            for (step, assignment) in &due {
                match step {
                    Step::Assign => assign(policy, assignment),
                    Step::Revoke => revoke(policy, assignment),
                }
            }
        });
    }

    fn change(&self, before: Option<&Arc<Assignment>>, after: Option<&Arc<Assignment>>) {
        let same = |one: &Arc<Assignment>| after.is_some_and(|other| granted(one) == granted(other));
        if before.is_some_and(same) {
            return;
        }
        let swap = |policy: &mut Policy| {
            before.into_iter().for_each(|assignment| revoke(policy, assignment));
            after.into_iter().for_each(|assignment| assign(policy, assignment));
        };
        self.policies.update(When::AtOnce, swap);
        if self.span.max.is_zero() {
            self.policies.update(When::Delayed, swap);
            return;
        }
        let now = self.clock.monotonic();
        if let Some(before) = before
            && !self.waiting.cancel(Step::Assign, before)
        {
            self.waiting.add(now.plus(delay(self.span, before)), Step::Revoke, before);
        }
        if let Some(after) = after
            && !self.waiting.cancel(Step::Revoke, after)
        {
            self.waiting.add(now.plus(delay(self.span, after)), Step::Assign, after);
        }
        self.sooner.notify_one();
    }
}

impl Observer for Propagation {
    fn changed(&self, _now: &Arc<Snapshot>, changes: &[Change]) {
        for change in changes {
            if let Change::Assignment { before, after } = change {
                self.change(before.as_ref(), after.as_ref());
            }
        }
    }
}

fn granted(assignment: &Assignment) -> RoleAssignment {
    RoleAssignment {
        principal_id: assignment.principal_id.clone(),
        issuer: assignment.issuer.as_deref().map(Into::into),
        role_definition_id: assignment.role.clone(),
        scope: assignment.scope.clone(),
    }
}

fn assign(policy: &mut Policy, assignment: &Assignment) {
    if let Err(error) = policy.assign(granted(assignment)) {
        tracing::error!(id = %assignment.id, %error, "A role assignment does not count");
    }
}

fn revoke(policy: &mut Policy, assignment: &Assignment) {
    policy.revoke(&granted(assignment));
}

/// The same for an assignment at all times, and evenly spread over assignments.
fn delay(span: Span, assignment: &Assignment) -> Duration {
    let hash = assignment
        .id
        .as_str()
        .bytes()
        .fold(FNV_START, |hash, byte| (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(FNV_PRIME));
    let fraction = (hash >> 11) as f64 / (1u64 << 53) as f64;
    span.min + (span.max - span.min).mul_f64(fraction)
}

/// FNV-1a, 64 bits.
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

#[cfg(test)]
mod tests;
