//! A 2.0 request said in 1.0, for targets that do not take the former.
//!
//! Samples, histograms and exemplars are copied as they stand; references become texts. Series stay in their order, each
//! with its [label block](crate::Series::label_block), and so with its [hash](crate::series_hash). Metadata of series
//! becomes metadata of families, the first of each family. Lost is what 1.0 has no place for: start timestamps.

use std::collections::HashSet;

use model::{METRIC_NAME, MetricType};

use crate::encode::put_family;
use crate::error::{DecodeError, Fault, WireFault};
use crate::labels::{BlockLabels, LabelError};
use crate::negotiation::Version;
use crate::request::{Limits, Request};
use crate::series::Tally;
use crate::walk::{FamilyMetadata, MetadataText, Refused};
use crate::wire::{Reader, put_bytes};
use crate::{exemplar, histogram, series, v1, v2};

/// What came of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transcoded {
    /// The 1.0 message, not compressed.
    pub message: Vec<u8>,
    /// What cannot be said in 1.0, since its references lead nowhere or its labels are beyond the limits: whole series, or
    /// single exemplars of a series that is in the message. All the rest is in the message, so that tallies add up.
    pub refused: Vec<Refused>,
}

/// Writes a decompressed 2.0 request as a 1.0 message.
///
/// # Errors
/// A message that is broken anywhere, or that unfolds to more than `limits` allow: labels of series and exemplars and
/// metadata together count against [`Limits::unfolded_bytes_max`].
pub fn transcode_to_v1(message: &[u8], limits: &Limits) -> Result<Transcoded, DecodeError> {
    let request = Request::parse(Version::V2, message, limits)?;
    let mut transcoder = Transcoder {
        request: &request,
        out: Vec::with_capacity(message.len()),
        families: Families::default(),
        refused: Vec::new(),
        block: Vec::new(),
        element: Vec::new(),
        parts: Parts::default(),
        unfolded_bytes: 0,
    };
    let mut reader = request.message;
    let mut index = 0;
    let outside = |fault: Fault| fault.within(Version::V2.message_name(), None, "");
    while !reader.is_empty() {
        let key = reader.key().map_err(outside)?;
        if key == v2::TIMESERIES {
            let series = reader.message().map_err(outside)?;
            transcoder
                .series(series, index)
                .map_err(|fault| fault.within(Version::V2.message_name(), Some(index), ""))?;
            index += 1;
        } else {
            reader.skip(key, 0).map_err(outside)?;
        }
    }
    let Transcoder { mut out, families, refused, .. } = transcoder;
    out.extend_from_slice(&families.encoded);
    Ok(Transcoded { message: out, refused })
}

struct Transcoder<'r> {
    request: &'r Request<'r>,
    out: Vec<u8>,
    families: Families,
    refused: Vec<Refused>,
    /// Working memory: labels of the series or exemplar at hand, a message inside of the series, and its finished parts.
    block: Vec<u8>,
    element: Vec<u8>,
    parts: Parts,
    unfolded_bytes: usize,
}

/// The parts of a series, which the versions have in another order.
#[derive(Default)]
struct Parts {
    series: Vec<u8>,
    samples: Vec<u8>,
    exemplars: Vec<u8>,
    histograms: Vec<u8>,
}

