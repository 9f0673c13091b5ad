//! What a large query takes of memory: ours, over 10,000 series of a day at 60 s, one process for each query.
//!
//! Extra is what the process has at most while it answers, less what it had before: a small query over the same data has gone
//! first, so that what only the first query needs is there already. Pages of files that are mapped count.

use std::fmt;
use std::path::Path;

use anyhow::Context as _;

use super::queries::{Query, Times};
use super::rounds::Server;
use super::{loaded, wait_until_quiet};
use crate::ingest::YOUNG;
use crate::ingest::issuer::Issuer;
use crate::ingest::load::Shape;
use crate::ingest::receivers::{Kind, Programs};

/// What one query took.
pub(super) struct Figure {
    query: String,
    answer_bytes: usize,
    milliseconds: f64,
    extra_mb: f64,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { query, answer_bytes, milliseconds, extra_mb } = self;
        let verdict = if *extra_mb <= EXTRA_MB_MAX { "kept" } else { "**BROKEN**" };
        write!(
            f,
            "{extra_mb:.0} MB of extra RSS of {EXTRA_MB_MAX:.0} over 10,000 series of 24 h at 60 s, {milliseconds:.0} ms, an \
             answer of {:.1} MB, {verdict}: `{query}`",
            *answer_bytes as f64 / 1e6
        )
    }
}

/// The load.
pub(super) fn shape(divide: usize) -> Shape {
    let interval = std::time::Duration::from_secs(STEP_SECONDS);
    Shape { series: 10_000 / divide, scrapes: 24 * 60 + 1, interval, age: YOUNG, seed: 1 }
}

/// Asks each query of a process of its own.
pub(super) fn measure(
    programs: &Programs,
    issuer: &Issuer,
    directory: &Path,
    shape: Shape,
    newest_ms: u64,
    wanted: impl Fn(&str) -> bool,
) -> anyhow::Result<Vec<Figure>> {
    let times = Times { newest_ms, range_seconds: 24 * 3600 };
    let queries: Vec<Query> = QUERIES.iter().map(|query| times.range(query, STEP_SECONDS)).collect();
    // Written, and cut into blocks, by a process that is not measured.
    loaded(Kind::Remora, programs, issuer, directory, shape, newest_ms)?.stop()?;
    let mut figures = Vec::new();
    for query in queries.iter().filter(|query| wanted(&query.text)) {
        let receiver = loaded(Kind::Remora, programs, issuer, directory, shape, newest_ms)?;
        let mut receivers = [receiver];
        wait_until_quiet(&mut receivers)?;
        let [receiver] = receivers;
        let mut server = Server::connect(receiver)?;
        server.client.ask(&times.range("sum(rate(node_load1[5m]))", STEP_SECONDS).call)?;
        let process = server.receiver.running()?;
        let before_mb = process.rss_mb()?;
        process.forget_rss_max()?;
        let answer = server.client.ask(&query.call).with_context(|| query.text.clone())?;
        let (answer_bytes, milliseconds) = (answer.body.len(), answer.elapsed.as_secs_f64() * 1e3);
        let extra_mb = server.receiver.running()?.rss_max_mb()? - before_mb;
        figures.push(Figure { query: query.text.clone(), answer_bytes, milliseconds, extra_mb });
        server.receiver.stop()?;
    }
    Ok(figures)
}

/// Much that is read and little that is answered: in windows, held for their order, inside of a subquery. Then all of it.
/// Names stay, as otherwise metrics would be taken for one another.
const QUERIES: [&str; 4] = [
    r#"sum by (job) (last_over_time({__name__=~".+"}[5m]))"#,
    r#"quantile by (job) (0.9, {__name__=~".+"})"#,
    r#"max_over_time(sum by (job) (last_over_time({__name__=~".+"}[5m]))[1h:1m])"#,
    r#"{__name__=~".+"}"#,
];

const STEP_SECONDS: u64 = 60;
const EXTRA_MB_MAX: f64 = 300.0;
