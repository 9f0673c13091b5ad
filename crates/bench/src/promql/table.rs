//! Rows of the table *Queries*: figures, and whether what is promised was kept.

use std::fmt;

use serde_json::{Value, json};

use super::rounds::Figures;
use crate::ingest::receivers::Kind;

/// What a row promises: ours, in milliseconds, on the machine on which the peers needed what stands beside it.
///
/// Machines differ, so what counts is the ratio to each peer in the same run.
#[derive(Clone, Copy)]
pub(super) struct Promise {
    pub(super) must: f64,
    pub(super) victoria_metrics: f64,
    pub(super) prometheus: f64,
}

impl Promise {
    fn of(&self, peer: Kind) -> f64 {
        match peer {
            Kind::Remora => self.must,
            Kind::VictoriaMetrics => self.victoria_metrics,
            Kind::Prometheus => self.prometheus,
        }
    }
}

pub(super) struct Row {
    what: String,
    promise: Promise,
    /// Milliseconds; of several queries their geometric mean.
    latency_ms: Vec<(Kind, f64)>,
    cpu_ms: Vec<(Kind, f64)>,
    queries: usize,
}

impl Row {
    pub(super) fn new(what: impl Into<String>, promise: Promise, kinds: &[Kind], figures: &Figures) -> Self {
        let mean = |server: usize| geometric_mean(figures.queries.iter().map(|query| query.latency_ms[server]));
        let queries = figures.queries.len();
        Self {
            what: what.into(),
            promise,
            latency_ms: kinds.iter().enumerate().map(|(server, kind)| (*kind, mean(server))).collect(),
            cpu_ms: kinds.iter().zip(&figures.cpu_ms).map(|(kind, sum)| (*kind, sum / queries as f64)).collect(),
            queries,
        }
    }

    fn latency(&self, kind: Kind) -> Option<f64> {
        of(&self.latency_ms, kind)
    }

    /// Ours, with the peer as 1.
    fn ratio(&self, peer: Kind) -> Option<f64> {
        Some(self.latency(Kind::Remora)? / self.latency(peer)?)
    }

    /// `None` without a peer.
    fn kept(&self) -> Option<bool> {
        let ours = self.latency(Kind::Remora)?;
        let fastest = PEERS.into_iter().filter_map(|peer| self.latency(peer)).reduce(f64::min)?;
        if self.queries == 1 && ours < SHORT_MS && ours <= fastest + SHORT_ALLOWANCE_MS {
            return Some(true);
        }
        // Means of logarithms are off by the last digits.
        let bound = |peer| self.promise.must / self.promise.of(peer) * (1.0 + 1e-9);
        let keeps = |peer| self.ratio(peer).is_none_or(|ratio| ratio <= bound(peer));
        Some(PEERS.into_iter().all(keeps))
    }

    fn verdict(&self) -> &'static str {
        match self.kept() {
            Some(true) => "kept",
            Some(false) => "**BROKEN**",
            None => "no peer to compare with",
        }
    }

    fn against(&self, peer: Kind) -> String {
        let (Some(figure), Some(ratio)) = (self.latency(peer), self.ratio(peer)) else { return "–".to_owned() };
        format!("{figure:.2}, ratio {ratio:.3} of {:.3}", self.promise.must / self.promise.of(peer))
    }

    fn cpu(&self) -> String {
        let Some(ours) = of(&self.cpu_ms, Kind::Remora) else { return "–".to_owned() };
        let ratios =
            PEERS.map(|peer| of(&self.cpu_ms, peer).map_or("–".to_owned(), |cpu| format!("{:.2}", ours / cpu)));
        format!("{ours:.2} ms: {}", ratios.join(" / "))
    }
}

fn of(figures: &[(Kind, f64)], kind: Kind) -> Option<f64> {
    figures.iter().find(|(of, _)| *of == kind).map(|(_, figure)| *figure)
}

fn geometric_mean(values: impl Iterator<Item = f64>) -> f64 {
    let logs: Vec<f64> = values.map(f64::ln).collect();
    (logs.iter().sum::<f64>() / logs.len() as f64).exp()
}

/// Rows, and what is to be said beside them.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Row>,
    /// Resident memory, by data set.
    memory: Vec<String>,
    /// Queries that are much slower than at a peer.
    slow: Vec<String>,
    /// Every query.
    queries: Vec<Value>,
}

