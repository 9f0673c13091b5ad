//! The catalogue's tables: brought up to date, read as a whole, written by one transaction a change.
//!
//! The statements are those that SQLite and PostgreSQL both take; what only one of them knows stands in [`dialect`]. Each
//! resource is one row: its key, the columns that the database itself checks (uniqueness, references), and `body`, which is
//! the whole resource as JSON. Drawn in `docs/format/catalog.md`.

pub(crate) mod audit;
pub(crate) mod dialect;
pub(crate) mod layout;
pub(crate) mod load;
mod transaction;
pub(crate) mod write;

pub(crate) use dialect::Connection;

use crate::StoreError;

/// As an error of the store, with what was being done.
pub(crate) fn failed(action: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| StoreError::Database { action, reason: dialect::reason(&error) }
}
