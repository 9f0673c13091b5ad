//! Appending the items of a request to one destination.
//!
//! Two walks. The first appends what belongs to series that are active already, counts all events and remembers series that
//! may be new; it changes nothing that outlives a request that is refused after it. The second, of the requests in which there
//! are any, makes those series active and appends to them.

mod elements;

use std::collections::HashSet;
use std::ops::RangeInclusive;

use catalog::Profile;
use environment::Monotonic;
use model::{Labels, METRIC_NAME, TimestampMs};
use quota::{Contribution, Seen, SeriesHash, Touch};
use remote_write::{
    BlockLabels, DecodeError, Item, LabelError, LabelLimits, Refused, Request, Series, Version, WrittenCounts,
};
use storage::{Appender, Committed, ElementKind, SeriesRef};

use crate::azure_profile;
use crate::cause::Cause;
use crate::decode::Destination;
use crate::report::{Report, all_of, one, total};

/// What is the same for all destinations of a request.
pub(crate) struct Context {
    /// For timestamps.
    pub(crate) now: TimestampMs,
    /// For limits.
    pub(crate) monotonic: Monotonic,
    /// Whether the sender is told what is not stored.
    pub(crate) tells: bool,
    pub(crate) labels: LabelLimits,
}

/// One destination's part of a request: what is appended so far, and what is not.
pub(crate) struct Batch<'d> {
    context: &'d Context,
    destination: &'d Destination,
    appender: Box<dyn Appender>,
    report: Report,
    version: Version,
    seen: Seen<'d>,
    contribution: Contribution,
    elements_max: u64,
    /// Elements that may still be taken.
    left: u64,
    /// Times of samples that the workspace takes; how old one may be in a strict workspace is the engine's.
    window: RangeInclusive<TimestampMs>,
    /// Series that are not known to be active, in order.
    new: Vec<NewSeries>,
    /// New series refused because there are as many active ones as there may be.
    over_series: HashSet<SeriesHash>,
    /// The metric whose metadata was set last: neighbours mostly have the same.
    described: String,
}

struct NewSeries {
    /// Its place in the request.
    index: usize,
    labels: Labels,
    hash: SeriesHash,
}

/// A batch that waits for its commit.
pub(crate) struct ReadyBatch {
    pub(crate) appender: Box<dyn Appender>,
    pub(crate) report: Report,
}

impl<'d> Batch<'d> {
    /// The first walk, which takes at most `elements_max` elements and drops the rest silently. Nothing is visible or durable
    /// before the commit.
    ///
    /// # Errors
    /// A message that is broken somewhere: the whole batch is then dropped.
    pub(crate) fn of(
        request: &Request<'_>,
        scratch: &mut Vec<u8>,
        destination: &'d Destination,
        context: &'d Context,
        elements_max: u64,
    ) -> Result<Self, DecodeError> {
        let mut batch = Self {
            context,
            destination,
            appender: destination.storage.appender(context.now),
            report: Report::default(),
            version: request.version(),
            seen: destination.quota.active_series().at(context.monotonic),
            contribution: destination.quota.contribution(),
            elements_max,
            left: elements_max,
            window: match destination.profile {
                Profile::Strict => TimestampMs::MIN..=context.now.plus(STRICT_AHEAD_MS),
                Profile::Azure => azure_profile::window(context.now),
            },
            new: Vec::new(),
            over_series: HashSet::new(),
            described: String::new(),
        };
        batch.walk(request, scratch, None)?;
        Ok(batch)
    }

    /// Samples, histograms and exemplars of the request.
    pub(crate) fn events(&self) -> u64 {
        total(self.report.received)
    }

    /// Whether it was to take nothing.
    pub(crate) fn drops_all(&self) -> bool {
        self.elements_max == 0
    }

    /// Events by metric.
    pub(crate) fn contribution(&self) -> &Contribution {
        &self.contribution
    }

