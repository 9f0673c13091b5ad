//! What a seed decides for the whole of a run: how the database is set, who writes, how often.

use std::time::Duration;

use environment::UnixTime;
use model::Labels;
use tsdb::{Settings, WalSync};

use crate::chance::Chance;
use crate::ledger::SeriesPlan;
use crate::value::Kind;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The database's.
    pub settings: Settings,
    /// Time at the start.
    pub start: UnixTime,
    /// Milliseconds between the samples of a series.
    pub cadence_ms: i64,
    /// Series that are written from the start.
    pub series: usize,
    /// Whether files can be mapped.
    pub maps: bool,
}

impl Plan {
    /// Draws one.
    pub fn draw(chance: &mut Chance) -> Self {
        // With the longest, several pages of the log wait to be synced.
        let interval = Duration::from_millis(*chance.one_of(&[200, 1000, 1000, 10_000, 3_600_000]));
        let settings = Settings {
            wal_sync: if chance.one_in(2) { WalSync::EveryCommit } else { WalSync::Interval(interval) },
            // From one of a few batches to one that is never full.
            segment_bytes_max: *chance.one_of(&[2 << 10, 40 << 10, 128 << 20]),
            series_cache_bytes_max: *chance.one_of(&[0, 1 << 20]),
            ..Settings::default()
        };
        Self {
            settings,
            // Anywhere in a range of blocks.
            start: UnixTime::from_secs(1_767_225_600 + chance.between(0, 7 * 86_400)),
            cadence_ms: *chance.one_of(&[15_000, 60_000, 60_000, 300_000]),
            series: if chance.one_in(8) { 80 } else { chance.index(12) + 1 },
            maps: chance.one_in(2),
        }
    }

    /// The interval of syncs, if there is one.
    pub fn sync_interval(&self) -> Option<Duration> {
        match self.settings.wal_sync {
            WalSync::EveryCommit => None,
            WalSync::Interval(interval) => Some(interval),
        }
    }

    /// The series with this number.
    pub fn series_plan(number: usize, chance: &mut Chance) -> SeriesPlan {
        let texts = [format!("m{}", number % 4), format!("j{}", number % 3), format!("i{number}")];
        let pairs = [("__name__", &texts[0]), ("job", &texts[1]), ("instance", &texts[2])];
        let labels = Labels::from_pairs(pairs).expect("names differ and are not empty");
        SeriesPlan { labels, kind: *chance.one_of(&Kind::ALL) }
    }
}
