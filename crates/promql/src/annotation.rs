//! What the user should know about an answer although it is one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use promql_syntax::PositionRange;

use crate::monotonicity::MendedOverSteps;

/// How much an annotation matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// The answer is likely not what was meant.
    Warning,
    /// The answer may be not what was meant.
    Info,
}

/// A remark on a part of the query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Annotation {
    /// How much it matters.
    pub severity: Severity,
    /// What it says, without position.
    pub text: String,
    /// The part of the query it is about.
    pub position: PositionRange,
    /// How often there was reason to say it, where that is counted; otherwise 1.
    pub occurrences: u64,
}

/// Where something is remarked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// What it is about.
    about: PositionRange,
    /// The operator that finds it, with all its operands.
    operator: PositionRange,
}

impl Place {
    pub(crate) fn of(about: PositionRange, operator: PositionRange) -> Self {
        Self { about, operator }
    }
}

impl From<PositionRange> for Place {
    /// An operator remarks on itself.
    fn from(operator: PositionRange) -> Self {
        Self::of(operator, operator)
    }
}

/// Remarks on a query, each once: of several places, the one that is evaluated last stands for all.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Annotations {
    entries: BTreeMap<(Severity, String), Occurrences>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Occurrences {
    place: Place,
    count: u64,
    /// Every reason counts.
    counted: bool,
    /// Counts of classic histograms that had to be mended.
    mended: Option<MendedOverSteps>,
}

impl Occurrences {
    fn at(place: Place) -> Self {
        Self { place, count: 1, counted: false, mended: None }
    }

    /// Takes over others of the same text.
    fn absorb(&mut self, other: &Self) {
        if other.counted {
            self.count += other.count;
        }
        match (&mut self.mended, &other.mended) {
            // Upstream merges the new ones into the old ones here, elsewhere it replaces those.
            (Some(mended), Some(others)) => {
                mended.absorb(others);
                self.place = earlier(self.place, other.place);
            }
            _ => self.place = later(self.place, other.place),
        }
    }
}

/// The place that is evaluated first: what is inside is before what is around it, of two side by side the left one.
fn earlier(left: Place, right: Place) -> Place {
    match later(left, right) == left {
        true => right,
        false => left,
    }
}

fn later(left: Place, right: Place) -> Place {
    let encloses = |outer: Place, inner: Place| {
        outer.operator.start <= inner.operator.start && inner.operator.end <= outer.operator.end
    };
    match encloses(right, left) || right.operator.start > left.operator.start && !encloses(left, right) {
        true => right,
        false => left,
    }
}

impl Annotations {
    /// All of them: warnings first, then by place.
    pub fn iter(&self) -> impl Iterator<Item = Annotation> + '_ {
        let mut all: Vec<_> = self.entries.iter().collect();
        all.sort_by_key(|((severity, text), found)| (*severity, found.place.about.start, text.as_str()));
        all.into_iter().map(|((severity, text), found)| Annotation {
            severity: *severity,
            text: match &found.mended {
                None => text.clone(),
                Some(mended) => format!("{text}, {mended}"),
            },
            position: found.place.about,
            occurrences: found.count,
        })
    }

    /// Texts of one severity as the query API prints them, with line and column in `query`.
    pub fn texts(&self, severity: Severity, query: &str) -> Vec<String> {
        self.iter()
            .filter(|annotation| annotation.severity == severity)
            .map(|annotation| annotation.print(query))
            .collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn warn(&mut self, place: impl Into<Place>, text: impl Into<String>) {
        self.add(Severity::Warning, text.into(), Occurrences::at(place.into()));
    }

    /// Warns, and counts how often.
    pub(crate) fn warn_each_time(&mut self, place: impl Into<Place>, text: impl Into<String>) {
        self.add(Severity::Warning, text.into(), Occurrences { counted: true, ..Occurrences::at(place.into()) });
    }

    pub(crate) fn inform(&mut self, place: impl Into<Place>, text: impl Into<String>) {
        self.add(Severity::Info, text.into(), Occurrences::at(place.into()));
    }

    /// Informs that counts had to be mended, once with how many there were.
    pub(crate) fn inform_of_mending(&mut self, place: Place, text: String, mended: MendedOverSteps) {
        self.add(Severity::Info, text, Occurrences { mended: Some(mended), ..Occurrences::at(place) });
    }

    /// Takes over remarks made beside.
    pub(crate) fn absorb(&mut self, other: Self) {
        for ((severity, text), found) in other.entries {
            self.add(severity, text, found);
        }
    }

    fn add(&mut self, severity: Severity, text: String, found: Occurrences) {
        let room = self.entries.len() < ANNOTATIONS_MAX;
        match self.entries.entry((severity, text)) {
            Entry::Occupied(mut entry) => entry.get_mut().absorb(&found),
            Entry::Vacant(entry) if room => {
                entry.insert(found);
            }
            Entry::Vacant(_) => {}
        }
    }
}

