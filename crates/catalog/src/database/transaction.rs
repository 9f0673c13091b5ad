//! Begins and ends transactions by plain statements.
//!
//! Not by `sqlx::Transaction`: it counts how deep it is nested, and when SQLite has rolled back by itself, as it does when the
//! disk is full, the count stays one too high for ever. What comes then is a savepoint that nobody commits.

use super::Connection;

pub(super) async fn begin(connection: &mut Connection) -> Result<(), sqlx::Error> {
    if sqlx::raw_sql("BEGIN").execute(&mut *connection).await.is_ok() {
        return Ok(());
    }
    // One that could not be rolled back when it failed is in the way.
    let _ = sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await;
    sqlx::raw_sql("BEGIN").execute(connection).await.map(|_| ())
}

/// Commits when `outcome` is good, otherwise rolls back. On an error nothing of the transaction stays.
pub(super) async fn end(connection: &mut Connection, outcome: Result<(), sqlx::Error>) -> Result<(), sqlx::Error> {
    let committed = match outcome {
        Ok(()) => sqlx::raw_sql("COMMIT").execute(&mut *connection).await.map(|_| ()),
        Err(error) => Err(error),
    };
    if committed.is_err() {
        // Refused when the database has done it by itself; there is nothing to roll back then.
        let _ = sqlx::raw_sql("ROLLBACK").execute(connection).await;
    }
    committed
}
