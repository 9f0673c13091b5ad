//! Opening a queue: lock, recovery, mending, then the work.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use environment::{Clock, Disk, DiskLock};

use crate::files::Files;
use crate::log::Log;
use crate::reader::Reader;
use crate::recovery::{Recovered, recover};
use crate::ring::Ring;
use crate::shared::{Shared, Works, millis};
use crate::spool::Threads;
use crate::state::State;
use crate::syncer::Syncer;
use crate::writer::{Writer, write_index};
use crate::{EntryId, OpenError, Outcome, Recovery, Rejection, Settings, Sync};

/// A queue that is read and mended, and does not work yet.
pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    pub(crate) recovery: Recovery,
    writer: Writer,
    lock: Box<dyn DiskLock>,
}

pub(crate) fn open(
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    directory: &Path,
    settings: Settings,
) -> Result<Opened, OpenError> {
    let files = Files::new(directory);
    let unusable = |error| OpenError::Directory { path: directory.to_path_buf(), error };
    if disk.list(&files.log()).is_err() {
        disk.create_directory(&files.log()).map_err(unusable)?;
    }
    let lock = disk.lock(&files.lock()).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => OpenError::InUse(directory.to_path_buf()),
        _ => unusable(error),
    })?;
    let mut recovered = recover(&*disk, &files).map_err(|(path, error)| OpenError::Read { path, error })?;

    let log = Log::new(
        Arc::clone(&disk),
        files,
        recovered.last,
        recovered.next_number,
        recovered.next_id,
        recovered.totals.clone(),
    );
    let syncer = matches!(settings.sync, Sync::Interval(_)).then(Arc::<Syncer>::default);
    let writer = Writer::new(log, syncer, settings.sync);
    let state = State::new(settings, std::mem::take(&mut recovered.segments), recovered.totals.clone());
    let shared = Arc::new(Shared::new(disk, clock, directory, state));
    let recovery = mend(&shared, recovered);
    Ok(Opened { shared, recovery, writer, lock })
}

/// Puts right on the disk what recovery found, as far as the disk lets it, and gives up what cannot be read.
fn mend(shared: &Shared, recovered: Recovered) -> Recovery {
    let set_aside = recovered.damaged_files.iter().filter_map(|path| shared.set_aside(path)).collect();
    for index in &recovered.indexes {
        write_index(shared, index);
    }
    for (path, bytes) in &recovered.to_cut {
        // If it cannot be cut, the next checkpoint says where it ends.
        let _ = shared.disk.open_append(path).and_then(|mut file| file.truncate(*bytes));
    }
    for path in &recovered.useless {
        let _ = shared.disk.remove_file(path);
    }
    let lost = recovered.lost;
    if lost != crate::Counts::default() {
        tracing::error!(
            floats = lost.samples,
            histograms = lost.histograms,
            exemplars = lost.exemplars,
            "samples of the queue are lost by damage; counted as damaged"
        );
    }
    let now = millis(shared.clock.now());
    let mut state = shared.state.lock();
    for meta in state.segments.0.iter_mut().flat_map(|segment| &mut segment.entries) {
        // A clock that was ahead when they were received must not make them wait longer.
        meta.waiting_since = meta.received_at.min(now);
    }
    for id in &recovered.damaged {
        give_up(&mut state, *id);
    }
    Recovery { entries: state.unsettled, bytes: state.bytes, torn_bytes: recovered.torn_bytes, set_aside }
}

fn give_up(state: &mut State, id: EntryId) {
    if let Some(place) = state.segments.find(id) {
        let tally = state.segments.meta(place).tally();
        state.settle(place, Outcome::rejected(Rejection::Damaged, tally));
    }
}

/// Lets nobody wait for a writer that is gone, even by a panic.
struct Abandon<'a>(&'a Shared);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.closing = true;
        let (appends, waiting) = (std::mem::take(&mut state.appends), state.take_waiting());
        drop(state);
        self.0.reader_wake.notify_all();
        drop((appends, waiting));
    }
}

impl Opened {
    pub(crate) fn start_threads(self) -> std::io::Result<Threads> {
        let shared = Arc::clone(&self.shared);
        self.try_start_threads().inspect_err(|_| drop(Abandon(&shared)))
    }

    fn try_start_threads(self) -> std::io::Result<Threads> {
        let Self { shared, mut writer, lock, .. } = self;
        let mut threads = Threads { writer: None, reader: None, syncer: None, lock: Some(lock) };
        if let (Some(syncer), Sync::Interval(interval)) = (writer.syncer.clone(), shared.state.lock().settings.sync) {
            let (shared, run) = (Arc::clone(&shared), Arc::clone(&syncer));
            let thread = thread::Builder::new().name("queue-sync".into()).spawn(move || run.run(&shared, interval))?;
            threads.syncer = Some((syncer, thread));
        }
        let of_reader = Arc::clone(&shared);
        let read = move || Reader::new(Ring::default()).run(&of_reader);
        threads.reader = Some(thread::Builder::new().name("queue-read".into()).spawn(read)?);
        let write = move || {
            let _abandon = Abandon(&shared);
            writer.run(&shared);
            writer.finish(&shared)
        };
        threads.writer = Some(thread::Builder::new().name("queue-write".into()).spawn(write)?);
        Ok(threads)
    }

    pub(crate) fn work_inline(self) -> Threads {
        let Self { shared, writer, lock, .. } = self;
        let interval = match shared.state.lock().settings.sync {
            Sync::Interval(interval) => Some(interval),
            _ => None,
        };
        let syncer = writer.syncer.clone().zip(interval);
        let synced_at = shared.clock.monotonic();
        shared.set_inline(Works { writer, reader: Reader::new(Ring::default()), syncer, synced_at });
        shared.work_inline();
        Threads { writer: None, reader: None, syncer: None, lock: Some(lock) }
    }
}
