//! Values → records. Encoders keep their memory when cleared.

use model::{Counts, Labels, Metadata, NativeHistogram, Span, TimestampMs};

use super::{EXEMPLARS, HELP, HistogramKind, LabelPairs, METADATA, SAMPLES, SERIES, TOMBSTONES, UNIT, WalRef};
use crate::bytes::{put_str, put_uvarint, put_varint};

macro_rules! encoder {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Default)]
        pub struct $name {
            record: Vec<u8>,
            base: Option<(u64, i64)>,
        }

        impl $name {
            /// Whether nothing was added yet; such a record is not worth writing.
            pub fn is_empty(&self) -> bool {
                self.record.is_empty()
            }

            /// The record.
            pub fn record(&self) -> &[u8] {
                &self.record
            }

            /// Starts the next record.
            pub fn clear(&mut self) {
                self.record.clear();
                self.base = None;
            }
        }
    };
}

encoder! {
    /// A record of new series.
    SeriesEncoder
}

encoder! {
    /// A record of float samples.
    SampleEncoder
}

encoder! {
    /// A record of histograms of one kind.
    HistogramEncoder
}

encoder! {
    /// A record of exemplars.
    ExemplarEncoder
}

encoder! {
    /// A record of metadata.
    MetadataEncoder
}

encoder! {
    /// A record of deletions.
    TombstoneEncoder
}

impl SeriesEncoder {
    /// Adds a series.
    pub fn push(&mut self, series: WalRef, labels: &Labels) {
        start(&mut self.record, SERIES);
        self.record.extend_from_slice(&series.0.to_be_bytes());
        put_labels(&mut self.record, labels);
    }

    /// Adds a series with labels of another record.
    pub fn push_pairs(&mut self, series: WalRef, labels: &LabelPairs<'_>) {
        start(&mut self.record, SERIES);
        self.record.extend_from_slice(&series.0.to_be_bytes());
        self.record.extend_from_slice(labels.encoded());
    }
}

impl SampleEncoder {
    /// Adds a sample.
    #[inline]
    pub fn push(&mut self, series: WalRef, timestamp: TimestampMs, value: f64) {
        start(&mut self.record, SAMPLES);
        put_position(&mut self.record, &mut self.base, series, timestamp);
        put_f64(&mut self.record, value);
    }
}

impl HistogramEncoder {
    /// Adds a histogram.
    ///
    /// # Panics
    /// When the record was begun with a histogram of another kind.
    pub fn push(&mut self, series: WalRef, timestamp: TimestampMs, histogram: &NativeHistogram) {
        let kind = HistogramKind::of(histogram);
        start(&mut self.record, kind as u8);
        assert_eq!(self.record[0], kind as u8, "a record holds histograms of one kind");
        put_position(&mut self.record, &mut self.base, series, timestamp);
        put_histogram(&mut self.record, histogram, kind);
    }
}

impl ExemplarEncoder {
    /// Adds an exemplar.
    pub fn push(&mut self, series: WalRef, timestamp: TimestampMs, value: f64, labels: &Labels) {
        start(&mut self.record, EXEMPLARS);
        put_position(&mut self.record, &mut self.base, series, timestamp);
        put_f64(&mut self.record, value);
        put_labels(&mut self.record, labels);
    }
}

impl MetadataEncoder {
    /// Adds what a series' metric family says about itself.
    pub fn push(&mut self, series: WalRef, metadata: &Metadata) {
        start(&mut self.record, METADATA);
        put_uvarint(&mut self.record, series.0);
        self.record.push(metadata.metric_type as u8);
        put_uvarint(&mut self.record, 2);
        for (name, value) in [(UNIT, &metadata.unit), (HELP, &metadata.help)] {
            put_str(&mut self.record, name);
            put_str(&mut self.record, value);
        }
    }
}

impl TombstoneEncoder {
    /// Adds a deletion of a series' samples from `start` to `end`, both included.
    pub fn push(&mut self, series: WalRef, start_time: TimestampMs, end: TimestampMs) {
        start(&mut self.record, TOMBSTONES);
        self.record.extend_from_slice(&series.0.to_be_bytes());
        put_varint(&mut self.record, start_time.0);
        put_varint(&mut self.record, end.0);
    }
}

fn start(record: &mut Vec<u8>, record_type: u8) {
    if record.is_empty() {
        record.push(record_type);
    }
}

#[inline]
fn put_position(record: &mut Vec<u8>, base: &mut Option<(u64, i64)>, series: WalRef, timestamp: TimestampMs) {
    let (first_series, first_time) = *base.get_or_insert_with(|| {
        record.extend_from_slice(&series.0.to_be_bytes());
        record.extend_from_slice(&timestamp.0.to_be_bytes());
        (series.0, timestamp.0)
    });
    put_varint(record, series.0.wrapping_sub(first_series) as i64);
    put_varint(record, timestamp.0.wrapping_sub(first_time));
}

fn put_histogram(record: &mut Vec<u8>, histogram: &NativeHistogram, kind: HistogramKind) {
    record.push(histogram.reset_hint as u8);
    put_varint(record, i64::from(histogram.schema));
    put_f64(record, histogram.zero_threshold);
    match &histogram.counts {
        Counts::Integer { count, zero_count, .. } => {
            put_uvarint(record, *zero_count);
            put_uvarint(record, *count);
        }
        Counts::Float { count, zero_count, .. } => {
            put_f64(record, *zero_count);
            put_f64(record, *count);
        }
    }
    put_f64(record, histogram.sum);
    put_spans(record, &histogram.positive_spans);
    put_spans(record, &histogram.negative_spans);
    match &histogram.counts {
        Counts::Integer { positive, negative, .. } => {
            for buckets in [positive, negative] {
                put_uvarint(record, buckets.len() as u64);
                buckets.iter().for_each(|bucket| put_varint(record, *bucket));
            }
        }
        Counts::Float { positive, negative, .. } => {
            put_f64s(record, positive);
            put_f64s(record, negative);
        }
    }
    if kind.is_custom() {
        put_f64s(record, &histogram.custom_values);
    }
}

fn put_spans(record: &mut Vec<u8>, spans: &[Span]) {
    put_uvarint(record, spans.len() as u64);
    for span in spans {
        put_varint(record, i64::from(span.offset));
        put_uvarint(record, u64::from(span.length));
    }
}

fn put_f64s(record: &mut Vec<u8>, values: &[f64]) {
    put_uvarint(record, values.len() as u64);
    values.iter().for_each(|value| put_f64(record, *value));
}

#[inline]
fn put_f64(record: &mut Vec<u8>, value: f64) {
    record.extend_from_slice(&value.to_bits().to_be_bytes());
}

fn put_labels(record: &mut Vec<u8>, labels: &Labels) {
    put_uvarint(record, labels.len() as u64);
    for (name, value) in labels {
        put_str(record, name);
        put_str(record, value);
    }
}
