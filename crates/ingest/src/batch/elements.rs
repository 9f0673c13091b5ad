//! Samples, histograms, exemplars and metadata of a series.

use std::sync::Arc;

use catalog::Profile;
use model::TimestampMs;
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
                let cause = Cause::bad_value(self.profile(), "bad-histogram");
                self.refuse_element(series, ElementKind::Histogram, cause, &error);
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

    /// Whether nothing of a series is in the workspace's window of time; then all is dropped, and it does not come to be.
    pub(super) fn drops_all_for_their_time(&mut self, series: &Series<'_>) -> Result<bool, DecodeError> {
        if self.profile() == Profile::Strict || series.tally().samples + series.tally().histograms == 0 {
            return Ok(false);
        }
        let mut times = Vec::new();
        for sample in series.samples() {
            times.push((ElementKind::Sample, sample?.timestamp));
        }
        for sample in series.histograms() {
            times.push((ElementKind::Histogram, sample?.timestamp));
        }
        let now = self.context.now;
        if times.iter().any(|(_, at)| azure_profile::outside_window(*at, now).is_none()) {
            return Ok(false);
        }
        for (kind, at) in times {
            self.in_azure_window(series, kind, at);
        }
        Ok(true)
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

    #[inline]
    fn in_window(&mut self, series: &Series<'_>, kind: ElementKind, at: TimestampMs) -> bool {
        match self.profile() {
            Profile::Strict => true,
            Profile::Azure => self.in_azure_window(series, kind, at),
        }
    }

    fn in_azure_window(&mut self, series: &Series<'_>, kind: ElementKind, at: TimestampMs) -> bool {
        let Some(dropped) = azure_profile::outside_window(at, self.context.now) else { return true };
        let cause = Cause::new(self.profile(), "", dropped);
        let error = format_args!("{} at {at} is more than 20 minutes from now", kind.as_str());
        self.refuse_element(series, kind, cause, &error);
        false
    }
}

/// Exemplars carry a trace and little else (OpenMetrics allows 128 characters in all).
const EXEMPLAR_LABELS: LabelLimits =
    LabelLimits { labels_max: 32, name_bytes_max: 256, value_bytes_max: 1 << 10, set_bytes_max: 2 << 10 };
/// Help texts are sentences; what goes on is cut.
const METADATA_TEXT_BYTES_MAX: usize = 4 << 10;
