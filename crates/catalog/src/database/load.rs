//! Everything that exists, read once at the start.

use std::sync::Arc;

use model::ResourceId;
use serde::de::DeserializeOwned;
use sqlx::{AssertSqlSafe, Row};

use super::{Connection, dialect, failed};
use crate::stored::{StoredAssignment, StoredDeletion};
use crate::{Assignment, Endpoint, Identity, ResourceGroup, Rule, Snapshot, StoreError, Workspace, key};

/// The snapshot that the tables make, checked to fit together; and the number of the last line in the audit log.
pub(crate) async fn load(connection: &mut Connection) -> Result<(Snapshot, i64), StoreError> {
    dialect::cache(connection, LOADING_CACHE_KIB).await.map_err(failed("read"))?;
    let mut snapshot = Snapshot::default();
    for row in all(connection, "subscriptions").await? {
        snapshot.set_subscription(Arc::new(row));
    }
    for row in in_order(connection, "resource_groups", |row: &ResourceGroup| &row.envelope.id).await? {
        snapshot.set_group(row);
    }
    for row in in_order(connection, "workspaces", |row: &Workspace| &row.envelope.id).await? {
        snapshot.set_workspace(row);
    }
    for row in in_order(connection, "endpoints", |row: &Endpoint| &row.envelope.id).await? {
        snapshot.set_endpoint(row);
    }
    for row in in_order(connection, "rules", |row: &Rule| &row.envelope.id).await? {
        snapshot.set_rule(row);
    }
    for row in in_order(connection, "identities", |row: &Identity| &row.envelope.id).await? {
        snapshot.set_identity(row);
    }
    for row in sorted(assignments(connection).await?, |row| &row.id) {
        snapshot.set_assignment(row);
    }
    for row in all(connection, "applications").await? {
        snapshot.set_application(Arc::new(row));
    }
    for row in all::<StoredDeletion>(connection, "deleted_workspaces").await? {
        snapshot.set_deleted(Arc::new(row.into()));
    }

    let failed = failed("read");
    let names = sqlx::query("SELECT id FROM declared").fetch_all(&mut *connection).await.map_err(&failed)?;
    for row in &names {
        snapshot.declared.insert(row.try_get::<&str, _>(0).map_err(&failed)?.into());
    }
    let last = sqlx::query("SELECT MAX(sequence) FROM audit").fetch_one(&mut *connection).await.map_err(&failed)?;
    let sequence = last.try_get::<Option<i64>, _>(0).map_err(&failed)?.unwrap_or(0);
    snapshot.revision = u64::try_from(sequence).unwrap_or(0);
    dialect::cache(connection, dialect::CACHE_KIB).await.map_err(&failed)?;
    snapshot.check().map_err(|error| damaged(&error.to_string()))?;
    Ok((snapshot, sequence))
}

/// Rows as resources, in the order of their keys as this program compares them.
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
    let stored = all::<StoredAssignment>(connection, "assignments").await?;
    let read = stored.into_iter().map(StoredAssignment::read).collect::<Option<Vec<Assignment>>>();
    read.ok_or_else(|| damaged("the id of a role assignment has no scope"))
}

/// All rows of `table`, as resources. Read in portions that the database joins to one text: row by row, handing each from the
/// thread of the database to this one costs more than everything else.
async fn all<T: DeserializeOwned>(connection: &mut Connection, table: &'static str) -> Result<Vec<T>, StoreError> {
    // Nothing of it comes from outside.
    let portion = format!(
        "SELECT string_agg(body, ' '), MAX(id) FROM \
         (SELECT id, body FROM {table} WHERE id > $1 ORDER BY id LIMIT {PORTION_ROWS}) AS portion"
    );
    let (mut resources, mut last) = (Vec::new(), String::new());
    loop {
        let query = sqlx::query(AssertSqlSafe(portion.as_str())).bind(&last);
        let row = query.fetch_one(&mut *connection).await.map_err(failed("read"))?;
        let Some(bodies) = row.try_get::<Option<&str>, _>(0).map_err(failed("read"))? else { return Ok(resources) };
        for body in serde_json::Deserializer::from_str(bodies).into_iter() {
            resources.push(body.map_err(|error| damaged(&format!("{table}: {error}")))?);
        }
        last = row.try_get(1).map_err(failed("read"))?;
    }
}

fn damaged(what: &str) -> StoreError {
    let reason = format!("a row of it is damaged, restore a backup: {what}");
    StoreError::Database { action: "read", reason }
}

/// Rows that are read at once.
const PORTION_ROWS: u32 = 2_000;
/// What may be kept of the file while it is read: rows lie in another order than their keys.
const LOADING_CACHE_KIB: u32 = 128 * 1024;
