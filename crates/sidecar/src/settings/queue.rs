//! The durable queue, and delivery from it.

use std::path::PathBuf;
use std::time::Duration;

use proxy::{Medium, RemoteWrite2};
use spool::WhenFull;

use super::{DeliverySettings, QueueSettings, Reader};

impl Reader<'_> {
    /// Everything is looked at also while there is no queue, so that switching it on brings no surprise.
    pub(super) fn queue(&mut self) -> Option<QueueSettings> {
        let directory = self.path("REMORA_QUEUE_DIR");
        let medium = self.medium(directory.is_some());
        let defaults = spool::Settings::default();
        let default_bytes = if medium == Some(Medium::Memory) { MEMORY_BYTES } else { defaults.bytes_max };
        let bytes_max = self.size("REMORA_QUEUE_BYTES_MAX", default_bytes, QUEUE_BYTES_MIN);
        let settings = spool::Settings {
            bytes_max,
            age_max: self.duration("REMORA_QUEUE_AGE_MAX", defaults.age_max, AGE_RANGE),
            when_full: self.word("REMORA_QUEUE_WHEN_FULL", WHEN_FULL),
            sync: self.word("REMORA_QUEUE_SYNC", SYNC),
            refusals_bytes_max: self.size(
                "REMORA_QUEUE_REFUSALS_BYTES_MAX",
                defaults.refusals_bytes_max,
                REFUSALS_BYTES_MIN,
            ),
            // Room comes back a segment at a time, so that a small queue needs small ones.
            segment_bytes_max: (bytes_max / SEGMENTS_MIN).clamp(SEGMENT_BYTES_MIN, defaults.segment_bytes_max),
            // What is in memory need not be there twice.
            cached_bytes_max: if medium == Some(Medium::Memory) { 0 } else { defaults.cached_bytes_max },
        };
        let directory = match (medium?, directory) {
            (Medium::Memory, _) => PathBuf::from(MEMORY_DIRECTORY),
            (Medium::Disk, Some(directory)) => directory,
            (Medium::Disk, None) => {
                self.mistake(
                    "REMORA_QUEUE_DIR",
                    "is missing: a queue on disk needs a directory; set it, or REMORA_QUEUE to off",
                );
                return None;
            }
        };
        Some(QueueSettings { medium: medium?, directory, settings })
    }

    pub(super) fn delivery(&mut self) -> DeliverySettings {
        DeliverySettings {
            in_flight_max: self.number("REMORA_IN_FLIGHT_MAX", 16, (1, 1000)),
            authorization_grace: self.duration("REMORA_AUTHORIZATION_GRACE", AUTHORIZATION_GRACE, GRACE_RANGE),
            remote_write_2: self.word("REMORA_REMOTE_WRITE_2", REMOTE_WRITE_2),
            drain_timeout: self.duration("REMORA_DRAIN_TIMEOUT", DRAIN_TIMEOUT, DRAIN_RANGE),
        }
    }

    fn medium(&mut self, has_directory: bool) -> Option<Medium> {
        match self.text("REMORA_QUEUE") {
            None => has_directory.then_some(Medium::Disk),
            Some(_) => self.word("REMORA_QUEUE", MEDIUM),
        }
    }
}

const MEDIUM: &[(&str, Option<Medium>)] =
    &[("off", None), ("disk", Some(Medium::Disk)), ("memory", Some(Medium::Memory))];

const WHEN_FULL: &[(&str, WhenFull)] =
    &[("push-back", WhenFull::PushBack), ("drop-oldest", WhenFull::DropOldest), ("drop-newest", WhenFull::DropNewest)];

const SYNC: &[(&str, spool::Sync)] = &[
    ("interval", spool::Sync::Interval(Duration::from_secs(1))),
    ("every-request", spool::Sync::EveryRequest),
    ("never", spool::Sync::Never),
];

const REMOTE_WRITE_2: &[(&str, RemoteWrite2)] = &[
    ("probe", RemoteWrite2::Probe),
    ("accept", RemoteWrite2::Accept),
    ("transcode", RemoteWrite2::Transcode),
    ("refuse", RemoteWrite2::Refuse),
];

/// Where a queue in memory keeps its files, in memory.
const MEMORY_DIRECTORY: &str = "/queue";

const MEMORY_BYTES: u64 = 64 << 20;
const QUEUE_BYTES_MIN: u64 = 1 << 20;
const REFUSALS_BYTES_MIN: u64 = 64 << 10;
const SEGMENTS_MIN: u64 = 16;
const SEGMENT_BYTES_MIN: u64 = 256 << 10;
const AUTHORIZATION_GRACE: Duration = Duration::from_secs(45 * 60);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
const AGE_RANGE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(365 * 24 * 3600));
const GRACE_RANGE: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(7 * 24 * 3600));
const DRAIN_RANGE: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(3600));
