use super::*;

/// Decodes `input` in pieces of `size` bytes; gives the data and what was left over.
fn decode(input: &[u8], size: usize) -> Result<Option<(Vec<u8>, usize)>, ChunkError> {
    let (mut decoder, mut data, mut used) = (ChunkDecoder::new(), Vec::new(), 0);
    for piece in input.chunks(size) {
        let taken = decoder.decode(piece, &mut data)?;
        used += taken;
        if decoder.is_done() {
            return Ok(Some((data, input.len() - used)));
        }
        assert_eq!(taken, piece.len());
    }
    Ok(None)
}

#[test]
fn chunks_are_joined_however_they_come() {
    let body = b"4\r\nabcd\r\n00a;name=\"x;y\"\r\n0123456789\r\n1 \r\nz\r\n0\r\nTrailer: 1\r\nOther: 2\r\n\r\nGET";
    for size in 1..body.len() {
        assert_eq!(decode(body, size).unwrap(), Some((b"abcd0123456789z".to_vec(), 3)), "{size}");
    }
    assert_eq!(decode(b"0\r\n\r\n", 2).unwrap(), Some((Vec::new(), 0)));
    assert_eq!(decode(b"3\r\nab", 1).unwrap(), None);
}

#[test]
fn what_is_no_chunk_is_refused() {
    for body in [
        "\r\n",
        " 1\r\na\r\n",
        "g\r\n",
        "-1\r\n",
        "0x1\r\na\r\n",
        "1\na\r\n",
        "1\r\na\n",
        "1\r\nab\r\n",
        "1\r\n\r\n\r\n",
        "1;a\nb\r\n",
        "1;a\0b\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\n\rX",
        "fffffffffffffffff\r\n",
    ] {
        for size in [1, body.len()] {
            assert_eq!(decode(body.as_bytes(), size), Err(ChunkError), "{body:?} by {size}");
        }
    }
}

#[test]
fn what_is_not_data_is_bounded() {
    let endless_extension = [b"1;".to_vec(), vec![b'a'; OVERHEAD_BYTES_MAX + 1]].concat();
    let endless_trailers = [b"0\r\n".to_vec(), b"a: b\r\n".repeat(OVERHEAD_BYTES_MAX / 3)].concat();
    for body in [endless_extension, endless_trailers] {
        assert_eq!(decode(&body, body.len()), Err(ChunkError));
    }
}

#[test]
fn what_we_write_we_read() {
    let mut body = Vec::new();
    for data in [&b"a"[..], &[7; 5000], b"xyz"] {
        chunk_head(data.len(), &mut body);
        body.extend_from_slice(data);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(LAST_CHUNK);
    let expected = [&b"a"[..], &[7; 5000], b"xyz"].concat();
    assert_eq!(decode(&body, 1000).unwrap(), Some((expected, 0)));
}
