//! Which series meet a selector's matchers.
//!
//! An absent label has the empty value. So a matcher that the empty value meets cannot be answered from postings alone:
//! it takes away the series whose value does not meet it, and leaves those without the label.

use model::{MatchOp, Matcher};
use parking_lot::RwLockReadGuard;
use roaring::RoaringBitmap;

use super::index::{Index, Union};

/// Slots of the living series that meet all matchers. The caller holds a generation from before.
pub(crate) fn matching(index: &mut RwLockReadGuard<'_, Index>, matchers: &[Matcher]) -> RoaringBitmap {
    let mut slots = matching_dead_or_alive(index, matchers);
    slots -= index.dead();
    slots
}

/// The same with series that are dead but not purged yet.
pub(crate) fn matching_dead_or_alive(index: &mut RwLockReadGuard<'_, Index>, matchers: &[Matcher]) -> RoaringBitmap {
    // Equality first: it is cheap and leaves few.
    let (exact, others): (Vec<_>, Vec<_>) =
        matchers.iter().partition(|matcher| matcher.op() == MatchOp::Equal && !matcher.value().is_empty());
    let mut found: Option<RoaringBitmap> = intersect_exact(index, &exact);
    let mut questions: Vec<Question<'_>> =
        others.into_iter().filter_map(|matcher| Question::of(index, matcher)).collect();
    // Then those that ask few values, and of these first the ones that need the label to be there.
    questions.sort_by_key(|question| (question.cost, question.takes_away));
    for question in questions {
        if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
            break;
        }
        found = Some(match found {
            // Few series and many values: asking each series is cheaper than asking each value.
            Some(slots) if slots.len() < question.cost as u64 => ask_series(index, &slots, question.matcher),
            found => {
                // Before the lock is let go of: of what comes meanwhile not all values are asked.
                let found = found.or_else(|| question.takes_away.then(|| index.all().clone()));
                let asked = ask_values(index, &question);
                match found {
                    Some(slots) if question.takes_away => slots - asked,
                    Some(slots) => slots & asked,
                    None => asked,
                }
            }
        });
    }
    found.unwrap_or_else(|| index.all().clone())
}

/// The series that have all these pairs; `None` when none is asked for.
fn intersect_exact(index: &Index, exact: &[&Matcher]) -> Option<RoaringBitmap> {
    let mut lists = Vec::with_capacity(exact.len());
    for matcher in exact {
        match index.pair(matcher.name(), matcher.value()) {
            Some(pair) => lists.push(&pair.postings),
            None => return Some(RoaringBitmap::new()),
        }
    }
    lists.sort_by_key(|list| list.len());
    let (shortest, rest) = lists.split_first()?;
    let mut slots = shortest.to_set();
    rest.iter().for_each(|list| list.intersect(&mut slots));
    Some(slots)
}

/// What a matcher asks of the values of its label.
struct Question<'m> {
    matcher: &'m Matcher,
    /// Series with an answer go; otherwise all others go.
    takes_away: bool,
    values: Values<'m>,
    /// How many values are looked at.
    cost: usize,
}

/// The values that may be an answer.
enum Values<'m> {
    /// These, and no others.
    Listed(Vec<&'m str>),
    /// Some that begin so.
    Prefixed(&'m str),
    Any,
}

impl<'m> Question<'m> {
    /// `None` for a matcher that every series meets.
    fn of(index: &Index, matcher: &'m Matcher) -> Option<Self> {
        let takes_away = matcher.matches_empty();
        if takes_away && matcher.matches_all() {
            return None;
        }
        // The values that the pattern tells of are those that meet `=~`, and those that do not meet `!~`.
        let tells = match matcher.op() {
            MatchOp::Regex => !takes_away,
            MatchOp::NotRegex => takes_away,
            MatchOp::Equal | MatchOp::NotEqual => false,
        };
        let values = match (matcher.op(), matcher.set_matches(), matcher.prefix()) {
            (MatchOp::NotEqual, ..) if takes_away => Values::Listed(vec![matcher.value()]),
            (_, Some(set), _) if tells => Values::Listed(set.iter().map(String::as_str).collect()),
            (_, _, Some(prefix)) if tells => Values::Prefixed(prefix),
            _ => Values::Any,
        };
        let cost = match &values {
            Values::Listed(values) => values.len(),
            Values::Prefixed(prefix) => index.pairs_with_prefix(matcher.name(), prefix).count(),
            Values::Any => index.value_count(matcher.name()),
        };
        Some(Self { matcher, takes_away, values, cost })
    }
}

fn ask_series(index: &Index, slots: &RoaringBitmap, matcher: &Matcher) -> RoaringBitmap {
    let Some(name) = index.name_id(matcher.name()) else {
        return if matcher.matches_empty() { slots.clone() } else { RoaringBitmap::new() };
    };
    let meets = |slot: &u32| {
        let pair = index.pairs_of(*slot).iter().find(|pair| index.name_of(**pair) == name);
        pair.map_or(matcher.matches_empty(), |pair| matcher.matches(index.value_of(*pair)))
    };
    RoaringBitmap::from_sorted_iter(slots.iter().filter(meets)).expect("slots of a set rise")
}

/// The series with a value that answers the question.
fn ask_values(index: &mut RwLockReadGuard<'_, Index>, question: &Question<'_>) -> RoaringBitmap {
    let mut union = Union::default();
    let name = question.matcher.name();
    let pairs: Vec<u32> = match &question.values {
        Values::Listed(values) => {
            let Some(name) = index.name_id(name) else { return RoaringBitmap::new() };
            let pairs = values.iter().filter_map(|value| index.pair_id(name, value));
            pairs.for_each(|pair| union.add(&index.pair_at(pair).postings));
            return union.finish();
        }
        Values::Prefixed(prefix) => {
            let mut pairs: Vec<u32> = index.pairs_with_prefix(name, prefix).collect();
            // As they came, so that their texts are read as they lie in memory.
            pairs.sort_unstable();
            pairs
        }
        Values::Any => index.pairs_of_name(name).to_vec(),
    };
    for run in pairs.chunks(VALUES_PER_LOCK) {
        for pair in run {
            if question.matcher.matches(index.value_of(*pair)) != question.takes_away {
                union.add(&index.pair_at(*pair).postings);
            }
        }
        // Patterns over many values take long: let a waiting writer go first. Pairs and slots stay what they are.
        RwLockReadGuard::bump(index);
    }
    union.finish()
}

/// Between two offers to let a writer in.
pub(super) const VALUES_PER_LOCK: usize = 1024;
