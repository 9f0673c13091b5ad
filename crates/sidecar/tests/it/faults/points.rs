//! Samples as the audit compares them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use model::Labels;
use remote_write::{Item, Limits, Request, Series, Version, framing};

/// What a point is; each kind has its own account in the ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Kind {
    Float,
    Histogram,
    Exemplar,
}

impl Kind {
    /// As the metrics name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Histogram => "histogram",
            Self::Exemplar => "exemplar",
        }
    }

    pub(crate) const ALL: [Self; 3] = [Self::Float, Self::Histogram, Self::Exemplar];
}

/// One sample: its series (a hash of all labels), time and value. Of a histogram or exemplar the value is a hash of all of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Point {
    pub(crate) series: u64,
    pub(crate) kind: Kind,
    pub(crate) at: i64,
    pub(crate) value: u64,
}

/// The number that stands for a label set.
pub(crate) fn series_number(labels: &Labels) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, value) in labels {
        (name, value).hash(&mut hasher);
    }
    hasher.finish()
}

/// Decodes bodies; remembers what each label block stands for.
#[derive(Default)]
pub(crate) struct Decoder {
    numbers: HashMap<Box<[u8]>, u64>,
    names: HashMap<u64, String>,
    message: Vec<u8>,
    scratch: Vec<u8>,
}

impl Decoder {
    /// All points of a compressed body.
    ///
    /// # Errors
    /// What is wrong with the body, in words.
    pub(crate) fn points(&mut self, version: Version, body: &[u8]) -> Result<Vec<Point>, String> {
        framing::decode(body, BODY_BYTES_MAX, &mut self.message).map_err(|error| error.to_string())?;
        let limits = Limits::default();
        let request = Request::parse(version, &self.message, &limits).map_err(|error| error.to_string())?;
        let mut points = Vec::new();
        let mut walk = request.walk(&mut self.scratch);
        while let Some(item) = walk.next_item().map_err(|error| error.to_string())? {
            match item {
                Item::Series(series) => {
                    let number = number_of(&series, &mut self.numbers, &mut self.names)?;
                    points_of(&series, number, &mut points)?;
                }
                Item::Family(_) => {}
                Item::Refused(refused) => return Err(refused.error.to_string()),
            }
        }
        Ok(points)
    }

    /// The labels behind a number, for people.
    pub(crate) fn name(&self, series: u64) -> &str {
        self.names.get(&series).map_or("a series never seen", String::as_str)
    }
}

fn number_of(
    series: &Series<'_>,
    numbers: &mut HashMap<Box<[u8]>, u64>,
    names: &mut HashMap<u64, String>,
) -> Result<u64, String> {
    if let Some(number) = numbers.get(series.label_block()) {
        return Ok(*number);
    }
    let labels = series.labels().map_err(|error| error.to_string())?;
    let number = series_number(&labels);
    numbers.insert(series.label_block().into(), number);
    names.insert(number, labels.to_string());
    Ok(number)
}

fn points_of(series: &Series<'_>, number: u64, points: &mut Vec<Point>) -> Result<(), String> {
    let said = |error: remote_write::DecodeError| error.to_string();
    for sample in series.samples() {
        let sample = sample.map_err(said)?;
        points.push(Point { series: number, kind: Kind::Float, at: sample.timestamp.0, value: sample.value.to_bits() });
    }
    for histogram in series.histograms() {
        let histogram = histogram.map_err(said)?;
        let value = hash_of(&format!("{:?}", histogram.histogram));
        points.push(Point { series: number, kind: Kind::Histogram, at: histogram.timestamp.0, value });
    }
    for exemplar in series.exemplars() {
        let exemplar =
            exemplar.map_err(said)?.to_exemplar(&Limits::default().labels).map_err(|error| error.to_string())?;
        let value = hash_of(&format!("{} {}", exemplar.labels, exemplar.value));
        points.push(Point { series: number, kind: Kind::Exemplar, at: exemplar.timestamp.0, value });
    }
    Ok(())
}

fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

const BODY_BYTES_MAX: usize = 256 << 20;
