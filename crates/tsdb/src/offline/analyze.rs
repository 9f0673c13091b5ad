//! What a database's series and chunks are like: which metrics and labels make them many, which come and go, how full chunks
//! are.

use hashbrown::HashMap;
use model::{METRIC_NAME, Matcher};
use storage::TimeRange;
use tsdb_format::chunk::sample_count;

use super::view::Offline;
use super::{OfflineError, Progress};
use crate::merge::SeriesMerge;
use crate::part::{SeriesSource as _, Want};

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnalysisOptions {
    /// Entries of each list.
    pub limit: usize,
    /// Whether chunks are looked into, which reads all of them.
    pub chunks: bool,
}

/// What a label name, or a metric, has.
#[derive(Clone, PartialEq, Debug)]
pub struct LabelUse {
    /// Its name.
    pub name: String,
    /// How many (of what the list says).
    pub count: u64,
}

/// A label with its value.
#[derive(Clone, PartialEq, Debug)]
pub struct PairUse {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// How many series have it; in lists of churn, how many whole spans of time its series miss together.
    pub count: f64,
}

/// What was found. Lists begin with the largest.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Analysis {
    /// The time that was looked at.
    pub range: Option<TimeRange>,
    /// Series.
    pub series: u64,
    /// Names of labels.
    pub label_names: u64,
    /// Names with their values.
    pub label_pairs: u64,
    /// Labels of all series.
    pub labels: u64,
    /// Chunks; one of several parts of the database counts in each.
    pub chunks: u64,
    /// Samples, if chunks were looked into.
    pub samples: Option<u64>,
    /// Bytes of the chunks' data, if they were looked into.
    pub chunk_bytes: Option<u64>,
    /// How many chunks have up to 10, 20, … 120 samples, and more; if they were looked into.
    pub chunk_fill: Option<[u64; FILL_STEPS + 1]>,
    /// Series by metric.
    pub metrics: Vec<LabelUse>,
    /// Values by label name.
    pub values: Vec<LabelUse>,
    /// Bytes of all values by label name.
    pub value_bytes: Vec<LabelUse>,
    /// Series by label with its value.
    pub pairs: Vec<PairUse>,
    /// Labels whose series come and go most.
    pub churn_pairs: Vec<PairUse>,
    /// Label names whose series come and go most.
    pub churn_names: Vec<PairUse>,
}

#[derive(Clone, Copy, Default)]
struct Use {
    series: u64,
    /// Share of the range in which a series with it has no samples, summed up.
    missing: f64,
}

/// Looks at the series that meet all matchers and have samples in `range`.
///
/// # Errors
/// When stored data cannot be read.
pub fn analyze(
    offline: &Offline,
    matchers: &[Matcher],
    range: TimeRange,
    options: AnalysisOptions,
    progress: &dyn Progress,
) -> Result<Analysis, OfflineError> {
    let Some(times) = offline.times() else { return Ok(Analysis::default()) };
    let range = TimeRange { start: range.start.max(times.start), end: range.end.min(times.end) };
    let mut found = Analysis { range: Some(range), ..Analysis::default() };
    let parts = offline.parts(range);
    let sources = parts.iter().map(|part| part.select(matchers, range, Want::Samples)).collect::<Result<_, _>>()?;
    let mut merge = SeriesMerge::new(sources)?;
    let mut uses: HashMap<String, HashMap<String, Use>> = HashMap::new();
    let mut looks = options.chunks.then(Looks::default);
    progress.begin("series", 0);
    while let Some(series) = merge.next()? {
        let (Some(first), Some(last)) =
            (series.chunks.iter().map(|chunk| chunk.start).min(), series.chunks.iter().map(|chunk| chunk.end).max())
        else {
            continue;
        };
        let spanned = last.min(range.end).since(first.max(range.start)) as f64;
        let missing = 1.0 - spanned / range.end.since(range.start).max(1) as f64;
        found.series += 1;
        found.chunks += series.chunks.len() as u64;
        for (name, value) in series.labels.iter() {
            found.labels += 1;
            let of_value = uses.entry_ref(name).or_default().entry_ref(value).or_default();
            of_value.series += 1;
            of_value.missing += missing;
        }
        if let Some(looks) = &mut looks {
            for chunk in &series.chunks {
                // What is damaged is told by whoever reads it, and left out.
                if let Ok((_, data)) = chunk.data.load() {
                    looks.look(&data);
                }
            }
        }
        progress.advance(1);
    }
    if let Some(looks) = looks {
        (found.samples, found.chunk_bytes, found.chunk_fill) =
            (Some(looks.samples), Some(looks.bytes), Some(looks.fill));
    }
    found.rank(&uses, options.limit);
    Ok(found)
}

