//! The sidecar's pass-through against nginx, both before the same sink, plain and with TLS to it.

mod peers;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::load::{self, Pace, Senders};
use crate::sink;
use crate::statistics::{median, quantile};
use peers::Peer;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Rounds; each measures both peers in turns, and the medians over them count
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of each measurement at full speed
    #[arg(long, default_value_t = 2.0)]
    full_speed_seconds: f64,
    /// Seconds of each measurement at a steady rate
    #[arg(long, default_value_t = 6.0)]
    paced_seconds: f64,
    /// Bytes of a request's body
    #[arg(long, default_value_t = 80_000)]
    body_bytes: usize,
    /// Which upstreams: plain, tls or both
    #[arg(long, default_value = "both")]
    upstream: String,
    /// nginx [default: target/peers/usr/sbin/nginx]
    #[arg(long, env = "NGINX")]
    nginx: Option<PathBuf>,
    /// remora-sidecar [default: beside this program]
    #[arg(long, env = "REMORA_SIDECAR")]
    sidecar: Option<PathBuf>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            rounds: 7,
            full_speed_seconds: 2.0,
            paced_seconds: 6.0,
            body_bytes: 80_000,
            upstream: "both".to_owned(),
            nginx: None,
            sidecar: None,
        }
    }
}

/// One measurement of one peer.
#[derive(Clone, Copy)]
struct Figures {
    cpu_full_ms: f64,
    rate_full: f64,
    cpu_paced_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let answer = "HTTP/1.1 204 No Content\r\nx-ms-request-id: 2f3d5c1e-0000-4000-8000-000000000000\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\n\r\n";
    let (tls, ca) = sink::tls_for_localhost()?;
    let request = load::write_request(arguments.body_bytes);
    let directory = tempfile::tempdir()?;
    let programs = peers::Programs::find(arguments.nginx.as_deref(), arguments.sidecar.as_deref())?;
    println!(
        "pass-through of requests of {} bytes, {} rounds; medians; CPU of the proxy's process alone",
        request.len(),
        arguments.rounds
    );
    for (name, tls) in [("plain", None), ("tls", Some(tls))] {
        if arguments.upstream != "both" && arguments.upstream != name {
            continue;
        }
        let secure = tls.is_some();
        let upstream = sink::serve(answer, tls)?;
        let directory = directory.path().join(name);
        let peers = [
            peers::nginx(&programs, &directory, upstream, secure)?,
            peers::sidecar(&programs, &directory, upstream, secure, &ca)?,
        ];
        let figures = measure(arguments, &peers, &request)?;
        print(name, &peers, &figures)?;
    }
    Ok(())
}

/// Rounds of both peers.
fn measure(arguments: &Arguments, peers: &[Peer; 2], request: &[u8]) -> anyhow::Result<[Vec<Figures>; 2]> {
    let mut senders = Vec::new();
    for peer in peers {
        let mut warm = Senders::connect(peer.address, CONNECTIONS)?;
        warm.run(request, Pace::FullSpeed, Duration::from_millis(500))?;
        senders.push(warm);
    }
    let mut figures = [Vec::new(), Vec::new()];
    for _ in 0..arguments.rounds {
        let full = interleave(peers, &mut senders, request, Pace::FullSpeed, arguments.full_speed_seconds)?;
        let mut paced =
            interleave(peers, &mut senders, request, Pace::PerSecond(PACED_PER_SECOND), arguments.paced_seconds)?;
        for (index, peer) in figures.iter_mut().enumerate() {
            peer.push(Figures {
                cpu_full_ms: full[index].cpu_ms(),
                rate_full: full[index].requests as f64 / arguments.full_speed_seconds,
                cpu_paced_ms: paced[index].cpu_ms(),
                p50_ms: quantile(&mut paced[index].latencies_ms, 0.5),
                p99_ms: quantile(&mut paced[index].latencies_ms, 0.99),
            });
        }
    }
    Ok(figures)
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

/// Lets the peers take turns in slices of half a second, each first as often as the other, until each has had `seconds`:
/// whatever else the machine does then falls on both alike, which matters most to p99.
fn interleave(
    peers: &[Peer; 2],
    senders: &mut [Senders],
    request: &[u8],
    pace: Pace,
    seconds: f64,
) -> anyhow::Result<[Slices; 2]> {
    let mut slices = [Slices::default(), Slices::default()];
    for turn in 0..(seconds / SLICE_SECONDS).ceil() as usize {
        for index in [turn % 2, (turn + 1) % 2] {
            let peer = &peers[index];
            let before = peer.process.cpu_seconds()?;
            let span = Duration::from_secs_f64(SLICE_SECONDS);
            let measured = senders[index].run(request, pace, span)?;
            slices[index].cpu_seconds += peer.process.cpu_seconds()? - before;
            slices[index].requests += measured.requests;
            slices[index].latencies_ms.extend(measured.latencies_ms);
        }
    }
    Ok(slices)
}

fn print(upstream: &str, peers: &[Peer; 2], figures: &[Vec<Figures>; 2]) -> anyhow::Result<()> {
    println!("\n## {upstream} upstream\n");
    println!("| | CPU ms/request, full speed | CPU ms/request, 100/s | p50 ms | p99 ms | requests/s | RSS MB |");
    println!("|---|---|---|---|---|---|---|");
    let columns: [fn(&Figures) -> f64; 5] =
        [|f| f.cpu_full_ms, |f| f.cpu_paced_ms, |f| f.p50_ms, |f| f.p99_ms, |f| f.rate_full];
    let middle = |of: usize, column: fn(&Figures) -> f64| median(&figures[of].iter().map(column).collect::<Vec<_>>());
    for (index, peer) in peers.iter().enumerate() {
        let [full, paced, p50, p99, rate] = columns.map(|column| middle(index, column));
        let rss = peer.process.rss_max_mb()?;
        println!("| {} | {full:.4} | {paced:.4} | {p50:.3} | {p99:.3} | {rate:.0} | {rss:.1} |", peer.name);
    }
    let [full, paced, p50, p99, rate] = columns.map(|column| middle(1, column) / middle(0, column));
    println!("| ratio | {full:.3} | {paced:.3} | {p50:.3} | {p99:.3} | {rate:.3} | |");
    let slower = middle(1, columns[3]) - middle(0, columns[3]);
    let rss = peers[1].process.rss_max_mb()?;
    for (promise, kept) in [
        ("CPU at full speed at most that of nginx", full <= 1.0),
        ("CPU at 100 requests/s at most that of nginx", paced <= 1.0),
        ("p99 within 1.1 times or 0.2 ms of that of nginx", p99 <= 1.1 || slower <= 0.2),
        ("RSS below 15 MB", rss < 15.0),
    ] {
        println!("{} {promise}", if kept { "kept:  " } else { "BROKEN:" });
    }
    Ok(())
}

const CONNECTIONS: u32 = 4;
const SLICE_SECONDS: f64 = 0.5;
const PACED_PER_SECOND: f64 = 100.0;
