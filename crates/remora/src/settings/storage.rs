//! How samples are kept: what the installation is set to, and what of that a workspace has of its own.

use std::time::Duration;

use catalog::WorkspaceStorage;

use super::file::{File, StorageEntry};
use super::resolver::Resolver;

/// When written samples are forced to the disk (design: an acknowledged sample survives a crash).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum WalSync {
    /// Once a second: a power cut may cost the last one.
    #[default]
    Interval,
    /// Before every answer: a power cut loses nothing answered.
    EveryCommit,
}

/// How the samples of workspaces are kept that have no settings of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StorageSettings {
    pub(crate) wal_sync: WalSync,
    /// Age at which samples are removed.
    pub(crate) retention: Duration,
    /// Bytes of blocks, beyond which the oldest are removed.
    pub(crate) retention_bytes: Option<u64>,
    /// How much older than the workspace's newest a sample may be; none: as old as the retention lets it.
    pub(crate) out_of_order_window: Option<Duration>,
}

impl Default for StorageSettings {
    fn default() -> Self {
        let tsdb::Settings { retention, retention_bytes, out_of_order_window, .. } = tsdb::Settings::default();
        Self { wal_sync: WalSync::default(), retention, retention_bytes, out_of_order_window }
    }
}

impl StorageSettings {
    /// Settings of the database of a workspace with these settings of its own.
    pub(crate) fn of_database(&self, own: &WorkspaceStorage) -> tsdb::Settings {
        let wal_sync = match self.wal_sync {
            WalSync::Interval => tsdb::WalSync::Interval(WAL_SYNC_INTERVAL),
            WalSync::EveryCommit => tsdb::WalSync::EveryCommit,
        };
        let retention = own.retention_days.map(|days| DAY * days);
        let window = own.out_of_order_window_secs.map(Duration::from_secs);
        tsdb::Settings {
            wal_sync,
            // What a workspace's profile takes of that is for ingestion to say.
            future_max: ingest::NEWEST_TAKEN,
            retention: retention.unwrap_or(self.retention),
            retention_bytes: own.retention_bytes.or(self.retention_bytes),
            out_of_order_window: window.or(self.out_of_order_window),
            ..tsdb::Settings::default()
        }
    }
}

impl Resolver {
    /// The installation's settings.
    pub(super) fn storage(&mut self, file: &File, wal_sync: WalSync) -> StorageSettings {
        let default = StorageSettings::default();
        let own = self.entry("", file.retention.as_deref(), file.retention_bytes, file.out_of_order_window.as_deref());
        StorageSettings {
            wal_sync,
            retention: own.retention_days.map_or(default.retention, |days| DAY * days),
            retention_bytes: own.retention_bytes,
            out_of_order_window: own.out_of_order_window_secs.map(Duration::from_secs),
        }
    }

    /// Those of the workspace at `place`.
    pub(super) fn workspace_storage(&mut self, place: &str, entry: &StorageEntry) -> WorkspaceStorage {
        let StorageEntry { retention, retention_bytes, out_of_order_window } = entry;
        let place = format!("{place}: storage: ");
        self.entry(&place, retention.as_deref(), *retention_bytes, out_of_order_window.as_deref())
    }

    fn entry(
        &mut self,
        place: &str,
        retention: Option<&str>,
        retention_bytes: Option<u64>,
        window: Option<&str>,
    ) -> WorkspaceStorage {
        let retention_days = retention.map(|text| {
            let span = self.duration(&format!("{place}retention"), text);
            let days = span.as_secs() / DAY.as_secs();
            if !span.is_zero() && (days == 0 || span != DAY * u32::try_from(days).unwrap_or(u32::MAX)) {
                self.mistakes.push(format!("{place}retention: {text:?} is not a whole number of days, at least one"));
            }
            u32::try_from(days).unwrap_or(u32::MAX)
        });
        if retention_days == Some(0) {
            self.mistakes.push(format!("{place}retention: nothing would be kept; the least is 1d"));
        }
        let least = WorkspaceStorage::RETENTION_BYTES_MIN;
        if retention_bytes.is_some_and(|bytes| bytes < least) {
            self.mistakes.push(format!(
                "{place}retentionBytes: less than {least} would remove blocks as soon as they are written"
            ));
        }
        let window = window.map(|text| self.duration(&format!("{place}outOfOrderWindow"), text).as_secs());
        WorkspaceStorage { retention_days, retention_bytes, out_of_order_window_secs: window }
    }
}

/// How often `walSync: interval` forces the log to the disk.
const WAL_SYNC_INTERVAL: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspaces_own_settings_come_before_the_installations() {
        let installation =
            StorageSettings { retention: DAY * 30, retention_bytes: Some(5 << 30), ..Default::default() };
        let plain = installation.of_database(&WorkspaceStorage::default());
        assert_eq!((plain.retention, plain.retention_bytes), (DAY * 30, Some(5 << 30)));
        assert_eq!(plain.out_of_order_window, None);
        let own = WorkspaceStorage {
            retention_days: Some(7),
            retention_bytes: Some(1 << 30),
            out_of_order_window_secs: Some(3600),
        };
        let own = installation.of_database(&own);
        assert_eq!((own.retention, own.retention_bytes), (DAY * 7, Some(1 << 30)));
        assert_eq!(own.out_of_order_window, Some(Duration::from_secs(3600)));
    }
}
