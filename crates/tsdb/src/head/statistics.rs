//! Where the head's cardinality comes from: names and values with the most series.
//!
//! The index is looked at a name at a time, so that new series never wait for all of it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use model::METRIC_NAME;
use storage::{Count, Statistics};

use super::Head;
use super::index::NameSize;

impl Head {
    /// Counts, with at most `limit` names in each list. Series that died a moment ago may still count.
    pub(crate) fn statistics(&self, limit: usize) -> Statistics {
        let mut metric_names = Largest::new(limit);
        let (mut values, mut bytes, mut pairs) = (Largest::new(limit), Largest::new(limit), Largest::new(limit));
        let mut label_pairs = 0;
        let names = self.index.read().name_count();
        for name in 0..names {
            let index = self.index.read();
            let size = index.name_size(name, |name, value, series| {
                if name == METRIC_NAME {
                    metric_names.offer(series, || value.to_owned());
                }
                pairs.offer(series, || format!("{name}={value}"));
            });
            let Some(NameSize { name, values: count, bytes: size }) = size else { continue };
            label_pairs += count;
            values.offer(count, || name.to_owned());
            bytes.offer(size, || name.to_owned());
        }
        Statistics {
            series: u64::from(self.series_count()),
            label_pairs,
            chunks: 0,
            range: self.time_range(),
            series_by_metric_name: metric_names.finish(),
            values_by_label_name: values.finish(),
            bytes_by_label_name: bytes.finish(),
            series_by_label_pair: pairs.finish(),
        }
    }
}

/// The largest of many, found without keeping all.
struct Largest {
    /// The smallest on top. Of equal ones the name that comes later goes first.
    kept: BinaryHeap<Reverse<(u64, Reverse<String>)>>,
    limit: usize,
}

impl Largest {
    fn new(limit: usize) -> Self {
        Self { kept: BinaryHeap::new(), limit }
    }

    fn offer(&mut self, count: u64, name: impl FnOnce() -> String) {
        if self.kept.len() < self.limit {
            self.kept.push(Reverse((count, Reverse(name()))));
        } else if let Some(mut least) = self.kept.peek_mut().filter(|least| least.0.0 <= count) {
            let candidate = Reverse((count, Reverse(name())));
            if candidate < *least {
                *least = candidate;
            }
        }
    }

    /// From the largest to the smallest.
    fn finish(self) -> Vec<Count> {
        let kept = self.kept.into_sorted_vec();
        kept.into_iter().map(|Reverse((count, Reverse(name)))| Count { name, count }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_stay() {
        let mut largest = Largest::new(2);
        for (name, count) in [("a", 1), ("d", 3), ("b", 3), ("c", 3), ("e", 2)] {
            largest.offer(count, || name.to_owned());
        }
        let kept: Vec<_> = largest.finish().into_iter().map(|count| (count.name, count.count)).collect();
        assert_eq!(kept, [("b".to_owned(), 3), ("c".to_owned(), 3)]);
    }
}
