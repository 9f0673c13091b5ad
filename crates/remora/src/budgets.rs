//! Keeps quotas as the catalogue says: own limits of workspaces, and nothing of what is gone.

use std::sync::Arc;

use arc_swap::ArcSwap;
use catalog::{Change, Observer, Snapshot, Workspace};
use model::ResourceId;
use quota::Quotas;

/// Sets limits with every change of the catalogue.
pub(crate) struct Budgets {
    quotas: Arc<Quotas>,
    /// The snapshot before a change: it still knows the immutable id of a rule that is gone.
    before: ArcSwap<Snapshot>,
}

impl Budgets {
    /// Sets the limits of all workspaces in `snapshot`.
    pub(crate) fn new(quotas: Arc<Quotas>, snapshot: &Arc<Snapshot>) -> Self {
        let budgets = Self { quotas, before: ArcSwap::new(Arc::clone(snapshot)) };
        snapshot.workspaces().values().for_each(|workspace| budgets.set(workspace));
        budgets
    }

    fn set(&self, workspace: &Workspace) {
        let limits = workspace.limits;
        self.quotas.set_workspace_limits(workspace.account_id, limits.events_per_minute_max, limits.active_series_max);
    }

    fn forget_rule(&self, id: &ResourceId, before: &Snapshot, now: &Snapshot) {
        let key = catalog::key(id);
        let Some(gone) = before.rules().get(&key) else { return };
        if now.rule(&gone.immutable_id).is_none() {
            self.quotas.forget_rule(&gone.immutable_id);
        }
    }
}

impl Observer for Budgets {
    fn changed(&self, now: &Arc<Snapshot>, changes: &[Change]) {
        let before = self.before.swap(Arc::clone(now));
        for change in changes {
            match change {
                Change::Workspace(account) => match now.workspace_by_account(*account) {
                    Some(workspace) => self.set(workspace),
                    None => self.quotas.forget_workspace(*account),
                },
                Change::Resource(id) => self.forget_rule(id, &before, now),
                _ => {}
            }
        }
    }
}
