//! What a database was told and what it answered: what must be found, what may be, what must not.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use environment::Monotonic;
use model::{Labels, Matcher, TimestampMs};
use storage::TimeRange;

use crate::value::{Kind, Value};

/// One series that the workload writes.
#[derive(Clone, Debug)]
pub struct SeriesPlan {
    /// Its labels.
    pub labels: Labels,
    /// How its values go.
    pub kind: Kind,
}

/// A sample: the number of its series, its time, its value.
pub type Sample = (usize, i64, Value);

/// Samples as a query found them: of each series by number.
pub type Found = BTreeMap<usize, BTreeMap<i64, Value>>;

/// What is known of one sample.
#[derive(Clone, Debug)]
enum Entry {
    /// It was acknowledged, or seen: it must be found with this value.
    Stored(Stored),
    /// It may be found with one of these values, or not at all.
    Maybe(Vec<Maybe>),
}

#[derive(Clone, Debug)]
struct Stored {
    value: Value,
    /// When it was acknowledged; `None` for one that was only seen after a crash.
    acknowledged: Option<Monotonic>,
    commit: Commit,
    /// Other values that were or may have been taken for its time since: it is in a block, where nobody looks before answering. It is found all the same,
    /// but what comes next is compared with the others, and if the block is lost one of them is found.
    others: Vec<Value>,
    /// Some of them were taken while the disk failed, and not compared: they lie beside each other, and which is found may change
    /// with where they lie.
    any_is_found: bool,
}

impl Stored {
    /// All values that were taken for its time.
    fn values(&self) -> impl Iterator<Item = &Value> {
        self.others.iter().chain([&self.value])
    }

    /// Whether a query may find this value.
    fn may_be(&self, value: &Value) -> bool {
        self.value == *value || self.any_is_found && self.others.contains(value)
    }

    /// The same when nothing promises any more that it is there.
    fn maybe(&self, lost: Option<Stored>) -> Entry {
        let others =
            self.others.iter().map(|value| Maybe { value: value.clone(), lost: None, is_beside: self.any_is_found });
        Entry::Maybe([Maybe { value: self.value.clone(), lost, is_beside: false }].into_iter().chain(others).collect())
    }
}

#[derive(Clone, Debug)]
struct Maybe {
    value: Value,
    /// Of one that was acknowledged before a power cut.
    lost: Option<Stored>,
    /// It was not compared with the others.
    is_beside: bool,
}

impl Maybe {
    fn of(value: &Value) -> Self {
        Self { value: value.clone(), lost: None, is_beside: false }
    }
}

/// A batch in the order of batches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Commit {
    number: u64,
    /// All its samples were newer than those of their series before it: they stand in one log in the order of commits.
    in_order: bool,
}

/// See the module's text. Clones are cheap enough to be made for each crash that is tried.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    series: Vec<SeriesPlan>,
    entries: Vec<BTreeMap<i64, Entry>>,
    commits: u64,
    /// Samples that were deleted, with the time of the answer: a power cut may undo it for a moment.
    deleted: Vec<(Monotonic, usize, i64, Value)>,
    /// Samples before this time may be gone.
    expired_before: i64,
    /// Times of damaged blocks.
    doubtful: Vec<TimeRange>,
}

/// A batch or a deletion that was begun: how the ledger was, where it may have been changed.
#[derive(Debug)]
pub struct Begun {
    commit: Commit,
    before: Vec<(usize, i64, Option<Entry>)>,
}

/// What a batch became: refused samples by series and time, each as often as it was refused.
pub type Refused = BTreeMap<(usize, i64), Vec<Refusal>>;

/// Why a sample was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Another value is stored for its time.
    Duplicate,
    /// Older than what is taken.
    Old,
}

impl Ledger {
    /// Adds a series and gives its number.
    pub fn add_series(&mut self, plan: SeriesPlan) -> usize {
        self.series.push(plan);
        self.entries.push(BTreeMap::new());
        self.series.len() - 1
    }

    /// All series.
    pub fn series(&self) -> &[SeriesPlan] {
        &self.series
    }

