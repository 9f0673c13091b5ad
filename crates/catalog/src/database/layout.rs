//! Which layout the tables have, and how an older one becomes the one that is known here.

use std::path::Path;

use sqlx::Row;

use super::{Connection, dialect, failed, transaction};
use crate::StoreError;

/// Statements that make one layout of the one before. Never changed once released: a fixture of each stands in the tests.
pub(crate) const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_catalogue.sql")];

/// Brings the tables to the last of `migrations`, in one transaction: a crash leaves the old layout or the new one.
pub(crate) async fn bring_up(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&'static str],
) -> Result<(), StoreError> {
    let found = version(connection, path).await?;
    let known = i64::try_from(migrations.len()).expect("a handful of layouts");
    if found > known {
        return Err(StoreError::NewerLayout { path: path.display().to_string(), found, known });
    }
    if found == known {
        return Ok(());
    }
    let failed = failed("brought to the present layout");
    transaction::begin(connection).await.map_err(&failed)?;
    let migrated = migrate(connection, found, &migrations[usize::try_from(found).unwrap_or(0)..]).await;
    transaction::end(connection, migrated).await.map_err(&failed)
}

async fn migrate(connection: &mut Connection, found: i64, steps: &[&'static str]) -> Result<(), sqlx::Error> {
    if found == 0 {
        sqlx::query("CREATE TABLE layout (version BIGINT NOT NULL)").execute(&mut *connection).await?;
        sqlx::query("INSERT INTO layout (version) VALUES (0)").execute(&mut *connection).await?;
    }
    for step in steps {
        sqlx::raw_sql(*step).execute(&mut *connection).await?;
    }
    let steps = i64::try_from(steps.len()).expect("a handful of layouts");
    sqlx::query("UPDATE layout SET version = version + $1").bind(steps).execute(connection).await?;
    Ok(())
}

/// 0: there are no tables yet.
async fn version(connection: &mut Connection, path: &Path) -> Result<i64, StoreError> {
    let tables = dialect::tables(connection).await.map_err(failed("opened"))?;
    if tables.is_empty() {
        return Ok(0);
    }
    if !tables.iter().any(|table| table == "layout") {
        let reason = format!("{} is a database of something else: move it away, or name another file", path.display());
        return Err(StoreError::Database { action: "opened", reason });
    }
    let row = sqlx::query("SELECT version FROM layout").fetch_one(connection).await.map_err(failed("opened"))?;
    row.try_get(0).map_err(failed("opened"))
}

#[cfg(test)]
mod tests;
