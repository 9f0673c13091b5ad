//! Which series meet a selector's matchers.
//!
//! An absent label has the empty value. So a matcher that the empty value meets cannot be answered from postings alone:
//! it takes away the series whose value does not meet it, and leaves those without the label.

use model::{MatchOp, Matcher};
use parking_lot::RwLockReadGuard;

use super::Index;

/// Slots of the living series that meet all matchers, rising. The caller holds a generation from before.
pub(crate) fn matching(index: &mut RwLockReadGuard<'_, Index>, matchers: &[Matcher]) -> Vec<u32> {
    let mut slots = matching_dead_or_alive(index, matchers);
    slots.retain(|slot| index.is_alive(*slot));
    slots
}

/// The same with series that are dead but not purged yet.
pub(crate) fn matching_dead_or_alive(index: &mut RwLockReadGuard<'_, Index>, matchers: &[Matcher]) -> Vec<u32> {
    // Equality first: it is cheap and leaves few.
    let (exact, others): (Vec<_>, Vec<_>) =
        matchers.iter().partition(|matcher| matcher.op() == MatchOp::Equal && !matcher.value().is_empty());
    let mut candidates: Option<Vec<u32>> = intersect_exact(index, &exact);
    // Then those that need the label to be there, then those that take away.
    let (present, absent): (Vec<_>, Vec<_>) = others.into_iter().partition(|matcher| !matcher.matches_empty());
    for matcher in present.into_iter().chain(absent) {
        if candidates.as_ref().is_some_and(Vec::is_empty) {
            break;
        }
        candidates = Some(narrow(index, candidates, matcher));
    }
    candidates.unwrap_or_else(|| all(index))
}

fn all(index: &Index) -> Vec<u32> {
    (0..index.len()).filter(|slot| index.is_used(*slot)).collect()
}

/// The series that have all these pairs; `None` when none is asked for.
fn intersect_exact(index: &Index, exact: &[&Matcher]) -> Option<Vec<u32>> {
    let mut lists: Vec<&[u32]> = exact
        .iter()
        .map(|matcher| index.pair(matcher.name(), matcher.value()).map_or(&[][..], |pair| pair.postings.as_slice()))
        .collect();
    lists.sort_by_key(|list| list.len());
    let (shortest, rest) = lists.split_first()?;
    let mut slots = shortest.to_vec();
    for list in rest {
        retain_common(&mut slots, list);
    }
    Some(slots)
}

/// Keeps those of `slots` that are in `list`, too. Both rise.
fn retain_common(slots: &mut Vec<u32>, list: &[u32]) {
    let mut rest = list;
    if slots.len() * 16 < list.len() {
        slots.retain(|slot| {
            rest = &rest[gallop(rest, *slot)..];
            rest.first() == Some(slot)
        });
        return;
    }
    slots.retain(|slot| {
        let skipped = rest.iter().take_while(|other| *other < slot).count();
        rest = &rest[skipped..];
        rest.first() == Some(slot)
    });
}

/// How many of the rising `list` are below `slot`: steps that double, then halving.
fn gallop(list: &[u32], slot: u32) -> usize {
    let mut step = 1;
    while step < list.len() && list[step] < slot {
        step *= 2;
    }
    let from = step / 2;
    let to = (step + 1).min(list.len());
    from + list[from..to].partition_point(|other| *other < slot)
}

fn narrow(index: &mut RwLockReadGuard<'_, Index>, candidates: Option<Vec<u32>>, matcher: &Matcher) -> Vec<u32> {
    let pairs = index.name(matcher.name()).map_or(0, |name| name.pairs.len());
    match candidates {
        // Few series and many values: asking each series is cheaper than asking each value.
        Some(slots) if slots.len() < pairs => ask_series(index, slots, matcher),
        candidates => ask_values(index, candidates, matcher),
    }
}

fn ask_series(index: &Index, mut slots: Vec<u32>, matcher: &Matcher) -> Vec<u32> {
    let Some(name) = index.name_id(matcher.name()) else {
        return if matcher.matches_empty() { slots } else { Vec::new() };
    };
    slots.retain(|slot| {
        let pair = index.pairs_of(*slot).iter().find(|pair| index.name_of(**pair) == name);
        pair.map_or(matcher.matches_empty(), |pair| matcher.matches(index.value_of(*pair)))
    });
    slots
}

