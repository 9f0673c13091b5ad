//! One run: a database lives through days of writing, faults and crashes that one seed decides.

mod every_change;
mod rot;
mod steps;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use environment::{Clock as _, Disk as _, Monotonic};
use model::TimestampMs;
use storage::{CommitError, TimeRange};
use testkit::ManualClock;

use self::steps::Step;
use crate::chance::Chance;
use crate::disk::{Fault, Faults, SimulatedDisk};
use crate::ledger::{Ledger, Refusal, Refused, Sample};
use crate::machine::{Answer, Machine, now};
use crate::panics;
use crate::plan::Plan;

/// How long a run is, and what it says meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Starts of the machine.
    pub starts: u64,
    /// Steps between a start and the next crash, at most.
    pub steps: u64,
    /// Whether everything is looked at after each step: to find out which of them it was.
    pub closely: bool,
}

impl Default for Length {
    fn default() -> Self {
        Self { starts: 8, steps: 60, closely: false }
    }
}

/// What happened in a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Steps of the workload.
    pub steps: u64,
    /// Batches answered.
    pub commits: u64,
    /// Samples that were there in the end.
    pub samples: u64,
    /// Crashes of the process.
    pub process_crashes: u64,
    /// Crashes of the machine.
    pub power_cuts: u64,
    /// Starts that failed for a fault.
    pub failed_starts: u64,
    /// Batches that did.
    pub failed_commits: u64,
    /// Whole checks against the ledger.
    pub checks: u64,
    /// Deletions answered.
    pub deletions: u64,
    /// Merges of blocks.
    pub merges: u64,
    /// Times that late samples were written to blocks.
    pub flushes: u64,
    /// Blocks that were there in the end.
    pub blocks: u64,
    /// Files that were damaged.
    pub rotten: u64,
    /// Crashes that were tried beside the run's own.
    pub probes: u64,
    /// Of all that was written to the disk.
    pub digest: u64,
}

impl std::ops::AddAssign<&Self> for Report {
    fn add_assign(&mut self, other: &Self) {
        // All named, so that none is forgotten.
        let Self {
            steps,
            commits,
            samples,
            process_crashes,
            power_cuts,
            failed_starts,
            failed_commits,
            checks,
            deletions,
            merges,
            flushes,
            blocks,
            rotten,
            probes,
            digest,
        } = self;
        let sums = [
            (steps, other.steps),
            (commits, other.commits),
            (samples, other.samples),
            (process_crashes, other.process_crashes),
            (power_cuts, other.power_cuts),
            (failed_starts, other.failed_starts),
            (failed_commits, other.failed_commits),
            (checks, other.checks),
            (deletions, other.deletions),
            (merges, other.merges),
            (flushes, other.flushes),
            (blocks, other.blocks),
            (rotten, other.rotten),
            (probes, other.probes),
        ];
        for (sum, more) in sums {
            *sum += more;
        }
        *digest ^= other.digest;
    }
}

/// What a database did that it must not.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What.
    pub what: String,
    /// The last steps before.
    pub trace: Vec<String>,
}

impl Failure {
    /// Everything that is needed to look into it.
    pub fn text(&self, seed: u64, length: Length) -> String {
        let Length { starts, steps, .. } = length;
        format!(
            "{}\n\nseed {seed} failed: {}\nrepeat with: cargo run -p simulator -- --seed {seed} --starts {starts} --steps {steps} --verbose",
            self.trace.join("\n"),
            self.what
        )
    }
}

/// Runs a seed to its end.
///
/// # Errors
/// What the database did wrong.
pub fn run(seed: u64, length: Length, verbose: bool) -> Result<Report, Failure> {
    Run::new(seed, length, verbose).outcome(Run::all)
}

/// Runs a seed without faults for so many steps, and tries both kinds of crash at every change of the disk: also at those that
/// recovering from a crash makes.
///
/// # Errors
/// What the database did wrong.
pub fn run_every_change(seed: u64, steps: u64, verbose: bool) -> Result<Report, Failure> {
    Run::new(seed, Length { starts: 1, steps, closely: false }, verbose).outcome(Run::every_change)
}

