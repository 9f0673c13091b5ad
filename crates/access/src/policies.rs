//! The role assignments in force, as those who decide read them.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::Policy;

/// When a change of role assignments comes into force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Propagation {
    /// With the answer to the one who changed it.
    AtOnce,
    /// Some time later, as in Azure. How much later is not known here: whoever makes the change waits.
    Delayed,
}

/// Two policies, replaced while requests are decided: one as the assignments are, one as they were some time ago.
///
/// Reading takes no lock; what was read stays as it is while it is held. Decisions on resources of the profile *azure*
/// read the delayed one, all others the current one.
#[derive(Debug)]
pub struct Policies {
    current: ArcSwap<Policy>,
    delayed: ArcSwap<Policy>,
}

impl Policies {
    /// `policy` for both.
    pub fn fixed(policy: Policy) -> Self {
        Self { delayed: ArcSwap::from_pointee(policy.clone()), current: ArcSwap::from_pointee(policy) }
    }

    /// As assignments are.
    pub fn current(&self) -> Guard<Arc<Policy>> {
        self.current.load()
    }

    /// As they are, or as they were some time ago.
    pub fn of(&self, propagation: Propagation) -> Guard<Arc<Policy>> {
        self.slot(propagation).load()
    }

    /// Puts `policy` in place; decisions that begin afterwards follow it.
    pub fn replace(&self, propagation: Propagation, policy: Policy) {
        self.slot(propagation).store(Arc::new(policy));
    }

    /// Changes a policy. `change` may run several times, when others change it at the same time; all changes count.
    pub fn update(&self, propagation: Propagation, mut change: impl FnMut(&mut Policy)) {
        self.slot(propagation).rcu(|policy| {
            let mut changed = Policy::clone(policy);
            change(&mut changed);
            changed
        });
    }

    fn slot(&self, propagation: Propagation) -> &ArcSwap<Policy> {
        match propagation {
            Propagation::AtOnce => &self.current,
            Propagation::Delayed => &self.delayed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Principal, READ_METRICS, RoleAssignment, roles};

    fn assignment(number: u32) -> RoleAssignment {
        RoleAssignment {
            principal_id: format!("principal-{number}"),
            issuer: None,
            role_definition_id: roles::MONITORING_DATA_READER.to_owned(),
            scope: "/subscriptions/s".parse().unwrap(),
        }
    }

    fn allowed(policies: &Policies, propagation: Propagation, number: u32) -> bool {
        let principal = Principal {
            object_id: format!("principal-{number}"),
            app_id: None,
            tenant_id: None,
            mi_resource_id: None,
            issuer: "i".into(),
            name: String::new(),
        };
        policies.of(propagation).allows(&principal, READ_METRICS, &"/subscriptions/s/x".parse().unwrap()).is_allowed()
    }

    #[test]
    fn each_is_changed_by_itself() {
        let policies = Policies::fixed(Policy::new([assignment(0)]).unwrap());
        let held = policies.current();
        policies.update(Propagation::AtOnce, |policy| {
            assert!(policy.revoke(&assignment(0)));
            policy.assign(assignment(1)).unwrap();
        });
        let see = |propagation| [allowed(&policies, propagation, 0), allowed(&policies, propagation, 1)];
        assert_eq!(see(Propagation::AtOnce), [false, true]);
        assert_eq!(see(Propagation::Delayed), [true, false]);
        assert_eq!(held.len(), 1, "what was read stays");
        policies.replace(Propagation::Delayed, Policy::clone(&policies.current()));
        assert_eq!(see(Propagation::Delayed), [false, true]);
    }

    #[test]
    fn changes_from_several_threads_all_count() {
        let policies = Policies::fixed(Policy::default());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let policies = &policies;
                scope.spawn(move || {
                    for number in 0..100 {
                        policies.update(Propagation::AtOnce, |policy| {
                            policy.assign(assignment(thread * 100 + number)).unwrap();
                        });
                    }
                });
            }
        });
        assert_eq!(policies.current().len(), 400);
        assert!((0..400).all(|number| allowed(&policies, Propagation::AtOnce, number)));
    }
}
