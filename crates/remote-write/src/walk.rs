//! The items of a request, one after the other, the same for both versions.

use model::{ErrorKind, Kinded, Metadata, MetricType};

use crate::error::{DecodeError, Fault, WireFault};
use crate::labels::LabelError;
use crate::negotiation::Version;
use crate::request::Request;
use crate::series::{Context, Layout, Series, Tally};
use crate::symbols::SymbolError;
use crate::wire::Reader;
use crate::{v1, v2};

/// What a request consists of.
pub enum Item<'s> {
    /// A series with its samples.
    Series(Series<'s>),
    /// What is known of a metric family (1.0 only; 2.0 has [`Series::metadata`]).
    Family(FamilyMetadata<'s>),
    /// Something that makes no sense on its own; what follows is not touched by it.
    Refused(Refused),
}

/// A series or metadata entry that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Which series of the request, from 0; `None` for a metadata entry of a 1.0 request.
    pub series: Option<usize>,
    /// What is lost with it.
    pub tally: Tally,
    /// Why.
    pub error: SeriesError,
}

/// Why a series (or metadata entry) of a message that is otherwise whole cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SeriesError {
    /// Its labels.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// Its metadata.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// Neither samples nor histograms, which 2.0 forbids.
    #[error("a series must have at least one sample or histogram")]
    NoData,
}

impl SeriesError {
    /// A short, stable name of the reason, for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Labels(error) => error.reason(),
            Self::Metadata(_) => "bad-metadata",
            Self::NoData => "no-data",
        }
    }
}

impl Kinded for SeriesError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// Why metadata cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MetadataError {
    /// A reference that leads nowhere (2.0 only).
    #[error("metadata {field}: {error}")]
    Symbol {
        /// `help` or `unit`.
        field: &'static str,
        /// What is wrong with it.
        error: SymbolError,
    },
    /// A text that is none (1.0 only).
    #[error("metadata {field} is not valid UTF-8")]
    NotUtf8 {
        /// The field's name.
        field: &'static str,
    },
}

/// What a metric family says about itself, still in the request. The texts are as long as the sender made them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MetadataText<'s> {
    /// The family's type.
    pub metric_type: MetricType,
    /// Help text, may be empty.
    pub help: &'s str,
    /// Unit, may be empty.
    pub unit: &'s str,
}

impl MetadataText<'_> {
    /// As a value.
    pub fn to_metadata(&self) -> Metadata {
        Metadata { metric_type: self.metric_type, help: self.help.to_owned(), unit: self.unit.to_owned() }
    }
}

/// Metadata and the family it is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FamilyMetadata<'s> {
    /// The family's name.
    pub name: &'s str,
    /// What is known of it.
    pub metadata: MetadataText<'s>,
}

/// Walks over the items of a request. Made by [`Request::walk`].
pub struct Walk<'r> {
    request: &'r Request<'r>,
    reader: Reader<'r>,
    scratch: &'r mut Vec<u8>,
    index: usize,
    unfolded_bytes: usize,
}

impl<'r> Walk<'r> {
    pub(crate) fn new(request: &'r Request<'_>, scratch: &'r mut Vec<u8>) -> Self {
        Self { request, reader: request.message, scratch, index: 0, unfolded_bytes: 0 }
    }

    /// The next item; `None` behind the last one. An item is good until the next call.
    ///
    /// # Errors
    /// A message broken at this place. Nothing comes after that.
    #[inline]
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>, DecodeError> {
        let version = self.request.version;
        let (timeseries, metadata) = match version {
            Version::V1 => (v1::TIMESERIES, v1::METADATA),
            // No field has key 0, and `Request::parse` has seen that there is none.
            Version::V2 => (v2::TIMESERIES, 0),
        };
        let outside = |fault: Fault| fault.within(version.message_name(), None, "");
        // Taken out, so that an error ends the walk.
        let mut reader = std::mem::replace(&mut self.reader, Reader::new(&[]));
        while !reader.is_empty() {
            let key = reader.key().map_err(outside)?;
            if key == timeseries {
                let message = reader.message().map_err(outside)?;
                self.reader = reader;
                let index = self.index;
                self.index += 1;
                return match version {
                    Version::V1 => self.series_v1(message, index),
                    Version::V2 => self.series_v2(message, index),
                }
                .map(Some);
            }
            if key == metadata {
                let entry = reader.message().map_err(outside)?;
                let item = family(entry)?;
                self.reader = reader;
                return Ok(Some(item));
            }
            reader.skip(key, 0).map_err(outside)?;
        }
        Ok(None)
    }

    #[inline]
    fn series_v1(&mut self, message: Reader<'r>, index: usize) -> Result<Item<'_>, DecodeError> {
        let skimmed = v1::skim::<false>(message, 0).map_err(|fault| self.broken(fault, index))?;
        let mut label_block = skimmed.labels;
        if skimmed.scattered {
            v1::collect_labels(message, self.scratch).map_err(|fault| self.broken(fault, index))?;
            label_block = self.scratch;
        }
        let context = self.context(&v1::LAYOUT, index);
        Ok(Item::Series(Series { label_block, data: skimmed.data, tally: skimmed.tally, metadata: None, context }))
    }

    fn series_v2(&mut self, message: Reader<'r>, index: usize) -> Result<Item<'_>, DecodeError> {
        let Request { symbols, limits, .. } = self.request;
        let skimmed = v2::skim::<false>(message).map_err(|fault| self.broken(fault, index))?;
        let labels = v2::resolve_labels(message, symbols, &limits.labels, self.scratch)
            .map_err(|fault| self.broken(fault, index))?;
        self.unfolded_bytes += self.scratch.len();
        let max = limits.unfolded_bytes_max;
        if self.unfolded_bytes > max {
            return Err(self.broken(message.fault(WireFault::LabelsTooLarge { max }), index));
        }
        let tally = skimmed.tally;
        let refused = |error| Ok(Item::Refused(Refused { series: Some(index), tally, error }));
        if let Err(error) = labels {
            return refused(error.into());
        }
        if tally.samples + tally.histograms == 0 {
            return refused(SeriesError::NoData);
        }
        let metadata = match skimmed.metadata.map(|refs| refs.resolve(symbols)).transpose() {
            Ok(metadata) => metadata,
            Err(error) => return refused(error.into()),
        };
        let context = self.context(&v2::LAYOUT, index);
        Ok(Item::Series(Series { label_block: self.scratch, data: message, tally, metadata, context }))
    }

    fn context(&self, layout: &'static Layout, index: usize) -> Context<'r> {
        Context { layout, index, symbols: &self.request.symbols, limits: &self.request.limits.labels }
    }

    /// A fault inside of a series, which ends the walk.
    #[cold]
    fn broken(&mut self, fault: Fault, index: usize) -> DecodeError {
        self.reader = Reader::new(&[]);
        fault.within(self.request.version.message_name(), Some(index), "")
    }
}

fn family(entry: Reader<'_>) -> Result<Item<'_>, DecodeError> {
    let family = v1::family(entry).map_err(|fault| fault.within(Version::V1.message_name(), None, "metadata"))?;
    Ok(family.map_or_else(
        |error| Item::Refused(Refused { series: None, tally: Tally::default(), error: error.into() }),
        Item::Family,
    ))
}

#[cfg(test)]
mod tests;
