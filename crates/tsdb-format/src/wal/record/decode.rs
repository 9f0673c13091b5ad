//! Records → values.

use model::{
    CUSTOM_BUCKETS_SCHEMA, Counts, Labels, LabelsBuilder, LabelsError, Metadata, MetricType, NativeHistogram,
    ResetHint, Span, TimestampMs,
};

use super::{
    EXEMPLARS, FLOAT_HISTOGRAMS_V2, HELP, HistogramKind, INTEGER_HISTOGRAMS_V2, MARKERS, METADATA, SAMPLES, SAMPLES_V2,
    SERIES, TOMBSTONES, UNIT, WalRef,
};
use crate::bytes::Cursor;

/// Bytes that are no record.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("corrupt record at byte {offset}: {what}")]
pub struct CorruptRecord {
    /// Where, in bytes from the start of the record.
    pub offset: usize,
    /// What is wrong.
    pub what: &'static str,
}

/// A record, to be walked.
pub enum Record<'a> {
    /// New series.
    Series(SeriesRecords<'a>),
    /// Float samples.
    Samples(Samples<'a>),
    /// Histograms.
    Histograms(Histograms<'a>),
    /// Exemplars.
    Exemplars(Exemplars<'a>),
    /// Metadata.
    Metadata(MetadataRecords<'a>),
    /// Deletions.
    Tombstones(Tombstones<'a>),
    /// Which out-of-order chunks Prometheus has moved to files of their own; their samples are in the log, too.
    Markers(Markers<'a>),
    /// A type that this code does not know; its number.
    Unknown(u8),
}

impl<'a> Record<'a> {
    /// Looks at a record's type.
    ///
    /// # Errors
    /// An empty record, or one too short for its first fields.
    pub fn decode(record: &'a [u8]) -> Result<Self, CorruptRecord> {
        let Some(&record_type) = record.first() else {
            return Err(CorruptRecord { offset: 0, what: "a record is empty" });
        };
        let cursor = Cursor::new(record, 1);
        match record_type {
            SERIES => Ok(Self::Series(SeriesRecords { cursor })),
            SAMPLES => Ok(Self::Samples(Samples { walk: Walk::new(cursor)? })),
            SAMPLES_V2 => Ok(Self::Samples(Samples { walk: Walk::chained(cursor) })),
            TOMBSTONES => Ok(Self::Tombstones(Tombstones { cursor })),
            EXEMPLARS => Ok(Self::Exemplars(Exemplars { walk: Walk::new(cursor)? })),
            MARKERS => Ok(Self::Markers(Markers { cursor })),
            METADATA => Ok(Self::Metadata(MetadataRecords { cursor })),
            INTEGER_HISTOGRAMS_V2 => Ok(Self::Histograms(Histograms { walk: Walk::chained(cursor), is_float: false })),
            FLOAT_HISTOGRAMS_V2 => Ok(Self::Histograms(Histograms { walk: Walk::chained(cursor), is_float: true })),
            other => match HistogramKind::ALL.into_iter().find(|kind| *kind as u8 == other) {
                Some(kind) => Ok(Self::Histograms(Histograms { walk: Walk::new(cursor)?, is_float: kind.is_float() })),
                None => Ok(Self::Unknown(other)),
            },
        }
    }
}

/// A new series.
#[derive(Clone)]
pub struct LoggedSeries<'a> {
    /// Its number from here on.
    pub series: WalRef,
    /// Its labels.
    pub labels: LabelPairs<'a>,
}

/// A float sample.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LoggedSample {
    /// Its series.
    pub series: WalRef,
    /// Its time.
    pub timestamp: TimestampMs,
    /// Its value.
    pub value: f64,
}

/// A histogram sample.
#[derive(Clone, PartialEq, Debug)]
pub struct LoggedHistogram {
    /// Its series.
    pub series: WalRef,
    /// Its time.
    pub timestamp: TimestampMs,
    /// Its value. Buckets are as many as its spans say; nothing else was checked.
    pub histogram: NativeHistogram,
}

/// An exemplar.
#[derive(Clone)]
pub struct LoggedExemplar<'a> {
    /// Its series.
    pub series: WalRef,
    /// When it was observed.
    pub timestamp: TimestampMs,
    /// What was observed.
    pub value: f64,
    /// Its own labels.
    pub labels: LabelPairs<'a>,
}

/// Metadata of a series' metric family.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedMetadata {
    /// The series.
    pub series: WalRef,
    /// What it says.
    pub metadata: Metadata,
}

/// Deleted samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tombstone {
    /// Their series.
    pub series: WalRef,
    /// The first time deleted.
    pub start: TimestampMs,
    /// The last time deleted.
    pub end: TimestampMs,
}

/// An out-of-order chunk of Prometheus that lies in a file of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marker {
    /// Its series.
    pub series: WalRef,
    /// Its file's number in the upper half, where it begins in the lower.
    pub chunk: u64,
}

