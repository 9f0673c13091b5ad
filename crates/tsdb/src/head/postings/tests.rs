use proptest::prelude::*;

use super::*;

fn rising(max: u32) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::btree_set(0..max, 0..200).prop_map(|set| set.into_iter().collect())
}

proptest! {
    #[test]
    fn common_slots(left in rising(300), right in prop_oneof![rising(300), Just((0..5000).collect::<Vec<u32>>())]) {
        let expected: Vec<u32> = left.iter().copied().filter(|slot| right.contains(slot)).collect();
        let mut kept = left;
        retain_common(&mut kept, &right);
        prop_assert_eq!(kept, expected);
    }

    #[test]
    fn galloping_counts_what_is_below(list in rising(300), slot in 0u32..310) {
        prop_assert_eq!(gallop(&list, slot), list.iter().filter(|other| **other < slot).count());
    }

    #[test]
    fn bits_below_a_length(length in 0u32..200, set in rising(200)) {
        let mut bits = Bits::new(length);
        set.iter().for_each(|slot| bits.set(*slot));
        prop_assert_eq!(bits.slots(), set.into_iter().filter(|slot| *slot < length).collect::<Vec<_>>());
    }
}
