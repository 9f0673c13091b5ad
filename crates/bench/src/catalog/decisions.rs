//! One decision on a write: token, rule, role, quota, as ingestion asks for them before it reads a body.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use access::{KeySet, Policies, Policy, Propagation, RoleAssignment, Verifier, VerifierSettings, WRITE_METRICS};
use anyhow::{Context as _, ensure};
use catalog::{Catalog, Fleet, PROMETHEUS_STREAM, Profile, key};
use environment::Clock as _;
use futures_util::FutureExt as _;
use host::{HostClock, HostHttp};
use quota::{Limits, Quotas};
use rustls::RootCertStore;

use crate::ingest::issuer::Issuer;
use crate::statistics::median;

const AUDIENCE: &str = "https://monitor.azure.com";

struct Decider {
    catalog: Arc<Catalog>,
    verifier: Verifier,
    audiences: Vec<String>,
    policies: Policies,
    quotas: Quotas,
    clock: HostClock,
    /// Each write: a token and the rule it is for.
    writes: Vec<(Arc<str>, String)>,
}

/// What is timed: a name, and whether it lets the write with a number pass.
type Part = (&'static str, fn(&Decider, usize) -> bool);

/// Microseconds of each part, the whole last.
pub(crate) fn measure(
    catalog: &Arc<Catalog>,
    issuer: &Issuer,
    fleet: &Fleet,
    runs: usize,
) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let decider = Decider::new(catalog, issuer, fleet)?;
    let parts: [Part; 4] = [
        ("token, verified before", |it, number| it.token(number).is_some()),
        ("rule and workspaces", |it, number| it.rule(number)),
        ("quota of rule and workspaces", |it, number| it.quota(number)),
        ("the whole decision", |it, number| it.decide(number)),
    ];
    let mut measured = Vec::new();
    for (name, part) in parts {
        // Once before it counts, so that every token was seen and every quota is made.
        let mut micros = Vec::new();
        for run in 0..=runs {
            let started = Instant::now();
            for number in 0..decider.writes.len() {
                ensure!(black_box(part(&decider, black_box(number))), "{name}: write {number} is refused");
            }
            if run > 0 {
                micros.push(started.elapsed().as_secs_f64() * 1e6 / decider.writes.len() as f64);
            }
        }
        measured.push((name, median(&micros)));
    }
    Ok(measured)
}

impl Decider {
    fn new(catalog: &Arc<Catalog>, issuer: &Issuer, fleet: &Fleet) -> anyhow::Result<Self> {
        let snapshot = catalog.snapshot();
        let assignments = snapshot.assignments().values().map(|one| RoleAssignment {
            principal_id: one.principal_id.clone(),
            issuer: one.issuer.as_deref().map(Into::into),
            role_definition_id: one.role.clone(),
            scope: one.scope.clone(),
        });
        let policy = Policy::new(assignments)?;
        ensure!(policy.len() >= fleet.assignments as usize, "the catalogue has {} role assignments", policy.len());
        let keys = Arc::new(KeySet::from_jwks(issuer.keys().as_bytes())?);
        let known = access::Issuer::local(&issuer.name(), move || Arc::clone(&keys));
        let clock = Arc::new(HostClock::new());
        let http = Arc::new(HostHttp::new(Arc::new(RootCertStore::empty()), None));
        let verifier = Verifier::with_settings([known], http, clock, VerifierSettings::default())?;
        let mut tokens: HashMap<String, Arc<str>> = HashMap::new();
        let mut writes = Vec::new();
        for step in 0..fleet.assignments {
            // Far apart from one to the next, as requests of many senders arrive. Every other assignment is to publish.
            let number = (u64::from(step) * STRIDE % u64::from(fleet.assignments)) as u32;
            if !number.is_multiple_of(2) {
                continue;
            }
            let sender = Fleet::principal(number);
            if !tokens.contains_key(&sender) && tokens.len() < SENDERS_MAX {
                tokens.insert(sender.clone(), issuer.token_of(&sender, AUDIENCE)?.into());
            }
            let Some(token) = tokens.get(&sender) else { continue };
            let rule = snapshot.rules().get(&key(&fleet.rule(number % fleet.rules))).context("a rule is missing")?;
            writes.push((Arc::clone(token), rule.immutable_id.clone()));
        }
        Ok(Self {
            catalog: Arc::clone(catalog),
            verifier,
            audiences: vec![AUDIENCE.to_owned()],
            policies: Policies::fixed(policy),
            // Nobody is to run out while this is measured.
            quotas: Quotas::new(unlimited()),
            clock: HostClock::new(),
            writes,
        })
    }

    fn token(&self, number: usize) -> Option<Arc<access::Principal>> {
        self.verifier.verify(&self.writes[number].0, &self.audiences).now_or_never()?.ok()
    }

    fn rule(&self, number: usize) -> bool {
        let snapshot = self.catalog.snapshot();
        let Some(rule) = snapshot.rule(&self.writes[number].1) else { return false };
        let Some(destinations) = rule.destinations(PROMETHEUS_STREAM) else { return false };
        destinations.iter().all(|&account| snapshot.workspace_by_account(account).is_some())
    }

    fn quota(&self, number: usize) -> bool {
        let now = self.clock.monotonic();
        let snapshot = self.catalog.snapshot();
        let Some(rule) = snapshot.rule(&self.writes[number].1) else { return false };
        self.quotas.rule(&rule.immutable_id).admit(BODY_BYTES, now).is_ok()
            && rule.destinations(PROMETHEUS_STREAM).unwrap_or_default().iter().all(|&account| {
                let quota = self.quotas.workspace(account);
                quota.check_events(now).is_ok() && quota.admit_events(SAMPLES, now).is_ok()
            })
    }

    fn decide(&self, number: usize) -> bool {
        let Some(principal) = self.token(number) else { return false };
        let snapshot = self.catalog.snapshot();
        let Some(rule) = snapshot.rule(&self.writes[number].1) else { return false };
        let Some(destinations) = rule.destinations(PROMETHEUS_STREAM) else { return false };
        let mut all_azure = true;
        for &account in destinations {
            let Some(workspace) = snapshot.workspace_by_account(account) else { return false };
            all_azure &= workspace.profile == Profile::Azure;
        }
        let propagation = if all_azure { Propagation::Delayed } else { Propagation::AtOnce };
        if !self.policies.of(propagation).allows(&principal, WRITE_METRICS, &rule.envelope.id).is_allowed() {
            return false;
        }
        let now = self.clock.monotonic();
        let quotas: Vec<_> = destinations.iter().map(|&account| self.quotas.workspace(account)).collect();
        let rule = self.quotas.rule(&rule.immutable_id);
        let admitted = quotas.iter().all(|quota| quota.check_events(now).is_ok())
            && rule.admit(BODY_BYTES, now).is_ok()
            && quotas.iter().all(|quota| quota.admit_events(SAMPLES, now).is_ok());
        rule.answered(204);
        admitted
    }
}

fn unlimited() -> Limits {
    let mut limits = Limits::default();
    limits.rule.requests_per_minute = u64::MAX / 4;
    limits.rule.bytes_per_minute = u64::MAX / 4;
    limits.workspace.events_per_minute = u64::MAX / 4;
    limits
}

/// What a request of 2,000 samples has, compressed.
const BODY_BYTES: u64 = 50_000;
const SAMPLES: u64 = 2_000;
/// A prime, so that every write comes once.
const STRIDE: u64 = 7_919;
/// Half of those that are remembered, so that every token was seen before.
const SENDERS_MAX: usize = 2_000;
