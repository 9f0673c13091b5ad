use super::*;

fn decoded(body: &[u8], max: usize) -> Result<Vec<u8>, FramingError> {
    let mut out = Vec::new();
    decode(body, max, &mut out).map(|()| out)
}

#[test]
fn there_and_back() {
    let mut encoder = BlockEncoder::new();
    let (mut block, mut out) = (Vec::new(), Vec::new());
    // Longer and shorter in turns, so that what is left of the one before would show.
    for length in [0, 1, 70_000, 59, 60, 61, 300_000, 1000] {
        let message: Vec<u8> = (0..length).map(|index| (index * index / 7) as u8).collect();
        encoder.encode(&message, &mut block);
        assert_eq!(block, encode(&message));
        decode(&block, length, &mut out).unwrap();
        assert_eq!(out, message);
    }
}

#[test]
fn the_bound_is_checked_before_memory_is_taken() {
    let block = encode(&vec![7; 5000]);
    assert_eq!(decoded(&block, 4999), Err(FramingError::TooLarge { declared: 5000, max: 4999 }));
    assert_eq!(decoded(&block, 5000).unwrap().len(), 5000);
    for (declared, kind) in
        [(1u64 << 40, ErrorKind::TooLarge), (1 << 33, ErrorKind::TooLarge), (90_000, ErrorKind::Invalid)]
    {
        let mut body = Vec::new();
        crate::wire::put_varint(declared, &mut body);
        body.extend_from_slice(b"\x00x");
        let mut out = Vec::new();
        let error = decode(&body, 100_000, &mut out).expect_err("so much from so little");
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(out.capacity(), 0);
    }
}

#[test]
fn the_best_compression_there_is_passes() {
    let block = encode(&vec![0; 10 << 20]);
    assert_eq!(decoded(&block, 10 << 20).unwrap().len(), 10 << 20);
    // Copies of 64 bytes with three bytes each, which is the most that the format allows.
    let copies = 1000;
    let mut body = Vec::new();
    crate::wire::put_varint(60 + 64 * copies, &mut body);
    body.push(59 << 2);
    body.extend_from_slice(&[b'x'; 60]);
    for _ in 0..copies {
        body.extend_from_slice(&[63 << 2 | 2, 1, 0]);
    }
    assert_eq!(decoded(&body, 1 << 20).unwrap(), vec![b'x'; 60 + 64 * copies as usize]);
}

#[test]
fn broken_blocks() {
    let block = encode(b"some message, some message, some message");
    let mut framed = STREAM_IDENTIFIER.to_vec();
    framed.extend_from_slice(&block);
    let cases: [(&[u8], &str); 7] = [
        (b"", "the body is empty"),
        (&framed, "the body is in snappy's framed (stream) format"),
        (&block[..block.len() - 1], "the body is no snappy block"),
        (&[&b"0"[..], &block[1..]].concat(), "the body is no snappy block"),
        (&[&block[..], b"x"].concat(), "the body is no snappy block"),
        (&[0xff; 12], "the body is no snappy block: it does not start with a length"),
        (&[0x80], "the body is no snappy block: it does not start with a length"),
    ];
    for (body, text) in cases {
        let mut out = vec![1, 2, 3];
        let error = decode(body, 1 << 20, &mut out).expect_err(text);
        assert!(error.to_string().starts_with(text), "{error}");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(out.is_empty());
    }
}
