//! A peer's process: started, watched through `/proc`, ended.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A running process, killed when dropped.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        Ok(Self(child))
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }

    /// Asks it to end (SIGTERM) and waits until it has, successfully.
    pub(crate) fn stop(&mut self, patience: Duration) -> anyhow::Result<()> {
        let process = Pid::from_child(&self.0);
        kill_process(process, Signal::TERM)?;
        let until = Instant::now() + patience;
        loop {
            match self.0.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the process ended with {status} when asked to end"),
                None if Instant::now() > until => bail!("the process does not end when asked to"),
                None => pause(Duration::from_millis(5)),
            }
        }
    }

    /// Waits until something accepts connections at `address`.
    pub(crate) fn wait_until_listening(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.0.try_wait()? {
                bail!("the process ended at once: {status}");
            }
            if Instant::now() > until {
                bail!("nothing listens at {address}");
            }
            pause(Duration::from_millis(20));
        }
        Ok(())
    }

    /// CPU seconds so far, of user and system together.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        // The scheduler's count in nanoseconds; `stat` counts hundredths of a second.
        let mut nanos = 0u64;
        for task in fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
                return self.cpu_seconds_of_stat();
            };
            nanos += text.split(' ').next().context("an empty schedstat")?.parse::<u64>()?;
        }
        Ok(nanos as f64 / 1e9)
    }

    /// CPU seconds so far in hundredths, of threads that have ended as well.
    pub(crate) fn cpu_seconds_of_stat(&self) -> anyhow::Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields: Vec<&str> = text.rsplit(')').next().context("no stat")?.split_whitespace().collect();
        let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(ticks as f64 / 100.0)
    }

    /// The most resident memory so far, in megabytes of 10^6 bytes.
    pub(crate) fn rss_max_mb(&self) -> anyhow::Result<f64> {
        self.memory_mb("VmHWM:")
    }

    /// From now on, [`rss_max_mb`](Self::rss_max_mb) tells of what comes.
    pub(crate) fn forget_rss_max(&self) -> anyhow::Result<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.0.id()), "5")?)
    }

    /// The resident memory now, in megabytes of 10^6 bytes.
    pub(crate) fn rss_mb(&self) -> anyhow::Result<f64> {
        self.memory_mb("VmRSS:")
    }

    fn memory_mb(&self, field: &str) -> anyhow::Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field)).context("a process that ended")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024.0 / 1e6)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address on loopback that was free a moment ago.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Sleeps: benchmarks measure real time.
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}
