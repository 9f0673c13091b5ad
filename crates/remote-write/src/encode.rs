//! Values → requests of either version.
//!
//! Fields are written in the order of their numbers in Prometheus' own messages and left out when they are zero, so that
//! equal values make equal bytes.

use std::collections::{HashMap, HashSet};

use model::{Counts, Exemplar, Labels, METRIC_NAME, Metadata, NativeHistogram, Span, TimestampMs};

use crate::histogram as fields;
use crate::labels::{BlockLabels, LabelError, put_label};
use crate::negotiation::Version;
use crate::series::{Layout, Sample};
use crate::walk::{FamilyMetadata, MetadataText};
use crate::wire::{Wire, key, put_bytes, put_varint};
use crate::{v1, v2};

/// Builds one request. Give it series after series, then [`finish`](Self::finish) it.
///
/// The caller keeps samples of a series in time order; the encoder writes what it is given.
pub struct Encoder {
    version: Version,
    layout: &'static Layout,
    /// Finished series, and metadata of 1.0.
    body: Vec<u8>,
    /// The series at hand, if there is one.
    series: Pending,
    symbols: SymbolTable,
    /// Families whose metadata is written (1.0).
    families: HashSet<String>,
    /// Working memory for one message inside of a series.
    element: Vec<u8>,
}

/// The parts of a series, each kind on its own since the order of calls is the caller's.
#[derive(Default)]
struct Pending {
    open: bool,
    metric_name: String,
    labels: Vec<u8>,
    samples: Vec<u8>,
    histograms: Vec<u8>,
    exemplars: Vec<u8>,
    metadata: Vec<u8>,
}

impl Encoder {
    /// An empty request.
    pub fn new(version: Version) -> Self {
        let layout = match version {
            Version::V1 => &v1::LAYOUT,
            Version::V2 => &v2::LAYOUT,
        };
        Self {
            version,
            layout,
            body: Vec::new(),
            series: Pending::default(),
            symbols: SymbolTable::default(),
            families: HashSet::new(),
            element: Vec::new(),
        }
    }

    /// Starts a series; ends the one before.
    pub fn series(&mut self, labels: &Labels) -> SeriesEncoder<'_> {
        self.flush();
        self.series.open = true;
        self.series.metric_name.push_str(labels.metric_name());
        for (name, value) in labels {
            self.put_series_label(name, value);
        }
        SeriesEncoder { encoder: self }
    }

    /// Starts a series whose labels are encoded already (see [`crate::Series::label_block`]); their order is kept.
    ///
    /// # Errors
    /// A block that is broken or not text; no series is started then.
    pub fn series_of_block(&mut self, block: &[u8]) -> Result<SeriesEncoder<'_>, LabelError> {
        self.flush();
        for label in BlockLabels::new(block) {
            let (name, value) = label.inspect_err(|_| self.series.clear())?;
            if name == METRIC_NAME {
                value.clone_into(&mut self.series.metric_name);
            }
            self.put_series_label(name, value);
        }
        self.series.open = true;
        Ok(SeriesEncoder { encoder: self })
    }

    /// What is known of a metric family. Only 1.0 has a place for it; in 2.0 it goes with each series
    /// ([`SeriesEncoder::metadata`]) and is left out here.
    pub fn family(&mut self, name: &str, metadata: &Metadata) {
        if self.version == Version::V1 && self.families.insert(name.to_owned()) {
            let Metadata { metric_type, help, unit } = metadata;
            let metadata = MetadataText { metric_type: *metric_type, help, unit };
            put_family(&FamilyMetadata { name, metadata }, &mut self.element, &mut self.body);
        }
    }

    /// Bytes of the request as far as it stands, without the series at hand.
    pub fn encoded_bytes(&self) -> usize {
        self.body.len() + self.symbols.encoded.len()
    }

    /// The whole message, not compressed yet. The encoder is empty afterwards and keeps its working memory.
    pub fn finish(&mut self) -> Vec<u8> {
        self.flush();
        let mut message = Vec::with_capacity(self.encoded_bytes() + 2);
        if self.version == Version::V2 {
            // Number 0 is always the empty text.
            put_bytes(v2::SYMBOLS, &[], &mut message);
            message.append(&mut self.symbols.encoded);
        }
        message.append(&mut self.body);
        self.symbols.numbers.clear();
        self.families.clear();
        message
    }

    fn put_series_label(&mut self, name: &str, value: &str) {
        match self.version {
            Version::V1 => put_label(name, value, &mut self.series.labels),
            Version::V2 => {
                put_varint(self.symbols.number(name), &mut self.series.labels);
                put_varint(self.symbols.number(value), &mut self.series.labels);
            }
        }
    }

    /// Writes the series at hand.
    fn flush(&mut self) {
        let series = &mut self.series;
        if !series.open {
            return;
        }
        let message = &mut self.element;
        message.clear();
        match self.version {
            Version::V1 => {
                for part in [&series.labels, &series.samples, &series.exemplars, &series.histograms] {
                    message.extend_from_slice(part);
                }
                put_bytes(v1::TIMESERIES, message, &mut self.body);
            }
            Version::V2 if series.samples.is_empty() || series.histograms.is_empty() => {
                put_packed(v2::REFS_PACKED, &series.labels, message);
                for part in [&series.samples, &series.histograms, &series.exemplars, &series.metadata] {
                    message.extend_from_slice(part);
                }
                put_bytes(v2::TIMESERIES, message, &mut self.body);
            }
            // Samples and histograms must not stand in one 2.0 series.
            Version::V2 => {
                put_packed(v2::REFS_PACKED, &series.labels, message);
                for part in [&series.samples, &series.exemplars, &series.metadata] {
                    message.extend_from_slice(part);
                }
                put_bytes(v2::TIMESERIES, message, &mut self.body);
                message.clear();
                put_packed(v2::REFS_PACKED, &series.labels, message);
                for part in [&series.histograms, &series.metadata] {
                    message.extend_from_slice(part);
                }
                put_bytes(v2::TIMESERIES, message, &mut self.body);
            }
        }
        series.clear();
    }
}

