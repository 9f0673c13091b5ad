//! What is SQLite's own: how it is opened, what it is told to promise, how it is copied, what its errors mean.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};

/// The database that is compiled in.
pub(crate) type Connection = SqliteConnection;
pub(crate) type Database = sqlx::Sqlite;
pub(crate) type DatabaseRow = sqlx::sqlite::SqliteRow;

/// So long a statement waits for another connection, such as a copy that is being made.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// What a connection keeps of the file.
pub(crate) const CACHE_KIB: u32 = 8 * 1024;

/// A connection that changes things: on `Ok` of a commit the change survives a power cut.
pub(crate) async fn connect_writer(file: Option<&Path>) -> Result<Connection, sqlx::Error> {
    options(file).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full).connect().await
}

/// A connection that reads beside the writer.
pub(crate) async fn connect_reader(file: &Path) -> Result<Connection, sqlx::Error> {
    options(Some(file)).connect().await
}

/// `None`: in memory.
fn options(file: Option<&Path>) -> SqliteConnectOptions {
    // By name and not by flag: what is open by the flag cannot be copied to a file.
    let options = SqliteConnectOptions::new().filename(file.unwrap_or(Path::new(":memory:")));
    options
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", format!("-{CACHE_KIB}"))
        .disable_statement_logging()
}

/// The names of all tables.
pub(crate) async fn tables(connection: &mut Connection) -> Result<Vec<String>, sqlx::Error> {
    const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let rows = sqlx::query(TABLES).fetch_all(connection).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Lets a connection keep up to `kib` of the file, and lets go of what is more.
pub(crate) async fn cache(connection: &mut Connection, kib: u32) -> Result<(), sqlx::Error> {
    // Negative by SQLite's convention: not pages, but KiB.
    let statement = format!("PRAGMA cache_size = -{kib}; PRAGMA shrink_memory");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.map(|_| ())
}

/// Writes a copy, consistent in itself, to the empty file `to`; the writer goes on meanwhile.
pub(crate) async fn copy_to(connection: &mut Connection, to: &str) -> Result<(), sqlx::Error> {
    sqlx::query("VACUUM INTO $1").bind(to).execute(connection).await.map(|_| ())
}

/// What went wrong, with the mend where there is one.
pub(crate) fn reason(error: &sqlx::Error) -> String {
    let Some(code) = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok()) else {
        return error.to_string();
    };
    let message = error.as_database_error().map_or_else(String::new, |error| error.message().to_owned());
    // The low byte is the class, the rest says more of it.
    match code & 0xff {
        8 => format!("{message}: the file or its directory cannot be written"),
        10 => format!("{message} (code {code}): look at the disk"),
        11 => format!("{message}: the file is damaged; restore a backup"),
        13 => format!("{message}: make room on the disk, the next change is tried again"),
        14 => format!("{message}: see that the directory exists and may be written"),
        26 => format!("{message}: restore a backup, or move the file away"),
        _ => format!("{message} (code {code})"),
    }
}
