//! The messages of version 2.0: texts stand once in a symbol table, everything else refers to them.

use model::MetricType;

use crate::error::{Fault, WireFault};
use crate::labels::{LabelError, LabelLimits, LabelText, put_label};
use crate::negotiation::Version;
use crate::series::{self, Layout, Tally};
use crate::symbols::Symbols;
use crate::walk::{MetadataError, MetadataText};
use crate::wire::{Reader, Wire, fields, key, pass};
use crate::{exemplar, histogram};

pub(crate) static LAYOUT: Layout = Layout {
    version: Version::V2,
    samples: key(2, Wire::Bytes),
    histograms: key(3, Wire::Bytes),
    exemplars: key(4, Wire::Bytes),
    start_timestamps: true,
};

/// `Request.symbols`
pub(crate) const SYMBOLS: u32 = key(4, Wire::Bytes);
/// `Request.timeseries`
pub(crate) const TIMESERIES: u32 = key(5, Wire::Bytes);
pub(crate) const REQUEST_FIELDS: u32 = fields(&[4, 5]);

/// `TimeSeries.labels_refs` and `Exemplar.labels_refs`, as they should be written and as they may be.
pub(crate) const REFS_PACKED: u32 = key(1, Wire::Bytes);
pub(crate) const REFS_UNPACKED: u32 = key(1, Wire::Varint);
pub(crate) const SAMPLES: u32 = LAYOUT.samples;
pub(crate) const HISTOGRAMS: u32 = LAYOUT.histograms;
pub(crate) const EXEMPLARS: u32 = LAYOUT.exemplars;
/// `TimeSeries.metadata`
const METADATA: u32 = key(5, Wire::Bytes);
const SERIES_FIELDS: u32 = fields(&[1, 2, 3, 4, 5]);

/// A time series of which the outer structure is checked.
pub(crate) struct Skimmed {
    pub(crate) metadata: Option<MetadataRefs>,
    pub(crate) tally: Tally,
}

/// Looks into the parts, too, when they are to be `SOUND`: who does not decode them wants to know that others can.
#[inline]
pub(crate) fn skim<const SOUND: bool>(series: Reader<'_>) -> Result<Skimmed, Fault> {
    let mut reader = series;
    let mut skimmed = Skimmed { metadata: None, tally: Tally::default() };
    while !reader.is_empty() {
        match reader.key()? {
            REFS_PACKED => pass::<SOUND>(&mut reader, Reader::varints)?,
            REFS_UNPACKED => {
                reader.varint()?;
            }
            SAMPLES => {
                pass::<SOUND>(&mut reader, |sample| series::check_sample(sample, &LAYOUT))?;
                skimmed.tally.samples += 1;
            }
            HISTOGRAMS => {
                pass::<SOUND>(&mut reader, |histogram| histogram::check(histogram, &LAYOUT))?;
                skimmed.tally.histograms += 1;
            }
            EXEMPLARS => {
                pass::<SOUND>(&mut reader, exemplar::check_v2)?;
                skimmed.tally.exemplars += 1;
            }
            // A message field that comes twice is merged, as protobuf has it.
            METADATA => skimmed.metadata.get_or_insert_default().merge(reader.message()?)?,
            other => reader.skip(other, SERIES_FIELDS)?,
        }
    }
    Ok(skimmed)
}

/// `Metadata` as it is written.
#[derive(Clone, Copy, Default)]
pub(crate) struct MetadataRefs {
    metric_type: u64,
    help: u64,
    unit: u64,
}

impl MetadataRefs {
    fn merge(&mut self, mut reader: Reader<'_>) -> Result<(), Fault> {
        const TYPE: u32 = key(1, Wire::Varint);
        const HELP: u32 = key(3, Wire::Varint);
        const UNIT: u32 = key(4, Wire::Varint);
        while !reader.is_empty() {
            match reader.key()? {
                TYPE => self.metric_type = reader.enumeration()?,
                HELP => self.help = reader.varint()?,
                UNIT => self.unit = reader.varint()?,
                other => reader.skip(other, fields(&[1, 3, 4]))?,
            }
        }
        Ok(())
    }