    /// The number of the series with these labels.
    pub fn number_of(&self, labels: &Labels) -> Option<usize> {
        self.series.iter().position(|plan| plan.labels == *labels)
    }

    /// Samples before `at` may be gone from now on.
    pub fn expire_before(&mut self, at: i64) {
        self.expired_before = self.expired_before.max(at);
    }

    /// The time of the newest sample of a series that is or may be there.
    pub fn newest(&self, series: usize) -> Option<i64> {
        self.entries[series].last_key_value().map(|(at, _)| *at)
    }

    /// Whether there is or may be a sample of this time.
    pub fn is_known(&self, series: usize, at: i64) -> bool {
        self.entries[series].contains_key(&at)
    }

    /// Times of all samples of a series that must be there.
    pub fn times(&self, series: usize) -> Vec<i64> {
        let stored = |entry: &Entry| matches!(entry, Entry::Stored(_));
        self.entries[series].iter().filter(|(_, entry)| stored(entry)).map(|(at, _)| *at).collect()
    }

    /// Number of samples that must be there.
    pub fn len(&self) -> usize {
        (0..self.series.len()).map(|series| self.times(series).len()).sum()
    }

    /// Whether nothing must be there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A batch is sent: until it is answered, any of its samples may be there. Batches are `in_order` when all of their samples
    /// are about now and newer than all others of their series.
    pub fn begin(&mut self, batch: &[Sample], in_order: bool) -> Begun {
        self.commits += 1;
        let mut begun = Begun { commit: Commit { number: self.commits, in_order }, before: Vec::new() };
        for (series, at, value) in batch {
            let entry = self.entries[*series].get(at);
            begun.before.push((*series, *at, entry.cloned()));
            let maybe = Maybe::of(value);
            match self.entries[*series].entry(*at).or_insert_with(|| Entry::Maybe(Vec::new())) {
                Entry::Stored(stored) if stored.value == *value => {}
                // If nobody hears of it any more, it may have been taken all the same.
                Entry::Stored(stored) => stored.others.push(value.clone()),
                Entry::Maybe(values) => values.push(maybe),
            }
        }
        begun
    }

    /// The batch was answered: all of it is stored, but for what was refused. If the disk failed meanwhile (`disturbed`), samples may
    /// not have been compared with those that are there.
    ///
    /// # Errors
    /// A refusal for which there is no reason, or a sample that should have been refused.
    pub fn acknowledge(
        &mut self,
        begun: Begun,
        batch: &[Sample],
        mut refused: Refused,
        disturbed: bool,
        now: Monotonic,
    ) -> Result<(), String> {
        self.restore(begun.before);
        for (series, at, value) in batch {
            let refusals = refused.get_mut(&(*series, *at)).filter(|refusals| !refusals.is_empty());
            let entry = self.entries[*series].get(at);
            let stored = match entry {
                Some(Entry::Stored(stored)) => Some(stored),
                _ => None,
            };
            let labels = &self.series[*series].labels;
            match (stored, refusals) {
                // Stored before: it stays what it is. Where it came from a block, another value is taken and never seen.
                (Some(stored), refusals) => {
                    let same = stored.value == *value;
                    let mut others = stored.others.clone();
                    // Refusals name time and series only: of two values of this batch, nobody knows which one was taken.
                    let is_alone = !batch.iter().any(|(s, t, v)| s == series && t == at && v != value);
                    if !same && (refusals.is_none() || !is_alone) {
                        others.push(value.clone());
                    }
                    match refusals {
                        Some(refusals) if same && !stored.others.is_empty() => drop(refusals.pop()),
                        Some(_) if same && is_alone => {
                            return Err(format!("{labels} at {at}: what is stored was refused: {refused:?}"));
                        }
                        Some(_) if same => {}
                        Some(refusals) => drop(refusals.pop()),
                        None => {}
                    }
                    // Answered now, so from now on it is promised.
                    let acknowledged = stored.acknowledged.or(same.then_some(now));
                    let any_is_found = stored.any_is_found || disturbed && !others.is_empty();
                    let stored = Stored { acknowledged, others, any_is_found, ..stored.clone() };
                    self.entries[*series].insert(*at, Entry::Stored(stored));
                }
                (None, Some(refusals))
                    if *refusals == [Refusal::Duplicate]
                        && matches!(entry, Some(Entry::Maybe(values)) if values.iter().any(|maybe| maybe.value != *value)) =>
                {
                    refusals.clear();
                }
                // If it was refused as often as it stands in the batch, one refusal is left.
                (None, _) if self.doubtful.iter().any(|range| range.contains(TimestampMs(*at))) => {
                    // Whether it is the first one or not, and whether that one is found, nobody can know.
                    let maybe = Maybe::of(value);
                    match self.entries[*series].entry(*at).or_insert_with(|| Entry::Maybe(Vec::new())) {
                        Entry::Stored(_) => {}
                        Entry::Maybe(values) => values.push(maybe),
                    }
                }
                (None, _) => {
                    let stored = Stored {
                        value: value.clone(),
                        acknowledged: Some(now),
                        commit: begun.commit,
                        others: Vec::new(),
                        any_is_found: false,
                    };
                    self.entries[*series].insert(*at, Entry::Stored(stored));
                }
            }
        }
        match refused.iter().find(|(_, refusals)| !refusals.is_empty()) {
            Some(((series, at), refusals)) => {
                Err(format!("{} at {at}: refused without a reason: {refusals:?}", self.series[*series].labels))
            }
            None => Ok(()),
        }
    }

