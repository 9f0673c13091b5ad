//! What an open block costs, and that it is let go of.

use super::*;

#[test]
fn a_block_that_rests_is_let_go_of_and_can_be_used_again() {
    let (disk, ulids) = disk_with(&["mimir"]);
    let block = open(Mapping(disk), ulids[0]).unwrap();
    assert!(!block.is_loaded(), "opening does not read the index");
    let before = read(&block, &[]);
    let mut query = block.select(&[], TimeRange::ALL, Want::Samples).unwrap();
    block.rest();
    assert!(block.is_loaded(), "it was used since");
    block.rest();
    assert!(!block.is_loaded());
    assert!(query.next().unwrap().unwrap().chunks[0].data.load().is_ok(), "who reads goes on");
    assert_eq!(read(&block, &[]), before);
    assert!(block.is_loaded());
}

#[test]
fn an_open_index_takes_a_fraction_of_a_byte_for_each_text() {
    let series: BTreeSet<Labels> = (0..20_000)
        .map(|index| {
            let (pod, path) = (format!("web-{index:05}"), format!("/{}", index % 100));
            Labels::from_pairs([("__name__", "requests_total"), ("pod", &pod), ("path", &path)]).unwrap()
        })
        .collect();
    let block = super::select::Written::of(&series).open();
    let memory = block.load().unwrap().memory_bytes();
    // A place for every 32nd text and value: 100,000 series with a label of their own take some 50 kB.
    assert!(memory < 20_000, "{memory} bytes");
}
