//! Rounds: each query at each server in turns, whoever was last being first in the next round.

use std::time::Duration;

use anyhow::Context as _;

use super::client::Client;
use super::queries::Query;
use super::shape::Shape;
use crate::ingest::receivers::{Kind, Receiver};
use crate::process::pause;
use crate::statistics::median;

/// A server that holds the data.
pub(super) struct Server {
    pub(super) receiver: Receiver,
    pub(super) client: Client,
}

impl Server {
    /// One that is ready.
    pub(super) fn connect(receiver: Receiver) -> anyhow::Result<Self> {
        let (address, api, headers) = receiver.query_api();
        // Otherwise it would answer from the results of the round before.
        let extra = (receiver.kind == Kind::VictoriaMetrics).then_some(("nocache", "1"));
        let client = Client::connect(address, api, headers, extra)?;
        Ok(Self { receiver, client })
    }
}

/// What a class of queries took at each server, in the order of the servers.
pub(super) struct Figures {
    pub(super) queries: Vec<QueryFigures>,
    /// Milliseconds of processor time of all queries of a round, in the mean.
    pub(super) cpu_ms: Vec<f64>,
}

pub(super) struct QueryFigures {
    pub(super) text: String,
    /// Medians over the rounds, milliseconds.
    pub(super) latency_ms: Vec<f64>,
    pub(super) shapes: Vec<Shape>,
    /// Bytes of the answer.
    pub(super) bytes: Vec<usize>,
}

/// Asks every query of a class `runs` times, after a round that does not count.
pub(super) fn measure(servers: &mut [Server], queries: &[Query], runs: usize) -> anyhow::Result<Figures> {
    let mut measured: Vec<QueryFigures> = Vec::new();
    for query in queries {
        let (mut shapes, mut bytes) = (Vec::new(), Vec::new());
        for server in &mut *servers {
            let kind = server.receiver.kind;
            let answer = server.client.ask(&query.call).with_context(|| kind.name())?;
            let shape = Shape::of(answer.body).with_context(|| format!("{} was asked {}", kind.name(), query.text))?;
            shapes.push(shape);
            bytes.push(answer.body.len());
        }
        measured.push(QueryFigures { text: query.text.clone(), latency_ms: Vec::new(), shapes, bytes });
    }
    let mut latencies = vec![vec![Vec::new(); servers.len()]; queries.len()];
    let mut cpu_ms = vec![0.0; servers.len()];
    for run in 0..runs {
        let before = cpu_seconds(servers)?;
        for (query, latencies) in queries.iter().zip(&mut latencies) {
            for turn in 0..servers.len() {
                let index = (run + turn) % servers.len();
                // What the one before does behind its answer, such as collecting garbage, is not this one's time.
                pause(BREATH);
                let answer = servers[index].client.ask(&query.call)?;
                latencies[index].push(answer.elapsed.as_secs_f64() * 1e3);
            }
        }
        pause(BREATH);
        for ((sum, before), after) in cpu_ms.iter_mut().zip(before).zip(cpu_seconds(servers)?) {
            *sum += (after - before) * 1e3 / runs as f64;
        }
    }
    for (query, latencies) in measured.iter_mut().zip(latencies) {
        query.latency_ms = latencies.iter().map(|of_server| median(of_server)).collect();
    }
    Ok(Figures { queries: measured, cpu_ms })
}

fn cpu_seconds(servers: &mut [Server]) -> anyhow::Result<Vec<f64>> {
    servers.iter_mut().map(|server| server.receiver.running()?.cpu_seconds_of_stat()).collect()
}

const BREATH: Duration = Duration::from_millis(5);
