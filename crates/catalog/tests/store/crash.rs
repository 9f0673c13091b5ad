//! Real processes: killed at any moment, and out of disk space.
//!
//! The children are this test binary, told by a variable which file to use.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use catalog::*;
use environment::{Rng, UnixTime};
use futures_executor::block_on;
use testkit::{ManualClock, SeededRng};

use crate::fixture::*;

const FILE: &str = "CATALOG_UNDER_TEST";
const SEED: &str = "CATALOG_SEED";
const NAMES: u64 = 8;

/// What is known of a name: the state that was answered last, and what may have become of a change without an answer.
#[derive(Clone, PartialEq, Debug)]
enum Expected {
    Exactly(bool),
    Either,
}

#[test]
fn killed_at_any_moment_nothing_is_half_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let rng = SeededRng::new(7);
    let mut expected: BTreeMap<String, Expected> = BTreeMap::new();
    for round in 0..20 {
        let mut child = start("crash::child_that_is_killed", &path, round, &[]);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        for _ in 0..=rng.next_u64() % 40 {
            note(&mut expected, &lines.next().expect("the child goes on until it is killed"));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.for_each(|line| note(&mut expected, &line));
        check(&path, &expected, round);
    }
}

#[test]
#[ignore = "the child of killed_at_any_moment_nothing_is_half_made"]
fn child_that_is_killed() {
    let (store, rng) = child();
    let actor = Actor::program("child");
    block_on(async {
        prepare(&store, &actor).await;
        loop {
            let name = format!("ws{}", rng.next_u64() % NAMES);
            let id = workspace(&name);
            let found = store.catalog().snapshot().workspace_by_id(&id).cloned();
            println!("\nbegin {name}");
            let exists = match found {
                None => {
                    store.put_workspace(&actor, &id, with_defaults(), Precondition::Absent).await.unwrap();
                    true
                }
                Some(found) => match rng.next_u64() % 3 {
                    0 => {
                        store.delete_workspace(&actor, &id, Precondition::None, true).await.unwrap();
                        false
                    }
                    1 => {
                        store.delete_workspace(&actor, &id, Precondition::None, false).await.unwrap();
                        store.restore_workspace(&actor, found.account_id).await.unwrap();
                        true
                    }
                    _ => {
                        store.delete_workspace(&actor, &id, Precondition::None, false).await.unwrap();
                        false
                    }
                },
            };
            if exists {
                // Stays as it is when it came back with the workspace.
                let rule = store.catalog().snapshot().workspace_by_id(&id).unwrap().default_rule.clone().unwrap();
                store.put_assignment(&actor, assignment(rule.as_str(), 1, "writer")).await.unwrap();
            }
            println!("\nend {name} {exists}");
        }
    });
}

fn note(expected: &mut BTreeMap<String, Expected>, line: &str) {
    // A line that the child did not finish says nothing.
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["begin", name] if name.len() == 3 => drop(expected.insert(name.to_owned(), Expected::Either)),
        ["end", name, "true"] => drop(expected.insert(name.to_owned(), Expected::Exactly(true))),
        ["end", name, "false"] => drop(expected.insert(name.to_owned(), Expected::Exactly(false))),
        _ => {}
    }
}

/// What was answered is there, and everything that is there is whole.
fn check(path: &Path, expected: &BTreeMap<String, Expected>, round: u64) {
    let store = reopen(path);
    let snapshot = store.catalog().snapshot();
    for (name, expected) in expected {
        let exists = snapshot.workspace_by_id(&workspace(name)).is_some();
        match expected {
            Expected::Exactly(wanted) => assert_eq!(exists, *wanted, "{name} after round {round}"),
            Expected::Either => {}
        }
    }
    let workspaces = snapshot.workspaces().len();
    for found in snapshot.workspaces().values() {
        let rule = snapshot.rule_by_id(found.default_rule.as_ref().unwrap()).unwrap();
        let endpoint = snapshot.endpoint_by_id(found.default_endpoint.as_ref().unwrap()).unwrap();
        assert_eq!(rule.destinations(PROMETHEUS_STREAM), Some(&[found.account_id][..]));
        assert_eq!(rule.endpoint.as_ref(), Some(&endpoint.envelope.id));
        let assigned = Snapshot::below(snapshot.assignments(), &rule.envelope.id).count();
        let begun = expected.get(found.envelope.id.name()) == Some(&Expected::Either);
        assert!(assigned == 1 || begun, "{assigned} roles on the rule of {}", found.envelope.id);
    }
    assert_eq!((snapshot.rules().len(), snapshot.endpoints().len()), (workspaces, workspaces));
    assert_eq!(snapshot.groups().len(), workspaces + usize::from(snapshot.group_by_id(&group("g")).is_some()));
    let log = block_on(store.audit(None, None, None, 1000)).unwrap();
    let gapless = log.windows(2).all(|pair| pair[0].sequence == pair[1].sequence + 1);
    assert!(gapless && log.first().is_none_or(|last| last.sequence == snapshot.revision() as i64));
}

