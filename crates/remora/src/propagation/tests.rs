use access::{Principal, WRITE_METRICS, roles};
use catalog::{ActorKind, Stamp};
use model::ResourceId;
use testkit::Simulation;

use super::*;

const NOW: i64 = 1_750_000_000;
const TEN_TO_THIRTY: Span = Span { min: Duration::from_secs(600), max: Duration::from_secs(1800) };

fn assignment(number: u32, created: i64) -> Arc<Assignment> {
    let stamp = Stamp { by: "test".to_owned(), kind: ActorKind::Key, at_ms: created * 1000 };
    let scope: ResourceId = "/subscriptions/s".parse().unwrap();
    Arc::new(Assignment {
        id: format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{number}").parse().unwrap(),
        scope,
        role: roles::MONITORING_METRICS_PUBLISHER.to_owned(),
        principal_id: format!("principal-{number}"),
        principal_type: "ServicePrincipal".to_owned(),
        issuer: None,
        description: None,
        created: stamp.clone(),
        updated: stamp,
    })
}

fn may(policies: &Policies, when: When, number: u32) -> bool {
    let principal = Principal {
        object_id: format!("principal-{number}"),
        app_id: None,
        tenant_id: None,
        mi_resource_id: None,
        issuer: "i".into(),
        name: String::new(),
    };
    policies.of(when).allows(&principal, WRITE_METRICS, &"/subscriptions/s/x".parse().unwrap()).is_allowed()
}

fn started(simulation: &Simulation, span: Span, snapshot: &Snapshot) -> Arc<Propagation> {
    Propagation::new(snapshot, span, Arc::new(simulation.clock()))
}

fn put(propagation: &Propagation, assignment: &Arc<Assignment>) {
    propagation.change(None, Some(assignment));
}

fn delete(propagation: &Propagation, assignment: &Arc<Assignment>) {
    propagation.change(Some(assignment), None);
}

/// After how many minutes `done` first holds, if it does within an hour.
fn minutes_until(simulation: &Simulation, propagation: &Propagation, done: impl Fn(&Policies) -> bool) -> Option<u32> {
    for minute in 0..60 {
        propagation.apply_due();
        if done(&propagation.policies) {
            return Some(minute);
        }
        simulation.clock().advance(Duration::from_secs(60));
    }
    None
}

#[test]
fn at_once_unless_a_span_is_set() {
    let simulation = Simulation::new(UnixTime::from_secs(NOW));
    let propagation = started(&simulation, Span::default(), &Snapshot::default());
    let one = assignment(1, NOW);
    put(&propagation, &one);
    assert!(may(&propagation.policies, When::AtOnce, 1) && may(&propagation.policies, When::Delayed, 1));
    delete(&propagation, &one);
    assert!(!may(&propagation.policies, When::AtOnce, 1) && !may(&propagation.policies, When::Delayed, 1));
}

#[test]
fn the_delayed_policy_follows_within_the_span() {
    let simulation = Simulation::new(UnixTime::from_secs(NOW));
    let propagation = started(&simulation, TEN_TO_THIRTY, &Snapshot::default());
    let mut taken = Vec::new();
    for number in 0..20 {
        let one = assignment(number, NOW);
        put(&propagation, &one);
        assert!(may(&propagation.policies, When::AtOnce, number) && !may(&propagation.policies, When::Delayed, number));
        let given = minutes_until(&simulation, &propagation, |policies| may(policies, When::Delayed, number)).unwrap();
        delete(&propagation, &one);
        assert!(!may(&propagation.policies, When::AtOnce, number) && may(&propagation.policies, When::Delayed, number));
        let gone = minutes_until(&simulation, &propagation, |policies| !may(policies, When::Delayed, number)).unwrap();
        assert_eq!(given, gone, "an assignment's delay is always the same");
        taken.push(given);
    }
    taken.sort_unstable();
    assert!(taken[0] >= 10 && taken[19] <= 30 && taken[19] - taken[0] > 8, "{taken:?}");
}

