//! Appending the items of a request to one destination.

use std::sync::Arc;

use catalog::Profile;
use model::{METRIC_NAME, TimestampMs};
use remote_write::{
    BlockLabels, DecodeError, FamilyMetadata, HistogramSample, Item, LabelError, LabelLimits, MetadataText, Refused,
    Request, Series, Version, WrittenCounts,
};
use storage::{AppendError, Appender, Committed, ElementKind, SeriesRef};

use crate::azure_profile::{self, BAD_INPUT_FORMAT};
use crate::decode::Destination;
use crate::report::{Report, all_of, one};

/// One destination's part of a request: what is appended so far, and what is not.
pub(crate) struct Batch {
    pub(crate) appender: Box<dyn Appender>,
    pub(crate) report: Report,
    profile: Profile,
    version: Version,
    now: TimestampMs,
    labels: LabelLimits,
    /// The metric whose metadata was set last: neighbours mostly have the same.
    described: String,
}

impl Batch {
    /// Appends everything that can be appended. Nothing is visible or durable before the commit.
    ///
    /// # Errors
    /// A message that is broken somewhere: the whole batch is then dropped.
    pub(crate) fn of(
        request: &Request<'_>,
        scratch: &mut Vec<u8>,
        destination: &Destination,
        now: TimestampMs,
        labels: LabelLimits,
    ) -> Result<Self, DecodeError> {
        let mut batch = Self {
            appender: destination.storage.appender(now),
            report: Report::default(),
            profile: destination.profile,
            version: request.version(),
            now,
            labels,
            described: String::new(),
        };
        let mut walk = request.walk(scratch);
        while let Some(item) = walk.next_item()? {
            match item {
                Item::Series(series) => batch.series(&series)?,
                Item::Family(family) => batch.family(&family),
                Item::Refused(refused) => batch.refused(&refused),
            }
        }
        Ok(batch)
    }

    /// Takes in what the commit says.
    pub(crate) fn committed(report: &mut Report, profile: Profile, version: Version, committed: Committed) {
        report.written = WrittenCounts {
            samples: committed.samples,
            histograms: committed.histograms,
            exemplars: committed.exemplars,
        };
        for rejection in committed.rejected {
            let reason = reason(profile, &rejection.error);
            match is_told(profile, version, rejection.kind) {
                true => report.refuse(reason, one(rejection.kind), || rejection.to_string()),
                false => report.count(reason, 1),
            }
        }
    }

