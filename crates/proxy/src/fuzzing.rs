//! What must hold of the parsers for any input: for fuzz targets and the replay of their corpora alone.
//!
//! Each function answers whether the input is taken.

use std::time::Duration;

use environment::UnixTime;
use identity::AccessToken;

use crate::answer_head::{AnswerBody, AnswerHead};
use crate::chunked::{ChunkDecoder, LAST_CHUNK, chunk_head};
use crate::fields::FIELDS_MAX;
use crate::forward::{Kind, write_answer_head, write_request_head};
use crate::request_head::RequestHead;
use crate::upstream::Target;

/// A request's head: the same however its bytes come, and what goes to the upstream is again a head, with one host, our
/// token, and a body that ends where the sender's does.
pub fn request_head(input: &[u8]) -> bool {
    let mut parsed = RequestHead::new();
    let whole = parsed.parse(input, &mut 0);
    let (mut stepwise, mut line_start) = (RequestHead::new(), 0);
    // Errors of the lines' ends show as soon as they are there; everything else with the empty line.
    let by_steps = (0..=input.len()).map(|end| stepwise.parse(&input[..end], &mut line_start));
    assert_eq!(by_steps.into_iter().find(|step| *step != Ok(false)).unwrap_or(Ok(false)), whole);
    if whole != Ok(true) {
        return false;
    }
    if parsed.fields.len() > FIELDS_MAX - 3 {
        // With the fields that we add there are more than our own parser takes.
        return true;
    }
    let head = &input[..parsed.length];
    let url = "https://upstream.example/base/write?v=1".parse().expect("a constant URL");
    let target = Target::of(&url).expect("an https URL");
    let token = AccessToken::new("our-token", UnixTime::EPOCH, Duration::from_secs(1), None).expect("printable");
    for kind in [Kind::Write, Kind::Query] {
        let mut out = Vec::new();
        write_request_head(&mut out, &target, kind, &parsed, head, &token, parsed.body);
        let mut again = RequestHead::new();
        assert_eq!(again.parse(&out, &mut 0), Ok(true), "{}", String::from_utf8_lossy(&out));
        assert_eq!((again.length, again.body), (out.len(), parsed.body));
        let values = |name: &str| -> Vec<&[u8]> {
            let named = |field: &&crate::fields::Field| field.name.of(&out).eq_ignore_ascii_case(name.as_bytes());
            again.fields.iter().filter(named).map(|field| field.value.of(&out)).collect()
        };
        assert_eq!(values("authorization"), [b"Bearer our-token"]);
        assert_eq!(values("host"), [b"upstream.example"]);
        assert!(values("connection").is_empty() && values("expect").is_empty());
        assert!(again.method.of(&out) == parsed.method.of(head));
    }
    true
}

/// An answer's head: the same however its bytes come, and what goes to the sender is again a head of the same status.
pub fn answer_head(input: &[u8]) -> bool {
    let mut parsed = AnswerHead::new();
    let whole = parsed.parse(input, &mut 0);
    let (mut stepwise, mut line_start) = (AnswerHead::new(), 0);
    let by_steps = (0..=input.len()).map(|end| stepwise.parse(&input[..end], &mut line_start));
    assert_eq!(by_steps.into_iter().find(|step| *step != Ok(false)).unwrap_or(Ok(false)), whole);
    if whole != Ok(true) {
        return false;
    }
    if parsed.fields.len() > FIELDS_MAX - 3 {
        // With the fields that we add there are more than our own parser takes.
        return true;
    }
    let head = &input[..parsed.length];
    let framing = if parsed.body == AnswerBody::UntilClose { AnswerBody::Chunked } else { parsed.body };
    for kind in [Kind::Write, Kind::Query] {
        let mut out = Vec::new();
        write_answer_head(&mut out, kind, &parsed, head, framing, false);
        let mut again = AnswerHead::new();
        assert_eq!(again.parse(&out, &mut 0), Ok(true), "{}", String::from_utf8_lossy(&out));
        assert_eq!((again.length, again.status, again.body), (out.len(), parsed.status, framing));
        assert!(again.connection.is_empty() && again.keeps_alive);
    }
    true
}

/// A chunked body: the same however its bytes come, and what is written of its data reads as the same data.
pub fn chunked(input: &[u8]) -> bool {
    let decode = |piece_bytes: usize| {
        let (mut decoder, mut data, mut used) = (ChunkDecoder::new(), Vec::new(), 0);
        for piece in input.chunks(piece_bytes) {
            match decoder.decode(piece, &mut data) {
                Ok(taken) => used += taken,
                Err(error) => return Err(error),
            }
            if decoder.is_done() {
                break;
            }
        }
        Ok((decoder.is_done(), data, used))
    };
    let whole = decode(input.len().max(1));
    assert_eq!(decode(1), whole);
    assert_eq!(decode(7), whole);
    let Ok((true, data, _)) = whole else { return false };
    let mut written = Vec::new();
    for piece in data.chunks(300) {
        chunk_head(piece.len(), &mut written);
        written.extend_from_slice(piece);
        written.extend_from_slice(b"\r\n");
    }
    written.extend_from_slice(LAST_CHUNK);
    let (mut decoder, mut again) = (ChunkDecoder::new(), Vec::new());
    assert_eq!(decoder.decode(&written, &mut again), Ok(written.len()));
    assert!(decoder.is_done() && again == data);
    true
}
