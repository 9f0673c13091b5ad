//! What a request says, as plain values: once read by the crate, once by prost.

use model::{Counts, MetricType, NativeHistogram, ResetHint, Span, TimestampMs};
use remote_write::{BlockLabels, DecodeError, Item, LabelLimits, Limits, Request, Version};

use crate::messages as prost_messages;
use crate::messages::{Count, ZeroCount};

/// Labels in the order of the wire. `None` for those that the crate refuses to give as text.
pub(crate) type LabelPairs = Option<Vec<(String, String)>>;

#[derive(Debug, PartialEq, Default)]
pub(crate) struct Said {
    pub(crate) series: Vec<SaidSeries>,
    pub(crate) families: Vec<(String, Metadata)>,
    /// Indexes of series refused as a whole; `usize::MAX` for metadata.
    pub(crate) refused: Vec<usize>,
}

type Metadata = (MetricType, String, String);

#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct SaidSeries {
    pub(crate) labels: LabelPairs,
    /// Timestamp, bits of the value, start timestamp or 0.
    pub(crate) samples: Vec<(i64, u64, i64)>,
    /// Timestamp, start timestamp or 0, the value's debug text (NaNs are equal there).
    pub(crate) histograms: Vec<(i64, i64, String)>,
    /// Labels sorted, timestamp, bits of the value.
    pub(crate) exemplars: Vec<(LabelPairs, i64, u64)>,
    pub(crate) metadata: Option<Metadata>,
}

/// Limits that nothing here reaches.
pub(crate) const UNLIMITED: Limits = Limits {
    labels: LabelLimits {
        labels_max: usize::MAX,
        name_bytes_max: usize::MAX,
        value_bytes_max: usize::MAX,
        set_bytes_max: usize::MAX,
    },
    series_max: usize::MAX,
    symbols_max: usize::MAX,
    unfolded_bytes_max: usize::MAX,
};

/// What the crate reads.
pub(crate) fn ours(version: Version, body: &[u8]) -> Result<Said, DecodeError> {
    let request = Request::parse(version, body, &UNLIMITED)?;
    let mut said = Said::default();
    let mut scratch = Vec::new();
    let mut walk = request.walk(&mut scratch);
    while let Some(item) = walk.next_item()? {
        match item {
            Item::Series(series) => {
                let mut found = SaidSeries { labels: block_pairs(series.label_block()), ..SaidSeries::default() };
                for sample in series.samples() {
                    let sample = sample?;
                    let start = sample.start_timestamp.map_or(0, |start| start.0);
                    found.samples.push((sample.timestamp.0, sample.value.to_bits(), start));
                }
                for sample in series.histograms() {
                    let sample = sample?;
                    let start = sample.start_timestamp.map_or(0, |start| start.0);
                    found.histograms.push((sample.timestamp.0, start, format!("{:?}", sample.histogram)));
                }
                for exemplar in series.exemplars() {
                    let exemplar = exemplar?;
                    let labels = exemplar.labels(&UNLIMITED.labels).ok();
                    let labels =
                        labels.map(|labels| labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect());
                    found.exemplars.push((labels, exemplar.timestamp.0, exemplar.value.to_bits()));
                }
                let tally = series.tally();
                let seen = (found.samples.len(), found.histograms.len(), found.exemplars.len());
                assert_eq!(seen, (tally.samples as usize, tally.histograms as usize, tally.exemplars as usize));
                found.metadata =
                    series.metadata().map(|text| (text.metric_type, text.help.to_owned(), text.unit.to_owned()));
                said.series.push(found);
            }
            Item::Family(family) => {
                let text = family.metadata;
                let metadata = (text.metric_type, text.help.to_owned(), text.unit.to_owned());
                said.families.push((family.name.to_owned(), metadata));
            }
            Item::Refused(refused) => said.refused.push(refused.series.unwrap_or(usize::MAX)),
        }
    }
    Ok(said)
}

fn block_pairs(block: &[u8]) -> LabelPairs {
    BlockLabels::new(block).map(|label| label.map(|(name, value)| (name.to_owned(), value.to_owned())).ok()).collect()
}

