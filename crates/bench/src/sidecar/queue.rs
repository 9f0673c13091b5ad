//! A sidecar with a queue, and what it says about it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::Bench;
use crate::http_client;
use crate::peers::{self, Peer, Sidecar};
use crate::process::pause;

/// Starts one that sends to `upstream`, with its queue in a directory of this name.
pub(crate) fn start(bench: &Bench<'_>, name: &str, upstream: SocketAddr) -> anyhow::Result<Peer> {
    let directory = bench.directory.join(name);
    let environment = [
        ("REMORA_QUEUE", bench.arguments.queue.clone()),
        ("REMORA_QUEUE_DIR", directory.join("queue").display().to_string()),
        ("REMORA_QUEUE_BYTES_MAX", "16GiB".to_owned()),
    ];
    peers::sidecar(&bench.programs, &directory, &Sidecar { upstream, ca: None, environment: &environment })
}

/// Requests that wait to be sent or are on their way; none without a queue.
pub(crate) fn waiting(address: SocketAddr) -> anyhow::Result<u64> {
    Ok(metric(address, "remora_sidecar_queue_requests")?.unwrap_or_default() as u64)
}

/// Bytes of the queue on disk.
pub(crate) fn bytes(address: SocketAddr) -> anyhow::Result<u64> {
    Ok(metric(address, "remora_sidecar_queue_bytes")?.unwrap_or_default() as u64)
}

/// Waits until everything is delivered.
pub(crate) fn wait_until_empty(address: SocketAddr, patience: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + patience;
    loop {
        let left = waiting(address)?;
        if left == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{left} requests are still in the queue after {patience:?}");
        pause(Duration::from_millis(20));
    }
}

fn metric(address: SocketAddr, name: &str) -> anyhow::Result<Option<f64>> {
    let answer = http_client::get(address, "/metrics", "")?;
    ensure!(answer.status == 200, "/metrics was answered {}", answer.status);
    let value = answer.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map(|value| value.trim().parse().with_context(|| format!("{name} {value}"))).transpose()
}
