use proptest::prelude::*;

use super::*;

fn set() -> impl Strategy<Value = Labels> {
    prop::collection::btree_map("[a-c]{1,2}", "[x-z]{0,2}", 0..5).prop_map(|pairs| Labels::from_pairs(pairs).unwrap())
}

proptest! {
    #[test]
    fn series_are_found_compared_and_given_back(sets in prop::collection::vec(set(), 0..60)) {
        let (mut index, mut lookup, mut builder) = (Index::default(), Lookup::default(), LabelsBuilder::default());
        let mut slots: Vec<Labels> = Vec::new();
        for labels in &sets {
            let known = slots.iter().position(|other| other == labels).map(|slot| slot as u32);
            prop_assert_eq!(index.find(labels, &mut lookup), known);
            if known.is_none() {
                index.add(&[(slots.len() as u32, labels.clone())]);
                slots.push(labels.clone());
            }
        }
        prop_assert_eq!(index.len() as usize, slots.len());
        for (slot, labels) in (0..).zip(&slots) {
            prop_assert_eq!(&index.labels(slot, &mut builder), labels);
            for (other, other_labels) in (0..).zip(&slots) {
                prop_assert_eq!(index.compare(slot, other), labels.cmp(other_labels));
            }
            for (name, value) in labels {
                let postings = index.pair(name, value).unwrap().postings.as_slice();
                let expected: Vec<u32> = (0..).zip(&slots).filter(|(_, l)| l.get(name) == Some(value)).map(|(s, _)| s).collect();
                prop_assert_eq!(postings, expected);
            }
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
