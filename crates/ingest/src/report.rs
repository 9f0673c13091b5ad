//! What became of the elements of a request in one destination.

use remote_write::{Tally, WrittenCounts};
use storage::ElementKind;

use crate::cause::Cause;

/// Counts and first reasons.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Report {
    /// What the request holds.
    pub(crate) received: WrittenCounts,
    /// What is committed.
    pub(crate) written: WrittenCounts,
    /// What the sender must be told that it was not stored.
    pub(crate) refused: WrittenCounts,
    /// Parts of the request that hold nothing to count: series without data, metadata.
    pub(crate) refused_entries: u64,
    /// Everything that was not stored, by reason, also what the sender is not told.
    pub(crate) reasons: Vec<(Cause, u64)>,
    /// How many new series were refused because there are as many active ones as there may be, and what is said of that.
    pub(crate) over_series: Option<(u64, String)>,
    /// What is wrong with the first of those refused.
    pub(crate) first: Vec<String>,
}

impl Report {
    /// Whether the sender must be told of anything.
    pub(crate) fn has_refusals(&self) -> bool {
        self.refusals() > 0
    }

    /// Counts what was not stored, without telling the sender.
    pub(crate) fn count(&mut self, cause: Cause, elements: u64) {
        match self.reasons.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, count)) => *count += elements,
            None => self.reasons.push((cause, elements)),
        }
    }

    /// Counts what was not stored, and tells the sender. `describe` is asked only while few are described.
    pub(crate) fn refuse(&mut self, cause: Cause, elements: WrittenCounts, describe: impl FnOnce() -> String) {
        let total = total(elements);
        self.refused += elements;
        self.refused_entries += u64::from(total == 0);
        self.count(cause, total.max(1));
        if self.first.len() < DESCRIBED_MAX {
            self.first.push(shortened(describe()));
        }
    }

    /// For people: how many of how many, and why the first.
    pub(crate) fn message(&self) -> String {
        let kinds = [
            (self.refused.samples, self.received.samples, "samples"),
            (self.refused.histograms, self.received.histograms, "histograms"),
            (self.refused.exemplars, self.received.exemplars, "exemplars"),
        ];
        let mut counts: Vec<String> = kinds
            .iter()
            .filter(|(refused, ..)| *refused > 0)
            .map(|(refused, received, kind)| format!("{refused} of {received} {kind}"))
            .collect();
        if self.refused_entries > 0 {
            counts.push(format!("{} entries without data", self.refused_entries));
        }
        let mut message = format!("refused {}; everything else is stored. ", counts.join(", "));
        match &self.over_series {
            Some((1, limit)) => message.push_str(&format!("1 new series is among them: {limit}. ")),
            Some((series, limit)) => message.push_str(&format!("{series} new series are among them: {limit}. ")),
            None => {}
        }
        message.push_str(&self.first.join("; "));
        match self.refusals().saturating_sub(self.first.len() as u64) {
            0 => message,
            more => format!("{message}; and {more} more"),
        }
    }

    fn refusals(&self) -> u64 {
        self.refused.samples + self.refused.histograms + self.refused.exemplars + self.refused_entries
    }
}

/// One element.
pub(crate) fn one(kind: ElementKind) -> WrittenCounts {
    let none = WrittenCounts::default();
    match kind {
        ElementKind::Sample => WrittenCounts { samples: 1, ..none },
        ElementKind::Histogram => WrittenCounts { histograms: 1, ..none },
        ElementKind::Exemplar => WrittenCounts { exemplars: 1, ..none },
    }
}

/// All elements together.
pub(crate) fn total(elements: WrittenCounts) -> u64 {
    elements.samples + elements.histograms + elements.exemplars
}

/// All elements of a series.
pub(crate) fn all_of(tally: Tally) -> WrittenCounts {
    WrittenCounts { samples: tally.samples, histograms: tally.histograms, exemplars: tally.exemplars }
}

/// Labels can be long, and Prometheus shows only the first kilobyte of an answer.
fn shortened(mut text: String) -> String {
    if text.len() > DESCRIPTION_BYTES_MAX {
        text.truncate(text.floor_char_boundary(DESCRIPTION_BYTES_MAX));
        text.push('…');
    }
    text
}

/// How many refusals are described.
const DESCRIBED_MAX: usize = 10;
const DESCRIPTION_BYTES_MAX: usize = 400;

#[cfg(test)]
mod tests {
    use catalog::Profile;

    use super::*;

    fn cause(name: &'static str) -> Cause {
        Cause::bad_labels(Profile::Strict, name)
    }

    #[test]
    fn a_message_counts_and_names_the_first() {
        let received = WrittenCounts { samples: 20, histograms: 1, exemplars: 0 };
        let mut report = Report { received, ..Report::default() };
        assert!(!report.has_refusals());
        report.refuse(cause("no-data"), WrittenCounts::default(), || "series 3: nothing".to_owned());
        for index in 0..12 {
            report.refuse(cause("too-old"), one(ElementKind::Sample), || format!("up{{i=\"{index}\"}}: too old"));
        }
        report.count(cause("dropped"), 5);
        let message = report.message();
        assert!(
            message
                .starts_with("refused 12 of 20 samples, 1 entries without data; everything else is stored. series 3")
        );
        assert!(message.ends_with("up{i=\"8\"}: too old; and 3 more"), "{message}");
        assert_eq!(report.reasons, [(cause("no-data"), 1), (cause("too-old"), 12), (cause("dropped"), 5)]);
        report.over_series = Some((2, "the limit is reached".to_owned()));
        assert!(report.message().contains("stored. 2 new series are among them: the limit is reached. series 3"));
    }

    #[test]
    fn long_descriptions_are_cut_between_characters() {
        let mut report = Report::default();
        report.refuse(cause("x"), one(ElementKind::Sample), || "ä".repeat(1000));
        assert!(report.first[0].len() <= DESCRIPTION_BYTES_MAX + '…'.len_utf8());
    }
}
