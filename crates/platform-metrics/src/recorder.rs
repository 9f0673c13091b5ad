//! Recording, once a minute.
//!
//! A batch whose commit failed may or may not be stored. It is therefore repeated as it is before anything new is
//! written (a sample identical to one stored changes nothing), and booked when a commit says what became of it; what grows
//! meanwhile is in the next one. A sample that is refused is not booked, so its count is carried, too.
//!
//! Minutes only rise, also over restarts: before its first one a recorder looks up the newest that is stored. Writing into a
//! minute that another process recorded would be refused at best; at worst the counts are the same and pass for a
//! repetition.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use catalog::Catalog;
use environment::{Monotonic, UnixTime};
use model::{AccountId, Labels, METRIC_NAME, Matcher, TimestampMs};
use quota::{Dropped, EventReason, OTHER_STATUS, Quotas, RuleQuota, SampleReason, WorkspaceQuota, WorkspaceUsage};
use storage::{Batch, CommitError, Purpose, QueryError, SelectHints, Storage, TimeRange, Workspaces};

use crate::books::Books;
use crate::definitions::{self as metric, Definition};
use crate::resource::Resource;

/// What is recorded, and where.
#[derive(Clone)]
pub struct Parts {
    /// What is used.
    pub quotas: Arc<Quotas>,
    /// What exists.
    pub catalog: Arc<Catalog>,
    /// Where the system workspace's storage is.
    pub workspaces: Arc<dyn Workspaces>,
    /// The system workspace.
    pub system: AccountId,
}

/// Records platform metrics. One per installation.
pub struct Recorder {
    parts: Parts,
    workspaces: Books<AccountId, WorkspaceQuota>,
    rules: Books<Arc<str>, RuleQuota>,
    /// The minute of the newest batch, of this recorder or one before it.
    last: Option<TimestampMs>,
    /// The last of these that was complained of because the clock is far behind it.
    complained: Option<TimestampMs>,
    /// When the counts of the newest batch were read.
    counted: Option<Monotonic>,
    /// A batch of which nobody knows whether it is stored.
    unsure: Option<MinuteBatch>,
    round: u64,
}

/// What became of a minute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recorded {
    /// It is stored: so many samples, and so many refused.
    Stored {
        /// Samples stored.
        samples: usize,
        /// Samples refused; their counts are in the next minute's.
        refused: usize,
    },
    /// It was recorded before, or the clock was set back behind it. Its counts are in the next minute's.
    NotAfter(TimestampMs),
    /// It could not be written; it is tried again with the next minute.
    Unwritten(String),
}

/// One minute's samples.
struct MinuteBatch {
    at: TimestampMs,
    samples: Vec<MinuteSample>,
}

struct MinuteSample {
    labels: Labels,
    value: f64,
    growth: Option<Growth>,
}

/// What is booked when its sample is stored.
struct Growth {
    of: Counted,
    counter: u16,
    by: u64,
}

enum Counted {
    Workspace(AccountId),
    Rule(Arc<str>),
}

