use model::{Counts, Matcher, NativeHistogram, ResetHint, Span, TimestampMs};
use storage::TimeRange;
use testkit::series_store::{SeriesStore, StoredValue};
use tsdb_format::chunk::{ChunkEncoding, HistogramDecoder, XorDecoder};

use super::chunks::stream;
use super::*;
use crate::wire::{Fields, Value, put_integer};

fn field(number: u32, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    crate::wire::put_bytes(&mut out, number, message);
    out
}

fn matcher(op: u64, name: &str, value: &str) -> Vec<u8> {
    let mut message = Vec::new();
    put_integer(&mut message, 1, op);
    message.extend(field(2, name.as_bytes()));
    message.extend(field(3, value.as_bytes()));
    field(3, &message)
}

fn query(start: i64, end: i64, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut message = Vec::new();
    put_integer(&mut message, 1, start as u64);
    put_integer(&mut message, 2, end as u64);
    message.extend(parts.concat());
    field(1, &message)
}

#[test]
fn requests() {
    let mut hints = Vec::new();
    for (number, value) in [(1, 15), (3, 150), (4, 180), (6, 1), (7, 5)] {
        put_integer(&mut hints, number, value);
    }
    hints.extend(field(2, b"rate"));
    let matchers = [matcher(0, "__name__", "up"), matcher(3, "job", "a.*")];
    let mut message = query(100, 200, &[matchers.concat(), field(4, &hints)]);
    message.extend(query(-5, 5, &[]));
    message.extend(field(2, &[7, 1, 0]));
    let read = ReadRequest::parse(&message).unwrap();
    let ranges: Vec<_> = read.queries.iter().map(|query| (query.range.start.0, query.range.end.0)).collect();
    assert_eq!(ranges, [(150, 180), (-5, 5)]);
    let matchers: Vec<_> = read.queries[0].matchers.iter().map(|m| (m.name(), m.op().as_str(), m.value())).collect();
    assert_eq!(matchers, [("__name__", "=", "up"), ("job", "!~", "a.*")]);
    assert_eq!(read.response_type().unwrap(), ResponseType::StreamedChunks);
    for (accepted, expected) in [
        (vec![], Some(ResponseType::Samples)),
        (vec![field(2, &[0, 1])], Some(ResponseType::Samples)),
        (vec![vec![0x10, 9], vec![0x10, 0]], Some(ResponseType::Samples)),
        (vec![field(2, &[2])], None),
    ] {
        assert_eq!(ReadRequest::parse(&accepted.concat()).unwrap().response_type().ok(), expected);
    }
}

