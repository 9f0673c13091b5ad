//! The rows: figures of all, ratios, and whether what was promised is kept.

use std::fmt;

use serde_json::{Value, json};

use crate::ingest::digits;
use crate::ingest::receivers::Kind;

/// What a row promises of ours: the most there may be, on the machine on which the peers needed what stands beside it.
///
/// Machines differ, so what counts is the ratio to each peer in the same run.
#[derive(Clone, Copy)]
pub(super) struct Promise {
    pub(super) must: f64,
    pub(super) aim: f64,
    pub(super) victoria_metrics: Option<f64>,
    pub(super) prometheus: Option<f64>,
}

impl Promise {
    /// No more than Prometheus.
    pub(super) fn of_prometheus() -> Self {
        Self { must: 1.0, aim: 1.0, victoria_metrics: None, prometheus: Some(1.0) }
    }

    fn of(&self, peer: Kind) -> Option<f64> {
        match peer {
            Kind::Remora => None,
            Kind::VictoriaMetrics => self.victoria_metrics,
            Kind::Prometheus => self.prometheus,
        }
    }
}

pub(super) struct Row {
    what: String,
    promise: Promise,
    figures: Vec<(Kind, f64)>,
}

impl Row {
    pub(super) fn new(what: impl Into<String>, promise: Promise, figures: Vec<(Kind, f64)>) -> Self {
        Self { what: what.into(), promise, figures }
    }

    fn figure(&self, kind: Kind) -> Option<f64> {
        self.figures.iter().find(|(of, _)| *of == kind).map(|(_, figure)| *figure)
    }

    /// Ours, with the peer as 1.
    fn ratio(&self, peer: Kind) -> Option<f64> {
        Some(self.figure(Kind::Remora)? / self.figure(peer).filter(|figure| *figure > 0.0)?)
    }

    /// The largest ratio that is promised, or aimed at.
    fn bound(&self, peer: Kind, of_ours: f64) -> Option<f64> {
        Some(of_ours / self.promise.of(peer)?)
    }

    /// `None` when it cannot be said: no peer to compare with.
    fn kept(&self, of_ours: f64) -> Option<bool> {
        if self.promise.victoria_metrics.is_none() && self.promise.prometheus.is_none() {
            return Some(self.figure(Kind::Remora)? <= of_ours);
        }
        let kept = |peer| Some(self.ratio(peer)? <= self.bound(peer, of_ours)?);
        let all: Vec<bool> = PEERS.into_iter().filter_map(kept).collect();
        (!all.is_empty()).then(|| all.into_iter().all(|kept| kept))
    }

    fn verdict(&self) -> &'static str {
        match (self.kept(self.promise.must), self.kept(self.promise.aim)) {
            (Some(false), _) => "**BROKEN**",
            (Some(true), Some(true)) => "kept, aim reached",
            (Some(true), _) => "kept",
            (None, _) => "no peer to compare with",
        }
    }

    fn against(&self, peer: Kind) -> String {
        let Some(figure) = self.figure(peer) else { return "–".to_owned() };
        let ratio = self.ratio(peer).map(|ratio| format!(", ratio {ratio:.3}")).unwrap_or_default();
        let bound = self.bound(peer, self.promise.must).filter(|_| !ratio.is_empty());
        let bound = bound.map(|bound| format!(" of {bound:.3}")).unwrap_or_default();
        format!("{}{ratio}{bound}", number(figure))
    }
}

const PEERS: [Kind; 2] = [Kind::VictoriaMetrics, Kind::Prometheus];

fn number(figure: f64) -> String {
    if figure.is_infinite() { "never".to_owned() } else { digits(figure) }
}

#[derive(Default)]
pub(super) struct Table(Vec<Row>);

impl Table {
    pub(super) fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    pub(super) fn json(&self) -> Value {
        let row = |row: &Row| {
            let figures: serde_json::Map<String, Value> =
                row.figures.iter().map(|(kind, figure)| (kind.name().to_owned(), json!(figure))).collect();
            json!({"row": row.what, "figures": figures, "verdict": row.verdict()})
        };
        self.0.iter().map(row).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | remora | must / aim | VictoriaMetrics | Prometheus | |\n|---|---|---|---|---|---|")?;
        for row in &self.0 {
            let ours = row.figure(Kind::Remora).map_or_else(|| "–".to_owned(), number);
            let Promise { must, aim, .. } = row.promise;
            let [victoria_metrics, prometheus] = PEERS.map(|peer| row.against(peer));
            writeln!(
                f,
                "| {} | **{ours}** | {must} / {aim} | {victoria_metrics} | {prometheus} | {} |",
                row.what,
                row.verdict()
            )?;
        }
        writeln!(f, "\nA must is a ratio: *ratio A of B* is A in this run where at most B is promised.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(ours: f64, victoria_metrics: f64, prometheus: f64) -> &'static str {
        let promise = Promise { must: 0.8, aim: 0.4, victoria_metrics: Some(2.0), prometheus: Some(10.0) };
        let figures =
            vec![(Kind::Remora, ours), (Kind::VictoriaMetrics, victoria_metrics), (Kind::Prometheus, prometheus)];
        Row::new("", promise, figures).verdict()
    }

    #[test]
    fn ratios_count_and_not_figures() {
        for (ours, victoria_metrics, prometheus, expected) in [
            (0.8, 2.0, 10.0, "kept"),
            (0.4, 2.0, 10.0, "kept, aim reached"),
            (0.9, 2.0, 10.0, "**BROKEN**"),
            // A machine that is half as fast.
            (1.6, 4.0, 20.0, "kept"),
            // Too slow beside one of them.
            (0.8, 1.5, 10.0, "**BROKEN**"),
        ] {
            assert_eq!(verdict(ours, victoria_metrics, prometheus), expected, "{ours}");
        }
        let gone = Promise { must: 0.0, aim: 0.0, victoria_metrics: None, prometheus: None };
        for (lost, expected) in [(0.0, "kept, aim reached"), (1.0, "**BROKEN**")] {
            assert_eq!(Row::new("", gone, vec![(Kind::Remora, lost)]).verdict(), expected);
        }
    }
}