fn ask_values(index: &mut RwLockReadGuard<'_, Index>, candidates: Option<Vec<u32>>, matcher: &Matcher) -> Vec<u32> {
    let takes_away = matcher.matches_empty();
    let mut marked = Bits::new(index.len());
    // Before the lock is let go of: what comes meanwhile is marked in part only.
    let candidates = candidates.or_else(|| takes_away.then(|| all(index)));
    let pairs = index.name(matcher.name()).map_or(Vec::new(), |name| name.pairs.clone());
    for run in pairs.chunks(VALUES_PER_LOCK) {
        for pair in run {
            if matcher.matches(index.value_of(*pair)) != takes_away {
                index.pair_at(*pair).postings.as_slice().iter().for_each(|slot| marked.set(*slot));
            }
        }
        // Patterns over many values take long: let a waiting writer go first. Pairs and slots stay what they are.
        RwLockReadGuard::bump(index);
    }
    match candidates {
        Some(mut slots) => {
            slots.retain(|slot| marked.get(*slot) != takes_away);
            slots
        }
        None => marked.slots(),
    }
}

/// A set of slots below a length.
struct Bits {
    words: Vec<u64>,
    length: u32,
}

impl Bits {
    fn new(length: u32) -> Self {
        Self { words: vec![0; (length as usize).div_ceil(64)], length }
    }

    /// Slots that came after the set was made are left out.
    fn set(&mut self, slot: u32) {
        if let Some(word) = self.words.get_mut(slot as usize / 64) {
            *word |= 1 << (slot % 64);
        }
    }

    fn get(&self, slot: u32) -> bool {
        self.words.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// The set's slots, rising.
    fn slots(&self) -> Vec<u32> {
        let mut slots = Vec::new();
        for (index, word) in self.words.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                slots.push(index as u32 * 64 + word.trailing_zeros());
                word &= word - 1;
            }
        }
        slots.truncate(slots.partition_point(|slot| *slot < self.length));
        slots
    }
}

impl Index {
    /// Names of labels, sorted; `None` for all series.
    pub(crate) fn names_of(&self, slots: Option<&[u32]>) -> Vec<String> {
        let mut names: Vec<String> = match slots {
            None => self.all_names().map(str::to_owned).collect(),
            Some(slots) => {
                let mut ids: Vec<u32> = Vec::new();
                for slot in slots {
                    ids.extend(self.pairs_of(*slot).iter().map(|pair| self.name_of(*pair)));
                    // Few names, many series: keep the list short on the way.
                    if ids.len() > 4096 {
                        ids.sort_unstable();
                        ids.dedup();
                    }
                }
                ids.sort_unstable();
                ids.dedup();
                ids.iter().map(|id| self.name_text(*id).to_owned()).collect()
            }
        };
        names.sort_unstable();
        names
    }

    /// Values of the label `name`, sorted; `None` for all series.
    pub(crate) fn values_of(&self, name: &str, slots: Option<&[u32]>) -> Vec<String> {
        let Some(id) = self.name_id(name) else { return Vec::new() };
        let mut values: Vec<&str> = match slots {
            None => self
                .name(name)
                .expect("it has an id")
                .pairs
                .iter()
                .filter(|pair| !self.pair_at(**pair).postings.as_slice().is_empty())
                .map(|pair| self.value_of(*pair))
                .collect(),
            Some(slots) => {
                let pair_of = |slot: &u32| self.pairs_of(*slot).iter().find(|pair| self.name_of(**pair) == id);
                let mut pairs: Vec<u32> = slots.iter().filter_map(pair_of).copied().collect();
                pairs.sort_unstable();
                pairs.dedup();
                pairs.iter().map(|pair| self.value_of(*pair)).collect()
            }
        };
        values.sort_unstable();
        values.into_iter().map(str::to_owned).collect()
    }
}

/// Between two offers to let a writer in.
const VALUES_PER_LOCK: usize = 1024;

#[cfg(test)]
mod tests;
