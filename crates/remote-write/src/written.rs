//! What was written of a request, as answers of version 2.0 tell it.

use crate::negotiation::{EXEMPLARS_WRITTEN_HEADER, HISTOGRAMS_WRITTEN_HEADER, SAMPLES_WRITTEN_HEADER};

/// Numbers of elements written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct WrittenCounts {
    /// Float samples.
    pub samples: u64,
    /// Histogram samples.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
}

impl WrittenCounts {
    /// The headers of an answer: names (lower case) and values.
    pub fn headers(self) -> [(&'static str, String); 3] {
        [
            (SAMPLES_WRITTEN_HEADER, self.samples.to_string()),
            (HISTOGRAMS_WRITTEN_HEADER, self.histograms.to_string()),
            (EXEMPLARS_WRITTEN_HEADER, self.exemplars.to_string()),
        ]
    }

    /// From an answer's headers; `value` looks one up by its lower-case name. `None` when there is not a single readable
    /// one of the three, as a receiver that only knows version 1.0 answers; a missing one beside others is 0.
    pub fn from_headers<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let read = |name| value(name).and_then(|text| text.trim().parse::<u64>().ok());
        let found = [SAMPLES_WRITTEN_HEADER, HISTOGRAMS_WRITTEN_HEADER, EXEMPLARS_WRITTEN_HEADER].map(read);
        found.iter().any(Option::is_some).then(|| {
            let [samples, histograms, exemplars] = found.map(Option::unwrap_or_default);
            Self { samples, histograms, exemplars }
        })
    }

    /// The smaller of each, for a request that went to several places.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            samples: self.samples.min(other.samples),
            histograms: self.histograms.min(other.histograms),
            exemplars: self.exemplars.min(other.exemplars),
        }
    }
}

impl std::ops::AddAssign for WrittenCounts {
    fn add_assign(&mut self, other: Self) {
        self.samples += other.samples;
        self.histograms += other.histograms;
        self.exemplars += other.exemplars;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_there_and_back() {
        let counts = WrittenCounts { samples: 12, histograms: 0, exemplars: u64::MAX };
        let headers = counts.headers();
        let look = |name: &str| headers.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str());
        assert_eq!(WrittenCounts::from_headers(look), Some(counts));
    }

    #[test]
    fn absent_headers_are_not_zero() {
        assert_eq!(WrittenCounts::from_headers(|_| None), None);
        assert_eq!(WrittenCounts::from_headers(|_| Some("many")), None);
        let one = WrittenCounts::from_headers(|name| (name == HISTOGRAMS_WRITTEN_HEADER).then_some(" 3"));
        assert_eq!(one, Some(WrittenCounts { histograms: 3, ..WrittenCounts::default() }));
    }

    #[test]
    fn minimum_is_taken_of_each() {
        let left = WrittenCounts { samples: 1, histograms: 5, exemplars: 2 };
        let right = WrittenCounts { samples: 3, histograms: 4, exemplars: 2 };
        assert_eq!(left.min(right), WrittenCounts { samples: 1, histograms: 4, exemplars: 2 });
    }
}
