//! What databases and token verification count, gathered when `/metrics` is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use access::Verifier;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use tsdb::Stats;

use crate::databases::Databases;

/// Gathers the figures of all workspaces, each with the label `workspace` (its `accountId`).
#[derive(Debug)]
pub(crate) struct Gathered {
    source: Source,
}

struct Source {
    databases: Arc<Databases>,
    verifier: Arc<Verifier>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

impl Gathered {
    pub(crate) fn new(databases: Arc<Databases>, verifier: Arc<Verifier>) -> Self {
        Self { source: Source { databases, verifier } }
    }

    fn workspaces(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        stats: &[(String, Stats)],
        family: &Family,
    ) -> Result<(), std::fmt::Error> {
        let mut metric = encoder.encode_descriptor(family.name, family.help, None, family.metric_type)?;
        for (workspace, stats) in stats {
            let labels = [("workspace", workspace.as_str())];
            encode(&mut metric.encode_family(&labels)?, family.metric_type, (family.value)(stats))?;
        }
        Ok(())
    }

    fn parts(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        stats: &[(String, Stats)],
        parts: &Parts,
    ) -> Result<(), std::fmt::Error> {
        let mut metric = encoder.encode_descriptor(parts.name, parts.help, None, MetricType::Counter)?;
        for (workspace, stats) in stats {
            for (value, count) in (parts.values)(stats) {
                let labels = [("workspace", workspace.as_str()), (parts.label, value)];
                encode(&mut metric.encode_family(&labels)?, MetricType::Counter, count as f64)?;
            }
        }
        Ok(())
    }

    /// Databases of all workspaces together, open or not.
    fn databases(&self, encoder: &mut DescriptorEncoder<'_>, open: usize) -> Result<(), std::fmt::Error> {
        let (databases, count) = (&self.source.databases, |count: &AtomicU64| count.load(Ordering::Relaxed) as f64);
        let (counts, selections) = (&databases.counts, databases.selection_cache());
        for (name, help, metric_type, value) in [
            ("databases", "Databases, one of each workspace", MetricType::Gauge, databases.count() as f64),
            ("databases_open", "Databases that are open", MetricType::Gauge, open as f64),
            ("databases_opened", "Times a database was opened", MetricType::Counter, count(&counts.opened)),
            ("databases_closed", "Times a database was closed", MetricType::Counter, count(&counts.closed)),
            ("databases_failures", "Times one could not be opened", MetricType::Counter, count(&counts.failed)),
            ("databases_visits", "Times a database at rest was seen to", MetricType::Counter, count(&counts.visits)),
            (
                "databases_opening_seconds",
                "Time from asking for a database to its taking samples",
                MetricType::Counter,
                count(&counts.opening_nanoseconds) / 1e9,
            ),
            (
                "tsdb_selection_cache_hits",
                "Selections of blocks that were found ready",
                MetricType::Counter,
                selections.hits as f64,
            ),
            (
                "tsdb_selection_cache_misses",
                "Selections of blocks that were worked out",
                MetricType::Counter,
                selections.misses as f64,
            ),
            (
                "tsdb_selection_cache_bytes",
                "Memory of the selections that are kept",
                MetricType::Gauge,
                selections.bytes as f64,
            ),
        ] {
            encode(&mut encoder.encode_descriptor(name, help, None, metric_type)?, metric_type, value)?;
        }
        Ok(())
    }

    fn tokens(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counted = self.source.verifier.statistics();
        for (name, help, value) in [
            ("access_tokens_known", "Requests whose token was verified before", counted.cache_hits),
            ("access_tokens_verified", "Requests whose token had to be verified", counted.cache_misses),
            ("access_key_fetches", "Fetches of issuers' keys", counted.key_fetches),
            ("access_key_fetch_failures", "Fetches of issuers' keys that failed", counted.key_fetch_failures),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(metric)?;
        }
        Ok(())
    }
}

impl Collector for Gathered {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut stats: Vec<(String, Stats)> =
            self.source.databases.all().iter().map(|(account, open)| (account.to_string(), open.db.stats())).collect();
        stats.sort_by(|left, right| left.0.cmp(&right.0));
        for family in FAMILIES {
            self.workspaces(&mut encoder, &stats, family)?;
        }
        for parts in PARTS {
            self.parts(&mut encoder, &stats, parts)?;
        }
        self.databases(&mut encoder, stats.len())?;
        self.tokens(&mut encoder)
    }
}

fn encode(
    metric: &mut prometheus_client::encoding::MetricEncoder<'_>,
    metric_type: MetricType,
    value: f64,
) -> Result<(), std::fmt::Error> {
    match metric_type {
        MetricType::Counter => metric.encode_counter::<NoExemplar, _, f64>(&value, None),
        _ => metric.encode_gauge(&value),
    }
}

/// Labels of exemplars, which these counters do not have.
type NoExemplar = [(&'static str, &'static str); 0];

/// One figure of a database.
struct Family {
    name: &'static str,
    help: &'static str,
    metric_type: MetricType,
    value: fn(&Stats) -> f64,
}