#[derive(Default)]
struct Looks {
    samples: u64,
    bytes: u64,
    fill: [u64; FILL_STEPS + 1],
}

impl Looks {
    fn look(&mut self, data: &[u8]) {
        let Ok(count) = sample_count(data) else { return };
        self.samples += u64::from(count);
        self.bytes += data.len() as u64;
        self.fill[(usize::from(count).saturating_sub(1) / FILL_STEP).min(FILL_STEPS)] += 1;
    }
}

impl Analysis {
    fn rank(&mut self, uses: &HashMap<String, HashMap<String, Use>>, limit: usize) {
        self.label_names = uses.len() as u64;
        self.label_pairs = uses.values().map(|values| values.len() as u64).sum();
        let of_name = |name: &str, count: u64| LabelUse { name: name.to_owned(), count };
        let metrics = uses.get(METRIC_NAME).into_iter().flatten();
        self.metrics = largest(metrics.map(|(name, own)| of_name(name, own.series)), limit, |one| one.count as f64);
        let values = uses.iter().map(|(name, values)| of_name(name, values.len() as u64));
        self.values = largest(values, limit, |one| one.count as f64);
        let bytes = |values: &HashMap<String, Use>| values.keys().map(|value| value.len() as u64).sum();
        let value_bytes = uses.iter().map(|(name, values)| of_name(name, bytes(values)));
        self.value_bytes = largest(value_bytes, limit, |one| one.count as f64);
        let pair =
            |name: &str, value: &str, count: f64| PairUse { name: name.to_owned(), value: value.to_owned(), count };
        let each = || uses.iter().flat_map(|(name, values)| values.iter().map(move |(value, own)| (name, value, own)));
        let by_count = |one: &PairUse| one.count;
        self.pairs = largest(each().map(|(name, value, own)| pair(name, value, own.series as f64)), limit, by_count);
        let churn = each().map(|(name, value, own)| pair(name, value, own.missing));
        self.churn_pairs = largest(churn, limit, by_count);
        let missing = |values: &HashMap<String, Use>| values.values().map(|own| own.missing).sum();
        let churn = uses.iter().map(|(name, values)| pair(name, "", missing(values)));
        self.churn_names = largest(churn, limit, by_count);
    }
}

/// The `limit` largest, largest first; in order of names where they are equal.
fn largest<T: Ranked>(all: impl Iterator<Item = T>, limit: usize, by: impl Fn(&T) -> f64) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    let order = |left: &T, right: &T| by(right).total_cmp(&by(left)).then_with(|| left.names().cmp(&right.names()));
    for one in all {
        kept.push(one);
        // Sorted now and then, so that the list of all is never held.
        if kept.len() > limit.saturating_mul(4).max(KEPT_MIN) {
            kept.sort_by(order);
            kept.truncate(limit);
        }
    }
    kept.sort_by(order);
    kept.truncate(limit);
    kept
}

trait Ranked {
    fn names(&self) -> (&str, &str);
}

impl Ranked for LabelUse {
    fn names(&self) -> (&str, &str) {
        (&self.name, "")
    }
}

impl Ranked for PairUse {
    fn names(&self) -> (&str, &str) {
        (&self.name, &self.value)
    }
}

const KEPT_MIN: usize = 4096;
const FILL_STEP: usize = 10;
/// Up to the 120 samples that chunks are filled to.
const FILL_STEPS: usize = 12;