struct Run {
    chance: Chance,
    length: Length,
    verbose: bool,
    plan: Plan,
    clock: ManualClock,
    disk: SimulatedDisk,
    ledger: Ledger,
    /// Batches that may be sent again.
    history: Vec<Vec<Sample>>,
    report: Report,
    trace: Vec<String>,
    /// Of this disk, as far as the ledger knows.
    failed_syncs: u64,
    /// When what was written is to be synced, in order.
    syncs_due: Vec<Monotonic>,
    /// How often crashes are tried in crashes.
    depth: u32,
}

type Checked = Result<(), String>;

impl Run {
    fn new(seed: u64, length: Length, verbose: bool) -> Self {
        let mut chance = Chance::new(seed);
        let plan = Plan::draw(&mut chance);
        let clock = ManualClock::new(plan.start);
        let disk = SimulatedDisk::new();
        // Whoever installs the program makes the data directory and its name durable.
        disk.create_directory("data".as_ref()).expect("a disk without faults");
        disk.sync_directory("".as_ref()).expect("a disk without faults");
        let mut run = Self {
            chance,
            length,
            verbose,
            plan,
            clock,
            disk,
            ledger: Ledger::default(),
            history: Vec::new(),
            report: Report::default(),
            trace: Vec::new(),
            failed_syncs: 0,
            syncs_due: Vec::new(),
            depth: 0,
        };
        run.say(format!("{:?}", run.plan));
        for _ in 0..run.plan.series {
            run.add_series();
        }
        run
    }

    fn outcome(mut self, all: impl FnOnce(&mut Self) -> Checked) -> Result<Report, Failure> {
        panics::watch();
        let outcome = catch_unwind(AssertUnwindSafe(|| all(&mut self)));
        let outcome = outcome.unwrap_or_else(|_| Err(panics::take().join("\n")));
        match outcome {
            Ok(()) => Ok(self.report),
            Err(what) => Err(Failure { what, trace: self.trace }),
        }
    }

    fn add_series(&mut self) {
        let plan = Plan::series_plan(self.ledger.series().len(), &mut self.chance);
        self.ledger.add_series(plan);
    }

    fn say(&mut self, what: String) {
        if self.verbose {
            eprintln!("{what}");
        }
        if self.trace.len() >= TRACE_MAX {
            self.trace.remove(0);
        }
        self.trace.push(what);
    }

    fn all(&mut self) -> Checked {
        for start in 0..self.length.starts {
            self.say(format!("start {start} at {}", now(&self.clock)));
            self.disk.set_maps(self.plan.maps);
            if self.verbose {
                self.disk.say_changes();
            }
            if start > 0 && self.chance.one_in(12) {
                match self.rot()? {
                    true => continue,
                    false => break,
                }
            }
            if self.chance.one_in(2) {
                self.draw_faults();
            }
            if let Some(machine) = self.start()? {
                self.live(&machine)?;
                self.crash(machine)?;
            }
        }
        self.end()
    }

    /// Starts the machine. `None` when it went off meanwhile.
    fn start(&mut self) -> Result<Option<Machine>, String> {
        for _ in 0..2 {
            match Machine::start(&self.disk, &self.clock, self.plan.settings.clone()) {
                Ok(machine) => {
                    self.check_machine()?;
                    self.try_crashes()?;
                    self.check_all(&machine, true)?;
                    return Ok(Some(machine));
                }
                Err(error) => {
                    self.check_machine()?;
                    self.report.failed_starts += 1;
                    self.say(format!("did not start: {error}"));
                    if self.disk.is_off() {
                        self.lose_machine();
                        return Ok(None);
                    }
                    if self.disk.faults_met() == 0 {
                        return Err(format!("a database on a sound disk does not open: {error}"));
                    }
                    // Somebody mended the disk, and looked at what is on it.
                    self.disk = self.disk.now().after_process_crash(&mut self.chance);
                    self.disk.set_maps(self.plan.maps);
                    self.failed_syncs = 0;
                }
            }
        }
        Err("a database does not open on a disk that was mended".to_owned())
    }

