//! Samples as a fleet of node exporters sends them: 15 labels a series, requests of 2,000 series with one sample each, from
//! four senders.

#![allow(dead_code, reason = "each benchmark uses a part")]

use std::time::{Duration, Instant};

use model::{Labels, TimestampMs};
use storage::{CommitError, Storage as _};
use tsdb::Db;

use crate::machine::{Usage, wait};
use crate::node_exporter::labels;

/// Encoded labels and labels of every series, as a sender repeats them.
pub(crate) struct Load {
    pub(crate) series: Vec<(Vec<u8>, Labels)>,
}

impl Load {
    pub(crate) fn new(count: usize) -> Self {
        let series = (0..count).map(|number| {
            let labels = labels(number, number / 500);
            // Like a remote-write message: each text with its length, and a few bytes of framing.
            let key = labels.iter().flat_map(|(name, value)| [name, value]).fold(Vec::new(), |mut key, text| {
                key.extend_from_slice(&[0x0a, text.len() as u8 + 4, 0x0a, text.len() as u8]);
                key.extend_from_slice(text.as_bytes());
                key
            });
            (key, labels)
        });
        Self { series: series.collect() }
    }

    /// One sample for every series, from four senders.
    pub(crate) fn scrape(&self, db: &Db, scrape: usize) -> Cost {
        self.scrape_at(db, scraped_at(scrape), scrape)
    }

    pub(crate) fn scrape_at(&self, db: &Db, at: TimestampMs, scrape: usize) -> Cost {
        let start = (Usage::now(), Instant::now());
        let requests: Vec<_> = self.series.chunks(2000).enumerate().collect();
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                let requests = &requests;
                scope.spawn(move || {
                    for (request, series) in requests.iter().skip(sender).step_by(SENDERS) {
                        send(db, at, scrape, *request, series);
                    }
                });
            }
        });
        Cost::since(&start)
    }
}

pub(crate) fn scraped_at(scrape: usize) -> TimestampMs {
    TimestampMs(1_700_000_000_000 + scrape as i64 * 15_000)
}

pub(crate) fn send(db: &Db, at: TimestampMs, scrape: usize, request: usize, series: &[(Vec<u8>, Labels)]) {
    while let Err(CommitError::Busy(_)) = try_send(db, at, scrape, request, series) {
        std::thread::sleep(Duration::from_millis(30));
    }
}

fn try_send(
    db: &Db,
    at: TimestampMs,
    scrape: usize,
    request: usize,
    series: &[(Vec<u8>, Labels)],
) -> Result<(), CommitError> {
    let mut appender = db.appender(at);
    for (number, (key, labels)) in series.iter().enumerate() {
        let series = appender.resolve(key).unwrap_or_else(|| appender.series(Some(key), labels).unwrap());
        // Half of them counters that rise unevenly, a quarter constant, a quarter gauges.
        let value = match number % 4 {
            0 | 1 => (scrape * 150 + (scrape * number + request) % 37) as f64,
            2 => 1.0,
            _ => ((scrape * 7919 + number) % 1000) as f64 / 10.0,
        };
        appender.append(series, at, value).unwrap();
    }
    let committed = wait(appender.commit())?;
    assert_eq!(committed.samples as usize, series.len());
    Ok(())
}

const SENDERS: usize = 4;

/// Processor and real time, s.
#[derive(Default)]
pub(crate) struct Cost {
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
}

impl Cost {
    /// What it took since then.
    pub(crate) fn since(start: &(Usage, Instant)) -> Self {
        Self { cpu: Usage::now().cpu - start.0.cpu, wall: start.1.elapsed().as_secs_f64() }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.wall += other.wall;
    }

    pub(crate) fn per_million(&self, samples: usize) -> String {
        let millions = samples as f64 / 1e6;
        format!("{:.3} CPU s, {:.3} s per million samples", self.cpu / millions, self.wall / millions)
    }
}
