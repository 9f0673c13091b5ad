//! From the values of an interval to what is said of it.

/// How the values of an interval become one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Aggregation {
    /// Their mean.
    Average,
    /// How many there are.
    Count,
    /// The largest.
    Maximum,
    /// The smallest.
    Minimum,
    /// Their sum.
    Total,
}

impl Aggregation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Average, Self::Count, Self::Maximum, Self::Minimum, Self::Total];

    /// As the metrics API writes it; in data points in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Average => "Average",
            Self::Count => "Count",
            Self::Maximum => "Maximum",
            Self::Minimum => "Minimum",
            Self::Total => "Total",
        }
    }

    /// The one of this name, compared without regard to case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|aggregation| aggregation.as_str().eq_ignore_ascii_case(name))
    }
}

/// What must be known of an interval's values for all aggregations.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Summary {
    count: u64,
    total: f64,
    minimum: f64,
    maximum: f64,
}

impl Summary {
    pub(crate) fn add(&mut self, value: f64) {
        if self.count == 0 {
            (self.minimum, self.maximum) = (value, value);
        }
        self.count += 1;
        self.total += value;
        self.minimum = self.minimum.min(value);
        self.maximum = self.maximum.max(value);
    }

    /// `None` where there is no value.
    pub(crate) fn get(&self, aggregation: Aggregation) -> Option<f64> {
        (self.count > 0).then(|| match aggregation {
            Aggregation::Average => self.total / self.count as f64,
            Aggregation::Count => self.count as f64,
            Aggregation::Maximum => self.maximum,
            Aggregation::Minimum => self.minimum,
            Aggregation::Total => self.total,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for aggregation in Aggregation::ALL {
            assert_eq!(Aggregation::parse(&aggregation.as_str().to_lowercase()), Some(aggregation));
        }
        assert_eq!(Aggregation::parse("Median"), None);
    }

    #[test]
    fn aggregates() {
        for (values, expected) in [
            (&[][..], [None; 5]),
            (&[-3.0], [Some(-3.0), Some(1.0), Some(-3.0), Some(-3.0), Some(-3.0)]),
            (&[4.0, 1.0, 7.0], [Some(4.0), Some(3.0), Some(7.0), Some(1.0), Some(12.0)]),
        ] {
            let mut summary = Summary::default();
            values.iter().for_each(|value| summary.add(*value));
            assert_eq!(Aggregation::ALL.map(|aggregation| summary.get(aggregation)), expected, "{values:?}");
        }
    }
}
