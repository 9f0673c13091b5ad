use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn set() -> impl Strategy<Value = Labels> {
    prop::collection::btree_map("[a-c]{1,2}", "[x-z]{0,2}", 0..5).prop_map(|pairs| Labels::from_pairs(pairs).unwrap())
}

#[derive(Clone, Debug)]
enum Step {
    /// Series that are looked for, and added if they are not there.
    Add(Vec<Labels>),
    /// Each series with one of these numbers, modulo so many, dies.
    Bury(BTreeSet<u32>, u32),
    /// One dead series comes back.
    Revive,
    /// Those that are dead go.
    Purge,
    /// What is left of them is used again.
    Free,
    /// The values of this name are put in order, while series with these labels come.
    Order(&'static str, Vec<Labels>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(set(), 0..30).prop_map(Step::Add),
        2 => (prop::collection::btree_set(0u32..6, 0..5), 1u32..6).prop_map(|(numbers, modulus)| Step::Bury(numbers, modulus)),
        1 => Just(Step::Revive),
        2 => Just(Step::Purge),
        1 => Just(Step::Free),
        1 => (prop::sample::select(vec!["a", "ab", "c"]), prop::collection::vec(set(), 0..5))
            .prop_map(|(name, sets)| Step::Order(name, sets)),
    ]
}

#[derive(Default)]
struct Run {
    index: Index,
    lookup: Lookup,
    series: BTreeMap<u32, Labels>,
    dead: BTreeSet<u32>,
    purged: Vec<Purged>,
    /// Slots that somebody may still have.
    kept: BTreeMap<u32, Labels>,
    /// Slots to be used again.
    free: BTreeSet<u32>,
}

impl Run {
    fn step(&mut self, step: Step) {
        match step {
            Step::Add(sets) => self.add(&sets),
            Step::Bury(numbers, modulus) => {
                let dead: Vec<u32> =
                    self.series.keys().copied().filter(|slot| numbers.contains(&(slot % modulus))).collect();
                dead.iter().for_each(|slot| self.index.set_dead(*slot, true));
                self.dead.extend(dead);
            }
            Step::Revive => {
                if let Some(slot) = self.dead.pop_first() {
                    self.index.set_dead(slot, false);
                }
            }
            Step::Purge => {
                let gone: BTreeMap<u32, Labels> =
                    self.series.extract_if(.., |slot, _| self.dead.contains(slot)).collect();
                self.dead.clear();
                let slots = gone.keys().copied().collect();
                self.kept.extend(gone);
                self.purged.push(purge(&mut self.index, slots));
            }
            Step::Free => {
                for mut purged in self.purged.drain(..) {
                    self.free.extend(free(&mut self.index, &mut purged));
                }
                self.kept.clear();
            }
            Step::Order(name, sets) => {
                let Some(id) = self.index.name_id(name) else { return };
                let unsorted = self.index.copy_of(id);
                self.add(&sets);
                self.index.set_order(unsorted.sort());
            }
        }
    }

    fn add(&mut self, sets: &[Labels]) {
        let mut batch: Vec<(u32, Labels)> = Vec::new();
        for labels in sets.iter().collect::<BTreeSet<_>>() {
            let known = self.series.iter().find(|(_, other)| *other == labels).map(|(slot, _)| *slot);
            assert_eq!(self.index.find(labels, &mut self.lookup), known, "{labels}");
            if known.is_none() {
                let taken = (self.series.len() + self.kept.len() + self.free.len()) as u32;
                let slot = self.free.pop_first().unwrap_or(taken);
                self.series.insert(slot, labels.clone());
                batch.push((slot, labels.clone()));
            }
        }
        self.index.add(&batch);
    }

