//! Bits that flip in files at rest: what they hit is noticed and told, the rest is served, nothing wrong is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use environment::Disk as _;
use storage::{QueryError, TimeRange};

use super::{Checked, Run};
use crate::disk::Faults;
use crate::ledger::Found;
use crate::machine::{DIRECTORY, Machine};

/// A file that has been damaged.
struct Hit {
    path: PathBuf,
    /// The samples that it may have held, by time.
    range: TimeRange,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The log holds it again: nothing may be missing.
    Spare,
    /// It is the only one: what is missing is told.
    Only,
}

impl Run {
    /// Damages a file of a database that is closed, and starts it. Says whether that may be done again: where the log was damaged,
    /// head chunks may be the only copy, which nobody has to keep through a second blow.
    pub(super) fn rot(&mut self) -> Result<bool, String> {
        self.disk.set_faults(Faults::default());
        let Some(machine) = self.start()? else { return Err("the machine went off without a fault".to_owned()) };
        machine.db().close().map_err(|error| format!("closing on a sound disk: {error}"))?;
        drop(machine);
        self.disk = self.disk.now().after_process_crash(&mut self.chance);
        // Bits rot in what has long been on the medium. Else a second copy that nobody had to sync could go with the power.
        self.disk.write_back();
        let Some(hit) = self.flip_bits()? else { return Ok(true) };

        self.ledger.damage();
        let machine = Machine::start(&self.disk, &self.clock, self.plan.settings.clone())
            .map_err(|error| format!("a database with a damaged file does not open: {error}"))?;
        let (found, mut told) = self.serve(&machine)?;
        told |= is_told(&machine);
        let missing = self.ledger.missing(&found);
        if let Some((series, at)) = missing.first() {
            let count = missing.len();
            let what = format!("{count} samples are gone ({} at {at})", self.ledger.series()[*series].labels);
            self.say(format!("{what}, told: {told}"));
            if hit.kind == Kind::Spare {
                return Err(format!("{what}, though the log has all that is in {}", hit.path.display()));
            }
            if !told {
                return Err(format!("{what}, and nobody told that {} is damaged", hit.path.display()));
            }
            if let Some((_, at)) = missing.iter().find(|(_, at)| !hit.range.contains(model::TimestampMs(*at))) {
                return Err(format!("{what}, also at {at}, where {} holds nothing", hit.path.display()));
            }
        }
        self.ledger.accept_damage(&found)?;
        if hit.kind == Kind::Only {
            self.ledger.doubt(hit.range);
        }
        self.send_fresh(&machine)?;
        self.pass(Some(&machine), Duration::from_secs(4 * 3600))?;
        self.check_served(&machine)?;
        self.disk.turn_off();
        drop(machine);
        self.check_machine()?;
        self.disk = self.disk.now().after_process_crash(&mut self.chance);
        self.report.rotten += 1;
        Ok(hit.range != TimeRange::ALL)
    }

    /// Asks for everything until it is answered: what is damaged may be found out by asking.
    fn serve(&mut self, machine: &Machine) -> Result<(Found, bool), String> {
        let mut told = false;
        for _ in 0..ASKS_MAX {
            match machine.select(&self.ledger, &[], TimeRange::ALL)? {
                Ok(found) => return Ok((found, told)),
                Err(error @ QueryError::Unavailable(_)) => return Err(format!("a query on a sound disk: {error}")),
                Err(error @ QueryError::Corrupt(_)) => {
                    self.say(format!("not answered: {error}"));
                    told = true;
                    machine.settle()?;
                }
            }
        }
        Err(format!("{ASKS_MAX} queries failed: one damaged file keeps all the rest from being read"))
    }

    /// What was there when damage was found stays, and nothing else comes.
    fn check_served(&mut self, machine: &Machine) -> Checked {
        let (found, _) = self.serve(machine)?;
        self.ledger.check(&[], TimeRange::ALL, &found)
    }

    /// Flips some bits of a file. `None` when there is none worth it.
    fn flip_bits(&mut self) -> Result<Option<Hit>, String> {
        let files: Vec<(PathBuf, usize)> = self.disk.files().into_iter().filter(|(_, len)| *len > 0).collect();
        // Of each kind of file as often: there are many more segments than anything else.
        let mut kinds: Vec<&str> = files.iter().filter_map(|(path, _)| kind_name(path)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        if kinds.is_empty() {
            return Ok(None);
        }
        let kind = *self.chance.one_of(&kinds);
        let of_kind: Vec<&(PathBuf, usize)> = files.iter().filter(|(path, _)| kind_name(path) == Some(kind)).collect();
        let (path, len) = *self.chance.one_of(&of_kind);
        let range = self.range_of(path)?;
        for _ in 0..self.chance.below(3) + 1 {
            let bit = self.chance.index(len * 8);
            self.say(format!("bit {bit} of {} flips, of {len} bytes", path.display()));
            self.disk.flip(path, bit);
        }
        let kind = if kind == "chunks_head" { Kind::Spare } else { Kind::Only };
        Ok(Some(Hit { path: path.clone(), range, kind }))
    }

    /// Of a file of a block, the block's times; of others all.
    fn range_of(&self, path: &Path) -> Result<TimeRange, String> {
        let Some(block) = path.ancestors().find(|path| self.disk.read(&path.join("meta.json")).is_ok()) else {
            return Ok(TimeRange::ALL);
        };
        let meta = self.disk.read(&block.join("meta.json")).map_err(|error| error.to_string())?;
        let meta = tsdb_format::block::meta::decode(&meta).map_err(|error| format!("{}: {error}", block.display()))?;
        Ok(TimeRange { start: model::TimestampMs(meta.min_time), end: model::TimestampMs(meta.max_time - 1) })
    }
}

/// Which kind of file of a database it is; `None` for those that hold nothing.
fn kind_name(path: &Path) -> Option<&'static str> {
    let inside = path.strip_prefix(DIRECTORY).ok()?;
    let first = inside.components().next()?.as_os_str().to_str()?;
    let last = inside.file_name()?.to_str()?;
    match first {
        "wal" if inside.components().count() > 2 => Some("checkpoint"),
        "wal" => Some("wal"),
        "wbl" => Some("wbl"),
        "chunks_head" => Some("chunks_head"),
        "set-aside" | "lock" => None,
        _ => ["index", "meta.json", "tombstones"].into_iter().find(|name| *name == last).or(Some("chunks")),
    }
}

/// Whether the database says that something is damaged.
fn is_told(machine: &Machine) -> bool {
    let recovery = machine.db().recovery();
    let stats = machine.db().stats();
    !recovery.damage.is_empty()
        || recovery.torn_bytes + recovery.unreadable_records + recovery.without_series > 0
        || stats.query_bad_chunks + stats.head_bad_chunks + stats.block_bad_chunks + stats.block_bad_series > 0
        || stats.blocks_broken + stats.blocks_set_aside > 0
}

const ASKS_MAX: usize = 4;
