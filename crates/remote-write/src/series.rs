//! One series of a request, the same for both versions.

use model::{Labels, TimestampMs};

use crate::error::{DecodeError, Fault};
use crate::exemplar::{self, ExemplarView};
use crate::histogram::{self, HistogramSample};
use crate::labels::{LabelError, LabelLimits, labels_of_block};
use crate::negotiation::Version;
use crate::symbols::Symbols;
use crate::walk::MetadataText;
use crate::wire::{Reader, Wire, fields, key};
use crate::written::WrittenCounts;

/// Where the versions differ.
pub(crate) struct Layout {
    /// Whose messages these are.
    pub(crate) version: Version,
    /// Keys of the fields of a series.
    pub(crate) samples: u32,
    pub(crate) histograms: u32,
    pub(crate) exemplars: u32,
    /// Whether samples and histograms may say since when they count.
    pub(crate) start_timestamps: bool,
}

/// How many elements of each kind a series has.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Float samples.
    pub samples: u64,
    /// Histogram samples.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
}

/// One float sample.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// When it was taken.
    pub timestamp: TimestampMs,
    /// Its value, bit for bit.
    pub value: f64,
    /// Since when a counter counts, where the sender says it (2.0 only).
    pub start_timestamp: Option<TimestampMs>,
}

impl Sample {
    /// A sample that does not say since when it counts.
    pub const fn new(timestamp: TimestampMs, value: f64) -> Self {
        Self { timestamp, value, start_timestamp: None }
    }
}

/// What the parts of a series need to know about the request.
#[derive(Clone, Copy)]
pub(crate) struct Context<'s> {
    pub(crate) layout: &'static Layout,
    /// Which series of the request, from 0.
    pub(crate) index: usize,
    pub(crate) symbols: &'s Symbols<'s>,
    pub(crate) limits: &'s LabelLimits,
}

impl std::ops::AddAssign<Tally> for WrittenCounts {
    fn add_assign(&mut self, tally: Tally) {
        *self += Self { samples: tally.samples, histograms: tally.histograms, exemplars: tally.exemplars };
    }
}

impl Context<'_> {
    #[cold]
    fn error(&self, fault: Fault, part: &'static str) -> DecodeError {
        fault.within(self.layout.version.message_name(), Some(self.index), part)
    }
}

/// One series of a request.
#[derive(Clone, Copy)]
pub struct Series<'s> {
    pub(crate) label_block: &'s [u8],
    /// The message, with or without the labels in front.
    pub(crate) data: Reader<'s>,
    pub(crate) tally: Tally,
    pub(crate) metadata: Option<MetadataText<'s>>,
    pub(crate) context: Context<'s>,
}

impl<'s> Series<'s> {
    /// Which series of the request, from 0.
    pub fn index(&self) -> usize {
        self.context.index
    }

    /// The labels as they stand encoded in a 1.0 request, in the sender's order: the key of a series cache. Not checked
    /// yet; equal blocks are equal label sets, and one label set may have several blocks.
    pub fn label_block(&self) -> &'s [u8] {
        self.label_block
    }

    /// The labels, checked and sorted. Needed only for a block not seen before.
    ///
    /// # Errors
    /// As [`labels_of_block`].
    pub fn labels(&self) -> Result<Labels, LabelError> {
        labels_of_block(self.label_block, self.context.limits)
    }

    /// How many samples, histograms and exemplars there are.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// What the series says about its metric family (2.0 only; 1.0 has [`crate::Item::Family`]).
    pub fn metadata(&self) -> Option<MetadataText<'s>> {
        self.metadata
    }

    /// The float samples, in the sender's order.
    pub fn samples(&self) -> Samples<'s> {
        Samples { elements: self.elements(self.tally.samples, self.context.layout.samples), context: self.context }
    }

    /// The histograms, in the sender's order. Decoded, not validated.
    pub fn histograms(&self) -> Histograms<'s> {
        Histograms {
            elements: self.elements(self.tally.histograms, self.context.layout.histograms),
            context: self.context,
        }
    }

    /// The exemplars, in the sender's order.
    pub fn exemplars(&self) -> Exemplars<'s> {
        Exemplars {
            elements: self.elements(self.tally.exemplars, self.context.layout.exemplars),
            context: self.context,
        }
    }

    #[inline]
    fn elements(&self, left: u64, key: u32) -> Elements<'s> {
        Elements { fields: self.data, left, key }
    }
}

/// The messages of one repeated field. How many there are is known, so the walk ends behind the last.
#[derive(Clone, Copy)]
struct Elements<'s> {
    fields: Reader<'s>,
    left: u64,
    key: u32,
}