    /// Nothing was stored of the batch: it was refused as a whole before anything was done.
    pub fn forget(&mut self, begun: Begun) {
        self.restore(begun.before);
    }

    fn restore(&mut self, before: Vec<(usize, i64, Option<Entry>)>) {
        // The first state of an entry that stands twice in a batch is the oldest one.
        for (series, at, entry) in before.into_iter().rev() {
            match entry {
                Some(entry) => drop(self.entries[series].insert(at, entry)),
                None => drop(self.entries[series].remove(&at)),
            }
        }
    }

    /// A deletion is asked for: until it is answered, what it is of may be there or not.
    pub fn begin_deletion(&mut self, matchers: &[Matcher], range: TimeRange) {
        self.each_selected(matchers, range, |_, _, entry| {
            if let Entry::Stored(stored) = entry {
                *entry = stored.maybe(None);
            }
            true
        });
    }

    /// The deletion was answered.
    pub fn acknowledge_deletion(&mut self, matchers: &[Matcher], range: TimeRange, now: Monotonic) {
        let mut deleted = Vec::new();
        let doubtful = self.doubtful.clone();
        self.each_selected(matchers, range, |series, at, entry| {
            let Entry::Maybe(values) = entry else { return false };
            deleted.extend(values.iter().map(|maybe| (now, series, at, maybe.value.clone())));
            // What a damaged block hides comes back from the log when the block is set aside.
            doubtful.iter().any(|range| range.contains(TimestampMs(at)))
        });
        self.deleted.append(&mut deleted);
    }

    fn each_selected(
        &mut self,
        matchers: &[Matcher],
        range: TimeRange,
        mut each: impl FnMut(usize, i64, &mut Entry) -> bool,
    ) {
        for (series, (plan, entries)) in self.series.iter().zip(&mut self.entries).enumerate() {
            if matchers.iter().all(|matcher| matcher.matches_labels(&plan.labels)) {
                entries.retain(|at, entry| !range.contains(TimestampMs(*at)) || each(series, *at, entry));
            }
        }
    }

    /// A sync failed: what was answered within the interval before it, or only seen, no disk promises to anybody who comes later.
    pub fn fail_sync(&mut self, interval: Option<Duration>, now: Monotonic) {
        let young = |at: Monotonic| interval.is_some_and(|interval| at.plus(interval) >= now);
        for entry in self.entries.iter_mut().flat_map(BTreeMap::values_mut) {
            if let Entry::Stored(stored) = entry
                && stored.acknowledged.is_none_or(young)
            {
                *entry = stored.maybe(None);
            }
        }
        self.undelete(young);
    }

