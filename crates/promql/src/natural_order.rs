//! The order in which people read texts with numbers: `node-2` before `node-10`.
//!
//! Runs of digits compare as numbers, everything else as text. Upstream's comparison is no order where a text is empty
//! or numbers differ in leading zeros only: each is then "not less" or "less" both ways. What a sort makes of that depends
//! on its steps, so short lists are sorted as Go sorts them.

use std::cmp::Ordering;

/// Whether `left` comes before `right`, two different texts.
pub(crate) fn upstream_less(left: &str, right: &str) -> bool {
    let (mut lefts, mut rights) = (Chunks { rest: left }.peekable(), Chunks { rest: right }.peekable());
    while let Some(left) = lefts.next() {
        let Some(right) = rights.next() else { return false };
        match (number(left), number(right)) {
            (Some(left), Some(right)) if left != right => return left < right,
            (Some(_), Some(_)) => {}
            _ if left != right => return left < right,
            _ => {}
        }
        if lefts.peek().is_none() {
            return true;
        }
        if rights.peek().is_none() {
            return false;
        }
    }
    false
}

/// Sorts by an order that may contradict itself: up to [`GO_INSERTION_MAX`] elements with the very steps of Go's
/// `slices.SortFunc`, more of them by merging, which ends whatever the order says.
pub(crate) fn sort_unsteadily<T>(elements: &mut Vec<T>, compare: impl Fn(&T, &T) -> Ordering + Copy) {
    if elements.len() > GO_INSERTION_MAX {
        let mut right = elements.split_off(elements.len() / 2);
        sort_unsteadily(elements, compare);
        sort_unsteadily(&mut right, compare);
        let left = std::mem::take(elements);
        elements.reserve(left.len() + right.len());
        merge(left, right, elements, compare);
        return;
    }
    for index in 1..elements.len() {
        let mut place = index;
        while place > 0 && compare(&elements[place], &elements[place - 1]) == Ordering::Less {
            elements.swap(place, place - 1);
            place -= 1;
        }
    }
}

fn merge<T>(left: Vec<T>, right: Vec<T>, into: &mut Vec<T>, compare: impl Fn(&T, &T) -> Ordering) {
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(first), Some(second)) = (left.peek(), right.peek()) {
        let next = if compare(second, first) == Ordering::Less { right.next() } else { left.next() };
        into.extend(next);
    }
    into.extend(left);
    into.extend(right);
}

/// Runs of digits, and what stands between them.
struct Chunks<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let is_digit = self.rest.bytes().next()?.is_ascii_digit();
        let end = self.rest.bytes().position(|byte| byte.is_ascii_digit() != is_digit).unwrap_or(self.rest.len());
        let (chunk, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(chunk)
    }
}

/// As Go's `Atoi` reads it: what does not fit 64 bits is text.
fn number(chunk: &str) -> Option<i64> {
    chunk.parse().ok()
}

/// The most elements that Go sorts by insertion.
const GO_INSERTION_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_as_numbers() {
        let rising = ["-", "1", "2", "10", "10a", "10b", "a", "a1", "a1.5", "a1.10", "a2", "a10", "a10-1", "b"];
        for (index, left) in rising.iter().enumerate() {
            for right in &rising[index + 1..] {
                assert!(upstream_less(left, right), "{left} {right}");
                assert!(!upstream_less(right, left), "{right} {left}");
            }
        }
        let huge = ("99999999999999999999", "100000000000000000000");
        assert!(!upstream_less(huge.0, huge.1), "as texts");
        assert!(upstream_less("01", "1") && upstream_less("1", "01"));
        assert!(!upstream_less("", "a") && !upstream_less("a", ""));
    }

    #[test]
    fn sorts_any_number() {
        for count in [0_usize, 1, 12, 13, 1000] {
            let mut numbers: Vec<usize> = (0..count).map(|index| index * 7919 % 1009).collect();
            let mut expected = numbers.clone();
            expected.sort_unstable();
            sort_unsteadily(&mut numbers, usize::cmp);
            assert_eq!(numbers, expected);
        }
    }
}
