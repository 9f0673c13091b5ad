//! How a request can be taken apart: into *units*, the series that must stay together.
//!
//! A unit is mostly one series. Several messages of one series in one request are one unit, so that their samples keep
//! their order whatever is sent first. Units have an order of their own, in which suspects can be moved to the end.

use std::ops::Range;

/// The units of a request. Takes eight to twelve bytes for each series.
pub(crate) struct Sections {
    /// Numbers of series, unit by unit.
    order: Vec<u32>,
    /// Where in `order` each unit starts, and the end of the last; empty while every series is a unit.
    starts: Vec<u32>,
    /// Of each series, by its number.
    hashes: Vec<u32>,
}

impl Sections {
    /// Of a request whose series have these hashes.
    pub(crate) fn of(hashes: Vec<u32>) -> Self {
        let series = u32::try_from(hashes.len()).expect("a request of less than 4 GiB has fewer series");
        let mut sorted: Vec<u32> = (0..series).collect();
        sorted.sort_unstable_by_key(|index| (hashes[*index as usize], *index));
        let same = |left: &u32, right: &u32| hashes[*left as usize] == hashes[*right as usize];
        if !sorted.windows(2).any(|pair| same(&pair[0], &pair[1])) {
            return Self { order: (0..series).collect(), starts: Vec::new(), hashes };
        }
        let mut units: Vec<&[u32]> = sorted.chunk_by(same).collect();
        units.sort_unstable_by_key(|unit| unit[0]);
        let (order, starts) = laid_out(&units);
        Self { order, starts, hashes }
    }

    pub(crate) fn series_count(&self) -> usize {
        self.hashes.len()
    }

    pub(crate) fn hash(&self, series: usize) -> u32 {
        self.hashes[series]
    }

    /// Number of units.
    pub(crate) fn len(&self) -> usize {
        if self.starts.is_empty() { self.order.len() } else { self.starts.len() - 1 }
    }

    /// The series of these units, as they are to be sent.
    pub(crate) fn series(&self, units: Range<usize>) -> &[u32] {
        if self.starts.is_empty() {
            return &self.order[units];
        }
        &self.order[self.starts[units.start] as usize..self.starts[units.end] as usize]
    }

    /// Moves the suspects among `units` behind the others of them; answers where they start now. `None` when there are none,
    /// or nothing else.
    pub(crate) fn set_apart(&mut self, units: Range<usize>, is_suspect: impl Fn(u32) -> bool) -> Option<usize> {
        let all: Vec<Vec<u32>> = (0..self.len()).map(|unit| self.series(unit..unit + 1).to_vec()).collect();
        let (suspects, others): (Vec<_>, Vec<_>) =
            all[units.clone()].iter().partition(|unit| unit.iter().any(|series| is_suspect(*series)));
        if suspects.is_empty() || others.is_empty() {
            return None;
        }
        let cut_at = units.start + others.len();
        let moved = all[..units.start].iter().chain(others).chain(suspects).chain(&all[units.end..]);
        let (order, starts) = laid_out(&moved.map(Vec::as_slice).collect::<Vec<_>>());
        self.order = order;
        if !self.starts.is_empty() {
            self.starts = starts;
        }
        Some(cut_at)
    }
}

/// The series of these units one after the other, and where each unit starts.
fn laid_out(units: &[&[u32]]) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0];
    let mut order = Vec::new();
    for unit in units {
        order.extend_from_slice(unit);
        starts.push(order.len() as u32);
    }
    (order, starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_one_series_stay_together_and_in_order() {
        let sections = Sections::of(vec![7, 1, 7, 3, 1]);
        let units: Vec<_> = (0..sections.len()).map(|unit| sections.series(unit..unit + 1).to_vec()).collect();
        assert_eq!(units, [vec![0, 2], vec![1, 4], vec![3]]);
        assert_eq!(sections.series(1..3), [1, 4, 3]);
        assert_eq!(Sections::of(vec![9, 8, 7]).series(0..3), [0, 1, 2]);
    }

    #[test]
    fn suspects_go_to_the_end_of_their_range() {
        for hashes in [vec![1, 2, 3, 4, 5, 6], vec![1, 2, 3, 4, 5, 6, 6]] {
            let mut sections = Sections::of(hashes);
            assert_eq!(sections.set_apart(1..5, |series| series == 1 || series == 3), Some(3));
            assert_eq!(sections.series(0..5), [0, 2, 4, 1, 3]);
            assert_eq!(sections.set_apart(3..5, |_| true), None);
            assert_eq!(sections.set_apart(0..6, |_| false), None);
            assert_eq!(sections.len(), 6);
        }
    }
}