impl Recorder {
    /// A recorder that has recorded nothing.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            workspaces: Books::default(),
            rules: Books::default(),
            last: None,
            complained: None,
            counted: None,
            unsure: None,
            round: 0,
        }
    }

    /// Writes into another system workspace from now on: the one before was deleted. What is recorded goes on.
    pub fn set_system(&mut self, system: AccountId) {
        if system != self.parts.system {
            self.parts.system = system;
            // Whether it is stored there matters no more; its counts are those of the next batch.
            (self.unsure, self.last) = (None, None);
        }
    }

    /// Records the minute that ended last before `now`. To be called once a minute, soon after it begins
    /// ([`until_next_minute`]); called more often, it does nothing.
    pub async fn record(&mut self, now: UnixTime, monotonic: Monotonic) -> Recorded {
        self.record_minute(minute_of(now).plus(-MINUTE_MS), now, monotonic).await
    }

    /// Records the minute that has begun, before the program ends. What was counted has no later chance: where a program
    /// before this one ended within the same minute, it is the first after those that are stored.
    pub async fn finish(&mut self, now: UnixTime, monotonic: Monotonic) -> Recorded {
        let minute = minute_of(now);
        match self.record_minute(minute, now, monotonic).await {
            Recorded::NotAfter(last) if last.since(minute) <= AHEAD_MS_MAX => {
                self.record_minute(last.plus(MINUTE_MS), now, monotonic).await
            }
            recorded => recorded,
        }
    }

    async fn record_minute(&mut self, minute: TimestampMs, now: UnixTime, monotonic: Monotonic) -> Recorded {
        let storage = match self.parts.workspaces.storage(self.parts.system, Purpose::Write).await {
            Ok(storage) => storage,
            Err(none) => return Recorded::Unwritten(none.to_string()),
        };
        let now = TimestampMs(now.as_millis());
        if let Some(unsure) = self.unsure.take()
            && let Err(error) = self.write(&*storage, unsure, now).await
        {
            return Recorded::Unwritten(error.to_string());
        }
        if self.last.is_none() {
            match newest_stored(&*storage, self.parts.system, minute).await {
                Ok(newest) => self.last = newest,
                Err(error) => return Recorded::Unwritten(error.to_string()),
            }
        }
        if let Some(last) = self.last.filter(|last| minute <= *last) {
            self.complain_of_clock(last, minute);
            return Recorded::NotAfter(last);
        }
        let batch = self.batch(minute, monotonic);
        (self.last, self.counted) = (Some(minute), Some(monotonic));
        self.count_own(&batch, monotonic);
        match self.write(&*storage, batch, now).await {
            Ok((samples, refused)) => Recorded::Stored { samples, refused },
            Err(error) => Recorded::Unwritten(error.to_string()),
        }
    }

    /// Stores a batch and books what is stored. After a failure it is kept.
    async fn write(
        &mut self,
        storage: &dyn Storage,
        batch: MinuteBatch,
        now: TimestampMs,
    ) -> Result<(usize, usize), CommitError> {
        let mut refused = HashSet::new();
        let mut appender = storage.appender(now);
        for (index, sample) in batch.samples.iter().enumerate() {
            let appended = appender
                .series(None, &sample.labels)
                .and_then(|series| appender.append(series, batch.at, sample.value));
            if let Err(error) = appended {
                tracing::debug!(labels = %sample.labels, %error, "a platform metric is refused");
                refused.insert(index);
            }
        }
        let committed = match appender.commit().await {
            Ok(committed) => committed,
            Err(error) => {
                self.unsure = Some(batch);
                return Err(error);
            }
        };
        let rejected: HashSet<&Labels> = committed.rejected.iter().map(|rejection| &rejection.labels).collect();
        let mut stored = 0;
        for (index, sample) in batch.samples.into_iter().enumerate() {
            if refused.contains(&index) || rejected.contains(&sample.labels) {
                continue;
            }
            stored += 1;
            match sample.growth {
                Some(Growth { of: Counted::Workspace(account), counter, by }) => {
                    self.workspaces.book(&account, counter, by);
                }
                Some(Growth { of: Counted::Rule(rule), counter, by }) => self.rules.book(&rule, counter, by),
                None => {}
            }
        }
        Ok((stored, refused.len() + rejected.len()))
    }

    fn batch(&mut self, at: TimestampMs, now: Monotonic) -> MinuteBatch {
        self.round += 1;
        let minutes = self.minutes_since_counted(now);
        let (catalog, quotas) = (self.parts.catalog.snapshot(), Arc::clone(&self.parts.quotas));
        let mut samples = Vec::new();
        for workspace in catalog.workspaces().values() {
            let quota = quotas.workspace(workspace.account_id);
            self.workspaces.open(&workspace.account_id, &quota, self.round);
            let usage = quota.usage(now);
            let resource = Resource::Workspace(workspace);
            self.gauges(&resource, &usage, &mut samples);
            self.counts(&resource, workspace.account_id, &usage, minutes, &mut samples);
        }
        for rule in catalog.rules().values() {
            // A rule that was never asked for has nothing to say.
            if let Some(quota) = quotas.rule_used(&rule.immutable_id) {
                let id: Arc<str> = rule.immutable_id.as_str().into();
                self.rules.open(&id, &quota, self.round);
                self.requests(&Resource::Rule(rule), &id, &quota.usage(now).responses, &mut samples);
            }
        }
        self.workspaces.close_others(self.round);
        self.rules.close_others(self.round);
        MinuteBatch { at, samples }
    }

    fn gauges(&self, resource: &Resource<'_>, usage: &WorkspaceUsage, samples: &mut Vec<MinuteSample>) {
        let (active, limit) = (usage.active_series as f64, usage.active_series_limit as f64);
        for (definition, value) in [
            (metric::ACTIVE_SERIES, active),
            (metric::ACTIVE_SERIES_LIMIT, limit),
            (metric::ACTIVE_SERIES_PERCENT, percent(active, limit)),
            (metric::EVENTS_LIMIT, usage.events.limit as f64),
        ] {
            samples.push(MinuteSample { labels: resource.labels(definition.series, &[]), value, growth: None });
        }
    }

    fn counts(
        &self,
        resource: &Resource<'_>,
        account: AccountId,
        usage: &WorkspaceUsage,
        minutes: f64,
        samples: &mut Vec<MinuteSample>,
    ) {
        let growth = |counter, total| Growth {
            of: Counted::Workspace(account),
            counter,
            by: self.workspaces.growth(&account, counter, total),
        };
        let received = growth(RECEIVED, usage.received);
        // A rate, other than the counts below: after minutes that could not be written it is their mean.
        let events = received.by as f64 / minutes;
        let utilization = percent(events, usage.events.limit as f64);
        let stored = growth(STORED, usage.stored);
        let labels = |definition: &Definition| resource.labels(definition.series, &[]);
        samples.extend([
            MinuteSample { labels: labels(metric::EVENTS), value: events, growth: Some(received) },
            MinuteSample { labels: labels(metric::EVENTS_PERCENT), value: utilization, growth: None },
            MinuteSample { labels: labels(metric::SAMPLES_STORED), value: stored.by as f64, growth: Some(stored) },
        ]);
        for dropped in Dropped::ALL {
            let total = usage.dropped[dropped.index()];
            if total == 0 && !SHOWN_AT_ZERO.contains(&dropped) {
                continue;
            }
            let definition = match dropped {
                Dropped::Event(_) => metric::EVENTS_DROPPED,
                Dropped::Sample(_) => metric::SAMPLES_DROPPED,
            };
            let labels = resource.labels(definition.series, &[("reason", dropped.reason())]);
            let growth = growth(dropped.index() as u16, total);
            samples.push(MinuteSample { labels, value: growth.by as f64, growth: Some(growth) });
        }
    }

    fn requests(
        &self,
        resource: &Resource<'_>,
        rule: &Arc<str>,
        responses: &[(u16, u64)],
        samples: &mut Vec<MinuteSample>,
    ) {
        for &(status, total) in responses {
            let code = if status == OTHER_STATUS { "Other".to_owned() } else { status.to_string() };
            let labels = resource.labels(metric::REQUESTS.series, &[("response_code", &code)]);
            let by = self.rules.growth(rule, status, total);
            let growth = Growth { of: Counted::Rule(Arc::clone(rule)), counter: status, by };
            samples.push(MinuteSample { labels, value: by as f64, growth: Some(growth) });
        }
    }

    /// The system workspace's own use: what is recorded counts as what anybody writes, but is never refused.
    fn count_own(&self, batch: &MinuteBatch, now: Monotonic) {
        let quota = self.parts.quotas.workspace(self.parts.system);
        let seen = quota.active_series().at(now);
        for sample in &batch.samples {
            seen.touch(seen.hash(&sample.labels), None);
        }
        let events = batch.samples.len() as u64;
        quota.received(events);
        quota.stored(events);
    }

    /// The clock meets the minute before again when it is set a little; only more than that is worth a word, once.
    fn complain_of_clock(&mut self, last: TimestampMs, minute: TimestampMs) {
        if last.since(minute) > CLOCK_BEHIND_MS_MAX && self.complained != Some(last) {
            self.complained = Some(last);
            let behind_minutes = last.since(minute) / MINUTE_MS;
            tracing::warn!(behind_minutes, "Platform metrics wait: the clock is behind those that are stored");
        }
    }

    fn minutes_since_counted(&self, now: Monotonic) -> f64 {
        let since = self.counted.map_or(Duration::ZERO, |counted| now.since(counted));
        (since.as_secs_f64() / 60.0).round().max(1.0)
    }
}