    /// The power was cut. With an interval of syncs, what was answered within it may be gone, and deletions undone; without
    /// one, what was answered is there. What was only seen may be gone.
    pub fn cut_power(&mut self, interval: Option<Duration>, now: Monotonic) {
        let young = |at: Monotonic| interval.is_some_and(|interval| at.plus(interval) >= now);
        for entry in self.entries.iter_mut().flat_map(BTreeMap::values_mut) {
            match entry {
                Entry::Stored(stored) if stored.acknowledged.is_none_or(young) => {
                    let lost = stored.acknowledged.is_some().then(|| stored.clone());
                    *entry = stored.maybe(lost);
                }
                Entry::Stored(_) => {}
                // What an earlier cut took says nothing of this one, if nobody could look in between.
                Entry::Maybe(values) => values.iter_mut().for_each(|maybe| maybe.lost = None),
            }
        }
        self.undelete(young);
    }

    /// Bytes are damaged: deletions may be among them, or a block that hid samples which the log still has.
    pub fn damage(&mut self) {
        self.undelete(|_| true);
    }

    /// What is in a damaged block may be found to be gone whenever another part of it is looked at, and what the log has of it may
    /// come back whenever the block is set aside: from now on it may be there or not.
    pub fn doubt(&mut self, range: TimeRange) {
        self.doubtful.push(range);
        for entries in &mut self.entries {
            for (_, entry) in entries.range_mut(range.start.0..=range.end.0) {
                if let Entry::Stored(stored) = entry {
                    *entry = Entry::Maybe(stored.values().map(Maybe::of).collect());
                }
            }
        }
    }

    fn undelete(&mut self, which: impl Fn(Monotonic) -> bool) {
        for (_, series, time, value) in self.deleted.iter().filter(|(at, ..)| which(*at)) {
            let maybe = Maybe::of(value);
            match self.entries[*series].entry(*time).or_insert_with(|| Entry::Maybe(Vec::new())) {
                Entry::Stored(_) => {}
                Entry::Maybe(values) => values.push(maybe),
            }
        }
    }

    /// Compares what a query over `range` found of the series that meet `matchers`.
    ///
    /// # Errors
    /// What is missing, wrong or invented.
    pub fn check(&self, matchers: &[Matcher], range: TimeRange, found: &Found) -> Result<(), String> {
        self.check_view(self, matchers, range, found)
    }

    /// The same for a query that was begun when the ledger was as `before`, and saw what came later or did not.
    ///
    /// # Errors
    /// What is missing, wrong or invented.
    pub fn check_view(
        &self,
        before: &Self,
        matchers: &[Matcher],
        range: TimeRange,
        found: &Found,
    ) -> Result<(), String> {
        self.check_values(before, matchers, found)?;
        let none = BTreeMap::new();
        for (number, entries) in before.entries.iter().enumerate() {
            let plan = &self.series[number];
            if !matchers.iter().all(|matcher| matcher.matches_labels(&plan.labels)) {
                continue;
            }
            let found = found.get(&number).unwrap_or(&none);
            for (at, entry) in entries.range(range.start.0..=range.end.0) {
                if let Entry::Stored(stored) = entry
                    && matches!(self.entries[number].get(at), Some(Entry::Stored(_)))
                    && *at >= self.expired_before
                    && !found.contains_key(at)
                {
                    return Err(format!("{} at {at} is gone: {stored:?}", plan.labels));
                }
            }
        }
        Ok(())
    }

    /// Whether everything that was found was sent, as it was sent.
    ///
    /// # Errors
    /// What is wrong or invented.
    fn check_values(&self, before: &Self, matchers: &[Matcher], found: &Found) -> Result<(), String> {
        for (number, samples) in found {
            let plan = &self.series[*number];
            if !matchers.iter().all(|matcher| matcher.matches_labels(&plan.labels)) {
                return Err(format!("{} does not meet {matchers:?}", plan.labels));
            }
            for (at, value) in samples {
                let entries = [self, before].map(|ledger| ledger.entries.get(*number).and_then(|all| all.get(at)));
                let allowed = entries.iter().flatten().any(|entry| match entry {
                    Entry::Stored(stored) => stored.may_be(value),
                    Entry::Maybe(values) => values.iter().any(|maybe| maybe.value == *value),
                });
                if !allowed {
                    return Err(format!("{} at {at} is {value:?} instead of {:?}", plan.labels, entries[0]));
                }
            }
        }
        Ok(())
    }

