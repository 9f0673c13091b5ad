//! What a decision costs, and what a change of one role assignment costs, with few and with very many of them.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that cannot be set up shall stop")]

use std::time::Duration;

use access::{Action, Policies, Policy, Principal, Propagation, RoleAssignment, WRITE_METRICS, roles};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use model::ResourceId;

const SUBSCRIPTION: &str = "/subscriptions/0a1b2c3d-0000-4000-8000-000000000001";

fn rule(number: u32) -> ResourceId {
    let group = number % 100;
    format!("{SUBSCRIPTION}/resourceGroups/rg-{group}/providers/Microsoft.Insights/dataCollectionRules/rule-{number}")
        .parse()
        .unwrap()
}

fn principal(number: u32) -> Principal {
    Principal {
        object_id: format!("6f1c2f3e-0000-4000-8000-{number:012}"),
        app_id: None,
        tenant_id: None,
        mi_resource_id: None,
        issuer: "https://login.example/v2.0".into(),
        name: "sender".to_owned(),
    }
}

fn publisher(who: u32, at: u32) -> RoleAssignment {
    RoleAssignment {
        principal_id: principal(who).object_id,
        issuer: None,
        role_definition_id: roles::MONITORING_METRICS_PUBLISHER.to_owned(),
        scope: rule(at),
    }
}

fn decisions(criterion: &mut Criterion) {
    let manage = Action::Management("Microsoft.Insights/dataCollectionRules/write");
    for (shape, policy) in [
        ("10_of_one_principal", Policy::new((0..10).map(|at| publisher(0, at))).unwrap()),
        ("100k_of_one_principal", Policy::new((0..100_000).map(|at| publisher(0, at))).unwrap()),
        ("100k_of_10k_principals", Policy::new((0..100_000).map(|at| publisher(at % 10_000, at))).unwrap()),
        ("100k_of_100k_principals", Policy::new((0..100_000).map(|at| publisher(at, at))).unwrap()),
    ] {
        let (who, own, foreign) = (principal(0), rule(0), rule(1_000_001));
        assert!(policy.allows(&who, WRITE_METRICS, &own).is_allowed());
        assert!(!policy.allows(&who, WRITE_METRICS, &foreign).is_allowed());
        criterion.bench_function(&format!("allows/{shape}"), |bencher| {
            bencher.iter(|| policy.allows(&who, WRITE_METRICS, &own).is_allowed());
        });
        criterion.bench_function(&format!("allows_not/{shape}"), |bencher| {
            bencher.iter(|| policy.allows(&who, manage, &foreign).is_allowed());
        });
        let policies = Policies::fixed(policy);
        criterion.bench_function(&format!("assign_and_revoke/{shape}"), |bencher| {
            bencher.iter_batched(
                || publisher(0, 2_000_000),
                |assignment| {
                    policies.update(Propagation::AtOnce, |policy| policy.assign(assignment.clone()).unwrap());
                    policies.update(Propagation::AtOnce, |policy| assert!(policy.revoke(&assignment)));
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn building(criterion: &mut Criterion) {
    let assignments: Vec<_> = (0..100_000).map(|at| publisher(at % 10_000, at)).collect();
    criterion.bench_function("policy/of_100k_assignments", |bencher| {
        bencher.iter_batched(|| assignments.clone(), |all| Policy::new(all).unwrap(), BatchSize::LargeInput);
    });
}

criterion_group! {
    name = group;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).sample_size(10);
    targets = decisions, building
}
criterion_main!(group);
