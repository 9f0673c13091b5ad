//! What is done with a database while it lives.

use std::path::Path;
use std::time::Duration;

use environment::{Clock as _, Disk as _};
use model::{MatchOp, Matcher, TimestampMs};
use storage::{AdministerError, TimeRange};

use super::{Checked, Run};
use crate::chance::Chance;
use crate::ledger::Sample;
use crate::machine::{Machine, walk};

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Most series write their next sample.
    Fresh,
    /// They do so many times.
    Scrapes(u64),
    /// Samples older than others of their series, of the last so many milliseconds.
    Late(i64),
    /// A run of old samples of one series, from this many milliseconds ago.
    Backfill(i64),
    /// Samples from the far future.
    Ahead,
    /// A batch is sent a second time.
    Repeat,
    /// Another value for times that have one.
    Conflict,
    /// A new series begins.
    NewSeries,
    /// Some of everything is asked for.
    Query,
    /// A query is begun, other things happen, and it is walked to its end.
    LongQuery,
    /// Samples of some series and times are deleted.
    Delete,
    /// Blocks are written anew without what was deleted.
    CleanTombstones,
    /// What is done in the background is done now.
    Maintain,
    /// A copy is made, opened, compared.
    Snapshot,
    /// Time goes by.
    Pass(Duration),
    /// Space runs out for a while.
    Starve,
}

impl Step {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        match chance.below(100) {
            0..24 => Self::Fresh,
            24..34 => Self::Scrapes(chance.below(40)),
            34..42 => Self::Late(*chance.one_of(&[60_000, 3_600_000, 10_800_000, 172_800_000])),
            42..45 => Self::Backfill(*chance.one_of(&[7_200_000, 864_000_000, 31_536_000_000])),
            45..46 => Self::Ahead,
            46..51 => Self::Repeat,
            51..56 => Self::Conflict,
            56..58 => Self::NewSeries,
            58..71 => Self::Query,
            71..75 => Self::LongQuery,
            75..79 => Self::Maintain,
            79..82 => Self::Delete,
            82..83 => Self::CleanTombstones,
            83..84 => Self::Snapshot,
            84..98 => {
                let ms = *chance.one_of(&[1, 100, 1000, 15_000, 600_000, 3_600_000, 10_800_000, 86_400_000]);
                Self::Pass(Duration::from_millis(ms))
            }
            _ => Self::Starve,
        }
    }
}

impl Run {
    pub(super) fn step(&mut self, machine: &Machine, step: Step) -> Checked {
        self.say(format!("{step:?} at {} after {} changes", self.now_ms(), self.disk.changes()));
        match step {
            Step::Fresh => self.send_fresh(machine),
            Step::Scrapes(count) => {
                for _ in 0..count {
                    self.send_fresh(machine)?;
                    self.pass(Some(machine), Duration::from_millis(self.plan.cadence_ms as u64))?;
                    if self.disk.is_off() {
                        break;
                    }
                }
                Ok(())
            }
            Step::Repeat if self.history.is_empty() => Ok(()),
            Step::Repeat => {
                let batch = self.chance.one_of(&self.history).clone();
                self.send(machine, batch, false)
            }
            Step::Late(span) => self.late(machine, span),
            Step::Backfill(ago) => self.backfill(machine, ago),
            Step::Ahead => self.ahead(machine),
            Step::Conflict => self.conflict(machine),
            Step::NewSeries => {
                self.add_series();
                self.send_fresh(machine)
            }
            Step::Query => self.query(machine),
            Step::LongQuery => self.long_query(machine),
            Step::Delete => self.delete(machine),
            Step::CleanTombstones => {
                let outcome = machine.db().clean_tombstones();
                self.administered(outcome)
            }
            Step::Maintain => {
                let outcome = machine.db().maintain(self.clock.now());
                self.administered(outcome)
            }
            Step::Snapshot => self.snapshot(machine),
            Step::Pass(span) => self.pass(Some(machine), span),
            Step::Starve => self.starve(machine),
        }
    }

    /// The next sample of most series.
    pub(super) fn send_fresh(&mut self, machine: &Machine) -> Checked {
        let now = self.now_ms();
        let mut batch = Vec::new();
        for series in 0..self.ledger.series().len() {
            if self.chance.one_in(6) {
                continue;
            }
            let at = now - self.chance.between(0, 900);
            if self.ledger.newest(series).is_none_or(|newest| newest < at) {
                batch.push(self.sample(series, at, 0));
            }
        }
        self.send(machine, batch, true)
    }