/// Counters of a database that differ in one label.
struct Parts {
    name: &'static str,
    help: &'static str,
    label: &'static str,
    values: fn(&Stats) -> Vec<(&'static str, u64)>,
}

const fn counter(name: &'static str, help: &'static str, value: fn(&Stats) -> f64) -> Family {
    Family { name, help, metric_type: MetricType::Counter, value }
}

const fn gauge(name: &'static str, help: &'static str, value: fn(&Stats) -> f64) -> Family {
    Family { name, help, metric_type: MetricType::Gauge, value }
}

const FAMILIES: &[Family] = &[
    gauge("tsdb_series", "Series in memory", |stats| stats.series as f64),
    gauge("tsdb_chunks", "Chunks in memory", |stats| stats.chunks as f64),
    counter("tsdb_samples_appended", "Float samples stored", |stats| stats.samples_appended as f64),
    counter("tsdb_histograms_appended", "Native histograms stored", |stats| stats.histograms_appended as f64),
    counter("tsdb_exemplars_appended", "Exemplars stored", |stats| stats.exemplars_appended as f64),
    counter("tsdb_duplicates", "Samples that were stored before", |stats| stats.duplicates as f64),
    counter("tsdb_commits", "Batches committed", |stats| stats.commits as f64),
    counter("tsdb_wal_writes", "Writes to the write-ahead log", |stats| stats.wal_writes as f64),
    counter("tsdb_wal_bytes", "Bytes written to the write-ahead log", |stats| stats.wal_bytes as f64),
    gauge("tsdb_wal_segment", "Segment of the write-ahead log being written", |stats| stats.wal_segment as f64),
    counter("tsdb_wal_syncs", "Syncs of the write-ahead log", |stats| stats.wal_syncs as f64),
    gauge("tsdb_wal_failed", "1 when a write to the log failed and none is taken until the next start", |stats| {
        f64::from(u8::from(stats.wal_failed))
    }),
    counter("tsdb_series_cache_hits", "Label blocks found in the series cache", |stats| stats.series_cache_hits as f64),
    counter("tsdb_series_cache_misses", "Label blocks not found in the series cache", |stats| {
        stats.series_cache_misses as f64
    }),
    gauge("tsdb_series_cache_bytes", "Memory of the series cache", |stats| stats.series_cache_bytes as f64),
    counter(
        "tsdb_out_of_order_samples_appended",
        "Samples stored that were older than their series' newest",
        |stats| stats.out_of_order_appended as f64,
    ),
    gauge("tsdb_out_of_order_samples", "Samples out of order in memory", |stats| stats.out_of_order_samples as f64),
    gauge("tsdb_out_of_order_bytes", "Memory of samples out of order", |stats| stats.out_of_order_bytes as f64),
    gauge("tsdb_out_of_order_ranges", "Ranges of blocks that they belong to", |stats| stats.out_of_order_ranges as f64),
    counter("tsdb_out_of_order_flushes", "Times they were written to blocks", |stats| {
        stats.out_of_order_flushes as f64
    }),
    counter("tsdb_out_of_order_flush_failures", "Times that failed", |stats| stats.out_of_order_flush_failures as f64),
    counter("tsdb_busy", "Batches asked to come again, as samples out of order had to be written out first", |stats| {
        stats.busy as f64
    }),
    gauge("tsdb_blocks", "Blocks", |stats| stats.blocks as f64),
    gauge("tsdb_block_bytes", "Bytes of the blocks' indexes and chunks", |stats| stats.block_bytes as f64),
    counter("tsdb_compactions", "Merges of blocks", |stats| stats.compactions as f64),
    counter("tsdb_maintenance_failures", "Steps of maintenance that failed and are tried again", |stats| {
        stats.maintenance_failures as f64
    }),
    counter(
        "tsdb_query_conflicts",
        "Samples left out of queries, as another was stored for their time before",
        |stats| stats.query_conflicts as f64,
    ),
    counter("tsdb_compaction_conflicts", "Samples left out of merges for the same reason", |stats| {
        stats.compaction_conflicts as f64
    }),
];

/// Figures that differ in one more label.
const PARTS: &[Parts] = &[
    Parts {
        name: "tsdb_samples_rejected",
        help: "Samples and exemplars that the database refused, by reason",
        label: "reason",
        // Samples from the future do not come as far as the database: ingestion refuses them before, and counts them.
        values: |stats| {
            stats.rejected.by_reason().into_iter().filter(|(reason, _)| *reason != "too-far-ahead").collect()
        },
    },
    Parts {
        name: "tsdb_blocks_expired",
        help: "Blocks removed for their age, or as there were more bytes than are kept",
        label: "by",
        values: |stats| vec![("time", stats.blocks_expired_by_time), ("size", stats.blocks_expired_by_size)],
    },
    Parts {
        name: "tsdb_damaged",
        help: "Places found damaged and left out of answers; `remora tsdb verify` says where",
        label: "what",
        values: |stats| {
            vec![
                ("block", stats.blocks_broken),
                ("block-chunk", stats.block_bad_chunks),
                ("block-series", stats.block_bad_series),
                ("head-chunk", stats.head_bad_chunks),
                ("chunk-in-query", stats.query_bad_chunks),
            ]
        },
    },
];
