//! What the writing thread owns. A change goes: worked out, committed, published, observers told, answered; in this order, one
//! change at a time, never interrupted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use environment::{Clock, Rng};
use futures_executor::block_on;
use sqlx::Connection as _;

use crate::database::{self, Connection, dialect, failed, layout};
use crate::draft::{Draft, Entry};
use crate::file::Exclusive;
use crate::{Actor, Catalog, Observer, Snapshot, StoreError, StoreSettings};

/// Those who are told of changes.
pub(crate) type Observers = Arc<Mutex<Vec<Arc<dyn Observer>>>>;

/// See the module.
pub(crate) struct Writer {
    connection: Connection,
    catalog: Arc<Catalog>,
    observers: Observers,
    settings: StoreSettings,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    /// Number of the last line in the audit log.
    sequence: i64,
    /// Held for as long as the file is open; declared last, as fields are dropped in order.
    _exclusive: Option<Exclusive>,
}

/// What a writer is made of.
pub(crate) struct WriterParts {
    pub(crate) file: Option<PathBuf>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) observers: Observers,
    pub(crate) settings: StoreSettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
}

impl Writer {
    pub(crate) fn open(parts: WriterParts) -> Result<Self, StoreError> {
        let WriterParts { file, catalog, observers, settings, clock, rng } = parts;
        let exclusive = file.as_deref().map(Exclusive::take).transpose()?;
        let path = file.as_deref().unwrap_or(Path::new(":memory:"));
        let named = |error| name_file(error, path);
        let (connection, snapshot, sequence) = block_on(read(file.as_deref(), path)).map_err(named)?;
        catalog.replace(snapshot);
        Ok(Self { connection, catalog, observers, settings, clock, rng, sequence, _exclusive: exclusive })
    }

    /// Makes what `work` does to a draft; nothing when it fails.
    pub(crate) fn change<T>(
        &mut self,
        actor: &Actor,
        work: impl FnOnce(&mut Draft<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let now = self.clock.now();
        let mut draft = Draft::new(&self.catalog.snapshot(), actor, now, &self.settings, &*self.rng);
        let outcome = work(&mut draft)?;
        let Some(plan) = draft.finish() else { return Ok(outcome) };
        let write = database::write::write(&mut self.connection, &plan, actor, now.as_millis(), self.sequence + 1);
        block_on(write)?;
        self.sequence += i64::try_from(plan.entries.len()).expect("a change has few lines");
        self.catalog.replace(plan.next);
        let snapshot = self.catalog.snapshot();
        let observers = self.observers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for observer in observers {
            observer.changed(&snapshot, &plan.changes);
        }
        Ok(outcome)
    }

    /// Writes a line into the audit log alone.
    pub(crate) fn note(&mut self, actor: &Actor, entry: Entry) -> Result<(), StoreError> {
        let now = self.clock.now().as_millis();
        let entries = [entry];
        let append = database::audit::append(&mut self.connection, &entries, actor, now, self.sequence + 1);
        block_on(append).map_err(failed("written"))?;
        self.sequence += 1;
        Ok(())
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Closes the file and lets others have it.
    pub(crate) fn close(self) {
        // Every change is committed; what fails here is tidying up, which the next start does again.
        let _ = block_on(self.connection.close());
    }
}

async fn read(file: Option<&Path>, path: &Path) -> Result<(Connection, Snapshot, i64), StoreError> {
    let mut connection = dialect::connect_writer(file).await.map_err(failed("opened"))?;
    layout::bring_up(&mut connection, path, layout::MIGRATIONS).await?;
    let (snapshot, sequence) = database::load::load(&mut connection).await?;
    Ok((connection, snapshot, sequence))
}

/// Says which file it is about.
fn name_file(error: StoreError, path: &Path) -> StoreError {
    match error {
        StoreError::Database { action, reason } => {
            StoreError::Database { action, reason: format!("{}: {reason}", path.display()) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
