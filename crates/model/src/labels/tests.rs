use proptest::prelude::*;

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

#[test]
fn sorts_and_drops_empty_values() {
    let set = labels(&[("z", "1"), ("__name__", "up"), ("gone", ""), ("a", "2")]);
    assert_eq!(set.iter().collect::<Vec<_>>(), [("__name__", "up"), ("a", "2"), ("z", "1")]);
    assert_eq!(set.metric_name(), "up");
    assert_eq!(set.get("z"), Some("1"));
    assert_eq!(set.get("gone"), None);
    assert_eq!(set.to_string(), r#"up{a="2", z="1"}"#);
}

#[test]
fn refuses_what_is_no_set() {
    assert_eq!(Labels::from_pairs([("a", "1"), ("a", "2")]), Err(LabelsError::DuplicateName("a".into())));
    assert_eq!(Labels::from_pairs([("", "1")]), Err(LabelsError::EmptyName("1".into())));
}

#[test]
fn long_texts_survive() {
    for length in [0, 1, 253, 254, 255, 256, 70_000] {
        let value = "v".repeat(length);
        let set = labels(&[("a", &value), ("b", "end")]);
        assert_eq!(set.get("a").unwrap_or(""), value);
        assert_eq!(set.get("b"), Some("end"));
    }
}

#[test]
fn builder_sets_and_removes() {
    let mut builder = labels(&[("a", "1"), ("b", "2")]).to_builder();
    builder.set("a", "3");
    builder.set("c", "4");
    builder.remove("b");
    assert_eq!(builder.build().unwrap(), labels(&[("a", "3"), ("c", "4")]));
}

#[test]
fn builder_packs_sorted_labels_one_set_after_the_other() {
    let mut builder = LabelsBuilder::default();
    builder.push("kept", "1");
    assert_eq!(builder.build_sorted([("a", "1"), ("c", "3")]), labels(&[("a", "1"), ("c", "3")]));
    assert_eq!(builder.build_sorted([]), Labels::empty());
    assert_eq!(builder.build().unwrap(), labels(&[("kept", "1")]));
}

proptest! {
    #[test]
    fn order_is_that_of_the_pairs(
        left in proptest::collection::btree_map("[a-c]{1,3}", "[a-c]{1,3}", 0..4),
        right in proptest::collection::btree_map("[a-c]{1,3}", "[a-c]{1,3}", 0..4),
    ) {
        let (left_set, right_set) = (Labels::from_pairs(&left).unwrap(), Labels::from_pairs(&right).unwrap());
        prop_assert_eq!(left_set.cmp(&right_set), left.iter().cmp(right.iter()));
        prop_assert_eq!(left_set == right_set, left == right);
    }
}

#[test]
fn text_as_prometheus_prints_it() {
    for (pairs, expected) in [
        (&[][..], "{}"),
        (&[("__name__", "up")], "up"),
        (&[("job", "a")], r#"{job="a"}"#),
        (&[("__name__", "up"), ("instance", "\"b\""), ("job", "a")], r#"up{instance="\"b\"", job="a"}"#),
        (&[("Job", "a"), ("__name__", "up")], r#"up{Job="a"}"#),
    ] {
        assert_eq!(Labels::from_pairs(pairs.iter().copied()).unwrap().to_string(), expected);
    }
}