/// The limit on file sizes stands for a full disk: a write beyond it fails, and it can be lifted.
#[test]
fn a_full_disk_refuses_changes_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    // The signal that would end the process is ignored, as a full disk sends none.
    let shell = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];
    let mut child = start("crash::child_on_a_full_disk", &path, 1, &shell);
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(child.wait().unwrap().success(), "{output}");
    let made: usize = output.lines().find_map(|line| line.strip_prefix("made ")).unwrap().parse().unwrap();
    assert!(made > 2, "{output}");
    assert_eq!(reopen(&path).catalog().snapshot().workspaces().len(), made);
}

#[test]
#[ignore = "the child of a_full_disk_refuses_changes_and_nothing_else"]
fn child_on_a_full_disk() {
    let (store, _) = child();
    let actor = Actor::program("child");
    let seen = Arc::new(Seen::default());
    store.observe(Arc::clone(&seen) as Arc<dyn Observer>);
    let put = |n: usize| {
        block_on(store.put_workspace(&actor, &workspace(&format!("ws{n}")), with_defaults(), Precondition::Absent))
    };
    block_on(prepare(&store, &actor));
    limit_files(Some(1 << 20));
    let mut made = 0;
    let error = loop {
        seen.take();
        match put(made) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
        assert!(made < 10_000, "the limit holds");
    };
    assert!(matches!(&error, StoreError::Database { action: "written", .. }), "{error}");
    let snapshot = store.catalog().snapshot();
    assert_eq!((snapshot.workspaces().len(), snapshot.rules().len()), (made, made));
    assert!(seen.take().is_empty());
    // Still full: refused again; reading goes on.
    put(made).unwrap_err();
    assert_eq!(block_on(store.audit(None, None, None, 5)).unwrap().len(), 5);
    limit_files(None);
    put(made).unwrap();
    println!("\nmade {}", made + 1);
}

fn limit_files(bytes: Option<u64>) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}

fn start(test: &str, path: &Path, seed: u64, through: &[&str]) -> Child {
    let own = std::env::current_exe().unwrap();
    let mut command = match through {
        [] => Command::new(own),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(own);
            command
        }
    };
    let arguments = [test, "--exact", "--ignored", "--nocapture", "--test-threads", "1"];
    command.args(arguments).env(FILE, path).env(SEED, seed.to_string()).stdout(Stdio::piped()).spawn().unwrap()
}

/// What the parent told this process to use.
fn child() -> (Store, SeededRng) {
    let path = PathBuf::from(std::env::var_os(FILE).expect("started by its parent"));
    let seed: u64 = std::env::var_os(SEED).unwrap().into_string().unwrap().parse().unwrap();
    (open(&path, &clock(), 1000 + seed).unwrap(), SeededRng::new(seed))
}

async fn prepare(store: &Store, actor: &Actor) {
    store.put_subscription(actor, SUBSCRIPTION.parse().unwrap(), "main").await.unwrap();
    let spec = GroupSpec { location: "local".to_owned(), ..GroupSpec::default() };
    store.put_group(actor, &group("g"), spec, Precondition::None).await.unwrap();
}

fn reopen(path: &Path) -> Store {
    open(path, &clock(), 3).unwrap()
}

fn clock() -> ManualClock {
    ManualClock::new(UnixTime::from_millis(START_MS))
}
