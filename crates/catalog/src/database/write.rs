//! One change, written: the rows that differ and the lines of the audit log, in one transaction.

use std::sync::Arc;

use model::AccountId;
use serde::Serialize;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{Connection, failed, transaction};
use crate::draft::{Plan, Rows};
use crate::names::group_of;
use crate::stored::{StoredAssignment, StoredDeletion};
use crate::{Actor, Snapshot, StoreError, key};

/// Writes `plan`; lines of the audit log are numbered from `sequence`. On an error nothing is written.
pub(crate) async fn write(
    connection: &mut Connection,
    plan: &Plan,
    actor: &Actor,
    at_ms: i64,
    sequence: i64,
) -> Result<(), StoreError> {
    let failed = failed("written");
    transaction::begin(connection).await.map_err(&failed)?;
    let written = write_all(connection, plan, actor, at_ms, sequence).await;
    transaction::end(connection, written).await.map_err(&failed)
}

async fn write_all(
    connection: &mut Connection,
    plan: &Plan,
    actor: &Actor,
    at_ms: i64,
    sequence: i64,
) -> Result<(), sqlx::Error> {
    let (put, delete): (Vec<_>, Vec<_>) = plan
        .touched
        .iter()
        .map(|(rows, key)| (*rows, key, row(&plan.next, *rows, key)))
        .partition(|(_, _, row)| row.is_some());
    // What goes leaves its names free for what comes; references are looked at when the transaction ends.
    for (rows, key, _) in delete.iter().rev() {
        delete_row(connection, *rows, key).await?;
    }
    for run in put.chunk_by(|one, other| one.0 == other.0) {
        for batch in run.chunks(ROWS_A_STATEMENT) {
            put_rows(connection, batch[0].0, batch.iter().map(|(_, key, row)| (*key, row.as_ref()))).await?;
        }
    }
    super::audit::append(connection, &plan.entries, actor, at_ms, sequence).await
}

/// What a row holds beside its key.
struct Row {
    columns: Vec<Option<String>>,
}

impl Rows {
    /// The table, and its columns beside `id`.
    fn shape(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Subscriptions => ("subscriptions", &["body"]),
            Self::Groups => ("resource_groups", &["subscription", "body"]),
            Self::Workspaces => ("workspaces", &["resource_group", "account", "handle", "body"]),
            Self::Endpoints => ("endpoints", &["resource_group", "immutable_id", "host_label", "body"]),
            Self::Rules => ("rules", &["resource_group", "immutable_id", "endpoint", "body"]),
            Self::Identities => ("identities", &["resource_group", "client_id", "principal_id", "body"]),
            Self::Assignments => ("assignments", &["body"]),
            Self::Applications => ("applications", &["object_id", "body"]),
            Self::Deleted => ("deleted_workspaces", &["body"]),
            Self::Declared => ("declared", &[]),
        }
    }
}

/// The row of `key` as `snapshot` has it; `None` when it has none.
fn row(snapshot: &Snapshot, rows: Rows, id: &Arc<str>) -> Option<Row> {
    let columns = match rows {
        Rows::Subscriptions => vec![body(&**snapshot.subscriptions.get(&id.parse::<Uuid>().ok()?)?)],
        Rows::Groups => {
            let group = snapshot.groups.get(id)?;
            let subscription = group.envelope.id.segment_after("subscriptions").map(str::to_ascii_lowercase);
            vec![subscription, body(&**group)]
        }
        Rows::Workspaces => {
            let workspace = snapshot.workspaces.get(id)?;
            let (account, handle) = (workspace.account_id.to_string(), workspace.handle.to_ascii_lowercase());
            vec![group_key(&workspace.envelope.id), Some(account), Some(handle), body(&**workspace)]
        }
        Rows::Endpoints => {
            let endpoint = snapshot.endpoints.get(id)?;
            let (immutable_id, label) = (endpoint.immutable_id.clone(), endpoint.host_label.clone());
            vec![group_key(&endpoint.envelope.id), Some(immutable_id), Some(label), body(&**endpoint)]
        }
        Rows::Rules => {
            let rule = snapshot.rules.get(id)?;
            let endpoint = rule.endpoint.as_ref().map(|endpoint| key(endpoint).to_string());
            vec![group_key(&rule.envelope.id), Some(rule.immutable_id.clone()), endpoint, body(&**rule)]
        }
        Rows::Identities => {
            let identity = snapshot.identities.get(id)?;
            let (client, principal) = (identity.client_id.to_string(), identity.principal_id.to_string());
            vec![group_key(&identity.envelope.id), Some(client), Some(principal), body(&**identity)]
        }
        Rows::Assignments => vec![body(&StoredAssignment::from(&**snapshot.assignments.get(id)?))],
        Rows::Applications => {
            let application = snapshot.applications.get(&id.parse::<Uuid>().ok()?)?;
            vec![Some(application.object_id.to_string()), body(&**application)]
        }
        Rows::Deleted => {
            let deleted = snapshot.deleted.get(&id.parse::<AccountId>().ok()?)?;
            vec![body(&StoredDeletion::from(&**deleted))]
        }
        Rows::Declared => {
            snapshot.declared.get(&**id)?;
            Vec::new()
        }
    };
    Some(Row { columns })
}

async fn delete_row(connection: &mut Connection, rows: Rows, key: &str) -> Result<(), sqlx::Error> {
    let statement = format!("DELETE FROM {} WHERE id = $1", rows.shape().0);
    // Nothing of it comes from outside.
    sqlx::query(AssertSqlSafe(statement)).bind(key).execute(&mut *connection).await?;
    Ok(())
}

async fn put_rows<'a>(
    connection: &mut Connection,
    rows: Rows,
    batch: impl ExactSizeIterator<Item = (&'a Arc<str>, Option<&'a Row>)>,
) -> Result<(), sqlx::Error> {
    // Nothing of it comes from outside.
    let mut query = sqlx::query(AssertSqlSafe(upsert(rows, batch.len())));
    for (key, row) in batch {
        query = query.bind(key.to_string());
        for column in row.map_or(&[][..], |row| &row.columns) {
            query = query.bind(column.clone());
        }
    }
    query.execute(&mut *connection).await?;
    Ok(())
}

/// The statement that inserts or replaces `count` rows.
fn upsert(rows: Rows, count: usize) -> String {
    let (table, columns) = rows.shape();
    let width = columns.len() + 1;
    let names: Vec<&str> = std::iter::once("id").chain(columns.iter().copied()).collect();
    let tuples: Vec<String> = (0..count)
        .map(|row| {
            let places: Vec<String> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
            format!("({})", places.join(", "))
        })
        .collect();
    let updates: Vec<String> = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
    let otherwise =
        if updates.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", updates.join(", ")) };
    let (names, tuples) = (names.join(", "), tuples.join(", "));
    format!("INSERT INTO {table} ({names}) VALUES {tuples} ON CONFLICT (id) DO {otherwise}")
}

fn group_key(id: &model::ResourceId) -> Option<String> {
    group_of(id).map(|group| key(&group).to_string())
}

fn body(resource: &impl Serialize) -> Option<String> {
    Some(serde_json::to_string(resource).expect("resources are plain data with text as keys"))
}

/// Rows that one statement writes at most: five columns each stay far below every database's bound on parameters.
const ROWS_A_STATEMENT: usize = 64;
