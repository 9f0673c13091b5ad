//! The buckets on one side of a histogram: which exist, and how much is in each.

use model::Span;

use super::BucketCount;

/// Buckets in order of their indexes.
///
/// Invariant: as many counts as the spans name buckets; indexes rise and fit an `i32`.
#[derive(Clone, PartialEq, Debug)]
pub struct Buckets<C = f64> {
    spans: Vec<Span>,
    counts: Vec<C>,
}

impl<C> Default for Buckets<C> {
    fn default() -> Self {
        Self { spans: Vec::new(), counts: Vec::new() }
    }
}

impl<C> Buckets<C> {
    /// Buckets at the places that spans name. What cannot be (indexes that fall or do not fit, more buckets than counts or
    /// the reverse) is cut off: only damaged data have it.
    pub fn new(mut spans: Vec<Span>, mut counts: Vec<C>) -> Self {
        let (mut named, mut end) = (0usize, 0i64);
        for index in 0..spans.len() {
            let Span { offset, length } = spans[index];
            end += i64::from(offset) + i64::from(length);
            let with_this = named.saturating_add(length as usize);
            if (index > 0 && offset < 0) || i32::try_from(end).is_err() || with_this > counts.len() {
                spans.truncate(index);
                break;
            }
            named = with_this;
        }
        counts.truncate(named);
        Self { spans, counts }
    }

    /// Which buckets exist.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The counts, bucket by bucket.
    pub fn counts(&self) -> &[C] {
        &self.counts
    }

    pub(super) fn counts_mut(&mut self) -> &mut [C] {
        &mut self.counts
    }

    /// Whether there is no bucket, not even an empty one.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Memory behind it.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.spans.as_slice()) + size_of_val(self.counts.as_slice())
    }

    /// The indexes of all buckets.
    pub fn indexes(&self) -> impl Iterator<Item = i32> + '_ {
        let mut next = 0;
        self.spans.iter().flat_map(move |span| {
            let start = next + span.offset;
            // The end may be one beyond the last index there is.
            next = start.wrapping_add_unsigned(span.length);
            (0..span.length).map(move |place| start.wrapping_add_unsigned(place))
        })
    }
}

impl<C: BucketCount> Buckets<C> {
    /// Indexes and counts, from the lowest index on.
    pub fn iter(&self) -> impl Iterator<Item = (i32, C)> + '_ {
        self.indexes().zip(self.counts.iter().copied())
    }

    /// Indexes and counts, from the highest index on.
    pub fn iter_back(&self) -> impl Iterator<Item = (i32, C)> + '_ {
        let end = |spans: &[Span]| {
            spans.iter().fold(0i32, |end, span| (end + span.offset).wrapping_add_unsigned(span.length))
        };
        let mut next = end(&self.spans);
        let indexes = self.spans.iter().rev().flat_map(move |span| {
            let end = next;
            let start = end.wrapping_sub_unsigned(span.length);
            next = start.wrapping_sub(span.offset);
            (0..span.length).rev().map(move |place| start.wrapping_add_unsigned(place))
        });
        indexes.zip(self.counts.iter().rev().copied())
    }

    pub(super) fn map<D>(&self, change: impl Fn(C) -> D) -> Buckets<D> {
        Buckets { spans: self.spans.clone(), counts: self.counts.iter().copied().map(change).collect() }
    }

    /// From indexes and counts in rising order of indexes.
    pub(super) fn collect(buckets: impl Iterator<Item = (i32, C)>) -> Self {
        let mut collected = Self::default();
        let mut end = 0;
        for (index, count) in buckets {
            collected.push(index, count, &mut end);
        }
        collected
    }

    /// Appends a bucket; `end` is the index behind the last one.
    #[inline]
    fn push(&mut self, index: i32, count: C, end: &mut i32) {
        match self.spans.last_mut() {
            Some(span) if *end == index => span.length += 1,
            _ => self.spans.push(Span { offset: index.wrapping_sub(*end), length: 1 }),
        }
        self.counts.push(count);
        *end = index.wrapping_add(1);
    }

    /// Adds what `other` has, in whatever buckets it has it; `read` makes these counts out of those. Leading buckets of
    /// `other` for which `skipped` holds are left out.
    pub(super) fn add<D: BucketCount>(
        &mut self,
        other: &Buckets<D>,
        read: impl Fn(D) -> C,
        skipped: impl Fn(i32) -> bool,
    ) {
        let Some(first) = other.indexes().next() else { return };
        let skips = skipped(first);
        if !skips && self.spans == other.spans {
            for (count, added) in self.counts.iter_mut().zip(&other.counts) {
                count.add(read(*added));
            }
            return;
        }
        let mut added = other.iter().skip_while(|(index, _)| skips && skipped(*index)).peekable();
        let mut merged = Self {
            spans: Vec::with_capacity(self.spans.len().max(other.spans.len())),
            counts: Vec::with_capacity(self.counts.len().max(other.counts.len())),
        };
        let mut end = 0;
        for (index, mut count) in self.iter() {
            while let Some((place, new)) = added.next_if(|(place, _)| *place < index) {
                merged.push(place, read(new), &mut end);
            }
            if let Some((_, more)) = added.next_if(|(place, _)| *place == index) {
                count.add(read(more));
            }
            merged.push(index, count, &mut end);
        }
        for (place, new) in added {
            merged.push(place, read(new), &mut end);
        }
        *self = merged;
    }

    /// Drops empty buckets.
    pub(super) fn compact(&mut self) {
        let is_compact = !self.counts.iter().any(|count| count.is_zero())
            && self.spans.iter().enumerate().all(|(place, span)| span.length > 0 && (place == 0 || span.offset > 0));
        if !is_compact {
            *self = Self::collect(self.iter().filter(|(_, count)| !count.is_zero()));
        }
    }

    /// Joins exponential buckets, each time `2^steps` of them.
    pub(super) fn reduce_resolution(&mut self, steps: u32) {
        let mut reduced = Self::default();
        let (mut last, mut end) = (None, 0);
        for (index, count) in self.iter() {
            // A bucket reaches down to the bound of the index before, hence the shift by one on both sides.
            let target = (index.wrapping_sub(1) >> steps.min(i32::BITS - 1)) + 1;
            match reduced.counts.last_mut() {
                Some(joined) if last == Some(target) => joined.add(count),
                _ => reduced.push(target, count, &mut end),
            }
            last = Some(target);
        }
        *self = reduced;
    }
}

impl Buckets<f64> {
    /// Whether both have the same buckets with the same counts, bit by bit.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.counts.len() == other.counts.len()
            && (self.spans == other.spans || self.indexes().eq(other.indexes()))
            && self.counts.iter().zip(&other.counts).all(|(left, right)| left.to_bits() == right.to_bits())
    }
}
