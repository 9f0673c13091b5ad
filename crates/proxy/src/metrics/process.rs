//! The standard metrics of a process.

use host::ProcessUsage;

use super::{counter, gauge};

/// Appends what the system tells; what it does not tell is absent.
pub(crate) fn write(out: &mut String) {
    let usage = ProcessUsage::read();
    if let Some(bytes) = usage.resident_bytes {
        gauge(out, "process_resident_memory_bytes", bytes);
    }
    if let Some(seconds) = usage.cpu_seconds {
        counter(out, "process_cpu_seconds", seconds);
    }
    if let Some(fds) = usage.open_fds {
        gauge(out, "process_open_fds", fds);
    }
    if let Some(fds) = usage.max_fds {
        gauge(out, "process_max_fds", fds);
    }
}