/// Labels inside a record; they were checked to be there and to be text.
#[derive(Clone)]
pub struct LabelPairs<'a> {
    encoded: &'a [u8],
    /// The same when all of it is ASCII, as nearly always: then every part of it is text, and none need be looked at on its own.
    ascii: Option<&'a str>,
    cursor: Cursor<'a>,
    count: usize,
}

impl<'a> LabelPairs<'a> {
    /// The labels whose bytes [`LabelPairs::encoded`] gave. They are not looked at again: of other bytes there are as many labels
    /// as are text.
    pub fn of(encoded: &'a [u8]) -> Self {
        let mut cursor = Cursor::new(encoded, 0);
        let count = cursor.count(2).unwrap_or(0);
        Self { encoded, ascii: ascii(encoded), cursor, count }
    }

    /// Their bytes: the number of labels, then names and values, each with its length.
    pub fn encoded(&self) -> &'a [u8] {
        self.encoded
    }

    /// A label set of them.
    ///
    /// # Errors
    /// A name that stands twice or is empty.
    pub fn to_labels(&self, builder: &mut LabelsBuilder) -> Result<Labels, LabelsError> {
        builder.clear();
        for (name, value) in self.clone() {
            builder.push(name, value);
        }
        builder.build()
    }

    fn skip(cursor: &mut Cursor<'a>) -> Option<Self> {
        let before = cursor.clone();
        let count = cursor.count(2)?;
        let start = cursor.position();
        for _ in 0..2 * count {
            let length = usize::try_from(cursor.uvarint()?).ok()?;
            cursor.take(length)?;
        }
        let encoded = before.clone().take(cursor.position() - before.position())?;
        let pairs = Cursor::new(encoded, start - before.position());
        let ascii = ascii(encoded);
        if ascii.is_none() {
            let mut pairs = pairs.clone();
            for _ in 0..2 * count {
                pairs.str()?;
            }
        }
        Some(Self { encoded, ascii, cursor: pairs, count })
    }

    fn text(&mut self) -> Option<&'a str> {
        let Some(ascii) = self.ascii else { return self.cursor.str() };
        let length = usize::try_from(self.cursor.uvarint()?).ok()?;
        let start = self.cursor.position();
        self.cursor.take(length)?;
        ascii.get(start..start + length)
    }
}

fn ascii(bytes: &[u8]) -> Option<&str> {
    if bytes.is_ascii() { std::str::from_utf8(bytes).ok() } else { None }
}

impl<'a> Iterator for LabelPairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        Some((self.text()?, self.text()?))
    }
}

/// New series of a record.
pub struct SeriesRecords<'a> {
    cursor: Cursor<'a>,
}

/// Deletions of a record.
pub struct Tombstones<'a> {
    cursor: Cursor<'a>,
}

/// Markers of a record.
pub struct Markers<'a> {
    cursor: Cursor<'a>,
}

/// Metadata of a record.
pub struct MetadataRecords<'a> {
    cursor: Cursor<'a>,
}

/// Float samples of a record.
pub struct Samples<'a> {
    walk: Walk<'a>,
}

/// Histograms of a record.
pub struct Histograms<'a> {
    walk: Walk<'a>,
    is_float: bool,
}

/// Exemplars of a record.
pub struct Exemplars<'a> {
    walk: Walk<'a>,
}

impl<'a> Iterator for SeriesRecords<'a> {
    type Item = Result<LoggedSeries<'a>, CorruptRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        step(&mut self.cursor, "a series is cut or its labels are no text", |cursor| {
            Some(LoggedSeries { series: WalRef(cursor.u64()?), labels: LabelPairs::skip(cursor)? })
        })
    }
}