    /// The second walk. Called once the request is admitted: it makes series active.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub(crate) fn admit_new(&mut self, request: &Request<'_>, scratch: &mut Vec<u8>) -> Result<(), DecodeError> {
        match std::mem::take(&mut self.new) {
            new if new.is_empty() => Ok(()),
            new => self.walk(request, scratch, Some(&new)),
        }
    }

    /// What is to be committed.
    pub(crate) fn finish(mut self) -> ReadyBatch {
        if !self.over_series.is_empty() {
            let limit = self.destination.quota.over_active_series(self.context.monotonic).to_string();
            self.report.over_series = Some((self.over_series.len() as u64, limit));
        }
        ReadyBatch { appender: self.appender, report: self.report }
    }

    /// Either walk: the second one is given the series that it is for. One loop for both, so that the compiler puts all that
    /// every sample comes through into it.
    fn walk(
        &mut self,
        request: &Request<'_>,
        scratch: &mut Vec<u8>,
        new: Option<&[NewSeries]>,
    ) -> Result<(), DecodeError> {
        let mut new = new.map(|new| new.iter().peekable());
        let mut walk = request.walk(scratch);
        while new.as_mut().is_none_or(|new| new.peek().is_some())
            && let Some(item) = walk.next_item()?
        {
            // By reference: an item is large, and moving it would copy it for every series.
            match &item {
                Item::Series(series) => {
                    let reference = match &mut new {
                        None => self.known(series)?,
                        Some(new) => match new.next_if(|new| new.index == series.index()) {
                            Some(new) => self.admitted(series, new)?,
                            None => None,
                        },
                    };
                    if let Some(reference) = reference {
                        self.elements(series, reference)?;
                    }
                }
                Item::Family(family) if new.is_none() => self.family(family),
                Item::Refused(refused) if new.is_none() => self.refused(refused),
                Item::Family(_) | Item::Refused(_) => {}
            }
        }
        Ok(())
    }

    /// A series that is active; `None` for others, which are dropped, refused or left for the second walk.
    #[inline]
    fn known(&mut self, series: &Series<'_>) -> Result<Option<SeriesRef>, DecodeError> {
        let received = all_of(series.tally());
        self.report.received += received;
        let events = total(received);
        self.contribution.add(events, || name_in(series.label_block()));
        if !self.take(events) {
            return Ok(None);
        }
        match self.appender.resolve(series.label_block()) {
            Some(known) if self.is_active(known) => Ok(Some(known)),
            known => self.perhaps_new(series, known),
        }
    }

    #[inline]
    fn is_active(&self, series: SeriesRef) -> bool {
        self.appender.index_of(series).is_some_and(|index| self.seen.knows(index))
    }

    /// Takes elements of those that may be taken, or drops them.
    #[inline]
    fn take(&mut self, elements: u64) -> bool {
        match self.left.checked_sub(elements) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.left = 0;
                self.report.count(Cause::too_many_events(self.profile()), elements);
                false
            }
        }
    }

    /// A series that is not known to be active: its labels tell whether it is, or it is left for the second walk.
    #[cold]
    fn perhaps_new(&mut self, series: &Series<'_>, known: Option<SeriesRef>) -> Result<Option<SeriesRef>, DecodeError> {
        let Some(labels) = self.labels(series)? else { return Ok(None) };
        let hash = self.seen.hash(&labels);
        let index = known.and_then(|known| self.appender.index_of(known));
        match (known, index) {
            (Some(known), Some(index)) if self.seen.renew(hash, index) => Ok(Some(known)),
            _ => {
                self.new.push(NewSeries { index: series.index(), labels, hash });
                Ok(None)
            }
        }
    }

    /// The labels of a series; `None` when it is refused as a whole.
    fn labels(&mut self, series: &Series<'_>) -> Result<Option<Labels>, DecodeError> {
        let labels = match series.labels() {
            Ok(labels) => labels,
            // Bytes that are no labels make the rest of the message doubtful, too.
            Err(LabelError::Broken { offset, fault }) => {
                let (message, series) = (self.version.message_name(), Some(series.index()));
                return Err(DecodeError { message, series, part: "labels", offset, fault });
            }
            Err(error) => {
                let (cause, index) = (Cause::bad_labels(self.profile(), error.reason()), series.index());
                self.refuse_series(cause, series, || format!("series {index}: {error}"));
                return Ok(None);
            }
        };
        if self.profile() == Profile::Azure && azure_profile::has_bad_format(&labels) {
            let cause = Cause::bad_labels(Profile::Azure, "");
            self.refuse_series(cause, series, || format!("{labels}: beyond Azure's bounds of names and labels"));
            return Ok(None);
        }
        Ok(Some(labels))
    }

    /// A series that becomes active; `None` when it may not.
    #[cold]
    fn admitted(&mut self, series: &Series<'_>, new: &NewSeries) -> Result<Option<SeriesRef>, DecodeError> {
        let NewSeries { labels, hash, .. } = new;
        if self.refuses_all(series)? {
            return Ok(None);
        }
        if self.seen.touch(*hash, None) == Touch::Refused {
            if self.refuse_new(Cause::too_many_series(self.profile()), series, || labels.to_string()) {
                self.over_series.insert(*hash);
            }
            return Ok(None);
        }
        match self.appender.series(Some(series.label_block()), labels) {
            Ok(reference) => Ok(Some(reference)),
            Err(error) => {
                let cause = Cause::of_append(self.profile(), &error);
                self.refuse_new(cause, series, || format!("{labels}: {error}"));
                Ok(None)
            }
        }
    }

    /// Refuses a new series; says whether the sender is told.
    fn refuse_new(&mut self, cause: Cause, series: &Series<'_>, describe: impl FnOnce() -> String) -> bool {
        let tally = series.tally();
        let exemplars_alone = tally.exemplars > 0 && tally.samples + tally.histograms == 0;
        if exemplars_alone && !is_told(self.context.tells, self.version, ElementKind::Exemplar) {
            self.report.count(cause, tally.exemplars);
            return false;
        }
        self.refuse_series(cause, series, describe);
        self.context.tells
    }

    #[cold]
    fn refused(&mut self, refused: &Refused) {
        let elements = all_of(refused.tally);
        self.report.received += elements;
        if self.take(total(elements)) {
            let cause = Cause::bad_labels(self.profile(), refused.error.reason());
            self.refuse(cause, elements, || match refused.series {
                Some(index) => format!("series {index}: {}", refused.error),
                None => refused.error.to_string(),
            });
        }
    }

    #[cold]
    fn refuse_series(&mut self, cause: Cause, series: &Series<'_>, describe: impl FnOnce() -> String) {
        self.refuse(cause, all_of(series.tally()), describe);
    }

    fn refuse(&mut self, cause: Cause, elements: WrittenCounts, describe: impl FnOnce() -> String) {
        match self.context.tells {
            true => self.report.refuse(cause, elements, describe),
            false => self.report.count(cause, total(elements).max(1)),
        }
    }

    fn profile(&self) -> Profile {
        self.destination.profile
    }
}

/// Takes in what the commit says.
pub(crate) fn committed(report: &mut Report, profile: Profile, tells: bool, version: Version, committed: Committed) {
    report.written =
        WrittenCounts { samples: committed.samples, histograms: committed.histograms, exemplars: committed.exemplars };
    for rejection in committed.rejected {
        let cause = Cause::of_append(profile, &rejection.error);
        match is_told(tells, version, rejection.kind) {
            true => report.refuse(cause, one(rejection.kind), || rejection.to_string()),
            false => report.count(cause, 1),
        }
    }
}

/// Whether the sender is told of a refused element, or it is only counted. Version 1.0 promises samples only: a refused
/// exemplar is no reason to call its samples failed.
fn is_told(tells: bool, version: Version, kind: ElementKind) -> bool {
    tells && (version == Version::V2 || kind != ElementKind::Exemplar)
}

fn name_in(label_block: &[u8]) -> &str {
    let mut labels = BlockLabels::new(label_block).map_while(Result::ok);
    labels.find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, name)| name)
}

/// In a strict workspace. A clock that is further ahead is a wrong one.
const STRICT_AHEAD_MS: i64 = 10 * 60 * 1000;