#[test]
fn what_is_no_request() {
    for (message, reason) in [
        (query(0, 1, &[matcher(4, "a", "b")]), "invalid matcher type"),
        (query(0, 1, &[matcher(2, "a", "(")]), "("),
        (query(0, 1, &[field(3, &field(2, &[0xff]))]), "no UTF-8"),
        (query(0, 1, &vec![matcher(0, "a", "b"); 257]), "256 matchers"),
        (vec![query(0, 1, &[]); 65].concat(), "64 queries"),
        (vec![0x0a, 200], "unexpected end"),
    ] {
        let error = ReadRequest::parse(&message).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

fn histogram(count: u64, hint: ResetHint) -> StoredValue {
    StoredValue::Histogram(Arc::new(NativeHistogram {
        schema: 0,
        sum: 1.0,
        reset_hint: hint,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        counts: Counts::Integer { count, zero_count: 0, positive: vec![count as i64], negative: vec![] },
        ..NativeHistogram::stale()
    }))
}

/// Frames of a stream → per series its chunks as `encoding start end samples`.
fn read_back(frames: &[Vec<u8>]) -> Vec<(u64, String, Vec<String>)> {
    let mut found: Vec<(u64, String, Vec<String>)> = Vec::new();
    for frame in frames {
        let length_bytes = frame.iter().position(|byte| *byte < 0x80).unwrap() + 1;
        let (checksum, message) = frame[length_bytes..].split_first_chunk().unwrap();
        assert_eq!(crc32c::crc32c(message), u32::from_be_bytes(*checksum));
        let length = frame[..length_bytes].iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
        assert_eq!(length, message.len());
        let (mut labels, mut chunks, mut index) = (String::new(), Vec::new(), 0);
        for field in Fields::new(message) {
            match field.unwrap() {
                (1, series) => {
                    for field in Fields::new(series.bytes().unwrap()) {
                        match field.unwrap() {
                            (1, pair) => {
                                let texts =
                                    Fields::new(pair.bytes().unwrap()).map(|text| text.unwrap().1.text().unwrap());
                                labels.push_str(&texts.collect::<Vec<_>>().join("="));
                                labels.push(' ');
                            }
                            (2, chunk) => chunks.push(read_chunk(chunk.bytes().unwrap())),
                            other => panic!("{other:?}"),
                        }
                    }
                }
                (2, Value::Number(number)) => index = number,
                other => panic!("{other:?}"),
            }
        }
        match found.last_mut().filter(|(last, name, _)| (*last, &**name) == (index, labels.as_str())) {
            Some((.., all)) => all.extend(chunks),
            None => found.push((index, labels, chunks)),
        }
    }
    found
}

fn read_chunk(message: &[u8]) -> String {
    let (mut numbers, mut data) = ([0i64; 4], &[][..]);
    for field in Fields::new(message) {
        match field.unwrap() {
            (4, bytes) => data = bytes.bytes().unwrap(),
            (number, value) => numbers[number as usize] = value.number().unwrap() as i64,
        }
    }
    let encoding = ChunkEncoding::from_byte(numbers[3] as u8).unwrap();
    let (mut times, mut floats) = (Vec::new(), Vec::new());
    match encoding {
        ChunkEncoding::Xor => {
            XorDecoder::new(data).unwrap().read(&mut times, &mut floats, usize::MAX).unwrap();
        }
        _ => times.extend(HistogramDecoder::new(encoding, data).map(|sample| sample.unwrap().0)),
    }
    assert_eq!((times[0].0, times[times.len() - 1].0), (numbers[1], numbers[2]));
    format!("{encoding:?} {}..{} {}", numbers[1], numbers[2], times.len())
}

fn job(runtime: &tokio::runtime::Runtime, work: impl FnOnce(&Job) + Send + 'static) {
    let clock = Arc::new(testkit::ManualClock::new(environment::UnixTime::from_millis(0)));
    let slots = crate::slots::Slots::new(1, 0, clock, crate::metrics::Metrics::new());
    let work = move |job: &Job| {
        work(job);
        Ok(())
    };
    runtime.block_on(slots.run(std::time::Duration::from_secs(1), work)).unwrap();
}

#[test]
fn a_stream_of_chunks() {
    let store = SeriesStore::new();
    let long: String = (0..300).map(|value| format!(" {value}")).collect();
    store.load(10, &format!("up{{job=\"a\"}}{long}\nup{{job=\"b\"}} 1 2 3")).unwrap();
    let mixed = model::Labels::from_pairs([("__name__", "up"), ("job", "c")]).unwrap();
    let values = [(1, 3, ResetHint::Unknown), (2, 5, ResetHint::Unknown), (3, 1, ResetHint::Unknown)];
    for (at, count, hint) in values {
        store.insert(&mixed, TimestampMs(at), histogram(count, hint));
    }
    store.insert(&mixed, TimestampMs(4), StoredValue::Float(1.0));
    let range = TimeRange { start: TimestampMs(0), end: TimestampMs(2500) };
    let one = |matchers, range| request::Query { matchers, range };
    let narrow = TimeRange { start: TimestampMs(5), end: TimestampMs(15) };
    let queries =
        vec![one(vec![Matcher::equal("__name__", "up")], range), one(vec![Matcher::equal("job", "b")], narrow)];
    let read = ReadRequest::of(queries);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    job(&runtime, move |job| {
        let mut frames = Vec::new();
        stream(&read, &store, job, &mut |frame| {
            frames.push(frame);
            Ok(())
        })
        .unwrap();
        let found = read_back(&frames);
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let expected = [
            (0, "__name__=up job=a ".to_owned(), list(&["Xor 0..1190 120", "Xor 1200..2390 120", "Xor 2400..2500 11"])),
            (0, "__name__=up job=b ".to_owned(), list(&["Xor 0..20 3"])),
            (0, "__name__=up job=c ".to_owned(), list(&["Histogram 1..2 2", "Histogram 3..3 1", "Xor 4..4 1"])),
            (1, "__name__=up job=b ".to_owned(), list(&["Xor 10..10 1"])),
        ];
        assert_eq!(found, expected);
    });
}

#[test]
fn samples_in_one_message() {
    let store = SeriesStore::new();
    store.load(10, "up{job=\"a\"} 1 2 3 4").unwrap();
    let range = TimeRange { start: TimestampMs(10), end: TimestampMs(20) };
    let read = ReadRequest::of(vec![request::Query { matchers: vec![Matcher::equal("__name__", "up")], range }]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    job(&runtime, move |job| {
        let message = samples::response(&read, &store, 2, 1 << 20, job).unwrap();
        let result = Fields::new(&message).next().unwrap().unwrap().1.bytes().unwrap();
        let mut series = Vec::new();
        for (name, value) in [("__name__", "up"), ("job", "a")] {
            series.extend(field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat()));
        }
        for (at, value) in [(10, 2.0), (20, 3.0)] {
            let mut sample = Vec::new();
            crate::wire::put_double(&mut sample, 1, value);
            put_integer(&mut sample, 2, at);
            series.extend(field(2, &sample));
        }
        assert_eq!(result, field(1, &series));
        assert!(matches!(samples::response(&read, &store, 1, 1 << 20, job), Err(ApiError::SampleLimit { limit: 1 })));
        assert!(matches!(samples::response(&read, &store, 9, 10, job), Err(ApiError::AnswerTooLarge { .. })));
    });
}
