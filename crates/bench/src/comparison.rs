//! Two proxies over the same load, in turns: what a request costs each and how long it takes.

use std::time::Duration;

use crate::load::{Pace, Senders, Until};
use crate::peers::Peer;
use crate::statistics::{median, quantile};

/// How long is measured.
pub(crate) struct Spans {
    /// Rounds; the medians over them count.
    pub(crate) rounds: usize,
    /// Seconds of each measurement at full speed.
    pub(crate) full_speed_seconds: f64,
    /// Seconds of each measurement at a steady rate.
    pub(crate) paced_seconds: f64,
}

/// What was measured of two peers: nginx first, then ours.
pub(crate) struct Comparison {
    figures: [Vec<[f64; COLUMNS]>; 2],
    rss_max_mb: [f64; 2],
}

/// A column of a comparison.
#[derive(Clone, Copy)]
pub(crate) enum Column {
    /// CPU milliseconds of a request at full speed.
    CpuFullSpeed,
    /// CPU milliseconds of a request at 100 requests a second.
    CpuPaced,
    /// Median of the milliseconds until the answer, at 100 requests a second.
    P50,
    /// 99th percentile of the same.
    P99,
    /// Requests a second at full speed.
    Rate,
}

const COLUMNS: usize = 5;

impl Comparison {
    /// Rounds of both peers. CPU of a turn is counted until `settle` returns, which waits for what goes on behind answers.
    pub(crate) fn measure(
        spans: &Spans,
        peers: &[Peer; 2],
        requests: &[Vec<u8>],
        settle: impl Fn() -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let mut senders = Vec::new();
        for peer in peers {
            let mut warm = Senders::connect(peer.address, CONNECTIONS)?;
            warm.run(requests, Pace::FullSpeed, Until::Passed(WARM_UP))?;
            settle()?;
            senders.push(warm);
        }
        let mut turns = Turns { peers, senders, requests, settle };
        let mut figures = [Vec::new(), Vec::new()];
        for _ in 0..spans.rounds {
            let full = turns.take(Pace::FullSpeed, spans.full_speed_seconds)?;
            let mut paced = turns.take(Pace::PerSecond(PACED_PER_SECOND), spans.paced_seconds)?;
            for (index, peer) in figures.iter_mut().enumerate() {
                peer.push([
                    full[index].cpu_ms(),
                    paced[index].cpu_ms(),
                    quantile(&mut paced[index].latencies_ms, 0.5),
                    quantile(&mut paced[index].latencies_ms, 0.99),
                    full[index].requests as f64 / spans.full_speed_seconds,
                ]);
            }
        }
        Ok(Self { figures, rss_max_mb: [peers[0].process.rss_max_mb()?, peers[1].process.rss_max_mb()?] })
    }

    /// The median over the rounds of one peer.
    pub(crate) fn of(&self, peer: usize, column: Column) -> f64 {
        median(&self.figures[peer].iter().map(|round| round[column as usize]).collect::<Vec<_>>())
    }

    /// Ours, with nginx as 1.
    pub(crate) fn ratio(&self, column: Column) -> f64 {
        self.of(1, column) / self.of(0, column)
    }

    /// The most resident memory of ours.
    pub(crate) fn rss_max_mb(&self) -> f64 {
        self.rss_max_mb[1]
    }

    pub(crate) fn print(&self, peers: &[Peer; 2]) {
        println!("| | CPU ms/request, full speed | CPU ms/request, 100/s | p50 ms | p99 ms | requests/s | RSS MB |");
        println!("|---|---|---|---|---|---|---|");
        let columns = [Column::CpuFullSpeed, Column::CpuPaced, Column::P50, Column::P99, Column::Rate];
        for (index, peer) in peers.iter().enumerate() {
            let [full, paced, p50, p99, rate] = columns.map(|column| self.of(index, column));
            let rss = self.rss_max_mb[index];
            println!("| {} | {full:.4} | {paced:.4} | {p50:.3} | {p99:.3} | {rate:.0} | {rss:.1} |", peer.name);
        }
        let [full, paced, p50, p99, rate] = columns.map(|column| self.ratio(column));
        println!("| ratio | {full:.3} | {paced:.3} | {p50:.3} | {p99:.3} | {rate:.3} | |");
    }
}

/// What was measured of one peer in one round.
#[derive(Default)]
struct Slices {
    requests: u64,
    cpu_seconds: f64,
    latencies_ms: Vec<f64>,
}

impl Slices {
    fn cpu_ms(&self) -> f64 {
        self.cpu_seconds * 1e3 / self.requests as f64
    }
}

struct Turns<'a, F> {
    peers: &'a [Peer; 2],
    senders: Vec<Senders>,
    requests: &'a [Vec<u8>],
    settle: F,
}

impl<F: Fn() -> anyhow::Result<()>> Turns<'_, F> {
    /// Lets the peers take turns in slices of half a second, each first as often as the other, until each has had `seconds`:
    /// whatever else the machine does then falls on both alike, which matters most to p99.
    fn take(&mut self, pace: Pace, seconds: f64) -> anyhow::Result<[Slices; 2]> {
        let mut slices = [Slices::default(), Slices::default()];
        for turn in 0..(seconds / SLICE.as_secs_f64()).ceil() as usize {
            for index in [turn % 2, (turn + 1) % 2] {
                let peer = &self.peers[index];
                let before = peer.process.cpu_seconds()?;
                let measured = self.senders[index].run(self.requests, pace, Until::Passed(SLICE))?;
                (self.settle)()?;
                slices[index].cpu_seconds += peer.process.cpu_seconds()? - before;
                slices[index].requests += measured.requests;
                slices[index].latencies_ms.extend(measured.latencies_ms);
            }
        }
        Ok(slices)
    }
}

const CONNECTIONS: u32 = 4;
const WARM_UP: Duration = Duration::from_millis(500);
const SLICE: Duration = Duration::from_millis(500);
const PACED_PER_SECOND: f64 = 100.0;