    /// What must be there and was not found.
    pub fn missing(&self, found: &Found) -> Vec<(usize, i64)> {
        let all = self.entries.iter().enumerate().flat_map(|(number, entries)| {
            entries.iter().filter(|(_, entry)| matches!(entry, Entry::Stored(_))).map(move |(at, _)| (number, *at))
        });
        let is_found = |(number, at): &(usize, i64)| found.get(number).is_some_and(|samples| samples.contains_key(at));
        all.filter(|sample| sample.1 >= self.expired_before && !is_found(sample)).collect()
    }

    /// Takes what was found of everything after a crash for what is there.
    ///
    /// # Errors
    /// When of what was answered before a power cut a later batch is there and an earlier one not. That is asked only if
    /// `in_order`: a database that has said that bytes were damaged has said so of the gap, too.
    pub fn settle(&mut self, found: &Found, in_order: bool) -> Result<(), String> {
        let doubtful = std::mem::take(&mut self.doubtful);
        let is_doubtful = |at: i64| doubtful.iter().any(|range| range.contains(TimestampMs(at)));
        let mut first_lost: Option<(Commit, String)> = None;
        let mut last_kept: Option<(Commit, String)> = None;
        let none = BTreeMap::new();
        for (number, entries) in self.entries.iter_mut().enumerate() {
            let found = found.get(&number).unwrap_or(&none);
            let labels = &self.series[number].labels;
            entries.retain(|at, entry| {
                let Entry::Maybe(values) = entry else { return true };
                let seen = found.get(at);
                for lost in values.iter().filter_map(|maybe| maybe.lost.as_ref()).filter(|lost| lost.commit.in_order) {
                    let text = || format!("{labels} at {at}");
                    if seen.is_some_and(|seen| *seen == lost.value) {
                        if last_kept.as_ref().is_none_or(|(commit, _)| *commit < lost.commit) {
                            last_kept = Some((lost.commit, text()));
                        }
                    } else if first_lost.as_ref().is_none_or(|(commit, _)| lost.commit < *commit) {
                        first_lost = Some((lost.commit, text()));
                    }
                }
                if is_doubtful(*at) {
                    values.iter_mut().for_each(|maybe| maybe.lost = None);
                    return true;
                }
                let Some(seen) = seen else { return false };
                let maybe = values.iter().find(|maybe| maybe.value == *seen);
                let stored = maybe.and_then(|maybe| maybe.lost.clone());
                // They may lie behind it, and what comes next is compared with them.
                let others = values.iter().map(|maybe| &maybe.value).filter(|value| *value != seen).cloned().collect();
                let any_is_found = values.iter().any(|maybe| maybe.is_beside);
                let commit = Commit { number: 0, in_order: false };
                *entry = Entry::Stored(stored.unwrap_or_else(|| Stored {
                    value: seen.clone(),
                    acknowledged: None,
                    commit,
                    others,
                    any_is_found,
                }));
                true
            });
        }
        self.doubtful = doubtful;
        match (first_lost, last_kept) {
            (Some((lost, what)), Some((kept, there))) if in_order && lost < kept => Err(format!(
                "no prefix: {what} of batch {} is gone, {there} of batch {} is there",
                lost.number, kept.number
            )),
            _ => Ok(()),
        }
    }

    /// Takes what was found for what is there: bytes were damaged, and said to be. What is missing may come back: the log can have
    /// samples of a block that was set aside.
    ///
    /// # Errors
    /// What was never sent.
    pub fn accept_damage(&mut self, found: &Found) -> Result<(), String> {
        for (number, entries) in self.entries.iter_mut().enumerate() {
            let found = found.get(&number);
            for (at, entry) in entries {
                let Entry::Stored(stored) = entry else { continue };
                match found.and_then(|samples| samples.get(at)) {
                    Some(seen) if stored.others.contains(seen) => stored.value = seen.clone(),
                    Some(_) => {}
                    None => {
                        *entry = Entry::Maybe(stored.values().map(Maybe::of).collect());
                    }
                }
            }
        }
        self.check_values(self, &[], found)
    }
}