/// What prost reads of a 1.0 request.
pub(crate) fn prost_v1(request: &prost_messages::WriteRequest) -> Said {
    let mut said = Said::default();
    for series in &request.timeseries {
        said.series.push(SaidSeries {
            labels: series.labels.iter().map(pair).collect(),
            samples: series.samples.iter().map(|sample| (sample.timestamp, sample.value.to_bits(), 0)).collect(),
            histograms: series.histograms.iter().map(|histogram| said_histogram(histogram, false)).collect(),
            exemplars: series
                .exemplars
                .iter()
                .map(|exemplar| {
                    let labels = exemplar.labels.iter().map(pair).collect();
                    (set_of(labels), exemplar.timestamp, exemplar.value.to_bits())
                })
                .collect(),
            metadata: None,
        });
    }
    for entry in &request.metadata {
        let texts = (text(&entry.metric_family_name), text(&entry.help), text(&entry.unit));
        match texts {
            (Some(name), Some(help), Some(unit)) => {
                said.families.push((name, (metric_type(entry.metric_type), help, unit)));
            }
            _ => said.refused.push(usize::MAX),
        }
    }
    said
}

/// What prost reads of a 2.0 request, and which series make sense.
pub(crate) fn prost_v2(request: &prost_messages::RequestV2) -> Said {
    let mut said = Said::default();
    let symbol = |reference: u32| match request.symbols.get(reference as usize) {
        Some(symbol) => text(symbol),
        None => (reference == 0).then(String::new),
    };
    let pairs = |references: &[u32]| -> LabelPairs {
        let pairs = references.chunks(2).map(|pair| Some((symbol(pair[0])?, symbol(*pair.get(1)?)?)));
        pairs.collect()
    };
    for (index, series) in request.timeseries.iter().enumerate() {
        let labels = pairs(&series.labels_refs);
        let metadata = series
            .metadata
            .map(|entry| Some((metric_type(entry.metric_type), symbol(entry.help_ref)?, symbol(entry.unit_ref)?)));
        let empty = series.samples.is_empty() && series.histograms.is_empty();
        if labels.is_none() || metadata == Some(None) || empty {
            said.refused.push(index);
            continue;
        }
        let exemplars = series.exemplars.iter();
        said.series.push(SaidSeries {
            labels,
            samples: series
                .samples
                .iter()
                .map(|sample| (sample.timestamp, sample.value.to_bits(), sample.start_timestamp))
                .collect(),
            histograms: series.histograms.iter().map(|histogram| said_histogram(histogram, true)).collect(),
            exemplars: exemplars
                .map(|exemplar| (set_of(pairs(&exemplar.labels_refs)), exemplar.timestamp, exemplar.value.to_bits()))
                .collect(),
            metadata: metadata.flatten(),
        });
    }
    said
}

fn pair(label: &prost_messages::Label) -> Option<(String, String)> {
    Some((text(&label.name)?, text(&label.value)?))
}

/// Pairs as a label set, the plain way.
fn set_of(pairs: LabelPairs) -> LabelPairs {
    let mut pairs = pairs?;
    pairs.sort();
    let bad = pairs.windows(2).any(|two| two[0].0 == two[1].0) || pairs.iter().any(|(name, _)| name.is_empty());
    pairs.retain(|(_, value)| !value.is_empty());
    (!bad).then_some(pairs)
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

fn metric_type(number: i32) -> MetricType {
    MetricType::from_wire(u64::from(number as u32))
}

fn said_histogram(histogram: &prost_messages::Histogram, start_timestamps: bool) -> (i64, i64, String) {
    let spans = |spans: &[prost_messages::BucketSpan]| -> Vec<Span> {
        spans.iter().map(|span| Span { offset: span.offset, length: span.length }).collect()
    };
    let counts = match histogram.count {
        Some(Count::Float(count)) => Counts::Float {
            count,
            zero_count: match histogram.zero_count {
                Some(ZeroCount::Float(count)) => count,
                Some(ZeroCount::Integer(count)) => count as f64,
                None => 0.0,
            },
            positive: histogram.positive_counts.clone(),
            negative: histogram.negative_counts.clone(),
        },
        other => Counts::Integer {
            count: if let Some(Count::Integer(count)) = other { count } else { 0 },
            zero_count: if let Some(ZeroCount::Integer(count)) = histogram.zero_count { count } else { 0 },
            positive: histogram.positive_deltas.clone(),
            negative: histogram.negative_deltas.clone(),
        },
    };
    let value = NativeHistogram {
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        sum: histogram.sum,
        reset_hint: ResetHint::from_wire(u64::from(histogram.reset_hint as u32)),
        positive_spans: spans(&histogram.positive_spans),
        negative_spans: spans(&histogram.negative_spans),
        custom_values: histogram.custom_values.clone(),
        counts,
    };
    let start = if start_timestamps { histogram.start_timestamp } else { 0 };
    (TimestampMs(histogram.timestamp).0, start, format!("{value:?}"))
}
