//! Memory of active series.

use std::fs;

use environment::Clock as _;
use host::HostClock;
use model::{AccountId, Labels};
use quota::{Limits, Quotas, Touch};
use uuid::Uuid;

/// Bytes for each series.
pub(crate) struct BytesEach {
    /// As the tables count what they hold.
    pub(crate) held: f64,
    /// By which the process grew.
    pub(crate) resident: f64,
}

/// Of `count` series of one workspace, each written twice, the second time known by its dense index.
pub(crate) fn bytes_each(count: u32) -> BytesEach {
    let mut limits = Limits::default();
    limits.workspace.active_series = u64::from(count);
    let quotas = Quotas::new(limits);
    let quota = quotas.workspace(AccountId(Uuid::nil()));
    let clock = HostClock::new();
    let before = resident_bytes();
    for index in 0..count {
        let instance = format!("10.{}.{}.{}:9090", index >> 16, index >> 8 & 255, index & 255);
        let labels = Labels::from_pairs([("__name__", "http_requests_total"), ("instance", &instance)]);
        let labels = labels.expect("no name stands there twice");
        let series = quota.active_series().at(clock.monotonic());
        let hash = series.hash(&labels);
        assert_ne!(series.touch(hash, None), Touch::Refused, "the limit is as many as there are");
        assert_eq!(series.touch(hash, Some(index)), Touch::Active, "it is known the second time");
    }
    assert_eq!(quota.active_series().active(clock.monotonic()), u64::from(count));
    let grown = resident_bytes().saturating_sub(before);
    BytesEach {
        held: quota.active_series().bytes() as f64 / f64::from(count),
        resident: grown as f64 / f64::from(count),
    }
}

/// Of this process.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
}