impl Pending {
    fn clear(&mut self) {
        self.open = false;
        self.metric_name.clear();
        for part in [&mut self.labels, &mut self.samples, &mut self.histograms, &mut self.exemplars, &mut self.metadata]
        {
            part.clear();
        }
    }
}

/// Adds to one series of a request. The series ends with the next one or with [`Encoder::finish`].
pub struct SeriesEncoder<'e> {
    encoder: &'e mut Encoder,
}

impl SeriesEncoder<'_> {
    /// Adds a float sample. A start timestamp is left out in 1.0.
    pub fn sample(&mut self, sample: Sample) -> &mut Self {
        let Encoder { layout, element, series, .. } = &mut *self.encoder;
        element.clear();
        put_double(key(1, Wire::Fixed64), sample.value, element);
        put_integer(key(2, Wire::Varint), sample.timestamp.0 as u64, element);
        put_start_timestamp(key(3, Wire::Varint), sample.start_timestamp, layout, element);
        put_bytes(layout.samples, element, &mut series.samples);
        self
    }

    /// Adds a histogram. A start timestamp is left out in 1.0.
    pub fn histogram(
        &mut self,
        timestamp: TimestampMs,
        start_timestamp: Option<TimestampMs>,
        histogram: &NativeHistogram,
    ) -> &mut Self {
        let Encoder { layout, element, series, .. } = &mut *self.encoder;
        element.clear();
        put_histogram(histogram, timestamp, element);
        put_start_timestamp(fields::START_TIMESTAMP, start_timestamp, layout, element);
        put_bytes(layout.histograms, element, &mut series.histograms);
        self
    }

    /// Adds an exemplar.
    pub fn exemplar(&mut self, exemplar: &Exemplar) -> &mut Self {
        let Encoder { version, layout, element, series, symbols, .. } = &mut *self.encoder;
        element.clear();
        match version {
            Version::V1 => exemplar.labels.iter().for_each(|(name, value)| put_label(name, value, element)),
            Version::V2 => {
                let mut refs = Vec::new();
                for (name, value) in &exemplar.labels {
                    put_varint(symbols.number(name), &mut refs);
                    put_varint(symbols.number(value), &mut refs);
                }
                put_packed(v2::REFS_PACKED, &refs, element);
            }
        }
        put_double(key(2, Wire::Fixed64), exemplar.value, element);
        put_integer(key(3, Wire::Varint), exemplar.timestamp.0 as u64, element);
        put_bytes(layout.exemplars, element, &mut series.exemplars);
        self
    }

    /// Says what is known of the series' metric family; in 1.0 it is written once per family. The last one wins.
    pub fn metadata(&mut self, metadata: &Metadata) -> &mut Self {
        match self.encoder.version {
            Version::V1 => {
                let name = std::mem::take(&mut self.encoder.series.metric_name);
                self.encoder.family(&name, metadata);
                self.encoder.series.metric_name = name;
            }
            Version::V2 => {
                let Encoder { element, series, symbols, .. } = &mut *self.encoder;
                element.clear();
                put_integer(key(1, Wire::Varint), metadata.metric_type as u64, element);
                put_integer(key(3, Wire::Varint), symbols.number(&metadata.help), element);
                put_integer(key(4, Wire::Varint), symbols.number(&metadata.unit), element);
                series.metadata.clear();
                put_bytes(key(5, Wire::Bytes), element, &mut series.metadata);
            }
        }
        self
    }
}

/// Symbols in the order of their first use; 0 is the empty text.
#[derive(Default)]
struct SymbolTable {
    numbers: HashMap<Box<str>, u64>,
    encoded: Vec<u8>,
}

