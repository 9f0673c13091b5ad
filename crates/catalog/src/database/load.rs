//! Everything that exists, read once at the start.

use std::sync::Arc;

use futures_util::TryStreamExt;
use serde::de::DeserializeOwned;
use sqlx::Row;

use super::dialect::DatabaseRow;
use super::{Connection, failed};
use crate::resources::StoredDeletion;
use crate::{Snapshot, StoreError};

/// The snapshot that the tables make, checked to fit together; and the number of the last line in the audit log.
pub(crate) async fn load(connection: &mut Connection) -> Result<(Snapshot, i64), StoreError> {
    let mut snapshot = Snapshot::default();
    let s = &mut snapshot;
    each(connection, "SELECT body FROM subscriptions", |r| s.set_subscription(Arc::new(r))).await?;
    each(connection, "SELECT body FROM resource_groups ORDER BY id", |r| s.set_group(Arc::new(r))).await?;
    each(connection, "SELECT body FROM workspaces ORDER BY id", |r| s.set_workspace(Arc::new(r))).await?;
    each(connection, "SELECT body FROM endpoints ORDER BY id", |r| s.set_endpoint(Arc::new(r))).await?;
    each(connection, "SELECT body FROM rules ORDER BY id", |r| s.set_rule(Arc::new(r))).await?;
    each(connection, "SELECT body FROM identities ORDER BY id", |r| s.set_identity(Arc::new(r))).await?;
    each(connection, "SELECT body FROM assignments ORDER BY id", |r| s.set_assignment(Arc::new(r))).await?;
    each(connection, "SELECT body FROM applications", |r| s.set_application(Arc::new(r))).await?;
    let deleted = |r: StoredDeletion| s.set_deleted(Arc::new(r.into()));
    each(connection, "SELECT body FROM deleted_workspaces", deleted).await?;

    let failed = failed("read");
    let names = sqlx::query("SELECT id FROM declared").fetch_all(&mut *connection).await.map_err(&failed)?;
    for row in &names {
        snapshot.declared.insert(row.try_get::<&str, _>(0).map_err(&failed)?.into());
    }
    let last = sqlx::query("SELECT MAX(sequence) FROM audit").fetch_one(connection).await.map_err(&failed)?;
    let sequence = last.try_get::<Option<i64>, _>(0).map_err(&failed)?.unwrap_or(0);
    snapshot.revision = u64::try_from(sequence).unwrap_or(0);
    snapshot.check().map_err(|error| damaged(&error.to_string()))?;
    Ok((snapshot, sequence))
}

async fn each<T: DeserializeOwned>(
    connection: &mut Connection,
    statement: &'static str,
    mut take: impl FnMut(T),
) -> Result<(), StoreError> {
    let mut rows = sqlx::query(statement).fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(failed("read"))? {
        take(parse(&row)?);
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(row: &DatabaseRow) -> Result<T, StoreError> {
    let body: &str = row.try_get(0).map_err(failed("read"))?;
    serde_json::from_str(body).map_err(|error| damaged(&error.to_string()))
}

fn damaged(what: &str) -> StoreError {
    let reason = format!("a row of it is damaged, restore a backup: {what}");
    StoreError::Database { action: "read", reason }
}
