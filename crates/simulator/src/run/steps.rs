//! What is done with a database while it lives.

use std::time::Duration;

use model::{MatchOp, Matcher, TimestampMs};
use storage::TimeRange;

use super::{Checked, Run};
use crate::chance::Chance;
use crate::ledger::Sample;
use crate::machine::Machine;

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Most series write their next sample.
    Fresh,
    /// They do so many times.
    Scrapes(u64),
    /// A batch is sent a second time.
    Repeat,
    /// Another value for times that have one.
    Conflict,
    /// A new series begins.
    NewSeries,
    /// Some of everything is asked for.
    Query,
    /// Time goes by.
    Pass(Duration),
    /// Space runs out for a while.
    Starve,
}

impl Step {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        match chance.below(100) {
            0..30 => Self::Fresh,
            30..40 => Self::Scrapes(chance.below(40)),
            40..47 => Self::Repeat,
            47..54 => Self::Conflict,
            54..57 => Self::NewSeries,
            57..75 => Self::Query,
            75..97 => {
                let ms = *chance.one_of(&[1, 100, 1000, 15_000, 600_000, 3_600_000, 10_800_000, 86_400_000]);
                Self::Pass(Duration::from_millis(ms))
            }
            _ => Self::Query,
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
            Step::Conflict => self.conflict(machine),
            Step::NewSeries => {
                self.add_series();
                self.send_fresh(machine)
            }
            Step::Query => self.query(machine),
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
            Err(error) if self.disk.faults_met() > met => {
                self.say(format!("not answered: {error}"));
                Ok(())
            }
            Err(error) => Err(format!("a query on a sound disk: {error}")),
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
