use super::*;

#[test]
fn varints_of_every_length_at_every_distance_from_the_end() {
    let mut values = vec![0, 1, 127, 128, u64::MAX, i64::MAX as u64];
    values.extend((0..64).flat_map(|bits| [1u64 << bits, (1 << bits) - 1, (1u64 << bits) | 0x55]));
    for value in values {
        for tail in 0..12 {
            let mut bytes = Vec::new();
            put_varint(value, &mut bytes);
            assert_eq!(bytes.len(), varint_length(value), "{value}");
            bytes.extend(vec![0xff; tail]);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.varint(), Ok(value), "{tail} bytes behind it");
            assert_eq!(reader.rest().len(), tail);
        }
    }
}

#[test]
fn varints_may_be_longer_than_needed_but_not_than_64_bits() {
    let cases: [(&[u8], Result<u64, WireFault>); 8] = [
        (&[0x85, 0x00], Ok(5)),
        (&[0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], Ok(1)),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Ok(u64::MAX)),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], Err(WireFault::VarintTooLong)),
        (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], Err(WireFault::VarintTooLong)),
        (&[0x80], Err(WireFault::Truncated)),
        (&[0xff, 0xff, 0xff, 0xff, 0xff], Err(WireFault::Truncated)),
        (&[], Err(WireFault::Truncated)),
    ];
    for (bytes, expected) in cases {
        assert_eq!(Reader::new(bytes).varint().map_err(|fault| fault.what), expected, "{bytes:x?}");
    }
}

#[test]
fn zigzag_and_ranges() {
    let read = |value| {
        let mut bytes = Vec::new();
        put_varint(value, &mut bytes);
        let mut reader = Reader::new(&bytes);
        (reader.sint64().unwrap(), Reader::new(&bytes).sint32().map_err(|fault| fault.what))
    };
    assert_eq!(read(0), (0, Ok(0)));
    assert_eq!(read(1), (-1, Ok(-1)));
    assert_eq!(read(u64::from(u32::MAX)), (i64::from(i32::MIN), Ok(i32::MIN)));
    assert_eq!(read(u64::from(u32::MAX) + 1), (i64::from(i32::MAX) + 1, Err(WireFault::IntegerRange)));
    assert_eq!(read(u64::MAX), (i64::MIN, Err(WireFault::IntegerRange)));
}

#[test]
fn skipping_tells_what_cannot_be() {
    let known = fields(&[1, 2]);
    let cases: [(&[u8], Result<usize, WireFault>); 12] = [
        (&[3 << 3, 0x96, 1, 7], Ok(1)),
        (&[3 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8], Ok(0)),
        (&[3 << 3 | 2, 2, 9, 9, 7], Ok(1)),
        (&[3 << 3 | 5, 1, 2, 3, 4], Ok(0)),
        (&[3 << 3 | 5, 1, 2, 3], Err(WireFault::Truncated)),
        (&[3 << 3 | 2, 3, 9, 9], Err(WireFault::LengthBeyondEnd { length: 3, left: 2 })),
        (&[3 << 3 | 3, 3 << 3 | 4], Err(WireFault::Group { field: 3 })),
        (&[3 << 3 | 4], Err(WireFault::Group { field: 3 })),
        (&[3 << 3 | 6, 0], Err(WireFault::UnknownWireType { field: 3, wire: 6 })),
        (&[2, 0], Err(WireFault::FieldNumber)),
        (&[2 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8], Err(WireFault::WireType { field: 2, wire: 1 })),
        (&[0xf8, 0xff, 0xff, 0xff, 0x1f, 0], Err(WireFault::FieldNumber)),
    ];
    for (bytes, expected) in cases {
        let mut reader = Reader::new(bytes);
        let skipped = reader.key().and_then(|key| reader.skip(key, known)).map(|()| reader.rest().len());
        assert_eq!(skipped.map_err(|fault| fault.what), expected, "{bytes:x?}");
    }
}

#[test]
fn offsets_count_from_the_start_of_the_request() {
    // 1: { 2: { 3: <truncated> } }
    let bytes = [0x0a, 5, 0x12, 3, 0x19, 1, 2];
    let mut outer = Reader::new(&bytes);
    outer.key().unwrap();
    let mut middle = outer.message().unwrap();
    assert_eq!(middle.offset(), 2);
    middle.key().unwrap();
    let mut inner = middle.message().unwrap();
    assert_eq!(inner.offset(), 4);
    inner.key().unwrap();
    assert_eq!(inner.fixed64(), Err(Fault { offset: 5, what: WireFault::Truncated }));
}
