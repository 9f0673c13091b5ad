use std::time::Duration;

use environment::UnixTime;
use model::AccountId;
use testkit::{ManualClock, SeededRng};
use uuid::Uuid;

use super::*;
use crate::{Change, Item, WorkspaceSpec, change};

#[derive(Default)]
struct Told(Mutex<usize>);

impl Observer for Told {
    fn changed(&self, _: &Arc<Snapshot>, changes: &[Change]) {
        *self.0.lock().unwrap() += changes.len();
    }
}

struct Fixture {
    writer: Writer,
    catalog: Arc<Catalog>,
    told: Arc<Told>,
    actor: Actor,
}

impl Fixture {
    fn new(file: Option<PathBuf>) -> Self {
        let catalog = Arc::new(Catalog::new(Snapshot::default()));
        let told = Arc::new(Told::default());
        let parts = WriterParts {
            file,
            catalog: Arc::clone(&catalog),
            observers: Arc::new(Mutex::new(vec![Arc::clone(&told) as Arc<dyn Observer>])),
            settings: StoreSettings::default(),
            clock: Arc::new(ManualClock::new(UnixTime::from_secs(1_000))),
            rng: Arc::new(SeededRng::new(1)),
        };
        let mut writer = Writer::open(parts).unwrap();
        let actor = Actor::program("test");
        let subscription = Uuid::from_u128(1);
        writer.change(&actor, |draft| change::subscription::put(draft, subscription, "main")).unwrap();
        let id = format!("/subscriptions/{subscription}/resourceGroups/g").parse().unwrap();
        let spec = crate::GroupSpec { location: "local".to_owned(), ..crate::GroupSpec::default() };
        writer.change(&actor, |draft| change::put_item(draft, Item::Group(id, spec))).unwrap();
        Self { writer, catalog, told, actor }
    }

    fn workspace(&mut self, name: &str) -> Result<(), StoreError> {
        let group = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/g";
        let id = format!("{group}/providers/Microsoft.Monitor/accounts/{name}").parse().unwrap();
        let spec = WorkspaceSpec { location: "local".to_owned(), with_defaults: true, ..WorkspaceSpec::default() };
        self.writer.change(&self.actor, |draft| change::put_item(draft, Item::Workspace(id, spec)))
    }

    fn execute(&mut self, statement: &'static str) {
        block_on(sqlx::raw_sql(statement).execute(self.writer.connection())).unwrap();
    }

    /// A change fails for `reason` and leaves everything as it was; after `mend` changes are made again.
    #[track_caller]
    fn refuses_until(&mut self, reason: &str, mend: &'static str) {
        let (before, told) = (self.catalog.snapshot(), *self.told.0.lock().unwrap());
        for _ in 0..3 {
            let error = self.workspace("refused").unwrap_err();
            assert!(matches!(error, StoreError::Database { action: "written", .. }), "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
        assert!(Arc::ptr_eq(&before, &self.catalog.snapshot()));
        assert_eq!(*self.told.0.lock().unwrap(), told);
        self.execute(mend);
        self.workspace("mended").unwrap();
        assert!(*self.told.0.lock().unwrap() > told);
        let (snapshot, sequence) = block_on(database::load::load(self.writer.connection())).unwrap();
        assert!(snapshot.workspace("mended").is_some() && snapshot.workspace("refused").is_none());
        assert_eq!(sequence, self.writer.sequence);
        let now = self.catalog.snapshot();
        assert!(snapshot.workspaces().values().eq(now.workspaces().values()));
        assert!(snapshot.rules().values().eq(now.rules().values()));
    }
}

#[test]
fn a_full_database_refuses_changes_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    for file in [None, Some(directory.path().join("catalog.db"))] {
        let mut f = Fixture::new(file);
        // Fewer than there are already: not one more page.
        f.execute("PRAGMA max_page_count = 1");
        let made = (0..100).take_while(|n| f.workspace(&format!("ws{n}")).is_ok()).count();
        assert!(made < 100, "the bound holds");
        f.refuses_until("make room on the disk", "PRAGMA max_page_count = 1000000");
        f.writer.close();
    }
}

#[test]
fn a_database_that_cannot_be_written_refuses_changes() {
    let mut f = Fixture::new(None);
    f.execute("PRAGMA query_only = ON");
    f.refuses_until("cannot be written", "PRAGMA query_only = OFF");
}

#[test]
fn what_fails_in_the_middle_is_undone() {
    let mut f = Fixture::new(None);
    // The rule's row is the last of a workspace's; the lines of the audit log come after it.
    for (break_it, mend) in [
        (
            "CREATE TRIGGER t BEFORE INSERT ON rules BEGIN SELECT RAISE(ABORT, 'broken on purpose'); END",
            "DROP TRIGGER t",
        ),
        (
            "CREATE TRIGGER t BEFORE INSERT ON audit BEGIN SELECT RAISE(ROLLBACK, 'broken on purpose'); END",
            "DROP TRIGGER t",
        ),
        (
            "CREATE TRIGGER t BEFORE INSERT ON audit BEGIN SELECT RAISE(FAIL, 'broken on purpose'); END",
            "DROP TRIGGER t; DELETE FROM audit WHERE sequence < 0",
        ),
    ] {
        f.execute(break_it);
        f.refuses_until("broken on purpose", mend);
        f.writer
            .change(&f.actor, |draft| {
                let account: AccountId = draft.next.workspace("mended").unwrap().account_id;
                let id = draft.next.workspace_by_account(account).unwrap().envelope.id.clone();
                change::workspace::delete(draft, &id, &crate::Precondition::None, true)
            })
            .unwrap();
    }
}

#[test]
fn a_transaction_that_was_left_open_is_not_in_the_way() {
    let mut f = Fixture::new(None);
    f.execute("BEGIN");
    f.execute("INSERT INTO declared VALUES ('left open')");
    f.workspace("ws").unwrap();
    let (snapshot, _) = block_on(database::load::load(f.writer.connection())).unwrap();
    assert!(snapshot.workspace("ws").is_some() && !snapshot.is_declared("left open"));
}

#[test]
fn the_database_is_told_to_keep_its_promises() {
    let directory = tempfile::tempdir().unwrap();
    let mut f = Fixture::new(Some(directory.path().join("catalog.db")));
    for (pragma, expected) in [
        ("PRAGMA journal_mode", "wal"),
        ("PRAGMA synchronous", "2"),
        ("PRAGMA foreign_keys", "1"),
        ("PRAGMA busy_timeout", "5000"),
    ] {
        use sqlx::Row;
        let row = block_on(sqlx::query(pragma).fetch_one(f.writer.connection())).unwrap();
        let text = row.try_get::<String, _>(0).unwrap_or_else(|_| row.get::<i64, _>(0).to_string());
        assert_eq!(text, expected, "{pragma}");
    }
    assert_eq!(StoreSettings::default().workspace_retention, Duration::from_secs(14 * 24 * 3600));
}