impl SymbolTable {
    fn number(&mut self, text: &str) -> u64 {
        if text.is_empty() {
            return 0;
        }
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.numbers.len() as u64 + 1;
        self.numbers.insert(text.into(), number);
        put_bytes(v2::SYMBOLS, text.as_bytes(), &mut self.encoded);
        number
    }
}

/// Writes one `MetricMetadata` of a 1.0 request. `element` is working memory.
pub(crate) fn put_family(family: &FamilyMetadata<'_>, element: &mut Vec<u8>, out: &mut Vec<u8>) {
    element.clear();
    put_integer(key(1, Wire::Varint), family.metadata.metric_type as u64, element);
    put_text(key(2, Wire::Bytes), family.name, element);
    put_text(key(4, Wire::Bytes), family.metadata.help, element);
    put_text(key(5, Wire::Bytes), family.metadata.unit, element);
    put_bytes(v1::METADATA, element, out);
}

fn put_histogram(histogram: &NativeHistogram, timestamp: TimestampMs, out: &mut Vec<u8>) {
    // The count is written even when it is 0: which of the two fields it is in says which kind of histogram this is.
    match &histogram.counts {
        Counts::Integer { count, .. } => put_integer_always(fields::COUNT_INTEGER, *count, out),
        Counts::Float { count, .. } => put_double_always(fields::COUNT_FLOAT, *count, out),
    }
    put_double(fields::SUM, histogram.sum, out);
    put_integer(fields::SCHEMA, zigzag(i64::from(histogram.schema)), out);
    put_double(fields::ZERO_THRESHOLD, histogram.zero_threshold, out);
    match &histogram.counts {
        Counts::Integer { zero_count, positive, negative, .. } => {
            put_integer_always(fields::ZERO_COUNT_INTEGER, *zero_count, out);
            put_spans(fields::NEGATIVE_SPANS, &histogram.negative_spans, out);
            put_packed(fields::NEGATIVE_DELTAS_PACKED, &sints(negative), out);
            put_spans(fields::POSITIVE_SPANS, &histogram.positive_spans, out);
            put_packed(fields::POSITIVE_DELTAS_PACKED, &sints(positive), out);
        }
        Counts::Float { zero_count, positive, negative, .. } => {
            put_double_always(fields::ZERO_COUNT_FLOAT, *zero_count, out);
            put_spans(fields::NEGATIVE_SPANS, &histogram.negative_spans, out);
            put_packed(fields::NEGATIVE_COUNTS_PACKED, &doubles(negative), out);
            put_spans(fields::POSITIVE_SPANS, &histogram.positive_spans, out);
            put_packed(fields::POSITIVE_COUNTS_PACKED, &doubles(positive), out);
        }
    }
    put_integer(fields::RESET_HINT, histogram.reset_hint as u64, out);
    put_integer(fields::TIMESTAMP, timestamp.0 as u64, out);
    put_packed(fields::CUSTOM_VALUES_PACKED, &doubles(&histogram.custom_values), out);
}

fn put_spans(key: u32, spans: &[Span], out: &mut Vec<u8>) {
    let mut message = Vec::new();
    for span in spans {
        message.clear();
        put_integer(fields::SPAN_OFFSET, zigzag(i64::from(span.offset)), &mut message);
        put_integer(fields::SPAN_LENGTH, u64::from(span.length), &mut message);
        put_bytes(key, &message, out);
    }
}

fn sints(values: &[i64]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(2 * values.len());
    values.iter().for_each(|value| put_varint(zigzag(*value), &mut packed));
    packed
}

fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_bits().to_le_bytes()).collect()
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn put_start_timestamp(key: u32, timestamp: Option<TimestampMs>, layout: &Layout, out: &mut Vec<u8>) {
    if let Some(TimestampMs(ms)) = timestamp
        && layout.start_timestamps
    {
        // 0 would read as unset; the specification has the nearest millisecond written instead.
        put_integer(key, if ms == 0 { 1 } else { ms as u64 }, out);
    }
}

fn put_integer(key: u32, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        put_integer_always(key, value, out);
    }
}

fn put_integer_always(key: u32, value: u64, out: &mut Vec<u8>) {
    put_varint(u64::from(key), out);
    put_varint(value, out);
}

/// Leaves out the positive zero only: minus zero is another value.
fn put_double(key: u32, value: f64, out: &mut Vec<u8>) {
    if value.to_bits() != 0 {
        put_double_always(key, value, out);
    }
}

fn put_double_always(key: u32, value: f64, out: &mut Vec<u8>) {
    put_varint(u64::from(key), out);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn put_text(key: u32, text: &str, out: &mut Vec<u8>) {
    put_packed(key, text.as_bytes(), out);
}

/// Leaves out an empty one.
fn put_packed(key: u32, value: &[u8], out: &mut Vec<u8>) {
    if !value.is_empty() {
        put_bytes(key, value, out);
    }
}

#[cfg(test)]
mod tests;