impl Table {
    pub(super) fn push(&mut self, what: &str, promise: Promise, kinds: &[Kind], figures: &Figures) {
        for query in &figures.queries {
            let named = |kind: Kind| kinds.iter().position(|of| *of == kind).map(|server| query.latency_ms[server]);
            let fastest = PEERS.into_iter().filter_map(named).reduce(f64::min);
            if let (Some(ours), Some(fastest)) = (named(Kind::Remora), fastest)
                && ours > SHORT_MS
                && ours > SLOW * fastest
            {
                self.slow.push(format!("{ours:.2} ms, {:.2} times the faster peer: `{}`", ours / fastest, query.text));
            }
            let latencies: serde_json::Map<_, _> =
                kinds.iter().zip(&query.latency_ms).map(|(kind, ms)| (kind.name().to_owned(), json!(ms))).collect();
            self.queries.push(json!({"class": what, "query": query.text, "ms": latencies}));
        }
        self.rows.push(Row::new(what, promise, kinds, figures));
    }

    pub(super) fn add_memory(&mut self, line: String) {
        self.memory.push(line);
    }

    pub(super) fn json(&self) -> Value {
        let figures = |figures: &[(Kind, f64)]| -> serde_json::Map<String, Value> {
            figures.iter().map(|(kind, figure)| (kind.name().to_owned(), json!(figure))).collect()
        };
        let row = |row: &Row| {
            json!({
                "row": row.what, "ms": figures(&row.latency_ms), "cpu_ms": figures(&row.cpu_ms), "verdict": row.verdict(),
            })
        };
        json!({"rows": self.rows.iter().map(row).collect::<Vec<_>>(), "queries": self.queries, "slow": self.slow})
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| median ms | remora | VictoriaMetrics | Prometheus | CPU of a query, and its ratios | |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for row in &self.rows {
            let ours = row.latency(Kind::Remora).map_or_else(|| "–".to_owned(), |ms| format!("{ms:.2}"));
            let [victoria_metrics, prometheus] = PEERS.map(|peer| row.against(peer));
            let (what, cpu, verdict) = (&row.what, row.cpu(), row.verdict());
            writeln!(f, "| {what} | **{ours}** | {victoria_metrics} | {prometheus} | {cpu} | {verdict} |")?;
        }
        writeln!(
            f,
            "\nA must is a ratio: *ratio A of B* is A in this run where at most B is promised; one query below {SHORT_MS} ms may \
             take {SHORT_ALLOWANCE_MS} ms more than at the faster peer."
        )?;
        for line in &self.memory {
            writeln!(f, "- {line}")?;
        }
        match self.slow.is_empty() {
            true => {
                writeln!(f, "- no query above {SHORT_MS} ms takes more than {SLOW} times what the faster peer takes")
            }
            false => self.slow.iter().try_for_each(|query| writeln!(f, "- **SLOW**: {query}")),
        }
    }
}

const PEERS: [Kind; 2] = [Kind::VictoriaMetrics, Kind::Prometheus];
const SHORT_MS: f64 = 2.0;
const SHORT_ALLOWANCE_MS: f64 = 0.3;
const SLOW: f64 = 1.2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::rounds::QueryFigures;

    fn verdict(latencies: &[[f64; 3]]) -> &'static str {
        let query = |latency_ms: &[f64; 3]| QueryFigures {
            text: String::new(),
            latency_ms: latency_ms.to_vec(),
            shapes: Vec::new(),
            bytes: Vec::new(),
        };
        let figures = Figures { queries: latencies.iter().map(query).collect(), cpu_ms: vec![1.0; 3] };
        let promise = Promise { must: 2.0, victoria_metrics: 4.0, prometheus: 8.0 };
        Row::new("", promise, &[Kind::Remora, Kind::VictoriaMetrics, Kind::Prometheus], &figures).verdict()
    }

    #[test]
    fn ratios_count_and_not_figures() {
        for (latencies, expected) in [
            (&[[2.0, 4.0, 8.0]][..], "kept"),
            (&[[4.0, 8.0, 16.0]], "kept"),
            (&[[4.0, 7.0, 16.0]], "**BROKEN**"),
            (&[[4.0, 8.0, 15.0]], "**BROKEN**"),
            // Short ones.
            (&[[0.5, 0.3, 0.2]], "kept"),
            (&[[0.6, 0.3, 0.2]], "**BROKEN**"),
            // Means of several.
            (&[[1.0, 2.0, 4.0], [4.0, 8.0, 16.0]], "kept"),
            (&[[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], "**BROKEN**"),
        ] {
            assert_eq!(verdict(latencies), expected, "{latencies:?}");
        }
    }
}
