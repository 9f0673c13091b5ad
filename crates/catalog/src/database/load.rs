//! Everything that exists, read once at the start.

use std::sync::Arc;

use futures_util::TryStreamExt;
use model::ResourceId;
use serde::de::DeserializeOwned;
use sqlx::Row;

use super::dialect::DatabaseRow;
use super::{Connection, failed};
use crate::resources::{StoredAssignment, StoredDeletion};
use crate::{Assignment, Endpoint, Identity, ResourceGroup, Rule, Snapshot, StoreError, Workspace, key};

/// The snapshot that the tables make, checked to fit together; and the number of the last line in the audit log.
pub(crate) async fn load(connection: &mut Connection) -> Result<(Snapshot, i64), StoreError> {
    let mut snapshot = Snapshot::default();
    for row in all(connection, "SELECT body FROM subscriptions").await? {
        snapshot.set_subscription(Arc::new(row));
    }
    for row in in_order(connection, "SELECT body FROM resource_groups", |row: &ResourceGroup| &row.envelope.id).await? {
        snapshot.set_group(row);
    }
    for row in in_order(connection, "SELECT body FROM workspaces", |row: &Workspace| &row.envelope.id).await? {
        snapshot.set_workspace(row);
    }
    for row in in_order(connection, "SELECT body FROM endpoints", |row: &Endpoint| &row.envelope.id).await? {
        snapshot.set_endpoint(row);
    }
    for row in in_order(connection, "SELECT body FROM rules", |row: &Rule| &row.envelope.id).await? {
        snapshot.set_rule(row);
    }
    for row in in_order(connection, "SELECT body FROM identities", |row: &Identity| &row.envelope.id).await? {
        snapshot.set_identity(row);
    }
    for row in sorted(assignments(connection).await?, |row| &row.id) {
        snapshot.set_assignment(row);
    }
    for row in all(connection, "SELECT body FROM applications").await? {
        snapshot.set_application(Arc::new(row));
    }
    for row in all::<StoredDeletion>(connection, "SELECT body FROM deleted_workspaces").await? {
        snapshot.set_deleted(Arc::new(row.into()));
    }

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

/// Rows as resources, in the order of their keys. Sorted here: the database would have to jump through its file for it.
async fn in_order<T: DeserializeOwned>(
    connection: &mut Connection,
    statement: &'static str,
    id: impl Fn(&T) -> &ResourceId,
) -> Result<Vec<Arc<T>>, StoreError> {
    Ok(sorted(all(connection, statement).await?, id))
}

fn sorted<T>(mut rows: Vec<T>, id: impl Fn(&T) -> &ResourceId) -> Vec<Arc<T>> {
    // Tables that are filled in order are filled several times faster.
    rows.sort_by_cached_key(|row| key(id(row)));
    rows.into_iter().map(Arc::new).collect()
}

async fn assignments(connection: &mut Connection) -> Result<Vec<Assignment>, StoreError> {
    let stored = all::<StoredAssignment>(connection, "SELECT body FROM assignments").await?;
    let read = stored.into_iter().map(StoredAssignment::read).collect::<Option<Vec<Assignment>>>();
    read.ok_or_else(|| damaged("the id of a role assignment has no scope"))
}

async fn all<T: DeserializeOwned>(connection: &mut Connection, statement: &'static str) -> Result<Vec<T>, StoreError> {
    let mut rows = sqlx::query(statement).fetch(connection);
    let mut resources = Vec::new();
    while let Some(row) = rows.try_next().await.map_err(failed("read"))? {
        resources.push(parse(&row)?);
    }
    Ok(resources)
}

fn parse<T: DeserializeOwned>(row: &DatabaseRow) -> Result<T, StoreError> {
    let body: &str = row.try_get(0).map_err(failed("read"))?;
    serde_json::from_str(body).map_err(|error| damaged(&error.to_string()))
}

fn damaged(what: &str) -> StoreError {
    let reason = format!("a row of it is damaged, restore a backup: {what}");
    StoreError::Database { action: "read", reason }
}
