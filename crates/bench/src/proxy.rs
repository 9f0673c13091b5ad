//! The sidecar's pass-through against nginx, both before the same sink, plain and with TLS to it.

use std::path::PathBuf;

use clap::Args;

use crate::comparison::{Column, Comparison, Spans};
use crate::peers::{self, Sidecar};
use crate::{load, sink};

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

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (tls, ca) = sink::tls_for_localhost()?;
    let request = [load::write_request(&load::noise(arguments.body_bytes))];
    let directory = tempfile::tempdir()?;
    let programs = peers::Programs::find(arguments.nginx.as_deref(), arguments.sidecar.as_deref())?;
    println!(
        "pass-through of requests of {} bytes, {} rounds; medians; CPU of the proxy's process alone",
        request[0].len(),
        arguments.rounds
    );
    for (name, tls) in [("plain", None), ("tls", Some(tls))] {
        if arguments.upstream != "both" && arguments.upstream != name {
            continue;
        }
        let secure = tls.is_some();
        let upstream = sink::serve(sink::NO_CONTENT, tls)?;
        let directory = directory.path().join(name);
        let peers = [
            peers::nginx(&programs, &directory, upstream, secure)?,
            peers::sidecar(&programs, &directory, &Sidecar { upstream, ca: secure.then_some(&*ca), environment: &[] })?,
        ];
        let spans = Spans {
            rounds: arguments.rounds,
            full_speed_seconds: arguments.full_speed_seconds,
            paced_seconds: arguments.paced_seconds,
        };
        let comparison = Comparison::measure(&spans, &peers, &request, || Ok(()))?;
        println!("\n## {name} upstream\n");
        comparison.print(&peers);
        judge(&comparison);
    }
    Ok(())
}

fn judge(comparison: &Comparison) {
    let slower = comparison.of(1, Column::P99) - comparison.of(0, Column::P99);
    for (promise, kept) in [
        ("CPU at full speed at most that of nginx", comparison.ratio(Column::CpuFullSpeed) <= 1.0),
        ("CPU at 100 requests/s at most that of nginx", comparison.ratio(Column::CpuPaced) <= 1.0),
        ("p99 within 1.1 times or 0.2 ms of that of nginx", comparison.ratio(Column::P99) <= 1.1 || slower <= 0.2),
        ("RSS below 15 MB", comparison.rss_max_mb() < 15.0),
    ] {
        println!("{} {promise}", if kept { "kept:  " } else { "BROKEN:" });
    }
}
