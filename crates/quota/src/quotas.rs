//! All quotas of an installation.

use std::sync::Arc;

use arc_swap::ArcSwap;
use imbl::HashMap;
use model::{AccountId, Labels};
use parking_lot::Mutex;

use crate::active_series::{HashKey, SeriesHash};
use crate::limits::{Limits, RuleLimits, WorkspaceLimits};
use crate::rule::RuleQuota;
use crate::workspace::WorkspaceQuota;

/// The quotas of all rules and workspaces. Made when first asked for: ask only for what exists.
pub struct Quotas {
    workspaces: ArcSwap<HashMap<AccountId, Arc<WorkspaceQuota>>>,
    rules: ArcSwap<HashMap<Arc<str>, Arc<RuleQuota>>>,
    /// Who holds it may replace the maps above; readers never wait for it.
    defaults: Mutex<Limits>,
    key: Arc<HashKey>,
}

impl Quotas {
    /// Quotas of an installation that grants `defaults`.
    pub fn new(defaults: Limits) -> Self {
        Self {
            workspaces: ArcSwap::default(),
            rules: ArcSwap::default(),
            defaults: Mutex::new(defaults),
            key: Arc::new(HashKey::random()),
        }
    }

    /// What the installation grants.
    pub fn defaults(&self) -> Limits {
        *self.defaults.lock()
    }

    /// The quota of a workspace, with the installation's defaults until it is given limits.
    pub fn workspace(&self, account: AccountId) -> Arc<WorkspaceQuota> {
        if let Some(quota) = self.workspaces.load().get(&account) {
            return Arc::clone(quota);
        }
        let defaults = self.defaults.lock();
        let mut workspaces = HashMap::clone(&self.workspaces.load());
        let made = || Arc::new(WorkspaceQuota::new(account, defaults.workspace, Arc::clone(&self.key)));
        let quota = Arc::clone(workspaces.entry(account).or_insert_with(made));
        self.workspaces.store(Arc::new(workspaces));
        quota
    }

    /// The quota of a rule, by its immutable id in lower case.
    pub fn rule(&self, immutable_id: &str) -> Arc<RuleQuota> {
        if let Some(quota) = self.rules.load().get(immutable_id) {
            return Arc::clone(quota);
        }
        let defaults = self.defaults.lock();
        let mut rules = HashMap::clone(&self.rules.load());
        let id: Arc<str> = immutable_id.into();
        let made = || Arc::new(RuleQuota::new(Arc::clone(&id), defaults.rule));
        let quota = Arc::clone(rules.entry(Arc::clone(&id)).or_insert_with(made));
        self.rules.store(Arc::new(rules));
        quota
    }

    /// The quota of a workspace, if it was ever asked for.
    pub fn workspace_used(&self, account: AccountId) -> Option<Arc<WorkspaceQuota>> {
        self.workspaces.load().get(&account).cloned()
    }

    /// The quota of a rule, if it was ever asked for.
    pub fn rule_used(&self, immutable_id: &str) -> Option<Arc<RuleQuota>> {
        self.rules.load().get(immutable_id).cloned()
    }

    /// Sets a workspace's own limits; `None` is the installation's default.
    pub fn set_workspace_limits(
        &self,
        account: AccountId,
        events_per_minute: Option<u64>,
        active_series: Option<u64>,
    ) -> WorkspaceLimits {
        let WorkspaceLimits { events_per_minute: events, active_series: series } = self.defaults().workspace;
        let limits = WorkspaceLimits {
            events_per_minute: events_per_minute.unwrap_or(events),
            active_series: active_series.unwrap_or(series),
        };
        self.workspace(account).set_limits(limits);
        limits
    }

    /// Sets what every rule may take, present and future ones.
    pub fn set_rule_limits(&self, limits: RuleLimits) {
        let mut defaults = self.defaults.lock();
        defaults.rule = limits;
        for quota in self.rules.load().values() {
            quota.set_limits(limits);
        }
    }

    /// Forgets a workspace that is gone. Who still holds its quota counts for nobody.
    pub fn forget_workspace(&self, account: AccountId) {
        let _writer = self.defaults.lock();
        self.workspaces.store(Arc::new(self.workspaces.load().without(&account)));
    }

    /// Forgets a rule that is gone.
    pub fn forget_rule(&self, immutable_id: &str) {
        let _writer = self.defaults.lock();
        self.rules.store(Arc::new(self.rules.load().without(immutable_id)));
    }

    /// The hash by which all workspaces know a series.
    pub fn series_hash(&self, labels: &Labels) -> SeriesHash {
        self.key.hash(labels)
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use environment::Monotonic;

    use super::*;

    const NOW: Monotonic = Monotonic::from_duration(Duration::from_secs(1));

    fn account(number: u128) -> AccountId {
        AccountId(format!("{number:032x}").parse().unwrap())
    }

    #[test]
    fn each_has_its_own() {
        let limits = RuleLimits { requests_per_minute: 1, bytes_per_minute: 10 };
        let quotas = Quotas::new(Limits { rule: limits, ..Limits::default() });
        quotas.rule("dcr-1").admit(1, NOW).unwrap();
        quotas.rule("dcr-1").admit(1, NOW).unwrap_err();
        quotas.rule("dcr-2").admit(1, NOW).unwrap();
        assert!(Arc::ptr_eq(&quotas.rule("dcr-1"), &quotas.rule("dcr-1")));
        assert!(quotas.rule_used("dcr-3").is_none());
        quotas.forget_rule("dcr-1");
        quotas.rule("dcr-1").admit(1, NOW).unwrap();
    }

    #[test]
    fn limits_of_a_workspace_stand_before_the_defaults() {
        let quotas = Quotas::default();
        assert_eq!(quotas.workspace(account(1)).limits(), WorkspaceLimits::default());
        let set = quotas.set_workspace_limits(account(1), Some(5), None);
        assert_eq!(set, WorkspaceLimits { events_per_minute: 5, active_series: 1_000_000 });
        assert_eq!(quotas.workspace(account(1)).limits(), set);
        assert_eq!(quotas.workspace(account(2)).limits(), WorkspaceLimits::default());
        quotas.forget_workspace(account(1));
        assert!(quotas.workspace_used(account(1)).is_none());
        assert_eq!(quotas.workspace(account(1)).limits(), WorkspaceLimits::default());
    }

    #[test]
    fn limits_of_rules_change_for_all() {
        let quotas = Quotas::default();
        let before = quotas.rule("dcr-1");
        quotas.set_rule_limits(RuleLimits { requests_per_minute: 0, bytes_per_minute: 0 });
        before.admit(0, NOW).unwrap_err();
        quotas.rule("dcr-2").admit(0, NOW).unwrap_err();
    }

    #[test]
    fn threads_that_ask_at_once_get_the_same() {
        let quotas = Quotas::default();
        let asked = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| (quotas.workspace(account(1)), quotas.rule("dcr-1")))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(
            asked
                .iter()
                .all(|(workspace, rule)| { Arc::ptr_eq(workspace, &asked[0].0) && Arc::ptr_eq(rule, &asked[0].1) })
        );
    }
}