    #[inline]
    fn series(&mut self, series: &Series<'_>) -> Result<(), DecodeError> {
        let tally = series.tally();
        self.report.received += all_of(tally);
        let reference = match self.appender.resolve(series.label_block()) {
            Some(known) => known,
            None => match self.new_series(series)? {
                Some(new) => new,
                None => return Ok(()),
            },
        };
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

    /// The reference of a series not seen before; `None` when it is refused as a whole.
    #[cold]
    fn new_series(&mut self, series: &Series<'_>) -> Result<Option<SeriesRef>, DecodeError> {
        let labels = match series.labels() {
            Ok(labels) => labels,
            // Bytes that are no labels make the rest of the message doubtful, too.
            Err(LabelError::Broken { offset, fault }) => {
                let (message, series) = (self.version.message_name(), Some(series.index()));
                return Err(DecodeError { message, series, part: "labels", offset, fault });
            }
            Err(error) => {
                let index = series.index();
                self.refuse_series(error.reason(), series, || format!("series {index}: {error}"));
                return Ok(None);
            }
        };
        if self.profile == Profile::Azure && azure_profile::has_bad_format(&labels) {
            self.report.count(BAD_INPUT_FORMAT, total(all_of(series.tally())));
            return Ok(None);
        }
        match self.appender.series(Some(series.label_block()), &labels) {
            Ok(reference) => Ok(Some(reference)),
            Err(error) => {
                let (reason, tally) = (reason(self.profile, &error), series.tally());
                let exemplars_alone = tally.exemplars > 0 && tally.samples + tally.histograms == 0;
                if exemplars_alone && !is_told(self.profile, self.version, ElementKind::Exemplar) {
                    self.report.count(reason, tally.exemplars);
                } else {
                    self.refuse_series(reason, series, || format!("{labels}: {error}"));
                }
                Ok(None)
            }
        }
    }

    #[inline]
    fn samples(&mut self, series: &Series<'_>, reference: SeriesRef) -> Result<(), DecodeError> {
        for sample in series.samples() {
            let sample = sample?;
            if !self.in_window(sample.timestamp) {
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
            if !self.in_window(timestamp) {
                continue;
            }
            if let Err(error) = histogram.make_storable() {
                self.refuse_element(series, ElementKind::Histogram, self.bad_input("bad-histogram"), &error);
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
                    self.refuse_element(series, ElementKind::Exemplar, self.bad_input("bad-exemplar"), &error);
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
    fn family(&mut self, family: &FamilyMetadata<'_>) {
        if !family.name.is_empty() && family.name.len() <= self.labels.name_bytes_max {
            self.set_metadata(family.name, &family.metadata);
        }
    }

    /// What a 2.0 request says about a series, whose metric's name must be looked for.
    fn metadata_of_series(&mut self, series: &Series<'_>, metadata: &MetadataText<'_>) {
        let mut labels = BlockLabels::new(series.label_block()).map_while(Result::ok);
        let Some((_, name)) = labels.find(|(name, _)| *name == METRIC_NAME) else { return };
        if name != self.described {
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

    #[cold]
    fn refused(&mut self, refused: &Refused) {
        let elements = all_of(refused.tally);
        self.report.received += elements;
        match self.profile {
            Profile::Azure => self.report.count(BAD_INPUT_FORMAT, total(elements)),
            Profile::Strict => self.report.refuse(refused.error.reason(), elements, || match refused.series {
                Some(index) => format!("series {index}: {}", refused.error),
                None => refused.error.to_string(),
            }),
        }
    }

    #[cold]
    fn refuse_series(&mut self, reason: &'static str, series: &Series<'_>, describe: impl FnOnce() -> String) {
        let elements = all_of(series.tally());
        match self.profile {
            Profile::Azure => self.report.count(reason, total(elements)),
            Profile::Strict => self.report.refuse(reason, elements, describe),
        }
    }

    #[cold]
    fn refuse_append(&mut self, series: &Series<'_>, kind: ElementKind, error: &AppendError) {
        self.refuse_element(series, kind, reason(self.profile, error), &error.of(kind));
    }

    #[cold]
    fn refuse_element(
        &mut self,
        series: &Series<'_>,
        kind: ElementKind,
        reason: &'static str,
        error: &dyn std::fmt::Display,
    ) {
        match is_told(self.profile, self.version, kind) {
            true => self.report.refuse(reason, one(kind), || match series.labels() {
                Ok(labels) => format!("{labels}: {error}"),
                Err(_) => format!("series {}: {error}", series.index()),
            }),
            false => self.report.count(reason, 1),
        }
    }

    #[inline]
    fn in_window(&mut self, at: TimestampMs) -> bool {
        let outside = match self.profile {
            Profile::Azure => azure_profile::outside_window(at, self.now),
            Profile::Strict => None,
        };
        if let Some(reason) = outside {
            self.report.count(reason, 1);
        }
        outside.is_none()
    }

    fn bad_input(&self, strict: &'static str) -> &'static str {
        if self.profile == Profile::Azure { BAD_INPUT_FORMAT } else { strict }
    }
}

fn reason(profile: Profile, error: &AppendError) -> &'static str {
    match profile {
        Profile::Azure => azure_profile::reason(error),
        Profile::Strict => error.reason(),
    }
}

/// Whether the sender is told of a refused element, or it is only counted. Version 1.0 promises samples only: a refused
/// exemplar is no reason to call its samples failed.
fn is_told(profile: Profile, version: Version, kind: ElementKind) -> bool {
    profile == Profile::Strict && (version == Version::V2 || kind != ElementKind::Exemplar)
}

fn total(elements: WrittenCounts) -> u64 {
    (elements.samples + elements.histograms + elements.exemplars).max(1)
}

/// Exemplars carry a trace and little else (OpenMetrics allows 128 characters in all).
const EXEMPLAR_LABELS: LabelLimits =
    LabelLimits { labels_max: 32, name_bytes_max: 256, value_bytes_max: 1 << 10, set_bytes_max: 2 << 10 };
/// Help texts are sentences; what goes on is cut.
const METADATA_TEXT_BYTES_MAX: usize = 4 << 10;
