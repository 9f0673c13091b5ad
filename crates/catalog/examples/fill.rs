//! Fills a catalogue with a large installation, opens it again, changes it, and says how long each took:
//! `fill FILE [WORKSPACES RULES ASSIGNMENTS]`.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program that measures and prints")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use catalog::{Actor, AssignmentSpec, Fleet, Precondition, Store, StoreError, StoreSettings, WorkspaceSpec};
use environment::UnixTime;
use futures_executor::block_on;
use testkit::{ManualClock, SeededRng};
use uuid::Uuid;

fn main() -> Result<(), StoreError> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().expect("the first argument names the file");
    let mut count = |otherwise| arguments.next().map_or(otherwise, |text| text.parse().expect("a count"));
    let (workspaces, rules, assignments) = (count(1_000), count(10_000), count(100_000));
    let fleet = Fleet { subscription: Uuid::from_u128(0xaa), workspaces, rules, assignments };
    let actor = Actor::program("fill");

    if !Path::new(&file).exists() {
        let store = open(&file, 1)?;
        let start = Instant::now();
        block_on(store.put_subscription(&actor, fleet.subscription, "fleet"))?;
        block_on(store.put_all(&actor, fleet.items()))?;
        println!("fill: {:?}", start.elapsed());
        block_on(store.close());
    }
    let (start, cpu) = (Instant::now(), cpu_ms());
    let store = open(&file, u64::from(std::process::id()))?;
    println!("open: {:?}, of processors {} ms", start.elapsed(), cpu_ms() - cpu);
    let snapshot = store.catalog().snapshot();
    println!(
        "{} workspaces, {} endpoints, {} rules, {} assignments",
        snapshot.workspaces().len(),
        snapshot.endpoints().len(),
        snapshot.rules().len(),
        snapshot.assignments().len()
    );

    timed("put_workspace with defaults, and delete_workspace", 50, |n| {
        let id = fleet.workspace(0).to_string().replace("workspace-0", &format!("new-{n}")).parse().expect("an id");
        let spec = WorkspaceSpec { location: "local".to_owned(), with_defaults: true, ..WorkspaceSpec::default() };
        block_on(store.put_workspace(&actor, &id, spec, Precondition::None))?;
        block_on(store.delete_workspace(&actor, &id, Precondition::None, true)).map(drop)
    })?;
    timed("put_assignment", 100, |n| {
        let name = Uuid::from_u128(u128::from(std::process::id()) << 32 | u128::from(n));
        let spec = AssignmentSpec {
            id: format!("{}/providers/Microsoft.Authorization/roleAssignments/{name}", fleet.workspace(n))
                .parse()
                .expect("an id"),
            role: "8e3af657-a8ff-443c-a75c-2fe8c4bcb635".to_owned(),
            principal_id: name.to_string(),
            principal_type: "ServicePrincipal".to_owned(),
            issuer: None,
            description: None,
        };
        block_on(store.put_assignment(&actor, spec)).map(drop)
    })?;
    timed("delete_rule", 100, |n| block_on(store.delete_rule(&actor, &fleet.rule(n), Precondition::None)).map(drop))?;
    timed("audit, 100 lines", 100, |_| block_on(store.audit(None, None, None, 100)).map(drop))?;
    let copy = format!("{file}.copy");
    timed("backup", 1, |_| block_on(store.backup(Path::new(&copy))))?;
    std::fs::remove_file(&copy).expect("just made");
    block_on(store.close());
    Ok(())
}

fn open(file: &str, seed: u64) -> Result<Store, StoreError> {
    let clock = Arc::new(ManualClock::new(UnixTime::from_secs(1_700_000_000)));
    block_on(Store::open(Path::new(file), clock, Arc::new(SeededRng::new(seed)), StoreSettings::default()))
}

fn timed(what: &str, times: u32, mut work: impl FnMut(u32) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let start = Instant::now();
    for n in 0..times {
        work(n)?;
    }
    println!("{what}: {:?} each", start.elapsed() / times);
    Ok(())
}

/// What this process has used of processors: on a machine that others use too, more honest than the clock.
fn cpu_ms() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux says so of every process");
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // In hundredths of a second: user and system, the 14th and 15th of all, the first two are cut off.
    fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number") * 10).sum()
}