    fn sample(&mut self, series: usize, at: i64, version: u32) -> Sample {
        let kind = self.ledger.series()[series].kind;
        (series, at, kind.value(series, at, version, &mut self.chance))
    }

    fn late(&mut self, machine: &Machine, span: i64) -> Checked {
        let now = self.now_ms();
        let mut batch = Vec::new();
        for _ in 0..self.chance.below(20) + 1 {
            let series = self.chance.index(self.ledger.series().len());
            let at = now - self.chance.between(0, span);
            // Not one that may be there with another value: which of them is refused would be anybody's guess.
            if !self.ledger.is_known(series, at) {
                batch.push(self.sample(series, at, 0));
            }
        }
        self.send(machine, batch, false)
    }

    fn backfill(&mut self, machine: &Machine, ago: i64) -> Checked {
        let series = self.chance.index(self.ledger.series().len());
        let start = self.now_ms() - ago - self.chance.between(0, ago / 10);
        let step = *self.chance.one_of(&[1000, 60_000, 3_600_000]);
        let mut batch = Vec::new();
        for number in 0..self.chance.between(1, 150) {
            let at = start + number * step;
            if at <= self.now_ms() && !self.ledger.is_known(series, at) {
                batch.push(self.sample(series, at, 0));
            }
        }
        self.send(machine, batch, false)
    }

    /// A sample from too far ahead is refused when it is appended, and the rest is not.
    fn ahead(&mut self, machine: &Machine) -> Checked {
        let most = self.now_ms() + self.plan.settings.future_max.as_millis() as i64;
        let series = self.chance.index(self.ledger.series().len());
        let at = most + self.chance.between(1, 1_000_000);
        let too_far = self.sample(series, at, 0);
        match machine.commit(&self.ledger, &[too_far], TimestampMs(self.now_ms())) {
            Err(error) if error.contains("future") => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(format!("a sample at {at} was taken, {} ms after the newest time", at - most)),
        }
    }

    fn conflict(&mut self, machine: &Machine) -> Checked {
        let mut batch = Vec::new();
        for _ in 0..self.chance.below(4) + 1 {
            let series = self.chance.index(self.ledger.series().len());
            let times = self.ledger.times(series);
            if let Some(&at) = times.get(self.chance.index(times.len())) {
                let version = 1 + self.chance.below(3) as u32;
                batch.push(self.sample(series, at, version));
            }
        }
        self.send(machine, batch, false)
    }

    fn query(&mut self, machine: &Machine) -> Checked {
        let matchers = self.draw_matchers();
        let range = self.draw_range();
        let met = self.disk.faults_met();
        match machine.select(&self.ledger, &matchers, range)? {
            Ok(found) => self.ledger.check(&matchers, range, &found),
            Err(error) if self.disk.faults_met() > met || self.disk.is_off() => {
                self.say(format!("not answered: {error}"));
                Ok(())
            }
            Err(error) => Err(format!("a query on a sound disk: {error}")),
        }
    }

    /// What a query sees is what was there when it began, whatever is written, merged or removed until it ends.
    fn long_query(&mut self, machine: &Machine) -> Checked {
        let (matchers, range) = (self.draw_matchers(), self.draw_range());
        let before = self.ledger.clone();
        let met = self.disk.faults_met();
        let set = machine.query(&matchers, range)?;
        for _ in 0..self.chance.below(4) {
            match self.chance.below(4) {
                0 => self.send_fresh(machine)?,
                1 => self.late(machine, 3_600_000)?,
                2 => self.pass(Some(machine), Duration::from_secs(600))?,
                _ => self.pass(Some(machine), Duration::from_secs(4 * 3600))?,
            }
        }
        let walked = match set {
            Ok(set) => walk(set, &self.ledger, range)?,
            Err(error) => Err(error),
        };
        match walked {
            Ok(found) => self.ledger.check_view(&before, &matchers, range, &found),
            Err(error) if self.disk.faults_met() > met || self.disk.is_off() => {
                self.say(format!("not answered: {error}"));
                Ok(())
            }
            Err(error) => Err(format!("a long query on a sound disk: {error}")),
        }
    }