    fn live(&mut self, machine: &Machine) -> Checked {
        for _ in 0..self.chance.below(self.length.steps) {
            if machine.disk.is_off() {
                return Ok(());
            }
            let step = Step::draw(&mut self.chance);
            self.report.steps += 1;
            self.step(machine, step)?;
            self.check_machine()?;
            if self.length.closely && !self.disk.is_off() {
                self.check_all(machine, false)?;
            }
        }
        Ok(())
    }

    /// Ends the machine's life in one of the ways in which lives end.
    fn crash(&mut self, machine: Machine) -> Checked {
        self.count(&machine);
        if !self.disk.is_off() && self.chance.one_in(4) {
            self.say("closed".to_owned());
            self.disk.set_faults(Faults::default());
            let closed = machine.db().close();
            if let Err(error) = closed
                && self.disk.faults_met() == 0
            {
                return Err(format!("closing on a sound disk: {error}"));
            }
            // What was closed survives everything.
            self.pass(None, Duration::from_secs(3600))?;
        }
        self.disk.turn_off();
        drop(machine);
        self.check_machine()?;
        self.lose_machine();
        Ok(())
    }

    fn count(&mut self, machine: &Machine) {
        let stats = machine.db().stats();
        self.report.merges += stats.compactions;
        self.report.flushes += stats.out_of_order_flushes;
    }

    /// The machine is off: what the next one finds.
    fn lose_machine(&mut self) {
        self.report.digest ^=
            self.disk.digest().rotate_left((self.report.process_crashes + self.report.power_cuts) as u32);
        let left = self.disk.now();
        self.failed_syncs = 0;
        if self.chance.one_in(2) {
            self.say("the process died".to_owned());
            self.report.process_crashes += 1;
            self.disk = left.after_process_crash(&mut self.chance);
        } else {
            self.say("the power was cut".to_owned());
            self.report.power_cuts += 1;
            self.disk = left.after_power_cut(&mut self.chance);
            self.ledger.cut_power(self.plan.sync_interval(), self.clock.monotonic());
        }
    }

    /// A last start without faults: everything is there, also after maintenance and a clean restart.
    fn end(&mut self) -> Checked {
        self.say("the end".to_owned());
        let Some(machine) = self.start()? else { return Err("the machine went off without a fault".to_owned()) };
        self.send_fresh(&machine)?;
        self.pass(Some(&machine), Duration::from_secs(2 * 86_400))?;
        self.check_all(&machine, false)?;
        machine.db().close().map_err(|error| format!("closing on a sound disk: {error}"))?;
        drop(machine);
        let Some(machine) = self.start()? else { return Err("the machine went off without a fault".to_owned()) };
        self.check_all(&machine, false)?;
        self.check_machine()?;
        self.report.samples = self.ledger.len() as u64;
        self.report.blocks = machine.db().stats().blocks;
        Ok(())
    }

    fn draw_faults(&mut self) {
        let chance = &mut self.chance;
        let soon = |chance: &mut Chance, most: u64| {
            // Often during the start, or in the middle of maintenance later.
            let most = if chance.one_in(3) { 12 } else { most };
            chance.below(most)
        };
        let mut faults = Faults::default();
        if chance.one_in(2) {
            faults.off = Some((self.disk.changes() + soon(chance, 400), chance.below(1001)));
        }
        if chance.one_in(3) {
            let error = *chance.one_of(&[std::io::ErrorKind::Other, std::io::ErrorKind::StorageFull]);
            let at = self.disk.changes() + soon(chance, 300);
            faults.changes.push(Fault { at, lasting: chance.one_in(4), error, torn: chance.below(1001) });
        }
        if chance.one_in(4) {
            let at = self.disk.reads() + soon(chance, 300);
            faults.reads.push(Fault { at, lasting: false, error: std::io::ErrorKind::Other, torn: 0 });
        }
        self.say(format!("{faults:?} at change {} and read {}", self.disk.changes(), self.disk.reads()));
        self.disk.set_faults(faults);
    }

