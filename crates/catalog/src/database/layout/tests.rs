use futures_executor::block_on;
use sqlx::Connection as _;

use super::*;

const PATH: &str = "/somewhere/catalog.db";

async fn run(connection: &mut Connection, migrations: &[&'static str]) -> Result<(), StoreError> {
    bring_up(connection, Path::new(PATH), migrations).await
}

async fn text(connection: &mut Connection, statement: &'static str) -> String {
    let row = sqlx::query(statement).fetch_one(connection).await.unwrap();
    row.try_get::<String, _>(0).unwrap_or_else(|_| row.get::<i64, _>(0).to_string())
}

#[test]
fn an_older_layout_is_brought_up_with_its_rows() {
    block_on(async {
        let mut connection = dialect::connect_writer(None).await.unwrap();
        let mut migrations = MIGRATIONS.to_vec();
        run(&mut connection, &migrations).await.unwrap();
        sqlx::query("INSERT INTO subscriptions VALUES ('a', 'b')").execute(&mut connection).await.unwrap();
        migrations.push("ALTER TABLE subscriptions ADD COLUMN colour TEXT; UPDATE subscriptions SET colour = 'red'");
        migrations.push("UPDATE subscriptions SET colour = 'blue' WHERE colour = 'red'");
        run(&mut connection, &migrations).await.unwrap();
        assert_eq!(text(&mut connection, "SELECT colour FROM subscriptions").await, "blue");
        assert_eq!(text(&mut connection, "SELECT version FROM layout").await, migrations.len().to_string());
        // Once.
        run(&mut connection, &migrations).await.unwrap();

        let error = run(&mut connection, MIGRATIONS).await.unwrap_err();
        let known = MIGRATIONS.len() as i64;
        assert!(
            matches!(&error, StoreError::NewerLayout { path, found, known: k } if path == PATH && *found == known + 2 && *k == known),
            "{error}"
        );
        connection.close().await.unwrap();
    });
}

#[test]
fn a_migration_that_fails_leaves_the_old_layout() {
    block_on(async {
        let mut connection = dialect::connect_writer(None).await.unwrap();
        run(&mut connection, MIGRATIONS).await.unwrap();
        let mut migrations = MIGRATIONS.to_vec();
        migrations.push("ALTER TABLE subscriptions ADD COLUMN colour TEXT; DROP TABLE missing");
        let error = run(&mut connection, &migrations).await.unwrap_err();
        assert!(error.to_string().contains("no such table"), "{error}");
        assert_eq!(text(&mut connection, "SELECT version FROM layout").await, MIGRATIONS.len().to_string());
        assert!(sqlx::query("SELECT colour FROM subscriptions").fetch_all(&mut connection).await.is_err());
        // The rest of the way is tried again.
        *migrations.last_mut().unwrap() = "ALTER TABLE subscriptions ADD COLUMN colour TEXT";
        run(&mut connection, &migrations).await.unwrap();
    });
}