impl Iterator for Tombstones<'_> {
    type Item = Result<Tombstone, CorruptRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        step(&mut self.cursor, "a deletion is cut", |cursor| {
            Some(Tombstone {
                series: WalRef(cursor.u64()?),
                start: TimestampMs(cursor.varint()?),
                end: TimestampMs(cursor.varint()?),
            })
        })
    }
}

impl Iterator for Markers<'_> {
    type Item = Result<Marker, CorruptRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        step(&mut self.cursor, "a marker is cut", |cursor| {
            Some(Marker { series: WalRef(cursor.u64()?), chunk: cursor.u64()? })
        })
    }
}

impl Iterator for MetadataRecords<'_> {
    type Item = Result<LoggedMetadata, CorruptRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        step(&mut self.cursor, "metadata are cut or no text", |cursor| {
            let series = WalRef(cursor.uvarint()?);
            let metric_type = MetricType::from_wire(u64::from(cursor.byte()?));
            let mut metadata = Metadata { metric_type, ..Metadata::default() };
            for _ in 0..cursor.count(2)? {
                let (name, value) = (cursor.str()?, cursor.str()?);
                match name {
                    UNIT => metadata.unit = value.to_owned(),
                    HELP => metadata.help = value.to_owned(),
                    _ => {}
                }
            }
            Some(LoggedMetadata { series, metadata })
        })
    }
}

impl Iterator for Samples<'_> {
    type Item = Result<LoggedSample, CorruptRecord>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (base, chain) = (self.walk.base, self.walk.chain.as_mut());
        step(&mut self.walk.cursor, "a sample is cut", |cursor| {
            let (series, timestamp) = position(cursor, base, chain)?;
            Some(LoggedSample { series, timestamp, value: cursor.f64()? })
        })
    }
}

impl<'a> Iterator for Exemplars<'a> {
    type Item = Result<LoggedExemplar<'a>, CorruptRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        let base = self.walk.base;
        step(&mut self.walk.cursor, "an exemplar is cut or its labels are no text", |cursor| {
            let (series, timestamp) = position(cursor, base, None)?;
            Some(LoggedExemplar { series, timestamp, value: cursor.f64()?, labels: LabelPairs::skip(cursor)? })
        })
    }
}

impl Iterator for Histograms<'_> {
    type Item = Result<LoggedHistogram, CorruptRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        let (base, chain, is_float) = (self.walk.base, self.walk.chain.as_mut(), self.is_float);
        step(&mut self.walk.cursor, "a histogram is cut or its buckets are not those of its spans", |cursor| {
            let (series, timestamp) = position(cursor, base, chain)?;
            Some(LoggedHistogram { series, timestamp, histogram: histogram(cursor, is_float)? })
        })
    }
}

/// Items that hold differences to a first reference and time.
struct Walk<'a> {
    cursor: Cursor<'a>,
    base: (u64, i64),
    chain: Option<Chain>,
}

/// In records with start times: references are differences to the one before, and the first item stands for itself. Start
/// times are read past: nothing here keeps them.
struct Chain {
    previous: u64,
    first: Option<i64>,
}

impl<'a> Walk<'a> {
    fn new(mut cursor: Cursor<'a>) -> Result<Self, CorruptRecord> {
        // Prometheus may write such a record without any item, and then without the first fields.
        if cursor.is_empty() {
            return Ok(Self { cursor, base: (0, 0), chain: None });
        }
        let offset = cursor.position();
        let base = cursor.u64().zip(cursor.u64().map(|time| time as i64));
        let base = base.ok_or(CorruptRecord { offset, what: "the first reference and time are cut" })?;
        Ok(Self { cursor, base, chain: None })
    }

    fn chained(cursor: Cursor<'a>) -> Self {
        Self { cursor, base: (0, 0), chain: Some(Chain { previous: 0, first: None }) }
    }
}