/// The newest minute that is stored, if it is not before `minute`.
async fn newest_stored(
    storage: &dyn Storage,
    system: AccountId,
    minute: TimestampMs,
) -> Result<Option<TimestampMs>, QueryError> {
    // Every minute holds the system workspace's own metrics.
    let matchers =
        [Matcher::equal(METRIC_NAME, metric::ACTIVE_SERIES.series), Matcher::equal("account_id", &system.to_string())];
    let range = TimeRange { start: minute, end: TimestampMs::MAX };
    let mut selected = storage.querier(range).select(&matchers, SelectHints::samples(range)).await?;
    let (mut batch, mut newest) = (Batch::default(), None);
    while let Some(mut series) = selected.next()? {
        while series.samples.next_batch(&mut batch)? {
            newest = newest.max(batch.timestamps.last().copied().filter(|at| *at >= minute));
        }
    }
    Ok(newest)
}

/// The time until the next minute of the wall clock begins.
pub fn until_next_minute(now: UnixTime) -> Duration {
    let into = now.since_epoch().as_nanos() % Duration::from_secs(60).as_nanos();
    Duration::from_secs(60) - Duration::from_nanos(into as u64)
}

fn minute_of(now: UnixTime) -> TimestampMs {
    let now = now.as_millis();
    TimestampMs(now - now % MINUTE_MS)
}

fn percent(used: f64, limit: f64) -> f64 {
    match limit {
        // Nothing may be used: whatever is, is all and more.
        0.0 if used > 0.0 => 100.0,
        0.0 => 0.0,
        _ => used / limit * 100.0,
    }
}

/// Reasons that have a series before the first drop, so that alerts on them know a zero from a gap.
const SHOWN_AT_ZERO: [Dropped; 2] =
    [Dropped::Event(EventReason::LimitThrottling), Dropped::Sample(SampleReason::LimitThrottling)];
const MINUTE_MS: i64 = 60_000;
const CLOCK_BEHIND_MS_MAX: i64 = 2 * MINUTE_MS;
/// How far ahead the last minute of a program may be that is started again and again: what is counted within them by the next
/// one waits for so long.
const AHEAD_MS_MAX: i64 = 5 * MINUTE_MS;
/// Counters of a workspace beside those of [`Dropped`].
const RECEIVED: u16 = 1000;
const STORED: u16 = 1001;

#[cfg(test)]
mod tests;
