//! Bytes on the disk, once everything is as small as a receiver makes it.
//!
//! The load ends hours ago. Then a few samples of now follow, so that who keeps the newest hours in memory writes the load
//! down as blocks, which is waited for. VictoriaMetrics is asked to merge all that it has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::ingest::load::{Load, Shape};
use crate::ingest::receivers::{Kind, Receiver, allocated_bytes};
use crate::ingest::{YOUNG, check, connect};
use crate::process::pause;

pub(super) struct Figures {
    /// Of what holds samples: blocks, or all of the data.
    pub(super) bytes: u64,
    pub(super) samples: u64,
}

pub(super) fn measure(receiver: &mut Receiver, shape: Shape) -> anyhow::Result<Figures> {
    let shape = Shape { age: OLD, ..shape };
    let mut load = Load::new(shape);
    let mut connections = connect(receiver)?;
    for scrape in 0..shape.scrapes {
        load.send(scrape, &mut connections)?;
    }
    // The same series go on: blocks may hold these samples, too.
    let mut now = Load::new(Shape { series: NOW_SERIES, scrapes: 1, age: YOUNG, ..shape });
    now.send(0, &mut connections)?;
    drop(connections);
    let bytes = match receiver.kind {
        Kind::Remora | Kind::Prometheus => blocks(&receiver.data_directory(), shape.samples())?,
        Kind::VictoriaMetrics => merged(receiver)?,
    };
    let found = check::samples_found(receiver, &load)?;
    ensure!(found == shape.samples(), "{} has {found} samples of {}", receiver.kind.name(), shape.samples());
    receiver.stop()?;
    Ok(Figures { bytes, samples: shape.samples() })
}

/// Waits until all samples are in blocks and these are left alone for a while, then counts what they take.
fn blocks(directory: &Path, samples: u64) -> anyhow::Result<u64> {
    let until = Instant::now() + PATIENCE;
    let (mut last, mut since) = (BTreeMap::new(), Instant::now());
    loop {
        ensure!(Instant::now() < until, "after {PATIENCE:?} blocks hold {} of {samples} samples", sum(&last));
        pause(Duration::from_secs(1));
        let mut found = BTreeMap::new();
        find_blocks(directory, &mut found)?;
        if found != last {
            eprintln!("  {} blocks with {} samples", found.len(), sum(&found));
            (last, since) = (found, Instant::now());
        } else if sum(&last) >= samples && since.elapsed() > QUIET {
            return last.keys().map(|block| allocated_bytes(block)).sum();
        }
    }
}

fn sum(blocks: &BTreeMap<PathBuf, u64>) -> u64 {
    blocks.values().sum()
}

/// Blocks anywhere below a directory, with the number of their samples.
fn find_blocks(directory: &Path, found: &mut BTreeMap<PathBuf, u64>) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let under_way = path.extension().is_some();
        if under_way || !path.is_dir() {
            continue;
        }
        // One that is replaced meanwhile is not there any more.
        match fs::read_to_string(path.join("meta.json")) {
            Ok(meta) => {
                let meta: Value = serde_json::from_str(&meta).context("a meta.json that is none")?;
                found.insert(path, meta["stats"]["numSamples"].as_u64().unwrap_or(0));
            }
            Err(_) => find_blocks(&path, found)?,
        }
    }
    Ok(())
}

/// Has everything merged, waits for it, counts what the data take.
fn merged(receiver: &Receiver) -> anyhow::Result<u64> {
    receiver.get("/internal/force_flush")?;
    receiver.get("/internal/force_merge")?;
    let until = Instant::now() + PATIENCE;
    let (mut last, mut since) = (0, Instant::now());
    loop {
        ensure!(Instant::now() < until, "merges do not end within {PATIENCE:?}");
        pause(Duration::from_secs(1));
        let metrics = receiver.get("/metrics")?;
        let merging = metrics.lines().any(|line| {
            (line.starts_with("vm_active_force_merges") || line.starts_with("vm_active_merges"))
                && line.rsplit(' ').next() != Some("0")
        });
        let bytes = receiver.disk_bytes().unwrap_or(last);
        if merging || bytes != last {
            (last, since) = (bytes, Instant::now());
        } else if since.elapsed() > Duration::from_secs(5) {
            return Ok(bytes);
        }
    }
}

/// More than the three hours that Prometheus keeps in memory.
const OLD: Duration = Duration::from_secs(6 * 3600);
const NOW_SERIES: usize = 4;
/// Longer than the pause between two looks of those who compact.
const QUIET: Duration = Duration::from_secs(70);
const PATIENCE: Duration = Duration::from_secs(400);
