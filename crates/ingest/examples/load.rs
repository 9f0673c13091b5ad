//! Sends steady remote-write load to an endpoint and says what it cost the process that serves it.
//!
//! `load URL TOKEN PID [ROUNDS]`: 20,000 series of 15 labels, 2,000 samples a request (about 800 kB decoded), one sample of every series a round,
//! 15 s of series time between rounds, four connections. The first round makes the series and is not measured.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement: figures are printed, and what fails ends it"
)]
#![expect(clippy::disallowed_methods, reason = "real time is what is measured")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use environment::{Clock as _, HttpClient as _};
use host::{HostClock, HostHttp};
use model::{Labels, TimestampMs};
use remote_write::{Encoder, Sample, Version, framing};

const REQUESTS: usize = 10;
const SERIES_PER_REQUEST: usize = 2_000;
const CONNECTIONS: usize = 4;
const SPACING_MS: i64 = 15_000;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (url, token, pid) = (&arguments[1], &arguments[2], &arguments[3]);
    let rounds: usize = arguments.get(4).map_or(50, |rounds| rounds.parse().unwrap());
    let series: Vec<Vec<Labels>> = (0..REQUESTS).map(series_of).collect();
    let http = Arc::new(HostHttp::new(host::tls::roots(None).unwrap(), None));
    let start = HostClock::new().now().as_millis() - rounds as i64 * SPACING_MS;

    let mut measured = Duration::ZERO;
    let mut cpu_before = 0.0;
    let mut bytes = (0, 0);
    for round in 0..=rounds {
        let at = TimestampMs(start + round as i64 * SPACING_MS);
        let mut bodies: Vec<Vec<u8>> = Vec::new();
        for labels in &series {
            let message = message(labels, at, round);
            bytes.0 = message.len();
            bodies.push(framing::encode(&message));
        }
        bytes.1 = bodies[0].len();
        if round == 1 {
            cpu_before = cpu_seconds(pid);
        }
        let begun = Instant::now();
        send(&http, url, token, bodies).await;
        if round > 0 {
            measured += begun.elapsed();
        }
    }
    let cpu = cpu_seconds(pid) - cpu_before;
    let samples = (rounds * REQUESTS * SERIES_PER_REQUEST) as f64;
    println!("{} bytes decoded, {} compressed a request", bytes.0, bytes.1);
    println!(
        "{samples} samples: {:.2} CPU s per million, {:.0} samples/s while sending",
        cpu / samples * 1e6,
        samples / measured.as_secs_f64()
    );
}

fn series_of(request: usize) -> Vec<Labels> {
    (0..SERIES_PER_REQUEST)
        .map(|index| {
            let number = request * SERIES_PER_REQUEST + index;
            let mut pairs = vec![
                ("__name__".to_owned(), format!("http_request_duration_seconds_bucket_{}", number % 40)),
                ("instance".to_owned(), format!("10.20.{}.{}:9100", number / 250 % 250, number % 250)),
                ("pod".to_owned(), format!("checkout-service-6d5f7c9b8d-{number:05}")),
            ];
            pairs.extend((0..12).map(|label| (format!("label_{label}"), format!("value-{}", label * 7))));
            Labels::from_pairs(pairs).unwrap()
        })
        .collect()
}

fn message(series: &[Labels], at: TimestampMs, round: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(Version::V1);
    for (index, labels) in series.iter().enumerate() {
        let value = ((round * 31 + index * 17) % 1000) as f64 * 0.25;
        encoder.series(labels).sample(Sample::new(at, value));
    }
    encoder.finish()
}

async fn send(http: &Arc<HostHttp>, url: &str, token: &str, bodies: Vec<Vec<u8>>) {
    let mut queues: Vec<Vec<Vec<u8>>> = vec![Vec::new(); CONNECTIONS];
    for (index, body) in bodies.into_iter().enumerate() {
        queues[index % CONNECTIONS].push(body);
    }
    let senders: Vec<_> = queues
        .into_iter()
        .map(|queue| {
            let (http, url, token) = (http.clone(), url.to_owned(), token.to_owned());
            tokio::spawn(async move {
                for body in queue {
                    let request = http::Request::post(&url)
                        .header("authorization", format!("Bearer {token}"))
                        .header("content-type", Version::V1.content_type())
                        .header("content-encoding", "snappy")
                        .body(body.into())
                        .unwrap();
                    let answer = http.send(request, Duration::from_secs(10)).await.unwrap();
                    assert_eq!(answer.status(), 204, "{:?}", answer.body());
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
}

/// User and system time of a process, from the clock ticks of `/proc` (100 a second).
fn cpu_seconds(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let field = |index: usize| after_name.split_whitespace().nth(index).unwrap().parse::<f64>().unwrap();
    (field(11) + field(12)) / 100.0
}
