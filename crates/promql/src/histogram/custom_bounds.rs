//! Custom buckets with different bounds: they are compared and added over the bounds that both have.

use super::{BucketCount, Buckets};

/// The bounds that are in both lists; the lists rise.
pub(super) fn intersection(left: &[f64], right: &[f64]) -> Vec<f64> {
    let mut right = right.iter().peekable();
    let in_both = |bound: &&f64| {
        while right.next_if(|other| *other < *bound).is_some() {}
        right.peek() == Some(bound)
    };
    left.iter().filter(in_both).copied().collect()
}

/// Hands on each count with the place of the bucket it belongs to among `target`, which has some of the `bounds`. The
/// place behind the last bound is the bucket up to infinity.
pub(super) fn joined<C: BucketCount>(
    buckets: &Buckets<C>,
    bounds: &[f64],
    target: &[f64],
    mut give: impl FnMut(usize, C),
) {
    let mut place = 0;
    for (index, count) in buckets.iter() {
        let upper = usize::try_from(index).ok().and_then(|index| bounds.get(index));
        match upper {
            // Both lists rise, so the place never goes back.
            Some(upper) => place += target[place..].iter().take_while(|bound| *bound < upper).count(),
            None => place = target.len(),
        }
        give(place, count);
    }
}
