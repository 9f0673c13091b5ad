use std::collections::HashSet;

use super::*;

/// The hash stands on disks: these values are for ever.
#[test]
fn values_never_change() {
    let text = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-";
    let expected = [
        (0, 0x1210_347e),
        (1, 0xe35f_b706),
        (31, 0xef51_4465),
        (32, 0xee02_a52c),
        (33, 0x1ec4_3b16),
        (63, 0x6dcc_4b5b),
        (64, 0xea83_6434),
    ];
    assert_eq!(expected.map(|(length, _)| (length, series_hash(&text[..length]))), expected);
}

#[test]
fn steps_in_between_change_nothing() {
    let block: Vec<u8> = (0..200).collect();
    for length in 0..block.len() {
        let mut hasher = SeriesHasher::new(&block[..length]);
        for _ in 0..length % 9 {
            hasher.step();
        }
        assert_eq!(hasher.finish(), series_hash(&block[..length]));
    }
}

/// What real label sets differ in: one byte, one number, the length, the order.
#[test]
fn near_blocks_have_hashes_far_apart() {
    let mut seen = HashSet::new();
    let mut blocks = 0;
    let mut add = |block: &[u8]| {
        blocks += 1;
        seen.insert(series_hash(block));
    };
    let base = [b"__name__http_requests_total".as_slice(), &[b'x'; 100], b"instance10.244.1.7:8080"].concat();
    for at in 0..base.len() {
        for bit in 0..8 {
            let mut changed = base.clone();
            changed[at] ^= 1 << bit;
            add(&changed);
        }
    }
    for zeros in 0..200 {
        add(&vec![0; zeros]);
    }
    for number in 0..100_000u32 {
        add(format!("__name__up{{instance=\"10.0.{number}.example.com:9100\", job=\"node\"}} and more").as_bytes());
    }
    // Among 100,000 hashes of 32 bits one pair or so is the same by chance.
    assert!(blocks - seen.len() < 8, "{} of {blocks} collide", blocks - seen.len());
}