impl Transcoder<'_> {
    fn series(&mut self, message: Reader<'_>, index: usize) -> Result<(), Fault> {
        let skimmed = v2::skim::<true>(message)?;
        if let Err(error) = self.resolve(message)? {
            self.refuse(index, skimmed.tally, error);
            return Ok(());
        }
        self.parts.clear();
        self.parts.series.extend_from_slice(&self.block);
        if let Some(refs) = skimmed.metadata
            && let Ok(metadata) = refs.resolve(&self.request.symbols)
        {
            // Metadata that cannot be resolved takes nothing else along.
            self.unfolded_bytes += self.families.add(&self.block, &metadata);
            self.check_unfolded(message)?;
        }
        let mut reader = message;
        while !reader.is_empty() {
            match reader.key()? {
                v2::SAMPLES => {
                    let sample = reader.message()?;
                    put_without(
                        sample,
                        series::START_TIMESTAMP,
                        v1::SAMPLES,
                        &mut self.element,
                        &mut self.parts.samples,
                    )?;
                }
                v2::HISTOGRAMS => {
                    let sample = reader.message()?;
                    let out = &mut self.parts.histograms;
                    put_without(sample, histogram::START_TIMESTAMP, v1::HISTOGRAMS, &mut self.element, out)?;
                }
                v2::EXEMPLARS => self.exemplar(reader.message()?, index)?,
                other => reader.skip(other, 0)?,
            }
        }
        self.parts.put(&mut self.out);
        Ok(())
    }

    fn exemplar(&mut self, message: Reader<'_>, index: usize) -> Result<(), Fault> {
        if let Err(error) = self.resolve(message)? {
            self.refuse(index, Tally { exemplars: 1, ..Tally::default() }, error);
            return Ok(());
        }
        let mut reader = message;
        while !reader.is_empty() {
            let field = reader;
            let key = reader.key()?;
            reader.skip(key, 0)?;
            if matches!(key, exemplar::VALUE | exemplar::TIMESTAMP) {
                self.block.extend_from_slice(field.until(&reader));
            }
        }
        put_bytes(v1::EXEMPLARS, &self.block, &mut self.parts.exemplars);
        Ok(())
    }

    /// Labels of a series or exemplar into `block`, within the limits.
    fn resolve(&mut self, message: Reader<'_>) -> Result<Result<(), LabelError>, Fault> {
        let Request { symbols, limits, .. } = self.request;
        let labels = v2::resolve_labels(message, symbols, &limits.labels, &mut self.block)?;
        self.unfolded_bytes += self.block.len();
        self.check_unfolded(message)?;
        Ok(labels)
    }

    fn check_unfolded(&self, at: Reader<'_>) -> Result<(), Fault> {
        let max = self.request.limits.unfolded_bytes_max;
        if self.unfolded_bytes > max { Err(at.fault(WireFault::LabelsTooLarge { max })) } else { Ok(()) }
    }

    fn refuse(&mut self, series: usize, tally: Tally, error: LabelError) {
        self.refused.push(Refused { series: Some(series), tally, error: error.into() });
    }
}

impl Parts {
    fn clear(&mut self) {
        for part in [&mut self.series, &mut self.samples, &mut self.exemplars, &mut self.histograms] {
            part.clear();
        }
    }

    fn put(&mut self, out: &mut Vec<u8>) {
        for part in [&self.samples, &self.exemplars, &self.histograms] {
            self.series.extend_from_slice(part);
        }
        put_bytes(v1::TIMESERIES, &self.series, out);
    }
}

/// Copies a message without one of its fields.
fn put_without(
    message: Reader<'_>,
    without: u32,
    key: u32,
    element: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    element.clear();
    let mut reader = message;
    while !reader.is_empty() {
        let field = reader;
        let found = reader.key()?;
        reader.skip(found, 0)?;
        if found != without {
            element.extend_from_slice(field.until(&reader));
        }
    }
    put_bytes(key, element, out);
    Ok(())
}

/// Metadata of families, each once.
#[derive(Default)]
struct Families {
    seen: HashSet<Box<str>>,
    encoded: Vec<u8>,
    /// Working memory.
    element: Vec<u8>,
}

impl Families {
    /// Says how many bytes were added.
    fn add(&mut self, label_block: &[u8], metadata: &MetadataText<'_>) -> usize {
        if *metadata == (MetadataText { metric_type: MetricType::Unknown, help: "", unit: "" }) {
            return 0;
        }
        let name = BlockLabels::new(label_block).filter_map(Result::ok).find(|(name, _)| *name == METRIC_NAME);
        let Some((_, name)) = name else { return 0 };
        let family = family_name(name, metadata.metric_type);
        if self.seen.contains(family) {
            return 0;
        }
        self.seen.insert(family.into());
        let before = self.encoded.len();
        put_family(&FamilyMetadata { name: family, metadata: *metadata }, &mut self.element, &mut self.encoded);
        self.encoded.len() - before
    }
}

/// The family that a series belongs to. As in Prometheus' own metadata, a counter's family keeps the name of the series.
fn family_name(name: &str, metric_type: MetricType) -> &str {
    let suffixes: &[&str] = match metric_type {
        MetricType::Histogram => &["_bucket", "_count", "_sum"],
        MetricType::GaugeHistogram => &["_bucket", "_gcount", "_gsum"],
        MetricType::Summary => &["_count", "_sum"],
        _ => &[],
    };
    let stem = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).filter(|stem| !stem.is_empty());
    stem.unwrap_or(name)
}

#[cfg(test)]
mod tests;
