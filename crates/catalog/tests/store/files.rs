//! The file itself: whose it is, what is refused, copies.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use catalog::*;
use environment::UnixTime;
use futures_executor::block_on;
use sqlx::Connection;
use testkit::ManualClock;

use crate::fixture::*;

fn try_open(path: &Path) -> Result<Store, StoreError> {
    open(path, &ManualClock::new(UnixTime::from_millis(START_MS)), 5)
}

fn execute(path: &Path, statements: &'static str) {
    block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

#[track_caller]
fn refused(path: &Path, expected: &[&str]) {
    let error = try_open(path).map(drop).unwrap_err().to_string();
    for part in expected.iter().copied().chain([path.to_str().unwrap()]) {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn belongs_to_the_owner_alone() {
    let f = Fixture::new(Backend::File);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(f.path().parent().unwrap()), 0o700);
    for entry in std::fs::read_dir(f.path().parent().unwrap()).unwrap() {
        let entry = entry.unwrap().path();
        assert_eq!(mode(&entry), 0o600, "{}", entry.display());
    }
    let path = f.path();
    block_on(f.store.close());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(try_open(&path).unwrap());
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn is_written_by_one_process_at_a_time() {
    let f = Fixture::new(Backend::File);
    refused(&f.path(), &["another process has it open"]);
    block_on(f.store.close());
    drop(try_open(&f.path()).unwrap());
    drop(try_open(&f.path()).unwrap());
}

#[test]
fn of_a_newer_version_is_refused_and_left_alone() {
    let f = Fixture::new(Backend::File);
    block_on(f.store.close());
    execute(&f.path(), "UPDATE layout SET version = 99");
    let before = std::fs::read(f.path()).unwrap();
    let error = try_open(&f.path()).map(drop).unwrap_err();
    assert!(matches!(&error, StoreError::NewerLayout { found: 99, known: 1, .. }), "{error}");
    assert!(error.to_string().contains(f.path().to_str().unwrap()), "{error}");
    assert_eq!(std::fs::read(f.path()).unwrap(), before);
}

#[test]
fn that_is_no_catalogue_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("garbage.db");
    std::fs::write(&path, b"this is text, and it is longer than the header of a database is".repeat(100)).unwrap();
    refused(&path, &["cannot be opened", "file is not a database", "restore a backup"]);

    let path = directory.path().join("other.db");
    execute(&path, "CREATE TABLE songs (name TEXT)");
    refused(&path, &["is a database of something else"]);

    let path = directory.path().join("directory.db");
    std::fs::create_dir(&path).unwrap();
    refused(&path, &["cannot be opened"]);
}

#[test]
fn that_is_damaged_is_refused() {
    for (damage, expected) in [
        ("UPDATE workspaces SET body = '{'", "a row of it is damaged"),
        ("UPDATE rules SET body = '{}'", "missing field"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM workspaces", "which does not exist"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM endpoints", "which does not exist"),
        ("INSERT INTO assignments VALUES ('x', '{\"id\":\"/x\"}')", "a row of it is damaged"),
        ("DROP TABLE identities", "no such table"),
        ("DROP TABLE layout; CREATE TABLE layout (x TEXT)", "no such column"),
    ] {
        let f = Fixture::new(Backend::File);
        f.workspace("ws");
        block_on(f.store.close());
        execute(&f.path(), damage);
        refused(&f.path(), &["the catalogue cannot be", expected]);
    }
}

#[test]
fn with_torn_pages_is_refused() {
    let f = Fixture::new(Backend::File);
    let items = (0..200).map(|n| Item::Workspace(workspace(&format!("ws{n}")), with_defaults())).collect();
    block_on(f.store.put_all(&f.actor, items)).unwrap();
    block_on(f.store.close());
    let whole = std::fs::read(f.path()).unwrap();
    let mut torn = whole.clone();
    // Everything but the first page, which says what the file is, and the last ones.
    let middle = torn.len() - 8192;
    torn[8192..middle].fill(0xa5);
    std::fs::write(f.path(), &torn).unwrap();
    refused(&f.path(), &["damaged", "restore a backup"]);
    std::fs::write(f.path(), &whole[..whole.len() / 2]).unwrap();
    refused(&f.path(), &["the catalogue cannot be"]);
    std::fs::write(f.path(), &whole).unwrap();
    drop(try_open(&f.path()).unwrap());
}

#[test]
fn is_copied_while_it_changes() {
    let f = Fixture::new(Backend::File);
    let items = (0..500).map(|n| Item::Workspace(workspace(&format!("ws{n}")), with_defaults())).collect();
    block_on(f.store.put_all(&f.actor, items)).unwrap();
    let copy = f.directory().join("copy.db");
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            for n in 0..50 {
                f.rule(&format!("r{n}"), &["ws1"]);
            }
        });
        block_on(f.store.backup(&copy)).unwrap();
        changing.join().unwrap();
    });
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let again = block_on(f.store.backup(&copy)).unwrap_err();
    assert!(again.to_string().contains("exists"), "{again}");
    assert!(block_on(f.store.backup(&f.directory().join("no/such/directory.db"))).is_err());

    let store = try_open(&copy).unwrap();
    let (copied, now) = (store.catalog().snapshot(), f.snapshot());
    assert!(copied.workspaces().values().eq(now.workspaces().values()));
    assert!(copied.rules().len() >= 500 && copied.rules().len() <= now.rules().len());
    // Both go on by themselves.
    f.rule("later", &["ws1"]);
    assert!(store.catalog().snapshot().rule_by_id(&rule("later")).is_none());
}

