//! Samples, histograms, exemplars and metadata of a series.

use std::sync::Arc;

use catalog::Profile;
use model::{HistogramError, TimestampMs};
use remote_write::{DecodeError, FamilyMetadata, HistogramSample, LabelError, LabelLimits, MetadataText, Series};
use storage::{AppendError, ElementKind, SeriesRef};

use super::{Batch, is_told, name_in};
use crate::azure_profile;
use crate::cause::Cause;
use crate::report::one;

impl Batch<'_> {
    #[inline]
    pub(super) fn elements(&mut self, series: &Series<'_>, reference: SeriesRef) -> Result<(), DecodeError> {
        let tally = series.tally();
        if tally.samples > 0 {
            self.samples(series, reference)?;
        }
        if tally.histograms > 0 {
            self.histograms(series, reference)?;
        }
        if tally.exemplars > 0 {
            self.exemplars(series, reference)?;
        }
        if let Some(metadata) = series.metadata() {
            self.metadata_of_series(series, &metadata);
        }
        Ok(())
    }

    #[inline]
    fn samples(&mut self, series: &Series<'_>, reference: SeriesRef) -> Result<(), DecodeError> {
        for sample in series.samples() {
            let sample = sample?;
            if !self.in_window(series, ElementKind::Sample, sample.timestamp) {
                continue;
            }
            if let Err(error) = self.appender.append(reference, sample.timestamp, sample.value) {
                self.refuse_append(series, ElementKind::Sample, &error);
            }
        }
        Ok(())
    }

    fn histograms(&mut self, series: &Series<'_>, reference: SeriesRef) -> Result<(), DecodeError> {
        for sample in series.histograms() {
            let HistogramSample { timestamp, mut histogram, .. } = sample?;
            if !self.in_window(series, ElementKind::Histogram, timestamp) {
                continue;
            }
            if let Err(error) = histogram.make_storable() {
                self.refuse_histogram(series, &error);
                continue;
            }
            if let Err(error) = self.appender.append_histogram(reference, timestamp, Arc::new(histogram)) {
                self.refuse_append(series, ElementKind::Histogram, &error);
            }
        }
        Ok(())
    }

    fn exemplars(&mut self, series: &Series<'_>, reference: SeriesRef) -> Result<(), DecodeError> {
        for exemplar in series.exemplars() {
            match exemplar?.to_exemplar(&EXEMPLAR_LABELS) {
                Err(LabelError::Broken { offset, fault }) => {
                    let (message, series) = (self.version.message_name(), Some(series.index()));
                    return Err(DecodeError { message, series, part: "exemplars.labels", offset, fault });
                }
                Err(error) => {
                    let cause = Cause::bad_value(self.profile(), "bad-exemplar");
                    self.refuse_element(series, ElementKind::Exemplar, cause, &error);
                }
                Ok(exemplar) => {
                    if let Err(error) = self.appender.append_exemplar(reference, exemplar) {
                        self.refuse_append(series, ElementKind::Exemplar, &error);
                    }
                }
            }
        }
        Ok(())
    }

    /// What a 1.0 request says about a metric family.
    pub(super) fn family(&mut self, family: &FamilyMetadata<'_>) {
        if !family.name.is_empty() && family.name.len() <= self.context.labels.name_bytes_max {
            self.set_metadata(family.name, &family.metadata);
        }
    }

    /// What a 2.0 request says about a series, whose metric's name must be looked for.
    fn metadata_of_series(&mut self, series: &Series<'_>, metadata: &MetadataText<'_>) {
        let name = name_in(series.label_block());
        if !name.is_empty() && name != self.described {
            name.clone_into(&mut self.described);
            self.set_metadata(name, metadata);
        }
    }

    fn set_metadata(&mut self, name: &str, metadata: &MetadataText<'_>) {
        let metadata = MetadataText {
            help: &metadata.help[..metadata.help.floor_char_boundary(METADATA_TEXT_BYTES_MAX)],
            unit: &metadata.unit[..metadata.unit.floor_char_boundary(METADATA_TEXT_BYTES_MAX)],
            ..*metadata
        };
        self.appender.set_metadata(name, metadata.to_metadata());
    }

    /// Whether no sample and no histogram of a new series can be taken. All of it is refused then, its exemplars, too: a
    /// series of which nothing is stored must take no place among the active ones.
    pub(super) fn refuses_all(&mut self, series: &Series<'_>) -> Result<bool, DecodeError> {
        let tally = series.tally();
        // Exemplars alone make a series.
        if tally.samples + tally.histograms == 0 || self.takes_any(series)? {
            return Ok(false);
        }
        let mut cause = None;
        for sample in series.samples() {
            let at = sample?.timestamp;
            cause = Some(self.refuse_for_its_time(series, ElementKind::Sample, at));
        }
        for sample in series.histograms() {
            let HistogramSample { timestamp, mut histogram, .. } = sample?;
            cause = Some(match histogram.make_storable() {
                Err(error) if self.is_in_window(timestamp) => self.refuse_histogram(series, &error),
                _ => self.refuse_for_its_time(series, ElementKind::Histogram, timestamp),
            });
        }
        for cause in std::iter::repeat_n(cause, tally.exemplars as usize).flatten() {
            self.refuse_element(series, ElementKind::Exemplar, cause, &"exemplar of a series that has no sample");
        }
        Ok(true)
    }

    fn takes_any(&self, series: &Series<'_>) -> Result<bool, DecodeError> {
        for sample in series.samples() {
            if self.is_in_window(sample?.timestamp) {
                return Ok(true);
            }
        }
        for sample in series.histograms() {
            let HistogramSample { timestamp, mut histogram, .. } = sample?;
            if self.is_in_window(timestamp) && histogram.make_storable().is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[cold]
    fn refuse_append(&mut self, series: &Series<'_>, kind: ElementKind, error: &AppendError) {
        self.refuse_element(series, kind, Cause::of_append(self.profile(), error), &error.of(kind));
    }

    #[cold]
    fn refuse_element(&mut self, series: &Series<'_>, kind: ElementKind, cause: Cause, error: &dyn std::fmt::Display) {
        match is_told(self.context.tells, self.version, kind) {
            true => self.report.refuse(cause, one(kind), || match series.labels() {
                Ok(labels) => format!("{labels}: {error}"),
                Err(_) => format!("series {}: {error}", series.index()),
            }),
            false => self.report.count(cause, 1),
        }
    }

    #[cold]
    fn refuse_histogram(&mut self, series: &Series<'_>, error: &HistogramError) -> Cause {
        let cause = Cause::bad_value(self.profile(), "bad-histogram");
        self.refuse_element(series, ElementKind::Histogram, cause, error);
        cause
    }

    /// Whether a time is in the workspace's window; what is not, is refused.
    #[inline]
    fn in_window(&mut self, series: &Series<'_>, kind: ElementKind, at: TimestampMs) -> bool {
        let is_in = self.is_in_window(at);
        if !is_in {
            self.refuse_for_its_time(series, kind, at);
        }
        is_in
    }

    #[inline]
    fn is_in_window(&self, at: TimestampMs) -> bool {
        self.window.contains(&at)
    }

    #[cold]
    fn refuse_for_its_time(&mut self, series: &Series<'_>, kind: ElementKind, at: TimestampMs) -> Cause {
        match self.profile() {
            Profile::Strict => {
                let error = AppendError::TooFarAhead { at, newest: *self.window.end() };
                let cause = Cause::of_append(Profile::Strict, &error);
                self.refuse_element(series, kind, cause, &error.of(kind));
                cause
            }
            Profile::Azure => {
                let cause = Cause::new(Profile::Azure, "", azure_profile::outside_window(at, self.context.now));
                let error = format_args!("{} at {at} is more than 20 minutes from now", kind.as_str());
                self.refuse_element(series, kind, cause, &error);
                cause
            }
        }
    }
}

/// Exemplars carry a trace and little else (OpenMetrics allows 128 characters in all).
const EXEMPLAR_LABELS: LabelLimits =
    LabelLimits { labels_max: 32, name_bytes_max: 256, value_bytes_max: 1 << 10, set_bytes_max: 2 << 10 };
/// Help texts are sentences; what goes on is cut.
const METADATA_TEXT_BYTES_MAX: usize = 4 << 10;