    pub(super) fn draw_matchers(&mut self) -> Vec<Matcher> {
        let chance = &mut self.chance;
        let count = chance.below(3);
        let ops = [MatchOp::Equal, MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
        let pairs = [
            ("__name__", "m0"),
            ("__name__", "m1|m2"),
            ("job", "j1"),
            ("job", "j.*"),
            ("instance", "i[0-5]"),
            ("instance", ""),
            ("absent", ""),
        ];
        (0..count)
            .map(|_| {
                let (name, value) = *chance.one_of(&pairs);
                Matcher::new(*chance.one_of(&ops), name, value).expect("expressions are well-formed")
            })
            .collect()
    }

    /// Around a time that has samples, or anywhere.
    pub(super) fn draw_range(&mut self) -> TimeRange {
        let now = self.now_ms();
        let series = self.chance.index(self.ledger.series().len());
        let times = self.ledger.times(series);
        let around = match times.get(self.chance.index(times.len())) {
            Some(&at) if !self.chance.one_in(4) => at,
            _ => now - self.chance.between(0, 10 * 86_400_000),
        };
        let width = *self.chance.one_of(&[0, 1, 60_000, 3_600_000, 86_400_000]);
        let start = around - self.chance.between(0, width);
        TimeRange { start: TimestampMs(start), end: TimestampMs(start + width) }
    }

    fn delete(&mut self, machine: &Machine) -> Checked {
        let (matchers, range) = (self.draw_matchers(), self.draw_range());
        self.say(format!("delete {matchers:?} {range:?}"));
        self.ledger.begin_deletion(&matchers, range);
        let outcome = machine.db().delete(&matchers, range).map(drop);
        self.try_crashes()?;
        if outcome.is_ok() && !self.disk.is_off() {
            self.ledger.acknowledge_deletion(&matchers, range, self.clock.monotonic());
            self.report.deletions += 1;
        }
        self.administered(outcome)
    }

    /// A copy has everything that was acknowledged before it, whatever becomes of the database.
    fn snapshot(&mut self, machine: &Machine) -> Checked {
        let to = Path::new("data/copy");
        // What a machine that went off in the middle left.
        self.remove_copy(to)?;
        let outcome = machine.db().snapshot(to);
        let made = outcome.is_ok();
        self.administered(outcome)?;
        if !made || self.disk.is_off() {
            // Nothing is left of a copy that failed; of one that a fault kept from being removed, something is.
            return self.remove_copy(to);
        }
        if self.chance.one_in(2) && !self.disk.has_faults() {
            self.say("the copy is opened".to_owned());
            match Machine::start_in(&self.disk, &self.clock, self.plan.settings.clone(), "data/copy") {
                Ok(copy) => {
                    self.check_machine()?;
                    self.check_all(&copy, false)?;
                    let closed = copy.db().close();
                    closed.or_else(|error| {
                        if self.disk.is_off() { Ok(()) } else { Err(format!("closing a copy: {error}")) }
                    })?;
                }
                Err(_) if self.disk.is_off() => {}
                Err(error) => return Err(format!("a copy does not open: {error}")),
            }
        }
        self.remove_copy(to)
    }

    fn remove_copy(&mut self, copy: &Path) -> Checked {
        let removed = self.disk.remove_directory(copy);
        self.try_crashes()?;
        match removed {
            Err(error)
                if error.kind() != std::io::ErrorKind::NotFound && !self.disk.has_faults() && !self.disk.is_off() =>
            {
                Err(format!("removing a copy: {error}"))
            }
            _ => Ok(()),
        }
    }

    /// What was asked for was done, unless a fault kept it from being.
    fn administered(&mut self, outcome: Result<(), AdministerError>) -> Checked {
        self.check_machine()?;
        self.try_crashes()?;
        match outcome {
            // A damaged block can be read, but not written anew without what is damaged.
            Err(error) if self.disk.faults_met() == 0 && !self.disk.is_off() && self.report.rotten == 0 => {
                Err(format!("on a sound disk: {error}"))
            }
            Err(error) => {
                self.say(format!("not done: {error}"));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Space runs out, and comes back: what was refused meanwhile is taken again, without a restart.
    fn starve(&mut self, machine: &Machine) -> Checked {
        if self.disk.has_faults() || machine.db().stats().wal_failed {
            return Ok(());
        }
        let free = self.chance.index(3000);
        self.disk.set_capacity(Some(self.disk.used() + free));
        for _ in 0..self.chance.below(8) {
            match self.chance.below(4) {
                0 | 1 => self.send_fresh(machine)?,
                2 => self.query(machine)?,
                _ => self.pass(Some(machine), Duration::from_secs(60))?,
            }
        }
        self.disk.set_capacity(None);
        self.pass(Some(machine), Duration::from_secs(60))?;
        let failed = self.report.failed_commits;
        self.send_fresh(machine)?;
        if self.report.failed_commits > failed {
            return Err("there is space again, and samples are still refused".to_owned());
        }
        self.disk.forget_faults_met();
        Ok(())
    }
}