    /// Lets time pass, and what is due with it be done.
    fn pass(&mut self, machine: Option<&Machine>, span: Duration) -> Checked {
        let mut left = span;
        // Time after the end is none: what counts is how old things were then.
        while !left.is_zero() && !machine.is_some_and(|machine| machine.disk.is_off()) {
            let mut step = STEP.min(left);
            // Syncs come when they are due, as far as it is up to the clock.
            let now = self.clock.monotonic();
            self.syncs_due.retain(|due| *due > now);
            if let Some(due) = self.syncs_due.first() {
                step = step.min(due.since(now));
            }
            self.clock.advance(step);
            left -= step;
            if let Some(machine) = machine {
                machine.settle()?;
                self.check_machine()?;
                self.try_crashes()?;
            }
        }
        Ok(())
    }

    /// Asks for everything. After a crash, what is found settles what was open.
    fn check_all(&mut self, machine: &Machine, settles: bool) -> Checked {
        let met = self.disk.faults_met();
        let found = match machine.select(&self.ledger, &[], TimeRange::ALL)? {
            Ok(found) => found,
            Err(error) if self.disk.is_off() || self.disk.faults_met() > met => {
                self.say(format!("the check failed: {error}"));
                return Ok(());
            }
            Err(error) => return Err(format!("a query of everything on a sound disk: {error}")),
        };
        self.report.checks += 1;
        self.ledger.check(&[], TimeRange::ALL, &found)?;
        if settles {
            let damaged = !machine.db().recovery().damage.is_empty();
            self.ledger.settle(&found, !damaged)?;
        }
        Ok(())
    }

    /// Sends a batch and writes down what became of it.
    fn send(&mut self, machine: &Machine, batch: Vec<Sample>, in_order: bool) -> Checked {
        if batch.is_empty() {
            return Ok(());
        }
        let met = self.disk.faults_met();
        let begun = self.ledger.begin(&batch, in_order);
        if let Some(interval) = self.plan.sync_interval() {
            self.syncs_due.push(self.clock.monotonic().plus(interval));
        }
        let answer = machine.commit(&self.ledger, &batch, now(&self.clock))?;
        self.check_machine()?;
        self.try_crashes()?;
        match answer {
            Answer::Off => {}
            Answer::Some(Ok(committed)) => {
                let refused = self.refused(&committed.rejected)?;
                let disturbed = self.disk.faults_met() > met;
                self.ledger.acknowledge(begun, &batch, refused, disturbed, self.clock.monotonic())?;
                self.report.commits += 1;
                self.history.push(batch);
            }
            Answer::Some(Err(CommitError::Busy(reason))) => {
                self.say(format!("busy: {reason}"));
                self.ledger.forget(begun);
            }
            Answer::Some(Err(error)) => {
                self.report.failed_commits += 1;
                self.say(format!("not committed: {error}"));
                if met == 0 && self.disk.faults_met() == 0 {
                    return Err(format!("a commit on a sound disk: {error}"));
                }
            }
        }
        Ok(())
    }

    fn refused(&self, rejected: &[storage::Rejection]) -> Result<Refused, String> {
        let mut refused = Refused::new();
        for rejection in rejected {
            let (at, refusal) = match rejection.error {
                storage::AppendError::DuplicateTimestamp { at } => (at, Refusal::Duplicate),
                storage::AppendError::TooOld { at, .. } | storage::AppendError::OutOfOrder { at, .. } => {
                    (at, Refusal::Old)
                }
                ref error => return Err(format!("{}: {error}", rejection.labels)),
            };
            let number = self.ledger.number_of(&rejection.labels).ok_or("a refusal of a series that was not sent")?;
            refused.entry((number, at.0)).or_default().push(refusal);
        }
        Ok(refused)
    }

    /// What is looked at after everything that was done.
    fn check_machine(&mut self) -> Checked {
        let failed_syncs = self.disk.failed_syncs();
        if failed_syncs > self.failed_syncs {
            self.failed_syncs = failed_syncs;
            self.ledger.fail_sync(self.plan.sync_interval(), self.clock.monotonic());
        }
        match &panics::take()[..] {
            [] => Ok(()),
            [first, ..] => Err(first.clone()),
        }
    }

    fn now_ms(&self) -> i64 {
        let TimestampMs(now) = now(&self.clock);
        now
    }
}

/// Time passes in steps of this, at most.
const STEP: Duration = Duration::from_secs(60);

/// Steps that are told when a run fails.
const TRACE_MAX: usize = 60;