#[inline]
fn step<'a, T>(
    cursor: &mut Cursor<'a>,
    what: &'static str,
    read: impl FnOnce(&mut Cursor<'a>) -> Option<T>,
) -> Option<Result<T, CorruptRecord>> {
    if cursor.is_empty() {
        return None;
    }
    let offset = cursor.position();
    let item = read(cursor);
    if item.is_none() {
        cursor.exhaust();
    }
    Some(item.ok_or(CorruptRecord { offset, what }))
}

#[inline]
fn position(cursor: &mut Cursor<'_>, base: (u64, i64), chain: Option<&mut Chain>) -> Option<(WalRef, TimestampMs)> {
    if let Some(chain) = chain {
        return chain.position(cursor);
    }
    let series = base.0.wrapping_add(cursor.varint()? as u64);
    let timestamp = base.1.wrapping_add(cursor.varint()?);
    Some((WalRef(series), TimestampMs(timestamp)))
}

impl Chain {
    fn position(&mut self, cursor: &mut Cursor<'_>) -> Option<(WalRef, TimestampMs)> {
        self.previous = self.previous.wrapping_add(cursor.varint()? as u64);
        let time = cursor.varint()?;
        let time = match self.first {
            None => {
                self.first = Some(time);
                cursor.varint()?;
                time
            }
            Some(first) => {
                if !matches!(cursor.byte()?, NO_START_TIME | SAME_START_TIME) {
                    cursor.varint()?;
                }
                first.wrapping_add(time)
            }
        };
        Some((WalRef(self.previous), TimestampMs(time)))
    }
}

const NO_START_TIME: u8 = 0;
const SAME_START_TIME: u8 = 1;

fn histogram(cursor: &mut Cursor<'_>, is_float: bool) -> Option<NativeHistogram> {
    let reset_hint = ResetHint::from_wire(u64::from(cursor.byte()?));
    let schema = i32::try_from(cursor.varint()?).ok()?;
    let zero_threshold = cursor.f64()?;
    let (mut zero_count, mut count, mut float_zero_count, mut float_count) = (0, 0, 0.0, 0.0);
    if is_float {
        (float_zero_count, float_count) = (cursor.f64()?, cursor.f64()?);
    } else {
        (zero_count, count) = (cursor.uvarint()?, cursor.uvarint()?);
    }
    let sum = cursor.f64()?;
    let (positive_spans, negative_spans) = (spans(cursor)?, spans(cursor)?);
    let counts = if is_float {
        let (positive, negative) = (f64s(cursor)?, f64s(cursor)?);
        Counts::Float { count: float_count, zero_count: float_zero_count, positive, negative }
    } else {
        let (positive, negative) = (deltas(cursor)?, deltas(cursor)?);
        Counts::Integer { count, zero_count, positive, negative }
    };
    let (positive, negative) = match &counts {
        Counts::Integer { positive, negative, .. } => (positive.len(), negative.len()),
        Counts::Float { positive, negative, .. } => (positive.len(), negative.len()),
    };
    // Everything behind this point relies on it, so it is the one thing that is checked.
    let buckets_of = |spans: &[Span]| spans.iter().map(|span| u64::from(span.length)).sum::<u64>();
    if buckets_of(&positive_spans) != positive as u64 || buckets_of(&negative_spans) != negative as u64 {
        return None;
    }
    let custom_values = if schema == CUSTOM_BUCKETS_SCHEMA { f64s(cursor)? } else { Vec::new() };
    Some(NativeHistogram {
        schema,
        zero_threshold,
        sum,
        reset_hint,
        positive_spans,
        negative_spans,
        custom_values,
        counts,
    })
}

fn spans(cursor: &mut Cursor<'_>) -> Option<Vec<Span>> {
    let count = cursor.count(2)?;
    let span = |cursor: &mut Cursor<'_>| {
        let offset = i32::try_from(cursor.varint()?).ok()?;
        Some(Span { offset, length: u32::try_from(cursor.uvarint()?).ok()? })
    };
    (0..count).map(|_| span(cursor)).collect()
}

fn f64s(cursor: &mut Cursor<'_>) -> Option<Vec<f64>> {
    let count = cursor.count(8)?;
    (0..count).map(|_| cursor.f64()).collect()
}

fn deltas(cursor: &mut Cursor<'_>) -> Option<Vec<i64>> {
    let count = cursor.count(1)?;
    (0..count).map(|_| cursor.varint()).collect()
}