impl<'s> Elements<'s> {
    // Here and below: every sample comes through, and a call costs as much as the work.
    #[inline(always)]
    fn next(&mut self) -> Option<Result<Reader<'s>, Fault>> {
        if self.left == 0 {
            return None;
        }
        loop {
            match self.fields.key() {
                Ok(key) if key == self.key => {
                    self.left -= 1;
                    return Some(self.fields.message());
                }
                Ok(key) => {
                    if let Err(fault) = self.fields.skip(key, 0) {
                        return Some(Err(fault));
                    }
                }
                Err(fault) => return Some(Err(fault)),
            }
        }
    }
}

macro_rules! elements {
    ($(#[$doc:meta])* $name:ident, $item:ty, $part:literal, $decode:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name<'s> {
            elements: Elements<'s>,
            context: Context<'s>,
        }

        impl<'s> Iterator for $name<'s> {
            type Item = Result<$item, DecodeError>;

            #[inline(always)]
            fn next(&mut self) -> Option<Self::Item> {
                let element = self.elements.next()?;
                let decoded = element.and_then(|element| $decode(element, &self.context));
                Some(decoded.map_err(|fault| {
                    self.elements.left = 0;
                    self.context.error(fault, $part)
                }))
            }
        }
    };
}

elements! {
    /// The float samples of a series. Ends behind the first error.
    Samples, Sample, "samples", sample
}
elements! {
    /// The histograms of a series. Ends behind the first error.
    Histograms, HistogramSample, "histograms", histogram::decode
}
elements! {
    /// The exemplars of a series. Ends behind the first error.
    Exemplars, ExemplarView<'s>, "exemplars", exemplar::decode
}

/// `Sample.value`
const VALUE: u32 = key(1, Wire::Fixed64);
/// `Sample.timestamp`
const TIMESTAMP: u32 = key(2, Wire::Varint);
/// `Sample.start_timestamp` (2.0)
pub(crate) const START_TIMESTAMP: u32 = key(3, Wire::Varint);

#[inline(always)]
fn sample(mut reader: Reader<'_>, context: &Context<'_>) -> Result<Sample, Fault> {
    let (mut value, mut timestamp, mut start) = (0.0, 0, 0);
    while !reader.is_empty() {
        match reader.key()? {
            VALUE => value = reader.double()?,
            TIMESTAMP => timestamp = reader.varint()? as i64,
            START_TIMESTAMP if context.layout.start_timestamps => start = reader.varint()? as i64,
            other => reader.skip(other, fields(&[1, 2]))?,
        }
    }
    Ok(Sample { timestamp: TimestampMs(timestamp), value, start_timestamp: start_timestamp(start) })
}

/// Checks that a `Sample` message is whole, without reading it.
#[inline(always)]
pub(crate) fn check_sample(sample: Reader<'_>, layout: &Layout) -> Result<(), Fault> {
    if is_plain_sample(sample.rest()) { Ok(()) } else { check_any_sample(sample, layout) }
}

/// Whether these bytes are a sample as nearly every one is: a value, and a timestamp of our times, which takes six bytes.
#[inline(always)]
pub(crate) fn is_plain_sample(sample: &[u8]) -> bool {
    let Ok(bytes) = <&[u8; PLAIN_SAMPLE_BYTES]>::try_from(sample) else { return false };
    let ([key, ..], Some(end)) = (bytes, bytes.last_chunk::<8>()) else { return false };
    // Behind the last byte of the value: a key, five bytes that say that there is more, one that says that there is not.
    let expected = 0x0080_8080_8080_0000 | u64::from(TIMESTAMP) << 8;
    *key == VALUE as u8 && u64::from_le_bytes(*end) & 0x8080_8080_8080_ff00 == expected
}

/// Bytes of what [`is_plain_sample`] is true for.
pub(crate) const PLAIN_SAMPLE_BYTES: usize = 16;

#[inline(never)]
fn check_any_sample(mut sample: Reader<'_>, layout: &Layout) -> Result<(), Fault> {
    while !sample.is_empty() {
        match sample.key()? {
            VALUE => drop(sample.fixed64()?),
            TIMESTAMP => drop(sample.varint()?),
            START_TIMESTAMP if layout.start_timestamps => drop(sample.varint()?),
            other => sample.skip(other, fields(&[1, 2]))?,
        }
    }
    Ok(())
}

/// 0 means that it is not set.
pub(crate) fn start_timestamp(ms: i64) -> Option<TimestampMs> {
    (ms != 0).then_some(TimestampMs(ms))
}