    pub(crate) fn resolve<'s>(&self, symbols: &'s Symbols<'_>) -> Result<MetadataText<'s>, MetadataError> {
        Ok(MetadataText {
            metric_type: MetricType::from_wire(self.metric_type),
            help: symbols.get(self.help).map_err(|error| MetadataError::Symbol { field: "help", error })?,
            unit: symbols.get(self.unit).map_err(|error| MetadataError::Symbol { field: "unit", error })?,
        })
    }
}

/// Walks the label references of a series or exemplar, packed or not.
pub(crate) struct Refs<'a> {
    fields: Reader<'a>,
    packed: Reader<'a>,
}

impl<'a> Refs<'a> {
    pub(crate) fn new(message: Reader<'a>) -> Self {
        Self { fields: message, packed: Reader::new(&[]) }
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<u64>, Fault> {
        while self.packed.is_empty() {
            if self.fields.is_empty() {
                return Ok(None);
            }
            match self.fields.key()? {
                REFS_PACKED => self.packed = self.fields.message()?,
                REFS_UNPACKED => return self.fields.varint().map(Some),
                other => self.fields.skip(other, 0)?,
            }
        }
        self.packed.varint().map(Some)
    }

    /// The next label; `Err` of the outer result when the message is broken.
    #[inline]
    pub(crate) fn next_label<'s>(&mut self, symbols: &'s Symbols<'_>) -> Result<Option<LabelText<'s>>, Fault> {
        let Some(name) = self.next()? else { return Ok(None) };
        let Some(value) = self.next()? else { return Ok(Some(Err(LabelError::OddReferences))) };
        let label = symbols.get(name).and_then(|name| Ok((name, symbols.get(value)?)));
        Ok(Some(label.map_err(LabelError::Symbol)))
    }
}

/// Writes the labels of a series into `out` exactly as a 1.0 request would have them, within `limits`.
///
/// The limits are applied here, and not only when the labels are parsed, since a few bytes of references can stand for
/// any number of long texts.
pub(crate) fn resolve_labels(
    series: Reader<'_>,
    symbols: &Symbols<'_>,
    limits: &LabelLimits,
    out: &mut Vec<u8>,
) -> Result<Result<(), LabelError>, Fault> {
    out.clear();
    let mut refs = Refs::new(series);
    let mut count = 0;
    while let Some(label) = refs.next_label(symbols)? {
        let label = label.and_then(|(name, value)| {
            count += 1;
            limits.check(count, name, value)?;
            put_label(name, value, out);
            limits.check_set(out.len())
        });
        if let Err(error) = label {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

/// Calls `on_reference` with every reference of a series: those of its labels, its exemplars and its metadata.
pub(crate) fn each_reference(series: Reader<'_>, mut on_reference: impl FnMut(u64)) -> Result<(), Fault> {
    let mut labels_of = |message| -> Result<(), Fault> {
        let mut refs = Refs::new(message);
        while let Some(reference) = refs.next()? {
            on_reference(reference);
        }
        Ok(())
    };
    labels_of(series)?;
    let mut metadata = MetadataRefs::default();
    let mut reader = series;
    while !reader.is_empty() {
        match reader.key()? {
            EXEMPLARS => labels_of(reader.message()?)?,
            METADATA => metadata.merge(reader.message()?)?,
            other => reader.skip(other, 0)?,
        }
    }
    on_reference(metadata.help);
    on_reference(metadata.unit);
    Ok(())
}

/// Adds one symbol to the table.
pub(crate) fn push_symbol<'a>(reader: &mut Reader<'a>, symbols: &mut Symbols<'a>, max: usize) -> Result<(), Fault> {
    let start = *reader;
    let text = reader.bytes()?;
    if symbols.len() >= max {
        return Err(start.fault(WireFault::TooManySymbols { max }));
    }
    symbols.push(text);
    Ok(())
}
