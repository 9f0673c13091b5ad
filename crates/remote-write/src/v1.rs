//! The messages of version 1.0.

use crate::error::Fault;
use crate::negotiation::Version;
use crate::series::{self, Layout, Tally};
use crate::walk::{FamilyMetadata, MetadataError, MetadataText};
use crate::wire::{Reader, Wire, fields, key, pass};
use crate::{exemplar, histogram, labels};

pub(crate) static LAYOUT: Layout = Layout {
    version: Version::V1,
    samples: key(2, Wire::Bytes),
    exemplars: key(3, Wire::Bytes),
    histograms: key(4, Wire::Bytes),
    start_timestamps: false,
};

/// `WriteRequest.timeseries`
pub(crate) const TIMESERIES: u32 = key(1, Wire::Bytes);
/// `WriteRequest.metadata`
pub(crate) const METADATA: u32 = key(3, Wire::Bytes);
pub(crate) const REQUEST_FIELDS: u32 = fields(&[1, 3]);

/// `TimeSeries.labels`, and the labels of an exemplar.
pub(crate) const LABELS: u32 = key(1, Wire::Bytes);
pub(crate) const SAMPLES: u32 = LAYOUT.samples;
pub(crate) const EXEMPLARS: u32 = LAYOUT.exemplars;
pub(crate) const HISTOGRAMS: u32 = LAYOUT.histograms;
const SERIES_FIELDS: u32 = fields(&[1, 2, 3, 4]);

/// A time series of which the outer structure is checked and nothing else is looked at.
pub(crate) struct Skimmed<'a> {
    /// The run of label fields at its start.
    pub(crate) labels: &'a [u8],
    /// Whether there are labels behind that run, too.
    pub(crate) scattered: bool,
    /// What follows the run.
    pub(crate) data: Reader<'a>,
    pub(crate) tally: Tally,
}

/// Looks into the parts, too, when they are to be `SOUND`: who does not decode them wants to know that others can.
///
/// The caller may know already that the first `plain` bytes are labels ([`plain_labels`]).
#[inline]
pub(crate) fn skim<const SOUND: bool>(series: Reader<'_>, plain: usize) -> Result<Skimmed<'_>, Fault> {
    let mut reader = series;
    reader.advance(plain);
    // What nearly every series of a scrape is: plain labels and one sample.
    if SOUND
        && let [SAMPLES_BYTE, PLAIN_SAMPLE_BYTE, sample @ ..] = reader.rest()
        && series::is_plain_sample(sample)
    {
        let tally = Tally { samples: 1, ..Tally::default() };
        return Ok(Skimmed { labels: series.until(&reader), scattered: false, data: reader, tally });
    }
    let mut data = reader;
    while !reader.is_empty() && reader.key()? == LABELS {
        pass::<SOUND>(&mut reader, labels::check)?;
        data = reader;
    }
    let mut skimmed = Skimmed { labels: series.until(&data), scattered: false, data, tally: Tally::default() };
    reader = data;
    while !reader.is_empty() {
        match reader.key()? {
            SAMPLES => {
                pass::<SOUND>(&mut reader, |sample| series::check_sample(sample, &LAYOUT))?;
                skimmed.tally.samples += 1;
            }
            EXEMPLARS => {
                pass::<SOUND>(&mut reader, exemplar::check_v1)?;
                skimmed.tally.exemplars += 1;
            }
            HISTOGRAMS => {
                pass::<SOUND>(&mut reader, |histogram| histogram::check(histogram, &LAYOUT))?;
                skimmed.tally.histograms += 1;
            }
            LABELS => {
                pass::<SOUND>(&mut reader, labels::check)?;
                skimmed.scattered = true;
            }
            other => reader.skip(other, SERIES_FIELDS)?,
        }
    }
    Ok(skimmed)
}

const SAMPLES_BYTE: u8 = SAMPLES as u8;
const PLAIN_SAMPLE_BYTE: u8 = series::PLAIN_SAMPLE_BYTES as u8;

/// Bytes of the run of plain labels (a short name, a short value, nothing else) at the start of a series, which is the
/// first `series_bytes` of `message`. Calls `on_label` behind each.
///
/// What follows the series is there so that a label can be looked at without asking at each byte where the message ends.
#[inline(always)]
pub(crate) fn plain_labels(message: &[u8], series_bytes: usize, mut on_label: impl FnMut()) -> usize {
    let mut at = 0;
    while let Some(label) = message.get(at..).and_then(|rest| rest.first_chunk::<PLAIN_LABEL_BYTES_SEEN>()) {
        let Some((head, _)) = label.split_first_chunk::<4>() else { break };
        let head = u32::from_le_bytes(*head);
        // With the highest bit of a length set it is none that fits a byte.
        if head & 0x80ff_80ff != PLAIN_LABEL {
            break;
        }
        let (label_bytes, name_bytes) = ((head >> 8 & 0x7f) as usize, (head >> 24 & 0x7f) as usize);
        let value_at = 4 + name_bytes;
        let Some((value_head, _)) = label[value_at..].split_first_chunk::<2>() else { break };
        let value_head = u16::from_le_bytes(*value_head);
        let value_bytes = label_bytes.wrapping_sub(value_at);
        let end = at + 2 + label_bytes;
        if value_bytes >= 0x80
            || usize::from(value_head) != labels::VALUE as usize | value_bytes << 8
            || end > series_bytes
        {
            break;
        }
        at = end;
        on_label();
    }
    at
}

/// The keys of a label and of its name, each in front of a byte for a length.
const PLAIN_LABEL: u32 = LABELS | labels::NAME << 16;
/// Keys and lengths of a label and its name, 127 bytes of name, key and length of the value.
const PLAIN_LABEL_BYTES_SEEN: usize = 4 + 127 + 2;

/// Puts the label fields of a series side by side, for one that has them scattered.
pub(crate) fn collect_labels(series: Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    out.clear();
    let mut reader = series;
    while !reader.is_empty() {
        let field = reader;
        match reader.key()? {
            LABELS => {
                reader.bytes()?;
                out.extend_from_slice(field.until(&reader));
            }
            other => reader.skip(other, 0)?,
        }
    }
    Ok(())
}

/// One `MetricMetadata`.
pub(crate) fn family(mut reader: Reader<'_>) -> Result<Result<FamilyMetadata<'_>, MetadataError>, Fault> {
    const TYPE: u32 = key(1, Wire::Varint);
    const NAME: u32 = key(2, Wire::Bytes);
    const HELP: u32 = key(4, Wire::Bytes);
    const UNIT: u32 = key(5, Wire::Bytes);
    let (mut metric_type, mut name, mut help, mut unit) = (0, &[][..], &[][..], &[][..]);
    while !reader.is_empty() {
        match reader.key()? {
            TYPE => metric_type = reader.enumeration()?,
            NAME => name = reader.bytes()?,
            HELP => help = reader.bytes()?,
            UNIT => unit = reader.bytes()?,
            other => reader.skip(other, fields(&[1, 2, 4, 5]))?,
        }
    }
    let text = |field, bytes| std::str::from_utf8(bytes).map_err(|_| MetadataError::NotUtf8 { field });
    let family = || {
        Ok(FamilyMetadata {
            name: text("metric_family_name", name)?,
            metadata: MetadataText {
                metric_type: model::MetricType::from_wire(metric_type),
                help: text("help", help)?,
                unit: text("unit", unit)?,
            },
        })
    };
    Ok(family())
}
