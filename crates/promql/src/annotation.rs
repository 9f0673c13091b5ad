//! What the user should know about an answer although it is one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use promql_syntax::PositionRange;

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

/// Remarks on a query, each once: of several places, the one that is evaluated last stands for all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Annotations {
    entries: BTreeMap<(Severity, String), Occurrences>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Occurrences {
    position: PositionRange,
    count: u64,
    /// Every reason counts.
    counted: bool,
}

impl Annotations {
    /// All of them: warnings first, then by place.
    pub fn iter(&self) -> impl Iterator<Item = Annotation> + '_ {
        let mut all: Vec<_> = self.entries.iter().collect();
        all.sort_by_key(|((severity, text), found)| (*severity, found.position.start, text.as_str()));
        all.into_iter().map(|((severity, text), found)| Annotation {
            severity: *severity,
            text: text.clone(),
            position: found.position,
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

    pub(crate) fn warn(&mut self, position: PositionRange, text: impl Into<String>) {
        self.add(Severity::Warning, position, text.into(), 0);
    }

    /// Warns, and counts how often.
    pub(crate) fn warn_each_time(&mut self, position: PositionRange, text: impl Into<String>) {
        self.add(Severity::Warning, position, text.into(), 1);
    }

    pub(crate) fn inform(&mut self, position: PositionRange, text: impl Into<String>) {
        self.add(Severity::Info, position, text.into(), 0);
    }

    /// Takes over remarks made beside.
    pub(crate) fn absorb(&mut self, other: Self) {
        for ((severity, text), found) in other.entries {
            let more = if found.counted { found.count } else { 0 };
            self.add(severity, found.position, text, more);
        }
    }

    fn add(&mut self, severity: Severity, position: PositionRange, text: String, more: u64) {
        let room = self.entries.len() < ANNOTATIONS_MAX;
        match self.entries.entry((severity, text)) {
            Entry::Occupied(mut entry) => {
                let found = entry.get_mut();
                found.count += more;
                if speaks_for(position, found.position) {
                    found.position = position;
                }
            }
            Entry::Vacant(entry) if room => {
                entry.insert(Occurrences { position, count: more.max(1), counted: more > 0 });
            }
            Entry::Vacant(_) => {}
        }
    }
}

/// Whether a remark at `new` stands for an equal one at `old`: the one around another is made after it, of two side by side
/// the right one is.
fn speaks_for(new: PositionRange, old: PositionRange) -> bool {
    let encloses = |outer: PositionRange, inner: PositionRange| outer.start <= inner.start && inner.end <= outer.end;
    encloses(new, old) || new.start > old.start && !encloses(old, new)
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
    fn bounded() {
        let mut annotations = Annotations::default();
        for index in 0..2 * ANNOTATIONS_MAX {
            annotations.warn(PositionRange::default(), index.to_string());
        }
        assert_eq!(annotations.iter().count(), ANNOTATIONS_MAX);
    }
}
