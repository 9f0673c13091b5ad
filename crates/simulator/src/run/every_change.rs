//! Crashes at every change of the disk, not only at drawn ones.

use environment::Clock as _;

use super::{Checked, Length, Report, Run};
use crate::disk::{Moment, SimulatedDisk};
use crate::ledger::Ledger;

impl Run {
    pub(super) fn every_change(&mut self) -> Checked {
        self.depth = 2;
        self.disk.set_maps(self.plan.maps);
        self.disk.record();
        let machine = self.start()?.ok_or("the machine went off without a fault")?;
        self.live(&machine)?;
        self.count(&machine);
        let _ = machine.db().close();
        self.try_crashes()?;
        self.report.samples = self.ledger.len() as u64;
        Ok(())
    }

    /// Tries crashes at all moments since the last call. What is under way counts as not answered.
    pub(super) fn try_crashes(&mut self) -> Checked {
        if self.depth == 0 {
            return Ok(());
        }
        for moment in self.disk.take_moments() {
            let process = moment.after_process_crash(&mut self.chance);
            self.probe(&moment, "death of the process", process, self.ledger.clone())?;
            for _ in 0..POWER_CUTS {
                let power = moment.after_power_cut(&mut self.chance);
                let mut ledger = self.ledger.clone();
                ledger.cut_power(self.plan.sync_interval(), self.clock.monotonic());
                self.probe(&moment, "power cut", power, ledger)?;
            }
        }
        Ok(())
    }

    /// Starts a machine on what a crash left, looks at everything, and sometimes goes on with it.
    fn probe(&mut self, moment: &Moment, kind: &str, disk: SimulatedDisk, ledger: Ledger) -> Checked {
        self.report.probes += 1;
        // In a crash within a crash, some are enough: there are as many as there are changes times changes.
        let deeper = self.depth > 1 && self.chance.one_in(DEEPER_ONE_IN);
        if deeper {
            disk.record();
        }
        let mut after = Run {
            chance: self.chance.fork(),
            length: Length { starts: 1, steps: 0, closely: false },
            verbose: false,
            plan: self.plan.clone(),
            clock: self.clock.fork(),
            disk,
            ledger,
            history: Vec::new(),
            report: Report::default(),
            trace: Vec::new(),
            failed_syncs: 0,
            syncs_due: self.syncs_due.clone(),
            depth: if deeper { self.depth - 1 } else { 0 },
        };
        let outcome = after.look_after_crash();
        self.report += &after.report;
        outcome.map_err(|what| {
            let Moment { change, what: last, .. } = moment;
            format!("{kind} at change {change} ({last}): {}\n{what}", after.trace.join("\n"))
        })
    }

    fn look_after_crash(&mut self) -> Checked {
        let Some(machine) = self.start()? else { return Err("the machine went off without a fault".to_owned()) };
        if self.chance.one_in(GO_ON_ONE_IN) {
            self.send_fresh(&machine)?;
            self.pass(Some(&machine), std::time::Duration::from_secs(3 * 3600))?;
            drop(machine);
            let Some(machine) = self.start()? else { return Err("the machine went off without a fault".to_owned()) };
            self.check_all(&machine, false)?;
        }
        Ok(())
    }
}

/// Power cuts tried at each change, each of another kind.
const POWER_CUTS: usize = 3;
const DEEPER_ONE_IN: u64 = 16;
const GO_ON_ONE_IN: u64 = 4;
