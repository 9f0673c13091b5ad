//! A whole request.

use crate::error::{DecodeError, Fault, WireFault};
use crate::labels::LabelLimits;
use crate::negotiation::Version;
use crate::symbols::Symbols;
use crate::walk::Walk;
use crate::wire::Reader;
use crate::{v1, v2};

/// Bounds on one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bounds on each label set.
    pub labels: LabelLimits,
    /// Series of a request. One takes as few as 2 bytes in it, and 24 while a request is taken apart
    /// ([`crate::SeriesIndex`]).
    pub series_max: usize,
    /// Symbols of a 2.0 request. Each takes 16 bytes while the request is looked at and as few as 2 in it.
    pub symbols_max: usize,
    /// Bytes that all label sets of a 2.0 request may unfold to: its references can repeat a long text any number of times.
    pub unfolded_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            labels: LabelLimits::default(),
            series_max: 1 << 20,
            symbols_max: 1 << 20,
            unfolded_bytes_max: 512 << 20,
        }
    }
}

/// A request whose outermost structure is known to be whole.
pub struct Request<'a> {
    pub(crate) version: Version,
    pub(crate) message: Reader<'a>,
    pub(crate) symbols: Symbols<'a>,
    pub(crate) limits: Limits,
    series: usize,
}

impl<'a> Request<'a> {
    /// Takes a decompressed body. Passes over the outermost fields once and collects the symbols of a 2.0 request; what is
    /// inside of series is looked at when they are walked.
    ///
    /// # Errors
    /// A message that is broken on the outside, or has more series or symbols than `limits` allow.
    pub fn parse(version: Version, body: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        let message = Reader::new(body);
        let mut request = Self { version, message, symbols: Symbols::default(), limits: *limits, series: 0 };
        let outline = match version {
            Version::V1 => request.outline_v1(),
            Version::V2 => request.outline_v2(),
        };
        outline.map_err(|fault| fault.within(version.message_name(), None, ""))?;
        Ok(request)
    }

    fn outline_v1(&mut self) -> Result<(), Fault> {
        let mut reader = self.message;
        while !reader.is_empty() {
            match reader.key()? {
                v1::TIMESERIES => {
                    self.count_series(&reader)?;
                    reader.bytes()?;
                }
                v1::METADATA => drop(reader.bytes()?),
                other => reader.skip(other, v1::REQUEST_FIELDS)?,
            }
        }
        Ok(())
    }

    fn outline_v2(&mut self) -> Result<(), Fault> {
        let mut reader = self.message;
        while !reader.is_empty() {
            match reader.key()? {
                v2::SYMBOLS => v2::push_symbol(&mut reader, &mut self.symbols, self.limits.symbols_max)?,
                v2::TIMESERIES => {
                    self.count_series(&reader)?;
                    reader.bytes()?;
                }
                other => reader.skip(other, v2::REQUEST_FIELDS)?,
            }
        }
        Ok(())
    }

    fn count_series(&mut self, at: &Reader<'_>) -> Result<(), Fault> {
        self.series += 1;
        let max = self.limits.series_max;
        if self.series > max { Err(at.fault(WireFault::TooManySeries { max })) } else { Ok(()) }
    }

    /// The version it was parsed as.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Number of `TimeSeries` messages in it.
    pub fn series_count(&self) -> usize {
        self.series
    }

    /// Walks over its items. `scratch` holds the label block where it is not found as it is in the request; give the same
    /// one again to save allocating.
    pub fn walk<'r>(&'r self, scratch: &'r mut Vec<u8>) -> Walk<'r> {
        Walk::new(self, scratch)
    }
}
