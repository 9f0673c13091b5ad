//! A request as a list of series that can be sent in parts.
//!
//! A part is put together from the bytes as they were received: nothing inside of a series is decoded or written anew, so
//! nothing of it can be lost. What a part of a 2.0 request needs of the symbol table keeps its number; the other symbols
//! stand empty in it, and those behind the last one needed are left out.

use std::ops::Range;

use model::Labels;

use crate::error::DecodeError;
use crate::labels::{LabelError, LabelLimits, labels_of_block};
use crate::negotiation::Version;
use crate::request::{Limits, Request};
use crate::series::Tally;
use crate::survey::walk_outlines;
use crate::wire::{Reader, put_bytes};
use crate::written::WrittenCounts;
use crate::{v1, v2};

/// Where each series of a decompressed request stands, and what it holds, from one pass.
pub struct SeriesIndex<'m> {
    message: &'m [u8],
    request: Request<'m>,
    series: Vec<Place>,
}

/// One series. Small, since there are as many as a sender likes.
struct Place {
    /// Of the whole field. A request has less than 4 GiB: snappy's blocks cannot be larger.
    start: u32,
    end: u32,
    hash: u32,
    samples: u32,
    histograms: u32,
    exemplars: u32,
}

impl<'m> SeriesIndex<'m> {
    /// Looks through a message as [`crate::survey`] does.
    ///
    /// # Errors
    /// As [`crate::survey`].
    ///
    /// # Panics
    /// On a message of 4 GiB or more.
    pub fn of(version: Version, message: &'m [u8], limits: &Limits) -> Result<Self, DecodeError> {
        assert!(u32::try_from(message.len()).is_ok(), "a request has less than 4 GiB");
        let request = Request::parse(version, message, limits)?;
        let mut series = Vec::with_capacity(request.series_count());
        walk_outlines(version, message, limits, &mut Vec::new(), |outline| {
            let Tally { samples, histograms, exemplars } = outline.tally;
            // None of these is larger than the message is long.
            series.push(Place {
                start: outline.field.start as u32,
                end: outline.field.end as u32,
                hash: outline.hash,
                samples: samples as u32,
                histograms: histograms as u32,
                exemplars: exemplars as u32,
            });
        })?;
        Ok(Self { message, request, series })
    }

    /// The version of the message.
    pub fn version(&self) -> Version {
        self.request.version()
    }

    /// Number of series.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is no series. There may be metadata.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// How much of each kind these series hold together.
    ///
    /// # Panics
    /// When there are no such series.
    pub fn tally(&self, series: Range<usize>) -> WrittenCounts {
        let mut total = WrittenCounts::default();
        for place in &self.series[series] {
            total += WrittenCounts {
                samples: u64::from(place.samples),
                histograms: u64::from(place.histograms),
                exemplars: u64::from(place.exemplars),
            };
        }
        total
    }

    /// Bytes that these series take in the message; without symbols, uncompressed.
    ///
    /// # Panics
    /// When there are no such series.
    pub fn encoded_bytes(&self, series: Range<usize>) -> usize {
        self.series[series].iter().map(|place| (place.end - place.start) as usize).sum()
    }

    /// The [`crate::series_hash`] of one series.
    ///
    /// # Panics
    /// When there is no such series.
    pub fn hash(&self, series: usize) -> u32 {
        self.series[series].hash
    }

    /// The labels of one series, checked and sorted.
    ///
    /// # Errors
    /// What makes them no label set within `limits`.
    ///
    /// # Panics
    /// When there is no such series.
    pub fn labels(&self, series: usize, limits: &LabelLimits) -> Result<Labels, LabelError> {
        let message = self.series_message(series);
        let mut block = Vec::new();
        match self.version() {
            Version::V1 => v1::collect_labels(message, &mut block)?,
            Version::V2 => v2::resolve_labels(message, &self.request.symbols, limits, &mut block)??,
        }
        labels_of_block(&block, limits)
    }

    /// One series as people write it, `name{a="b"}`; when its labels are none, what is wrong with them. Bounded in length by
    /// the limits on labels.
    ///
    /// # Panics
    /// When there is no such series.
    pub fn text(&self, series: usize, limits: &LabelLimits) -> String {
        match self.labels(series, limits) {
            Ok(labels) => labels.to_string(),
            Err(error) => format!("(no label set: {error})"),
        }
    }

    /// Writes a message with only these series, in the order given, into `out`, which is overwritten. The metadata of a 1.0
    /// request stands beside its series and comes along `with_metadata`; in 2.0 it is part of each series.
    ///
    /// # Panics
    /// When there is no such series.
    pub fn cut(
        &self,
        series: impl IntoIterator<Item = usize, IntoIter: Clone>,
        with_metadata: bool,
        out: &mut Vec<u8>,
    ) {
        let series = series.into_iter();
        out.clear();
        if self.version() == Version::V2 {
            self.put_symbols(series.clone(), out);
        }
        for index in series {
            let Place { start, end, .. } = self.series[index];
            out.extend_from_slice(&self.message[start as usize..end as usize]);
        }
        if with_metadata && self.version() == Version::V1 {
            self.fields(v1::METADATA).for_each(|field| out.extend_from_slice(field));
        }
    }

    /// The symbols that the series refer to, each with the number it has.
    fn put_symbols(&self, series: impl Iterator<Item = usize>, out: &mut Vec<u8>) {
        let mut needed = vec![false; self.request.symbols.len()];
        for index in series {
            v2::each_reference(self.series_message(index), |reference| {
                if let Some(needed) = usize::try_from(reference).ok().and_then(|number| needed.get_mut(number)) {
                    *needed = true;
                }
            })
            .expect(LOOKED_THROUGH);
        }
        let end = needed.iter().rposition(|needed| *needed).map_or(1, |last| last + 1).min(needed.len());
        for (field, needed) in self.fields(v2::SYMBOLS).zip(&needed[..end]) {
            if *needed {
                out.extend_from_slice(field);
            } else {
                put_bytes(v2::SYMBOLS, &[], out);
            }
        }
    }

    /// The outermost fields with this key, as they stand.
    fn fields(&self, key: u32) -> impl Iterator<Item = &'m [u8]> {
        let mut reader = self.request.message;
        std::iter::from_fn(move || {
            while !reader.is_empty() {
                let field = reader;
                let found = reader.key().expect(LOOKED_THROUGH);
                reader.skip(found, 0).expect(LOOKED_THROUGH);
                if found == key {
                    return Some(field.until(&reader));
                }
            }
            None
        })
    }

    fn series_message(&self, series: usize) -> Reader<'m> {
        let Place { start, end, .. } = self.series[series];
        let mut field = Reader::new(&self.message[start as usize..end as usize]);
        field.key().and_then(|_| field.message()).expect(LOOKED_THROUGH)
    }
}

const LOOKED_THROUGH: &str = "the message was looked through";

#[cfg(test)]
mod tests;