    fn check(&self) {
        let (index, mut builder) = (&self.index, LabelsBuilder::default());
        assert!(index.all().iter().eq(self.series.keys().copied()));
        assert!(index.dead().iter().eq(self.dead.iter().copied()));
        assert!(self.series.keys().all(|slot| index.is_alive(*slot) != self.dead.contains(slot)));
        assert!(self.kept.keys().chain(&self.free).all(|slot| !index.is_alive(*slot)));
        for (slot, labels) in self.series.iter().chain(&self.kept) {
            assert_eq!(&index.labels(*slot, &mut builder), labels);
        }
        let mut pairs: BTreeMap<(&str, &str), Vec<u32>> = BTreeMap::new();
        for (slot, labels) in &self.series {
            labels.iter().for_each(|pair| pairs.entry(pair).or_default().push(*slot));
            for (other, other_labels) in &self.series {
                assert_eq!(index.compare(*slot, *other), labels.cmp(other_labels));
            }
        }
        for ((name, value), slots) in &pairs {
            assert!(index.pair(name, value).unwrap().postings.to_set().iter().eq(slots.iter().copied()));
        }
        let names: BTreeSet<&str> = pairs.keys().map(|(name, _)| *name).collect();
        assert!(index.names_of(None).iter().eq(names.iter().copied()));
        assert!(index.names_of(Some(index.all())).iter().eq(names.iter().copied()));
        for name in ["a", "ab", "b", "c", "none"] {
            let values: Vec<&str> = pairs.keys().filter(|(other, _)| *other == name).map(|(_, value)| *value).collect();
            assert_eq!(index.values_of(name, None), values);
            assert_eq!(index.values_of(name, Some(index.all())), values);
            assert_eq!(index.value_count(name), values.len());
            for prefix in ["", "x", "xy", "z", "zz", "zzz"] {
                let found: Vec<&str> = index.pairs_with_prefix(name, prefix).map(|pair| index.value_of(pair)).collect();
                let unique: BTreeSet<&str> = found.iter().copied().collect();
                assert_eq!(found.len(), unique.len());
                assert!(values.iter().all(|value| !value.starts_with(prefix) || unique.contains(value)));
                assert!(unique.iter().all(|value| values.contains(value)));
            }
        }
        let mut sorted: Vec<(&Labels, u32)> = self.series.iter().map(|(slot, labels)| (labels, *slot)).collect();
        sorted.sort();
        let mut slots: Vec<u32> = index.all().iter().collect();
        index.sort_by_labels(&mut slots);
        assert_eq!(slots, sorted.iter().map(|(_, slot)| *slot).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn series_come_and_go_and_are_found_sorted_and_listed(steps in prop::collection::vec(step(), 1..14)) {
        let mut run = Run::default();
        for step in steps {
            run.step(step);
            run.check();
        }
    }
}

#[test]
fn long_texts_and_many_labels() {
    let mut index = Index::default();
    let long = "x".repeat(200_000);
    let many: Vec<(String, String)> =
        (0..70_000).map(|number| (format!("n{number:05}"), long[..3].to_owned())).collect();
    let sets = [
        Labels::from_pairs([("a", long.as_str())]).unwrap(),
        Labels::from_pairs(many).unwrap(),
        Labels::from_pairs([("b", "short")]).unwrap(),
    ];
    index.add(&(0..).zip(sets.clone()).collect::<Vec<_>>());
    for (slot, labels) in (0..).zip(&sets) {
        assert_eq!(index.labels(slot, &mut LabelsBuilder::default()), *labels);
        assert_eq!(index.find(labels, &mut Lookup::default()), Some(slot));
    }
}

#[test]
fn what_goes_makes_room_for_what_comes() {
    let mut index = Index::default();
    let pod = |number: u32| {
        Labels::from_pairs([
            ("__name__", "up".to_owned()),
            ("pod", format!("pod-{number:06}")),
            ("x", "äé"[..2].to_owned()),
        ])
        .unwrap()
    };
    let mut bytes = 0;
    for round in 0..50 {
        index.add(&(0..200).map(|number| (number, pod(round * 200 + number))).collect::<Vec<_>>());
        let mut purged = purge(&mut index, (0..200).collect());
        assert_eq!(free(&mut index, &mut purged).len(), 200);
        if round == 0 {
            bytes = index.arena_bytes();
        }
    }
    assert_eq!((index.all().len(), index.arena_bytes()), (0, bytes));
}

fn purge(index: &mut Index, slots: Vec<u32>) -> Purged {
    slots.iter().for_each(|slot| index.unlink(*slot));
    let (gone, mut pairs) = (slots.iter().copied().collect(), Vec::new());
    index.add_pairs_of(&slots, &mut pairs);
    let mut purged = Purged::default();
    purged.slots = slots;
    let mut rest = &pairs[..];
    while !rest.is_empty() {
        rest = index.thin(rest, &gone, &mut purged);
    }
    index.names_of_purged(&purged).into_iter().for_each(|name| index.thin_name(name, &mut purged));
    purged
}

fn free(index: &mut Index, purged: &mut Purged) -> Vec<u32> {
    let mut all = Vec::new();
    loop {
        let (slots, is_done) = index.free(purged);
        all.extend(slots);
        if is_done {
            return all;
        }
    }
}