impl Annotation {
    /// As the query API prints it, with line and column in `query`.
    pub fn print(&self, query: &str) -> String {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        let before = &query.as_bytes()[..query.len().min(self.position.start as usize)];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        let times = match self.occurrences {
            0 | 1 => String::new(),
            times => format!(" ({times} occurrences)"),
        };
        format!("PromQL {severity}: {}{times} ({line}:{column})", self.text)
    }
}

/// Some annotations name the metric, and a query may touch any number of metrics.
const ANNOTATIONS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classic_histogram::Mended;

    #[test]
    fn prints_line_and_column() {
        let mut annotations = Annotations::default();
        let position = PositionRange { start: 5, end: 8 };
        annotations.warn(position, "odd");
        annotations.warn(position, "odd");
        annotations.inform(PositionRange { start: 99, end: 100 }, "far");
        assert_eq!(annotations.texts(Severity::Warning, "sum(\nfoo)"), ["PromQL warning: odd (2:1)"]);
        assert_eq!(annotations.texts(Severity::Info, "foo"), ["PromQL info: far (1:4)"]);
    }

    #[test]
    fn one_text_is_told_once_and_counted_where_that_is_wanted() {
        let mut annotations = Annotations::default();
        for start in [3, 7, 5] {
            let position = PositionRange { start, end: start + 1 };
            annotations.warn_each_time(position, "again");
            annotations.inform(position, "once");
        }
        assert_eq!(annotations.texts(Severity::Warning, "0123456789"), ["PromQL warning: again (3 occurrences) (1:8)"]);
        assert_eq!(annotations.texts(Severity::Info, "0123456789"), ["PromQL info: once (1:8)"]);
    }

    #[test]
    fn what_is_around_speaks_for_what_is_inside() {
        for [first, second] in [[(4, 20), (9, 12)], [(9, 12), (4, 20)]] {
            let mut annotations = Annotations::default();
            for (start, end) in [first, second] {
                annotations.inform(PositionRange { start, end }, "odd");
            }
            assert_eq!(annotations.iter().map(|found| found.position.start).collect::<Vec<_>>(), [4]);
        }
    }

    #[test]
    fn the_outer_operator_speaks_wherever_its_argument_stands() {
        let mut annotations = Annotations::default();
        let position = |start, end| PositionRange { start, end };
        // As in quantile(2, quantile(2, x)).
        annotations.warn(Place::of(position(21, 22), position(12, 26)), "bad");
        annotations.warn(Place::of(position(9, 10), position(0, 27)), "bad");
        assert_eq!(annotations.iter().map(|found| found.position.start).collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn mended_counts_are_told_of_at_the_place_where_they_were_met_first() {
        let mut annotations = Annotations::default();
        for (start, most) in [(20, 3.0), (4, 1.0)] {
            let mended = Mended { lowest: 1.0, highest: 2.0, most };
            let place = PositionRange { start, end: start + 3 }.into();
            annotations.inform_of_mending(place, "mended".to_owned(), MendedOverSteps::at(mended, 0));
        }
        let texts = annotations.texts(Severity::Info, &"x".repeat(30));
        let period = "from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z";
        let told =
            format!("PromQL info: mended, from buckets 1 to 2, with a max diff of 3, over 2 samples {period} (1:5)");
        assert_eq!(texts, [told]);
    }

    #[test]
    fn bounded() {
        let mut annotations = Annotations::default();
        for index in 0..2 * ANNOTATIONS_MAX {
            annotations.warn(PositionRange::default(), index.to_string());
        }
        assert_eq!(annotations.iter().count(), ANNOTATIONS_MAX);
    }
}