#[test]
fn what_was_taken_back_never_came_into_force() {
    let simulation = Simulation::new(UnixTime::from_secs(NOW));
    let propagation = started(&simulation, TEN_TO_THIRTY, &Snapshot::default());
    let one = assignment(1, NOW);
    for _ in 0..100 {
        put(&propagation, &one);
        delete(&propagation, &one);
    }
    assert_eq!(propagation.waiting.next(), None, "nothing is left waiting");
    assert_eq!(minutes_until(&simulation, &propagation, |policies| may(policies, When::Delayed, 1)), None);
    // The other way round: deleted and given again within the delay, it holds throughout.
    put(&propagation, &one);
    minutes_until(&simulation, &propagation, |policies| may(policies, When::Delayed, 1)).unwrap();
    delete(&propagation, &one);
    put(&propagation, &one);
    assert_eq!(minutes_until(&simulation, &propagation, |policies| !may(policies, When::Delayed, 1)), None);
}

#[test]
fn a_change_of_the_description_changes_nothing() {
    let simulation = Simulation::new(UnixTime::from_secs(NOW));
    let propagation = started(&simulation, TEN_TO_THIRTY, &Snapshot::default());
    let one = assignment(1, NOW);
    put(&propagation, &one);
    let due = propagation.waiting.next();
    let described = Arc::new(Assignment { description: Some("why".to_owned()), ..Assignment::clone(&one) });
    propagation.change(Some(&one), Some(&described));
    assert_eq!(propagation.waiting.next(), due);
    assert!(may(&propagation.policies, When::AtOnce, 1));
}

#[test]
fn the_task_wakes_when_something_is_due() {
    let mut simulation = Simulation::new(UnixTime::from_secs(NOW));
    let propagation = started(&simulation, TEN_TO_THIRTY, &Snapshot::default());
    let policies = propagation.policies();
    let one = assignment(1, NOW);
    let clock = simulation.clock();
    let seen = simulation.block_on(async move {
        let running = std::pin::pin!(Arc::clone(&propagation).run());
        let watching = std::pin::pin!(async {
            clock.sleep(Duration::from_secs(1)).await;
            put(&propagation, &one);
            clock.sleep(Duration::from_secs(599)).await;
            let early = may(&policies, When::Delayed, 1);
            clock.sleep(Duration::from_secs(1202)).await;
            (early, may(&policies, When::Delayed, 1))
        });
        tokio::select! {
            () = running => unreachable!("it runs for ever"),
            seen = watching => seen,
        }
    });
    assert_eq!(seen, (false, true));
}

/// A catalogue with one assignment, made `age` before the program starts.
fn stored(age: Duration) -> Arc<Snapshot> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let created = testkit::ManualClock::new(UnixTime::from_secs(NOW).minus(age));
    let one = assignment(1, NOW);
    let store = runtime.block_on(async {
        let (clock, rng) = (Arc::new(created), Arc::new(testkit::SeededRng::new(7)));
        let store = catalog::Store::open(":memory:".as_ref(), clock, rng, catalog::StoreSettings::default()).await?;
        let actor = catalog::Actor::program("test");
        store.put_subscription(&actor, uuid::Uuid::nil(), "s").await?;
        let scope = "/subscriptions/00000000-0000-0000-0000-000000000000";
        let id = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{}", uuid::Uuid::from_u128(1));
        let spec = catalog::AssignmentSpec {
            id: id.parse().unwrap(),
            role: one.role.clone(),
            principal_id: uuid::Uuid::from_u128(2).to_string(),
            principal_type: one.principal_type.clone(),
            issuer: None,
            description: None,
        };
        store.put_assignment(&actor, spec).await.map(|_| store)
    });
    store.unwrap().catalog().snapshot()
}

#[test]
fn a_restart_changes_nothing_about_a_delay() {
    let taken = |age: Duration| {
        let simulation = Simulation::new(UnixTime::from_secs(NOW));
        let propagation = started(&simulation, TEN_TO_THIRTY, &stored(age));
        assert_eq!(propagation.policies.current().len(), 1);
        let given = |policies: &Policies| policies.of(When::Delayed).len() == 1;
        minutes_until(&simulation, &propagation, given).expect("it comes into force")
    };
    let whole = taken(Duration::ZERO);
    assert!((10..=30).contains(&whole), "{whole}");
    assert_eq!(taken(Duration::from_secs(5 * 60)), whole - 5);
    assert_eq!(taken(Duration::from_secs(3600)), 0);
}