#[test]
fn in_memory_is_copied_too() {
    let f = Fixture::new(Backend::Memory);
    let made = f.workspace("ws");
    let copy = f.directory().join("copy.db");
    block_on(f.store.backup(&copy)).unwrap();
    assert_eq!(**try_open(&copy).unwrap().catalog().snapshot().workspace("ws").unwrap(), *made);
    f.group("after");
}

/// What every released layout once held. A new layout adds a file; none is ever made again.
#[test]
fn of_every_released_layout_opens() {
    let layouts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/layouts");
    for version in 1..=1 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        std::fs::copy(layouts.join(format!("{version}.db")), &path).unwrap();
        let store = try_open(&path).unwrap();
        let now = store.catalog().snapshot();
        let found = now.workspace("metrics").unwrap();
        let rule = now.rule_by_id(found.default_rule.as_ref().unwrap()).unwrap();
        assert_eq!(rule.destinations(PROMETHEUS_STREAM), Some(&[found.account_id][..]));
        assert_eq!(now.assignments_of("writer").next().unwrap().scope, rule.envelope.id);
        assert_eq!(now.applications().values().next().unwrap().secrets.len(), 1);
        assert_eq!(now.identities().values().next().unwrap().federations.len(), 1);
        assert_eq!(now.deleted_workspaces().values().next().unwrap().workspace.handle, "gone");
        assert!(now.is_declared("a declaration"));
        assert!(block_on(store.audit(None, None, None, 100)).unwrap().len() > 10);
    }
}

#[test]
#[ignore = "makes the file of the present layout, once: MAKE_LAYOUT names it"]
fn make_the_file_of_a_layout() {
    let f = Fixture::new(Backend::File);
    let made = f.workspace("metrics");
    f.assign(made.default_rule.as_ref().unwrap().as_str(), 1, "writer");
    f.rule("own", &["metrics"]);
    f.endpoint("host");
    let application = f.application("ci");
    let secret = ApplicationSecret {
        key_id: uuid::Uuid::from_u128(1),
        name: "first".to_owned(),
        hint: "abc".to_owned(),
        sha256_hex: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        expires_at: None,
    };
    let change = CredentialChange::AddSecret(secret);
    block_on(f.store.change_application(&f.actor, application.client_id, change)).unwrap();
    let user = f.identity("writer");
    let federation = Federation {
        id: uuid::Uuid::from_u128(2),
        name: "pod".to_owned(),
        issuer: "https://issuer.example".to_owned(),
        subject: "system:serviceaccount:monitoring:prometheus".to_owned(),
        audience: "api://AzureADTokenExchange".to_owned(),
        key_set: None,
    };
    let change = CredentialChange::PutFederation(federation);
    block_on(f.store.change_identity(&f.actor, &user.envelope.id, change)).unwrap();
    f.workspace("gone");
    f.rule("detached", &["gone"]);
    f.delete_workspace("gone", false);
    block_on(f.store.declare("a declaration")).unwrap();
    let to = std::env::var_os("MAKE_LAYOUT").expect("names the file to make");
    block_on(f.store.backup(Path::new(&to))).unwrap();
}
