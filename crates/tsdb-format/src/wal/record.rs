//! Records: what the log says about series, samples, histograms, exemplars, metadata and deletions.
//!
//! The first byte is the type. Records of samples hold the first reference and time in full and differences to them
//! afterwards (zigzag, although Prometheus' documentation says otherwise). Decoding is lazy: a record gives iterators
//! whose items are errors where the bytes do not check out, and which end after the first error.
//!
//! Written is what Prometheus 2.42 reads (custom buckets, which it does not know, in records of their own that it skips). Read
//! is also what newer ones write: samples with start times, which are left out.

mod decode;
mod encode;

pub use decode::{
    CorruptRecord, Exemplars, Histograms, LabelPairs, LoggedExemplar, LoggedHistogram, LoggedMetadata, LoggedSample,
    LoggedSeries, Marker, Markers, MetadataRecords, Record, Samples, SeriesRecords, Tombstone, Tombstones,
};
pub use encode::{ExemplarEncoder, HistogramEncoder, MetadataEncoder, SampleEncoder, SeriesEncoder, TombstoneEncoder};

use model::{CUSTOM_BUCKETS_SCHEMA, NativeHistogram};

/// A series as the log knows it: a number that its series record gives it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WalRef(pub u64);

/// Which record a histogram goes to. Discriminants are the records' types.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum HistogramKind {
    /// Whole counts, exponential buckets.
    Integer = 7,
    /// Fractional counts, exponential buckets.
    Float = 8,
    /// Whole counts, custom buckets. Read by Prometheus 3 only.
    CustomInteger = 9,
    /// Fractional counts, custom buckets. Read by Prometheus 3 only.
    CustomFloat = 10,
}

impl HistogramKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Integer, Self::Float, Self::CustomInteger, Self::CustomFloat];

    /// The kind of a histogram.
    pub fn of(histogram: &NativeHistogram) -> Self {
        match (histogram.schema == CUSTOM_BUCKETS_SCHEMA, histogram.is_float()) {
            (false, false) => Self::Integer,
            (false, true) => Self::Float,
            (true, false) => Self::CustomInteger,
            (true, true) => Self::CustomFloat,
        }
    }

    fn is_float(self) -> bool {
        matches!(self, Self::Float | Self::CustomFloat)
    }

    fn is_custom(self) -> bool {
        matches!(self, Self::CustomInteger | Self::CustomFloat)
    }
}

const SERIES: u8 = 1;
const SAMPLES: u8 = 2;
const TOMBSTONES: u8 = 3;
const EXEMPLARS: u8 = 4;
const MARKERS: u8 = 5;
const METADATA: u8 = 6;
const SAMPLES_V2: u8 = 11;
const INTEGER_HISTOGRAMS_V2: u8 = 12;
const FLOAT_HISTOGRAMS_V2: u8 = 13;

const UNIT: &str = "UNIT";
const HELP: &str = "HELP";

#[cfg(test)]
mod tests;
