//! The audit log: who changed what, when, from where. Lines are numbered without gaps by the one writer.

use sqlx::{AssertSqlSafe, QueryBuilder, Row};

use super::dialect::{Database, DatabaseRow};
use super::{Connection, failed};
use crate::draft::Entry;
use crate::{Actor, ActorKind, AuditRecord, StoreError};

/// Which lines are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// In lower case, without a trailing slash: targets at it and below it.
    pub(crate) target_prefix: Option<String>,
    pub(crate) since_ms: Option<i64>,
    pub(crate) before: Option<i64>,
    pub(crate) count_max: u32,
}

/// Adds lines, numbered from `sequence`.
pub(crate) async fn append(
    connection: &mut Connection,
    entries: &[Entry],
    actor: &Actor,
    at_ms: i64,
    sequence: i64,
) -> Result<(), sqlx::Error> {
    let numbered: Vec<(i64, &Entry)> = (sequence..).zip(entries).collect();
    for batch in numbered.chunks(LINES_A_STATEMENT) {
        // Nothing of it comes from outside.
        let mut query = sqlx::query(AssertSqlSafe(insert(batch.len())));
        for (sequence, entry) in batch {
            query = query
                .bind(*sequence)
                .bind(at_ms)
                .bind(&actor.id)
                .bind(&actor.name)
                .bind(kind_text(actor.kind))
                .bind(&actor.address)
                .bind(&actor.request_id)
                .bind(entry.operation)
                .bind(&entry.target)
                .bind(entry.target.to_ascii_lowercase())
                .bind(entry.detail.as_ref().map(serde_json::Value::to_string));
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Lines that match, newest first.
pub(crate) async fn query(connection: &mut Connection, asked: &Query) -> Result<Vec<AuditRecord>, StoreError> {
    let mut statement = QueryBuilder::<Database>::new(format!("SELECT {COLUMNS}, detail FROM audit WHERE 1 = 1"));
    if let Some(prefix) = asked.target_prefix.as_ref().filter(|prefix| !prefix.is_empty()) {
        // Everything below starts with the prefix and a slash, after which comes `0` in the order of characters.
        statement.push(" AND (target_key = ").push_bind(prefix.clone());
        statement.push(" OR (target_key >= ").push_bind(format!("{prefix}/"));
        statement.push(" AND target_key < ").push_bind(format!("{prefix}0")).push("))");
    }
    if let Some(since_ms) = asked.since_ms {
        statement.push(" AND at_ms >= ").push_bind(since_ms);
    }
    if let Some(before) = asked.before {
        statement.push(" AND sequence < ").push_bind(before);
    }
    statement.push(" ORDER BY sequence DESC LIMIT ").push_bind(i64::from(asked.count_max.min(LINES_MAX)));
    let rows = statement.build().fetch_all(connection).await.map_err(failed("read"))?;
    rows.iter().map(|row| record(row).map_err(failed("read"))).collect()
}

/// Forgets lines from before `at_ms`, in portions so that no change waits for long.
pub(crate) async fn forget_before(connection: &mut Connection, at_ms: i64) -> Result<(), StoreError> {
    // The newest line stays, whatever its age: its number is where numbering goes on.
    const PORTION: &str = "DELETE FROM audit WHERE sequence IN (SELECT sequence FROM audit WHERE at_ms < $1 \
         AND sequence < (SELECT MAX(sequence) FROM audit) ORDER BY at_ms LIMIT 10000)";
    let forgotten = sqlx::query(PORTION).bind(at_ms).execute(connection).await;
    forgotten.map(|_| ()).map_err(failed("written"))
}

fn insert(count: usize) -> String {
    let tuples: Vec<String> = (0..count)
        .map(|line| {
            let places: Vec<String> = (1..=WIDTH).map(|column| format!("${}", line * WIDTH + column)).collect();
            format!("({})", places.join(", "))
        })
        .collect();
    format!("INSERT INTO audit ({COLUMNS}, target_key, detail) VALUES {}", tuples.join(", "))
}

fn record(row: &DatabaseRow) -> Result<AuditRecord, sqlx::Error> {
    let detail: Option<&str> = row.try_get(9)?;
    Ok(AuditRecord {
        sequence: row.try_get(0)?,
        at_ms: row.try_get(1)?,
        actor: Actor {
            id: row.try_get(2)?,
            name: row.try_get(3)?,
            kind: kind_of(row.try_get(4)?),
            address: row.try_get(5)?,
            request_id: row.try_get(6)?,
        },
        operation: row.try_get(7)?,
        target: row.try_get(8)?,
        detail: detail.and_then(|text| serde_json::from_str(text).ok()),
    })
}

fn kind_text(kind: ActorKind) -> &'static str {
    match kind {
        ActorKind::User => "User",
        ActorKind::Application => "Application",
        ActorKind::ManagedIdentity => "ManagedIdentity",
        ActorKind::Key => "Key",
    }
}

fn kind_of(text: &str) -> ActorKind {
    match text {
        "User" => ActorKind::User,
        "Application" => ActorKind::Application,
        "ManagedIdentity" => ActorKind::ManagedIdentity,
        _ => ActorKind::Key,
    }
}

const COLUMNS: &str = "sequence, at_ms, actor_id, actor_name, actor_kind, address, request_id, operation, target";
const WIDTH: usize = 11;
/// Lines that one statement writes at most.
const LINES_A_STATEMENT: usize = 32;
/// Lines that one question is answered with at most.
pub(crate) const LINES_MAX: u32 = 1000;
