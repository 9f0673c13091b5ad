//! What the system says of this process, from `/proc`: for the standard `process_` metrics.

use std::fs;

/// A reading. Each part is `None` where the system does not tell it (no `/proc`).
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct ProcessUsage {
    /// Memory that is in RAM, bytes.
    pub resident_bytes: Option<u64>,
    /// Processor time of all threads, user and system, seconds.
    pub cpu_seconds: Option<f64>,
    /// Open files and sockets.
    pub open_fds: Option<u64>,
    /// The most that there may be (soft limit); `None` also when there is no limit.
    pub max_fds: Option<u64>,
}

impl ProcessUsage {
    /// Reads it now: four small files, no waiting on a disk.
    pub fn read() -> Self {
        Self {
            resident_bytes: fs::read_to_string("/proc/self/status").ok().and_then(|text| resident_bytes(&text)),
            cpu_seconds: fs::read_to_string("/proc/self/stat").ok().and_then(|text| cpu_seconds(&text)),
            // Less the one that reads the directory.
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|entries| (entries.count() as u64).saturating_sub(1)),
            max_fds: fs::read_to_string("/proc/self/limits").ok().and_then(|text| max_fds(&text)),
        }
    }
}

/// `VmRSS:      1234 kB` of `/proc/self/status`.
fn resident_bytes(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Fields 14 and 15 of `/proc/self/stat`. The second field is the program's name in parentheses and may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

/// `Max open files   1024   524288   files` of `/proc/self/limits`.
fn max_fds(limits: &str) -> Option<u64> {
    let values = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    values.split_ascii_whitespace().next()?.parse().ok()
}

/// The unit in which Linux tells processes their times, whatever the kernel's own (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_system() {
        assert_eq!(resident_bytes("Name:\tx\nVmHWM:\t 9 kB\nVmRSS:\t   24116 kB\n"), Some(24_694_784));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 80 0 1 0 150 27 0 0 20 0 1 0 9 11 12";
        assert_eq!(cpu_seconds(stat), Some(1.77));
        assert_eq!(cpu_seconds("42 (a) S 1"), None);
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(max_fds(limits), Some(1024));
        assert_eq!(max_fds("Max open files            unlimited            unlimited            files\n"), None);
    }

    #[test]
    fn this_process() {
        let before = ProcessUsage::read();
        assert!(before.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{before:?}");
        assert!(before.cpu_seconds.is_some_and(|seconds| seconds >= 0.0), "{before:?}");
        assert!(before.open_fds.is_some_and(|fds| fds >= 3), "{before:?}");
        let held: Vec<_> = (0..50).map(|_| fs::File::open("/proc/self/status").unwrap()).collect();
        let with_more = ProcessUsage::read().open_fds.unwrap();
        // Other tests of this binary open and close files meanwhile.
        assert!(with_more > before.open_fds.unwrap() + 20, "{with_more} after {before:?}");
        drop(held);
    }
}
