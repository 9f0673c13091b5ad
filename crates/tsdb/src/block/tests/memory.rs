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
